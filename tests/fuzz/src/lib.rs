//! What the fuzz targets do with their input; also run over the corpus by `tests/corpus.rs`, which Miri can do.
//!
//! Nothing here may panic but the assertions that say why.
#![forbid(unsafe_code)]

mod aligned;
mod exercise;
mod image;
mod model;
mod random;

use arbitrary::Unstructured;
use emberloop_image::{Image, ImageError, Sequences};

use aligned::Aligned;
use exercise::Exercise;
use image::Damage;
use model::Model;

/// Any bytes, as an image and as a `.seq` file: as they are, and with a right length and checksum.
pub fn parse(data: &[u8]) {
    for offset in [0, 1] {
        // An odd address is refused.
        let bytes = Aligned::new(data, offset);
        if let Ok(sequences) = Sequences::parse(&bytes) {
            let steps: usize = sequences.iter().map(|sequence| sequence.samples().count()).sum();
            assert!(steps * sequences.width() * 4 <= data.len(), "more samples than bytes");
        }
        let _ = use_image(&bytes, &Exercise::default());
    }
    let mut repaired = data.to_vec();
    if let Some(field) = repaired.get_mut(8..12) {
        field.copy_from_slice(&(data.len() as u32).to_le_bytes());
        image::fix_checksum(&mut repaired);
        let _ = use_image(&Aligned::new(&repaired, 0), &Exercise::default());
    }
}

fn use_image(bytes: &[u8], exercise: &Exercise) -> Result<(), ImageError> {
    match Image::parse(bytes) {
        Ok(image) => {
            exercise.run(&image, bytes);
            // The reference has nothing that Miri could find.
            if !cfg!(miri) {
                exercise.compare(bytes);
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Err(error);
        }
    }
    Ok(())
}

/// A model made from the bytes and its image, in many cases damaged, and what a board may do with it.
pub fn step(data: &[u8]) {
    let mut source = Unstructured::new(data);
    // Where the bytes end, zeros follow: only an empty choice is an error, and there is none.
    let Ok(mut model) = Model::new(&mut source) else { return };
    let Ok(damage) = Damage::new(&mut source) else { return };
    let Ok(exercise) = Exercise::new(&mut source, &model.input) else { return };
    let mut bytes = image::write(&model);
    if damage.is_none() {
        assert_eq!(use_image(&Aligned::new(&bytes, 0), &exercise), Ok(()), "every model that is made here is valid");
        exercise::golden(&mut model);
    } else {
        damage.apply(&mut bytes);
        // Refused or used: both are right, and neither panics.
        let _ = use_image(&Aligned::new(&bytes, 0), &exercise);
    }
}
