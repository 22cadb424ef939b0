//! Raw sequences for a board: `.seq` files (FORMAT §6).

use emberloop_data::Dataset;
use emberloop_image::{Image, SEQUENCES_MAGIC};

use crate::QuantizeError;
use crate::fixed::check_dataset;
use crate::raw::RawConverter;

/// The bytes of a `.seq` file: the raw samples of at most `max_sequences` sequences, taken evenly, without outputs.
///
/// # Errors
/// If the dataset is not what the image was made for, or its file cannot be read any more.
pub fn write_sequences(image: &Image<'_>, dataset: &Dataset, max_sequences: usize) -> Result<Vec<u8>, QuantizeError> {
    check_dataset(image, dataset)?;
    let raw = RawConverter::new(image);
    let stride = dataset.sequences.len().div_ceil(max_sequences.max(1)).max(1);
    let chosen: Vec<_> = dataset.sequences.iter().step_by(stride).take(max_sequences).collect();
    let chosen: Vec<Vec<i32>> = chosen.into_iter().map(|sequence| raw.sequence(sequence)).collect::<Result<_, _>>()?;
    sequence_file(raw.width(), &chosen)
}

/// The bytes of a `.seq` file of raw samples, `[steps, width]` each, without outputs.
///
/// # Errors
/// If there are too many of them.
pub fn sequence_file(width: usize, sequences: &[Vec<i32>]) -> Result<Vec<u8>, QuantizeError> {
    let mut words = vec![SEQUENCES_MAGIC as i32, word(width)?, 0, word(sequences.len())?];
    for samples in sequences {
        words.push(word(samples.len() / width.max(1))?);
        words.extend(samples);
    }
    Ok(words.into_iter().flat_map(i32::to_le_bytes).collect())
}

fn word(size: usize) -> Result<i32, QuantizeError> {
    i32::try_from(size).map_err(|_| QuantizeError::Unsupported {
        what: "sequences".into(),
        expected: "fewer than 2^31 steps".into(),
        found: size.to_string(),
    })
}
