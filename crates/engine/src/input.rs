//! From a raw sample to the first layer's input (NUMERICS §5).

use emberloop_image::{FeatureScaler, Input, Matrix, MissingPolicy, Requantizer};

use crate::arithmetic::requantize;
use crate::network::Counters;
use crate::{MISSING, RawSample, StepError};

/// Checks a sample without changing anything, so that a refused step leaves no trace.
pub(crate) fn check<S: RawSample>(input: &Input<'_>, raw: &[S]) -> Result<(), StepError> {
    let found = raw.len();
    match *input {
        Input::Features { scalers, missing } => {
            // The division is for the message alone.
            if found.checked_mul(FeatureScaler::WORDS) != Some(scalers.len()) {
                return Err(StepError::Length { expected: scalers.len() / FeatureScaler::WORDS, found });
            }
            // Helium looks at four at a time, and hardly ever finds one.
            #[cfg(kernel = "helium")]
            if S::numbers(raw).is_some_and(|numbers| !crate::arch::any_missing(numbers)) {
                return Ok(());
            }
            match missing {
                MissingPolicy::Error => match raw.iter().position(|number| number.raw() == MISSING) {
                    Some(feature) => Err(StepError::Missing { feature }),
                    None => Ok(()),
                },
                MissingPolicy::HoldLast | MissingPolicy::Mean => Ok(()),
            }
        }
        Input::Tokens { table } => {
            let &[token] = raw else { return Err(StepError::Length { expected: 1, found }) };
            let vocabulary = table.scales.len();
            match usize::try_from(token.raw()) {
                Ok(id) if id < vocabulary => Ok(()),
                _ => Err(StepError::Token { vocabulary, found: token.raw() }),
            }
        }
    }
}

/// Writes the scaled sample over that of the last step. The sample has passed [`check`].
pub(crate) fn scale<S: RawSample>(input: &Input<'_>, raw: &[S], scaled: &mut [i16], counters: &mut Counters) {
    match *input {
        Input::Features { scalers, missing } => scale_features(scalers, missing, raw, scaled, counters),
        Input::Tokens { table } => {
            if let Some(row) = raw.first().and_then(|token| row(table, token.raw())) {
                let (weights, requantizer) = row;
                for (scaled, &weight) in scaled.iter_mut().zip(weights) {
                    *scaled = requantize(i32::from(weight), requantizer) as i16;
                }
            }
        }
    }
}

/// The features of a sample, in their order.
#[inline(always)]
fn scale_features<S: RawSample>(
    mut scalers: &[u32],
    missing: MissingPolicy,
    mut raw: &[S],
    mut scaled: &mut [i16],
    counters: &mut Counters,
) {
    loop {
        // As many as lie within their ranges; then the one that does not.
        #[cfg(any(kernel = "thumb1", kernel = "dsp", kernel = "helium"))]
        if let Some(numbers) = S::numbers(raw) {
            let done = crate::arch::scale_features(scalers, numbers, scaled);
            let Some((_, rest)) = raw.split_at_checked(done) else { return };
            if rest.is_empty() {
                return;
            }
            raw = rest;
            scalers = scalers.get(done * FeatureScaler::WORDS..).unwrap_or(&[]);
            scaled = scaled.get_mut(done..).unwrap_or(&mut []);
        }
        let Some((scaler, more_scalers)) = scalers.split_first_chunk() else { return };
        let Some((number, more_raw)) = raw.split_first() else { return };
        let Some((value, more_scaled)) = scaled.split_first_mut() else { return };
        scale_number(&FeatureScaler::from_words(scaler), missing, number.raw(), value, counters);
        (scalers, raw, scaled) = (more_scalers, more_raw, more_scaled);
    }
}

/// Any number, in range or not.
#[inline(always)]
fn scale_number(
    scaler: &FeatureScaler,
    missing: MissingPolicy,
    mut number: i32,
    scaled: &mut i16,
    counters: &mut Counters,
) {
    // A missing number is below every minimum.
    if number < scaler.min || number > scaler.max {
        if number == MISSING {
            counters.missing = counters.missing.saturating_add(1);
            match missing {
                // What the step before left there; after a reset, the training mean.
                MissingPolicy::HoldLast => {}
                MissingPolicy::Mean | MissingPolicy::Error => *scaled = scaler.fill,
            }
            return;
        }
        counters.clipped = counters.clipped.saturating_add(1);
        // Not `clamp`, which could panic: the compiler cannot know that min <= max.
        number = number.max(scaler.min).min(scaler.max);
    }
    *scaled = scale_feature(scaler, number);
}

/// What a reset leaves in the input: the training means.
pub(crate) fn reset(input: &Input<'_>, scaled: &mut [i16]) {
    scaled.fill(0);
    for (scaled, scaler) in scaled.iter_mut().zip(input.feature_scalers()) {
        *scaled = scaler.fill;
    }
}

/// `R(raw·2^k - offset)` for a raw number within the scaler's range; fits int16 there (proved by `Image::parse`).
#[inline(always)]
fn scale_feature(scaler: &FeatureScaler, raw: i32) -> i16 {
    requantize((raw << (scaler.pre_shift & 31)) - scaler.offset, scaler.requantizer) as i16
}

fn row(table: Matrix<'_>, token: i32) -> Option<(&[i8], Requantizer)> {
    let token = usize::try_from(token).ok()?;
    let weights = table.weights.get(token.checked_mul(table.columns)?..)?.get(..table.columns)?;
    Some((weights, Requantizer::from_word(*table.scales.get(token)?)))
}
