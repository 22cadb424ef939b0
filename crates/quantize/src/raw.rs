//! From a dataset's values to the raw integers that a driver would deliver.

use emberloop_data::{DataError, Sequence};
use emberloop_engine::from_f32_bits;
use emberloop_image::{Image, Input};

/// Turns recorded values into raw samples of one image.
#[derive(Clone, Debug)]
pub struct RawConverter {
    /// By feature; `None` for tokens.
    fractions: Option<Vec<i8>>,
}

impl RawConverter {
    /// For this image.
    pub fn new(image: &Image<'_>) -> Self {
        Self::of_input(&image.input())
    }

    fn of_input(input: &Input<'_>) -> Self {
        let fractions = match input {
            Input::Features { .. } => Some(input.feature_scalers().map(|scaler| scaler.raw_fraction).collect()),
            Input::Tokens { .. } => None,
        };
        Self { fractions }
    }

    /// Numbers per sample.
    pub fn width(&self) -> usize {
        self.fractions.as_ref().map_or(1, Vec::len)
    }

    /// The raw value of one number: `round(value · 2^raw_fraction)`, NaN as `MISSING`; a token is its id.
    ///
    /// # Panics
    /// If there is no such feature.
    pub fn value(&self, feature: usize, value: f32) -> i32 {
        match &self.fractions {
            Some(fractions) => from_f32_bits(value.to_bits(), fractions[feature]),
            None => value as i32,
        }
    }

    /// The raw samples of a sequence, `[steps, width]`.
    ///
    /// # Errors
    /// If they are in a file that cannot be read any more.
    pub fn sequence(&self, sequence: &Sequence) -> Result<Vec<i32>, DataError> {
        let (width, values) = (self.width(), sequence.values.read()?);
        Ok(values.iter().enumerate().map(|(at, &value)| self.value(at % width, value)).collect())
    }
}
