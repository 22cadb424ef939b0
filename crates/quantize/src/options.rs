//! What a user may choose.

use serde::{Deserialize, Serialize};

/// How weights become integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Scales searched, errors compensated within each row, biases corrected: all by the calibration data.
    #[default]
    Compensated,
    /// Each weight to its nearest integer, the largest of a row to ±127.
    Nearest,
}

/// Options of [`quantize`](crate::quantize()).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The model's name in the image.
    pub name: String,
    /// How weights become integers.
    pub rounding: Rounding,
    /// At most so many steps of the calibration data are run through the float model; sequences are taken evenly.
    pub calibration_steps: usize,
    /// Bytes of the image to spend on golden vectors; a few steps are always embedded.
    pub golden_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "model".into(), rounding: Rounding::Compensated, calibration_steps: 32_768, golden_bytes: 1024 }
    }
}
