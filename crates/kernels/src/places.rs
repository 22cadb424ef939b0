//! An output that several threads fill, each its own places.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A `[places, width]` array on its way.
///
/// It is not cleared first, if every place will be written: clearing costs as much as writing.
pub(crate) struct Array {
    numbers: Box<[MaybeUninit<f32>]>,
    width: usize,
}

impl Array {
    /// `cleared`: zeros, for an array of which not every place will be written.
    pub(crate) fn new(places: usize, width: usize, cleared: bool) -> Self {
        let len = places * width;
        let numbers = if cleared { Box::new_zeroed_slice(len) } else { Box::new_uninit_slice(len) };
        Self { numbers, width }
    }

    /// For the threads.
    pub(crate) fn places(&mut self) -> Places<'_> {
        let places = self.numbers.len() / self.width;
        Places { pointer: self.numbers.as_mut_ptr().cast(), places, width: self.width, array: PhantomData }
    }

    /// # Safety
    /// It was cleared, or every place was written.
    pub(crate) unsafe fn finish(self) -> Vec<f32> {
        // SAFETY: all numbers are initialised, says the caller.
        unsafe { self.numbers.assume_init() }.into_vec()
    }
}

/// The places of an [`Array`], which different threads write.
pub(crate) struct Places<'a> {
    pointer: *mut f32,
    places: usize,
    width: usize,
    array: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: it is a mutable slice taken apart; `write` makes the caller promise that no two threads use the same place.
unsafe impl Send for Places<'_> {}
// SAFETY: as above.
unsafe impl Sync for Places<'_> {}

impl Places<'_> {
    /// Writes places that stand side by side.
    ///
    /// # Safety
    /// Nobody else writes one of these places meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, places: Range<usize>, from: &[f32]) {
        assert!(places.start <= places.end && places.end <= self.places, "places of the array");
        assert!(from.len() == places.len() * self.width, "as many numbers as the places hold");
        // SAFETY: the range lies inside the array, which is borrowed for as long as this lives and cannot overlap `from`;
        // the caller promises that nobody else writes these places.
        unsafe {
            std::ptr::copy_nonoverlapping(from.as_ptr(), self.pointer.add(places.start * self.width), from.len());
        }
    }
}
