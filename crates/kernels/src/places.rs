//! An output that several threads fill, each its own places.

use std::marker::PhantomData;
use std::ops::Range;

/// A `[places, width]` array whose places different threads write.
pub(crate) struct Places<'a> {
    pointer: *mut f32,
    places: usize,
    width: usize,
    array: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a `&'a mut [f32]` taken apart; `get` makes the caller promise that no two threads use the same place.
unsafe impl Send for Places<'_> {}
// SAFETY: as above.
unsafe impl Sync for Places<'_> {}

impl<'a> Places<'a> {
    /// # Panics
    /// If the array does not consist of whole places.
    pub(crate) fn new(array: &'a mut [f32], width: usize) -> Self {
        assert_eq!(array.len() % width, 0, "an array of whole places");
        Self { pointer: array.as_mut_ptr(), places: array.len() / width, width, array: PhantomData }
    }

    /// Places side by side.
    ///
    /// # Safety
    /// While the slice lives, nobody else gets one of these places.
    #[allow(clippy::mut_from_ref)] // That is its purpose; the caller answers for it.
    pub(crate) unsafe fn get(&self, places: Range<usize>) -> &mut [f32] {
        assert!(places.start <= places.end && places.end <= self.places, "places of the array");
        // SAFETY: the range lies inside the array, which lives for 'a; the caller promises that nobody else has these places.
        unsafe {
            std::slice::from_raw_parts_mut(self.pointer.add(places.start * self.width), places.len() * self.width)
        }
    }
}
