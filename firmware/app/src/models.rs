//! The models that are embedded in this firmware; `build.rs` writes the table.

use emberloop_image::ram_words;

/// One embedded model.
pub struct Model {
    /// The name of its file, without `.ember`.
    pub name: &'static str,
    /// The image, in flash.
    pub image: &'static [u8],
    /// Test sequences of raw samples, in flash.
    pub sequences: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/models.rs"));

/// The most words of memory that one of the images needs.
const fn largest(images: &[&[u8]]) -> usize {
    let mut words = 0;
    let mut index = 0;
    while index < images.len() {
        let needed = ram_words(images[index]);
        if needed > words {
            words = needed;
        }
        index += 1;
    }
    words
}
