//! How a raw sample becomes the first layer's input: scalers or an embedding table.

use crate::error::Part;
use crate::proof::{feature_output_range, requantized_bound};
use crate::section::Sections;
use crate::{ImageError, InputShape, MissingPolicy, Requantizer, limits};

/// How a raw sample becomes the first layer's input.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A scaler per feature.
    Features {
        /// Packed scalers, [`FeatureScaler::WORDS`] words each.
        scalers: &'a [u32],
        /// What happens where a number is missing.
        missing: MissingPolicy,
    },
    /// An embedding table.
    Tokens {
        /// `[vocabulary, dimension]`, one scale per row.
        table: Matrix<'a>,
    },
}

/// The integer scaler of one feature (NUMERICS §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureScaler {
    /// Smallest raw value; below it the input is clipped and counted.
    pub min: i32,
    /// Largest raw value; above it the input is clipped and counted.
    pub max: i32,
    /// Subtracted after the left shift by `pre_shift`.
    pub offset: i32,
    /// Scales the difference.
    pub requantizer: Requantizer,
    /// Scaled input that stands in for a missing value: the training mean.
    pub fill: i16,
    /// Left shift of the raw value, so that the offset has fraction bits.
    pub pre_shift: u8,
    /// Fraction bits of the raw value: `raw = round(value · 2^raw_fraction)`.
    pub raw_fraction: i8,
}

/// The embedding table: an int8 matrix with one scale per row.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Number of columns.
    pub columns: usize,
    /// Packed [`Requantizer`]s, one per row.
    pub scales: &'a [u32],
    /// `[rows, columns]`, row-major.
    pub weights: &'a [i8],
}

impl FeatureScaler {
    /// Words of 32 bits in the image.
    pub const WORDS: usize = 5;

    /// From the image's words.
    pub fn from_words(words: &[u32; Self::WORDS]) -> Self {
        let &[min, max, offset, requantizer, tail] = words;
        Self {
            min: min as i32,
            max: max as i32,
            offset: offset as i32,
            requantizer: Requantizer::from_word(requantizer),
            fill: tail as u16 as i16,
            pre_shift: (tail >> 16) as u8,
            raw_fraction: (tail >> 24) as i8,
        }
    }

    /// As it lies in the image.
    pub fn to_words(&self) -> [u32; Self::WORDS] {
        let [fill_low, fill_high] = self.fill.to_le_bytes();
        let tail = u32::from_le_bytes([fill_low, fill_high, self.pre_shift, self.raw_fraction as u8]);
        [self.min as u32, self.max as u32, self.offset as u32, self.requantizer.word(), tail]
    }

    fn is_valid(&self) -> bool {
        let ranges = self.min <= self.max && self.min != i32::MIN && self.pre_shift < 31 && self.fill != i16::MIN;
        let fraction = (-16..=30).contains(&self.raw_fraction);
        ranges && fraction && self.requantizer.is_valid() && feature_output_range(self).is_some()
    }
}

impl<'a> Matrix<'a> {
    fn take(sections: &mut Sections<'a>, rows: usize, columns: usize) -> Option<Self> {
        let scales = sections.take(rows)?;
        let count = rows.checked_mul(columns)?;
        let words = sections.take(count.div_ceil(4))?;
        Some(Self { columns, scales, weights: bytemuck::cast_slice(words).get(..count)? })
    }

    /// The rows: weights and scale.
    pub fn rows(&self) -> impl Iterator<Item = (&'a [i8], Requantizer)> + use<'a> {
        let scales = self.scales.iter().map(|&word| Requantizer::from_word(word));
        self.weights.chunks_exact(self.columns.max(1)).zip(scales)
    }

    /// Proves every row (NUMERICS §4).
    fn prove(&self) -> Result<(), ImageError> {
        let part = Part::Embedding;
        for (row, (weights, requantizer)) in self.rows().enumerate() {
            let row = row as u32;
            if !requantizer.is_valid() {
                return Err(ImageError::Requantizer { part, row });
            }
            if weights.contains(&i8::MIN) {
                return Err(ImageError::Weight { part, row });
            }
            let largest = weights.iter().map(|weight| weight.unsigned_abs()).max().unwrap_or(0);
            let bound = requantized_bound(i64::from(largest), requantizer);
            if bound.is_none_or(|bound| bound > i64::from(limits::INPUT)) {
                return Err(ImageError::Overflow { part, row });
            }
        }
        Ok(())
    }
}

impl<'a> Input<'a> {
    /// Cuts the sections of this input off; `None` where there are fewer words.
    pub(crate) fn take(sections: &mut Sections<'a>, shape: InputShape) -> Option<Self> {
        Some(match shape {
            InputShape::Features { features, missing, fraction: _ } => {
                let scalers = sections.take(usize::from(features) * FeatureScaler::WORDS)?;
                Input::Features { scalers, missing }
            }
            InputShape::Tokens { vocabulary, dimension, fraction: _ } => {
                Input::Tokens { table: Matrix::take(sections, vocabulary as usize, usize::from(dimension))? }
            }
        })
    }

    /// Proves the scalers or the table, whose words these are.
    pub(crate) fn prove(&self, words: &[u32]) -> Result<(), ImageError> {
        for (feature, scaler) in self.feature_scalers().enumerate() {
            if !scaler.is_valid() {
                return Err(ImageError::Scaler { feature: feature as u32 });
            }
        }
        if let Input::Tokens { table } = self {
            table.prove()?;
            let weights: &[u8] = bytemuck::cast_slice(words.get(table.scales.len()..).unwrap_or(&[]));
            if weights.iter().skip(table.weights.len()).any(|&byte| byte != 0) {
                return Err(ImageError::NotZero);
            }
        }
        Ok(())
    }

    /// The scalers of the features; nothing for tokens.
    pub fn feature_scalers(&self) -> impl Iterator<Item = FeatureScaler> + use<'a> {
        let words: &'a [u32] = match *self {
            Input::Features { scalers, .. } => scalers,
            Input::Tokens { .. } => &[],
        };
        // Not `as_chunks`: it divides, which takes a Cortex-M0 a hundred instructions.
        let mut rest = words;
        core::iter::from_fn(move || {
            let (scaler, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(FeatureScaler::from_words(scaler))
        })
    }
}
