//! What can go wrong after an image is parsed.

use core::fmt;

/// Why a network cannot be made of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NewError {
    /// `WORDS` is smaller than the image needs (see `emberloop_image::ram_words`).
    Memory {
        /// Words needed.
        expected: usize,
        /// Words given.
        found: usize,
    },
    /// This build has no such cell: enable the feature of its name (`rnn`, `lstm`, `gru`).
    Cell {
        /// The layer.
        layer: usize,
    },
}

/// Why a step was refused. A refused step changes nothing: the state is that of the step before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StepError {
    /// The sample is too short or too long.
    Length {
        /// Numbers per sample of this model.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// A number is missing, and the model's policy for that is `error`.
    Missing {
        /// The feature.
        feature: usize,
    },
    /// No such token.
    Token {
        /// Tokens of this model run from 0 to this, exclusive.
        vocabulary: usize,
        /// The token given.
        found: i32,
    },
    /// The network's memory does not fit its image. Excluded by `Network::new`; here so that nothing needs to panic.
    Memory,
}

/// Why a saved state was refused; the network's own state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RestoreError {
    /// Too few or too many words.
    Length {
        /// `Network::state_words`.
        expected: usize,
        /// Words given.
        found: usize,
    },
    /// A value that no network of this image can reach.
    Value,
}

impl fmt::Display for NewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NewError::Memory { expected, found } => {
                write!(f, "the model needs {expected} words of memory, but the network has {found}")
            }
            NewError::Cell { layer } => {
                write!(
                    f,
                    "layer {layer}: expected a cell that this build has, found another; enable the engine's feature of its name (rnn, lstm, gru)"
                )
            }
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Length { expected, found } => {
                write!(f, "a sample of this model has {expected} numbers, found {found}")
            }
            StepError::Missing { feature } => {
                write!(f, "feature {feature} is missing, and the model's policy is to refuse that")
            }
            StepError::Token { vocabulary, found } => {
                write!(f, "token {found} is not between 0 and {}", vocabulary - 1)
            }
            StepError::Memory => f.write_str("the network's memory does not fit its image"),
        }
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Length { expected, found } => {
                write!(f, "a saved state of this model has {expected} words, found {found}")
            }
            RestoreError::Value => f.write_str("the saved state holds a value that this model cannot reach"),
        }
    }
}

impl core::error::Error for NewError {}
impl core::error::Error for StepError {}
impl core::error::Error for RestoreError {}
