//! Golden vectors: does this machine compute what the host computed?

use core::fmt;

use emberloop_image::Image;

use crate::{Network, NewError, StepError};

/// What the self-test found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SelfTestError {
    /// The network could not be made.
    New(NewError),
    /// A step was refused.
    Step(StepError),
    /// An output differs.
    Differs {
        /// Which golden sequence.
        sequence: usize,
        /// Which step of it.
        step: usize,
        /// Which output.
        output: usize,
        /// What the host computed.
        expected: i32,
        /// What this machine computes.
        found: i32,
    },
    /// The image has no golden vectors, so nothing is proved.
    Empty,
}

/// Runs the golden vectors embedded in an image and compares every output of every step, bit for bit. Returns the
/// number of steps compared. `memory` is as for [`Network::new`].
///
/// # Errors
/// [`SelfTestError`]: the first difference.
pub fn self_test<M: AsRef<[i32]> + AsMut<[i32]>>(image: &Image<'_>, mut memory: M) -> Result<usize, SelfTestError> {
    compare(image, memory.as_mut())
}

/// Not generic, so that it is compiled once and with the engine.
fn compare(image: &Image<'_>, memory: &mut [i32]) -> Result<usize, SelfTestError> {
    let mut network = Network::new(image, memory).map_err(SelfTestError::New)?;
    let mut compared = 0;
    for (sequence, golden) in image.golden().iter().enumerate() {
        network.reset();
        for (step, (sample, expected)) in golden.samples().zip(golden.expected()).enumerate() {
            let found = network.step(sample).map_err(SelfTestError::Step)?.values();
            for (output, (&expected, &found)) in expected.iter().zip(found).enumerate() {
                if expected != found {
                    return Err(SelfTestError::Differs { sequence, step, output, expected, found });
                }
            }
            compared += 1;
        }
    }
    if compared == 0 { Err(SelfTestError::Empty) } else { Ok(compared) }
}

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelfTestError::New(error) => error.fmt(f),
            SelfTestError::Step(error) => error.fmt(f),
            SelfTestError::Differs { sequence, step, output, expected, found } => write!(
                f,
                "golden sequence {sequence}, step {step}, output {output}: expected {expected}, found {found}"
            ),
            SelfTestError::Empty => f.write_str("the image has no golden vectors"),
        }
    }
}

impl core::error::Error for SelfTestError {}
