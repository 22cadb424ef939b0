//! Why a run ended early.

use emberloop_engine::{NewError, SelfTestError, StepError};
use emberloop_image::ImageError;

/// Why a run ended early; each kind has an exit status of its own.
#[derive(Clone, Copy, Debug, defmt::Format)]
pub enum Failure {
    /// An image was refused.
    Image(ImageError),
    /// The image needs more memory than the largest one stated.
    Network(NewError),
    /// This machine computes something else than the host did.
    SelfTest(SelfTestError),
    /// The test sequences are malformed.
    Sequences(ImageError),
    /// A sample was refused.
    Step {
        /// Which sequence.
        sequence: usize,
        /// Which step of it.
        step: usize,
        /// Why.
        error: StepError,
    },
}

impl Failure {
    /// The exit status. 101 and 102 are a panic's and a fault's (`firmware/qemu`).
    pub fn status(&self) -> i32 {
        match self {
            Failure::Image(_) | Failure::Network(_) => 10,
            Failure::SelfTest(_) => 11,
            Failure::Sequences(_) => 12,
            Failure::Step { .. } => 13,
        }
    }
}
