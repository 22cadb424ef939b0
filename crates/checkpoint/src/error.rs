//! What can go wrong with a checkpoint, each in one line.

use std::io;
use std::path::PathBuf;

use crate::container::ContainerError;
use crate::metadata::FORMAT;

/// A checkpoint that could not be read or written: which file, and why.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
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
    /// The content is no valid checkpoint.
    #[error("{}: {flaw}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// What is wrong with a checkpoint's content.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// Not safetensors, cut off, or damaged.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Safetensors, but not ours.
    #[error(
        "has no emberloop metadata: expected the key \"emberloop\" in __metadata__, found {found}; is it a plain PyTorch file?"
    )]
    NoMetadata {
        /// The keys that are there.
        found: String,
    },
    /// Written by another version.
    #[error("checkpoint format: expected {FORMAT}, found {found}; it was written by another version of emberloop")]
    Format {
        /// The file's version.
        found: String,
    },
    /// The metadata is not the JSON it should be.
    #[error("metadata: {reason}")]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// Parts of the metadata contradict each other or hold impossible values.
    #[error("metadata, {place}: expected {expected}, found {found}")]
    Metadata {
        /// The field.
        place: String,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A tensor is missing, unknown, or not as the architecture asks.
    #[error("tensor {}: expected {expected}, found {found}", name.escape_debug())]
    Tensor {
        /// The tensor.
        name: String,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
}
