//! What can go wrong between a checkpoint and an image, each in one line.

use emberloop_checkpoint::Flaw;
use emberloop_data::DataError;
use emberloop_engine::{SelfTestError, StepError};
use emberloop_image::ImageError;

/// Why a model cannot be quantized, or an image cannot be compared or evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The checkpoint contradicts itself.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] Flaw),
    /// The model has something that no image can hold.
    #[error("{what}: expected {expected}, found {found}")]
    Unsupported {
        /// Which part of the model.
        what: String,
        /// What an image can hold.
        expected: String,
        /// What the model has.
        found: String,
    },
    /// The data cannot be scaled.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The data are not what the model was made for.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// What does not fit.
        what: String,
        /// What the model asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A number is beyond what the device's integers can hold.
    #[error("{place}: {problem}")]
    Range {
        /// The tensor and row, or the channel.
        place: String,
        /// What does not fit, and what would help.
        problem: String,
    },
    /// The image is damaged, or of another version.
    #[error("image: {0}")]
    Image(#[from] ImageError),
    /// The image is not made from the checkpoint it is compared with.
    #[error("image: expected one made from checkpoint {expected}, found one made from {found}")]
    AnotherCheckpoint {
        /// The checkpoint's hash.
        expected: String,
        /// The hash in the image.
        found: String,
    },
    /// The engine does not reproduce the golden vectors.
    #[error("image: {0}")]
    SelfTest(#[from] SelfTestError),
    /// The engine refuses a sample of the data.
    #[error("{place}: {error}")]
    Step {
        /// File, sequence and step.
        place: String,
        /// What the engine says.
        error: StepError,
    },
}
