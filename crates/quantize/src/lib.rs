//! Checkpoint and calibration data to integers: quantized safetensors and device image.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod aligned;
mod calibration;
mod compare;
mod compensation;
mod dense;
mod difference;
mod embedding;
mod error;
mod evaluate;
mod fixed;
pub mod float_network;
mod golden;
mod head;
mod input;
mod integer_model;
mod layer_error;
mod layers;
mod metrics;
mod moments;
mod options;
mod parallel;
mod quantize;
mod quantized_file;
mod raw;
mod report;
mod rows;
mod scaler;
mod sequences;
mod write_image;

pub use aligned::AlignedBytes;
pub use compare::{CompareOptions, Comparison, compare};
pub use difference::{CurvePoint, GateError, LayerError};
pub use error::QuantizeError;
pub use evaluate::{Evaluation, evaluate_image};
pub use float_network::FloatNetwork;
pub use integer_model::{GoldenSequence, IntegerHead, IntegerInput, IntegerLayer, IntegerMatrix, IntegerModel};
pub use options::{Options, Rounding};
pub use quantize::{Quantized, quantize};
pub use quantized_file::{
    METADATA_KEY, QUANTIZED_FORMAT, QuantizedFile, QuantizedFileError, QuantizedFlaw, QuantizedMetadata, read_quantized,
};
pub use raw::RawConverter;
pub use report::{QuantizationReport, ScalerReport, WeightReport};
pub use sequences::write_sequences;
