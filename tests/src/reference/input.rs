//! NUMERICS §5: from a raw sample to the scaled input.

use std::fmt;

use super::arithmetic::{fits_int32, pow2, requantize, within};
use crate::model::{Input, Missing};

/// The raw number that stands for *missing*.
pub const MISSING: i32 = i32::MIN;

/// Why a step is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too few or too many numbers.
    Length,
    /// This feature is missing and the policy is `error`.
    Missing(usize),
    /// No such token.
    Token(i32),
}

/// How many numbers were clipped and how many were missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Beyond `min ..= max`.
    pub clipped: u32,
    /// The value -2^31.
    pub missing: u32,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// `x` after a reset: the fill of every feature; for tokens nothing is held, so zero.
pub fn at_rest(input: &Input) -> Vec<i64> {
    match input {
        Input::Features { scalers, .. } => scalers.iter().map(|scaler| i64::from(scaler.fill)).collect(),
        Input::Tokens { embedding, .. } => vec![0; embedding.columns],
    }
}

/// The scaled input of a raw sample, given that of the step before, and what was counted.
pub fn scale(input: &Input, raw: &[i32], before: &[i64]) -> Result<(Vec<i64>, Counts), Refusal> {
    if raw.len() != input.raw_width() {
        return Err(Refusal::Length);
    }
    let mut counts = Counts::default();
    match input {
        Input::Tokens { embedding, .. } => {
            let token = usize::try_from(raw[0]).map_err(|_| Refusal::Token(raw[0]))?;
            let row = embedding.rows.get(token).ok_or(Refusal::Token(raw[0]))?;
            let embedded = row.weights.iter().map(|&weight| requantize(i64::from(weight), row.scale));
            Ok((embedded.map(|x| within(x, -32767, 32767, "an embedded input")).collect(), counts))
        }
        Input::Features { missing, scalers, .. } => {
            let mut scaled = Vec::new();
            for (feature, (&value, scaler)) in raw.iter().zip(scalers).enumerate() {
                let x = if value == MISSING {
                    counts.missing += 1;
                    match missing {
                        Missing::Error => return Err(Refusal::Missing(feature)),
                        Missing::HoldLast => before[feature],
                        Missing::Mean => i64::from(scaler.fill),
                    }
                } else {
                    let clamped = value.clamp(scaler.min, scaler.max);
                    counts.clipped += u32::from(clamped != value);
                    let shifted =
                        fits_int32(i64::from(clamped) * pow2(u32::from(scaler.pre_shift)), "a shifted sample");
                    requantize(fits_int32(shifted - i64::from(scaler.offset), "a sample less its offset"), scaler.scale)
                };
                scaled.push(within(x, -32767, 32767, "a scaled input"));
            }
            Ok((scaled, counts))
        }
    }
}

/// A float sample made raw: `round_half_even(value · 2^fraction)`, saturated to ±(2^31 - 1), NaN missing.
pub fn raw_from_float(value: f32, fraction: i8) -> i32 {
    if value.is_nan() {
        return MISSING;
    }
    let limit = f64::from(i32::MAX);
    // Exact: a single has 24 significant bits, and its exponent moves by no more than 128.
    (f64::from(value) * f64::from(fraction).exp2()).round_ties_even().clamp(-limit, limit) as i32
}
