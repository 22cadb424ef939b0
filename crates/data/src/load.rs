//! From a configuration to datasets.

use std::path::Path;

use crate::config::DataConfig;
use crate::dataset::{Dataset, Schema, Splits};
use crate::error::DataError;

/// Reads the training data and divides it; the same `seed` gives the same division.
///
/// `base` is the folder that the configuration's paths are relative to.
pub fn load(config: &DataConfig, base: &Path, seed: u64) -> Result<Splits, DataError> {
    let _ = (config, base, seed);
    todo!("being written")
}

/// Reads another file in the terms of a trained model: its channels, labels and vocabulary.
pub fn load_one(config: &DataConfig, path: &Path, schema: &Schema) -> Result<Dataset, DataError> {
    let _ = (config, path, schema);
    todo!("being written")
}

/// Reads another file for inference alone: no target is looked for, and every [`SequenceTarget`](crate::SequenceTarget)
/// is `Absent`.
pub fn load_inputs(config: &DataConfig, path: &Path, schema: &Schema) -> Result<Dataset, DataError> {
    let _ = (config, path, schema);
    todo!("being written")
}
