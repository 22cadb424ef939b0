//! What can be wrong with a quantized safetensors file, each in one line.

use std::io;
use std::path::PathBuf;

use emberloop_checkpoint::ContainerError;
use emberloop_engine::SelfTestError;
use emberloop_image::ImageError;

use super::QUANTIZED_FORMAT;

/// A file that could not be read or written: which, and why.
#[derive(Debug, thiserror::Error)]
pub enum QuantizedFileError {
    /// The operating system refused to read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The operating system refused to write.
    #[error("{}: cannot be written (what was there is unchanged): {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The content is no quantized model.
    #[error("{}: {flaw}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: QuantizedFlaw,
    },
}

/// What is wrong with the content.
#[derive(Debug, thiserror::Error)]
pub enum QuantizedFlaw {
    /// Not safetensors, cut off, or damaged.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Safetensors, but not a quantized model of ours.
    #[error(
        "is no quantized model: expected the key \"emberloop.quantized\" in __metadata__, found {found}; \
         `emberloop quantize` makes one from a checkpoint"
    )]
    NoMetadata {
        /// The keys that are there.
        found: String,
    },
    /// Written by another version.
    #[error("quantized format: expected {QUANTIZED_FORMAT}, found {found}; another version of emberloop wrote it")]
    Format {
        /// The file's version.
        found: String,
    },
    /// Made for an engine of another version.
    #[error("image format: expected {}, found {found}; quantize the checkpoint again", emberloop_image::VERSION)]
    ImageFormat {
        /// The file's version.
        found: u16,
    },
    /// The metadata is not the JSON it should be.
    #[error("metadata: {reason}")]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// A tensor is missing, unknown, or not as the formats ask.
    #[error("tensor {}: expected {expected}, found {found}", name.escape_debug())]
    Tensor {
        /// The tensor.
        name: String,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The integers form no valid image.
    #[error("the image made of it: {0}")]
    Image(#[from] ImageError),
    /// The integers do not give the golden outputs.
    #[error("the image made of it: {0}")]
    SelfTest(#[from] SelfTestError),
}
