//! Checkpoint and calibration data to integers: quantized safetensors and device image.
//!
//! [`quantize()`] goes through these stages, one file each:
//!
//! 1. [`float_network`]: the checkpoint as a float model that runs step by step, watched.
//! 2. `calibration`, `moments`: it runs over recorded data; ranges of every state, covariances of what every row sees.
//! 3. `scaler`, `input`, `embedding`: the float scaler becomes integers, in a format that fits data and weights.
//! 4. `layers`, `head`, `rows`, `compensation`: weights become int8 rows whose errors cancel in the output, with integer
//!    multipliers chosen first and scales that follow from them exactly; every row passes the proof that `Image::parse`
//!    demands, or is refused by name.
//! 5. `integer_model`, `write_image`, `read_image`, `golden`: the image, with inputs and the exact outputs that the engine
//!    computed.
//!
//! [`QuantizedFile`] keeps the same content as safetensors. [`compare()`] holds float against fixed point,
//! [`evaluate_image()`] scores the engine alone; both run the engine itself: there is no second arithmetic here.
//!
//! ```no_run
//! # use emberloop_data::Dataset;
//! # fn example(training: &Dataset, test: &Dataset) -> Result<(), Box<dyn std::error::Error>> {
//! use emberloop_checkpoint::Checkpoint;
//! use emberloop_quantize::{CompareOptions, Options, QuantizedFile, compare, quantize};
//!
//! let checkpoint = Checkpoint::read("runs/vowels/checkpoint.safetensors")?;
//! let quantized = quantize(&checkpoint, training, &Options::default())?;
//! QuantizedFile::new(&quantized, &checkpoint).write("runs/vowels/model.q.safetensors")?;
//! emberloop_checkpoint::write_atomically("runs/vowels/model.ember", &quantized.image)?;
//! let comparison = compare(&checkpoint, &quantized.image, test, CompareOptions::default())?;
//! println!("logit error {}", comparison.logit_error);
//! # Ok(()) }
//! ```
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
mod read_image;
mod report;
mod rows;
mod scaler;
mod sequences;
mod write_image;

pub use aligned::AlignedBytes;
pub use compare::{CompareOptions, Comparison, compare};
pub use difference::{CurvePoint, GateError, LayerError};
pub use error::QuantizeError;
pub use evaluate::{Evaluation, EvaluationPart, EvaluationWorker, evaluate_image};
pub use float_network::FloatNetwork;
pub use integer_model::{
    GoldenSequence, IntegerHead, IntegerInput, IntegerLayer, IntegerMatrix, IntegerModel, IntegerTable,
};
pub use options::{Options, Rounding};
pub use quantize::{Quantized, quantize};
pub use quantized_file::{
    METADATA_KEY, QUANTIZED_FORMAT, QuantizedFile, QuantizedFileError, QuantizedFlaw, QuantizedMetadata, read_quantized,
};
pub use raw::RawConverter;
pub use report::{QuantizationReport, ScalerReport, WeightReport};
pub use sequences::{sequence_file, write_sequences};
