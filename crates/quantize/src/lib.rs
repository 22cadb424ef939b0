//! Checkpoint and calibration data to integers: quantized safetensors and device image.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod aligned;
mod calibration;
mod compensation;
mod dense;
mod embedding;
mod error;
pub mod float_network;
mod golden;
mod integer_model;
mod layers;
mod moments;
mod options;
mod quantize;
mod raw;
mod report;
mod rows;
mod scaler;
mod write_image;

pub use aligned::AlignedBytes;
pub use error::QuantizeError;
pub use float_network::FloatNetwork;
pub use integer_model::{GoldenSequence, IntegerHead, IntegerInput, IntegerLayer, IntegerMatrix, IntegerModel};
pub use options::{Options, Rounding};
pub use quantize::{Quantized, quantize};
pub use raw::RawConverter;
pub use report::{QuantizationReport, ScalerReport, WeightReport};
