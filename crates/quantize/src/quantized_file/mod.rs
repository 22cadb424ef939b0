//! The quantized safetensors (`model.q.safetensors`): the image's content for people and tools.
//!
//! Plain integer tensors under names derived from PyTorch's; the stock `safetensors` package opens it:
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `rnn.weight_ih_l0`, `rnn.weight_hh_l0` | I8 | as in PyTorch | the weights' integers |
//! | `….multiplier` | I16 | `[rows]` | what brings a row's accumulator to the format of its sum (NUMERICS §3.1) |
//! | `….scale` | F64 | `[rows]` | what an integer of 1 stands for: `float ≈ integer · scale`, exact |
//! | `….accumulator_bound` | I32 | `[rows]` | the largest magnitude that a row's accumulator can reach (NUMERICS §4) |
//! | `rnn.bias_l0` | I32 | `[gates · hidden]` | both biases, `Q(15+k).(16-k)` with `k` the layer's shift; they make up for the products' rounding down |
//! | `rnn.bias_hn_l0` | I32 | `[hidden]` | GRU with reset-after: the new gate's recurrent bias, in the same format |
//! | `rnn.bounds_l0` | I32 | `[3]` | the layer's bounds as the image carries them (FORMAT §4.2) |
//! | `head.weight`, `head.bias`, `head.bounds` | I8, I32, I32 | as in PyTorch | `head.weight` with `.multiplier`, `.scale` and `.accumulator_bound`; the bias in the outputs' format but for the head's shift |
//! | `embedding.weight` | I8 | `[vocabulary, dimension]` | with `.scale` and `.requantizer` |
//! | `embedding.weight.requantizer` | I16 | `[rows, 3]` | multiplier, left shift, right shift (NUMERICS §3.2) |
//! | `scaler` | I32 | `[features, 9]` | min, max, offset, multiplier, left shift, right shift, fill, pre-shift, raw fraction (NUMERICS §5) |
//! | `scaler.factor` | F64 | `[features]` | `scaled integer ≈ (raw · 2^pre-shift - offset) · factor`, exact |
//! | `golden.0.inputs`, `golden.0.outputs`, … | I32 | `[steps, …]` | golden vectors |
//!
//! Scales, factors and bounds follow from the other tensors; a file in which they do not is refused.
//!
//! The key `emberloop.quantized` of `__metadata__` holds [`QuantizedMetadata`] as JSON. The image is made from the integers
//! alone: [`QuantizedFile::image`] gives the same bytes as [`quantize`](crate::quantize()) did.

mod error;
mod read;
mod write;

use std::path::Path;

use emberloop_checkpoint::{Architecture, Checkpoint, Provenance, write_atomically};
use emberloop_data::{Scaler, Schema, TargetScaler};
use emberloop_image::{HeadShape, LayerShape, MissingPolicy};
use serde::{Deserialize, Serialize};

pub use error::{QuantizedFileError, QuantizedFlaw};

use crate::integer_model::IntegerModel;
use crate::report::QuantizationReport;
use crate::{AlignedBytes, Quantized};

/// The version of the layout that this crate writes and reads.
pub const QUANTIZED_FORMAT: u32 = 2;

/// The key under which [`QuantizedMetadata`] stands in the file's `__metadata__`.
pub const METADATA_KEY: &str = "emberloop.quantized";

/// A quantized model with everything that is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedFile {
    /// The integers.
    pub model: IntegerModel,
    /// What the file says about itself.
    pub metadata: QuantizedMetadata,
}

/// Everything in the file that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizedMetadata {
    /// The layout's version, [`QUANTIZED_FORMAT`].
    pub format: u32,
    /// The version of the image format and of the arithmetic that the integers are for.
    pub image_format: u16,
    /// The model's name.
    pub name: String,
    /// Hash of the checkpoint it was made from.
    pub checkpoint: String,
    /// What the tensors form together.
    pub architecture: Architecture,
    /// Names of the channels or tokens, and of the labels or targets.
    pub schema: Schema,
    /// The float scaler that `scaler` approximates.
    pub scaler: Scaler,
    /// Regression: what is folded into the head.
    pub target_scaler: Option<TargetScaler>,
    /// Where the float model comes from.
    pub provenance: Provenance,
    /// Fraction bits of the scaled input or of the embedding's vectors.
    pub input_fraction: u8,
    /// What happens where a number is missing; nothing for tokens.
    pub missing: Option<MissingPolicy>,
    /// The layers' formats.
    pub layers: Vec<LayerShape>,
    /// The head's format.
    pub head: HeadShape,
    /// What quantization chose and what it cost.
    pub report: QuantizationReport,
}

impl QuantizedFile {
    /// The file of a quantized model.
    pub fn new(quantized: &Quantized, checkpoint: &Checkpoint) -> Self {
        use crate::integer_model::IntegerInput;
        let model = quantized.model.clone();
        let float = &checkpoint.metadata;
        let (input_fraction, missing) = match &model.input {
            IntegerInput::Features { fraction, missing, .. } => (*fraction, Some(*missing)),
            IntegerInput::Tokens { fraction, .. } => (*fraction, None),
        };
        let metadata = QuantizedMetadata {
            format: QUANTIZED_FORMAT,
            image_format: emberloop_image::VERSION,
            name: model.name.clone(),
            checkpoint: model.checkpoint.clone(),
            architecture: float.architecture.clone(),
            schema: float.schema.clone(),
            scaler: float.scaler.clone(),
            target_scaler: float.target_scaler.clone(),
            provenance: float.provenance.clone(),
            input_fraction,
            missing,
            layers: model.layers.iter().map(|layer| layer.shape).collect(),
            head: model.head.shape,
            report: quantized.report.clone(),
        };
        Self { model, metadata }
    }

    /// Reads a file and checks all of it: the image it stands for is built, parsed and self-tested.
    ///
    /// # Errors
    /// If the file cannot be read, is none of this format, or differs in a single bit from what was written.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, QuantizedFileError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|cause| QuantizedFileError::Read { path: path.to_path_buf(), cause })?;
        Self::from_bytes(&bytes).map_err(|flaw| QuantizedFileError::Invalid { path: path.to_path_buf(), flaw })
    }

    /// Writes the file completely or not at all.
    ///
    /// # Errors
    /// If the operating system refuses; a file that was there stays as it was.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), QuantizedFileError> {
        let path = path.as_ref();
        let bytes = self.to_bytes().map_err(|flaw| QuantizedFileError::Invalid { path: path.to_path_buf(), flaw })?;
        write_atomically(path, &bytes).map_err(|cause| QuantizedFileError::Write { path: path.to_path_buf(), cause })
    }

    /// The image.
    ///
    /// # Errors
    /// If the model is not valid, which it is when it was read or quantized.
    pub fn image(&self) -> Result<AlignedBytes, QuantizedFlaw> {
        Ok(AlignedBytes::new(&self.model.to_image()?))
    }
}

/// Reads a quantized safetensors file; see [`QuantizedFile::read`].
///
/// # Errors
/// If the file cannot be read, is none of this format, or differs in a single bit from what was written.
pub fn read_quantized(path: impl AsRef<Path>) -> Result<QuantizedFile, QuantizedFileError> {
    QuantizedFile::read(path)
}
