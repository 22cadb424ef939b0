//! Both GRUs. The hidden state is the memory: it is carried in Q1.30, so that an update gate near one lets it move by
//! less than a unit of Q0.15 per step, and rounded to Q0.15 for the products.

use emberloop_image::Layer;

use super::rows::sums;
use super::{narrow_mut, padded_units, vector, wide_and_narrow};
use crate::arithmetic::round_shift;
use crate::kernel::Vector;
use crate::update::{gru_constants, gru_reset_before, gru_update_reset_after, gru_update_reset_before};

/// Reset gate after the recurrent product: `n = tanh(W·x + b + r·(U·h + b'))`, `h' = n + z·(h - n)`.
#[inline(never)]
pub(super) fn step_reset_after(layer: &Layer<'_>, input: Vector<'_>, state: &mut [i32]) -> Option<()> {
    let (wide, hidden) = wide_and_narrow(state, padded_units(layer))?;
    let old = vector(layer, hidden)?;
    let constants = gru_constants(u32::from(layer.shape.shift));
    let mut sums = sums(layer, input, old);
    for (wide, bias) in wide.as_chunks_mut::<4>().0.iter_mut().zip(layer.recurrent_bias.as_chunks::<4>().0) {
        let (gates, input_part) = sums.group();
        gru_update_reset_after(gates, input_part, bias, wide, &constants);
    }
    round_hidden(wide, hidden);
    Some(())
}

/// Reset gate before the recurrent product: `n = tanh(W·x + U·(r·h) + b)`, `h' = n + z·(h - n)`.
#[inline(never)]
pub(super) fn step_reset_before(
    layer: &Layer<'_>,
    input: Vector<'_>,
    state: &mut [i32],
    scratch: &mut [i32],
) -> Option<()> {
    let units = padded_units(layer);
    let (wide, hidden) = wide_and_narrow(state, units)?;
    let reset_hidden = narrow_mut(scratch, units)?;
    let old = vector(layer, hidden)?;

    // Every new gate reads every unit's reset hidden value, so these come first.
    reset_units(layer, input, old, hidden, reset_hidden);
    let kept = vector(layer, reset_hidden)?;
    let (mut update_sums, mut new_sums) = (sums(layer, input, old), sums(layer, input, kept));
    for wide in wide.as_chunks_mut::<4>().0 {
        update_sums.skip(1);
        new_sums.skip(2);
        let ([update], [new]) = (update_sums.group().0, new_sums.group().0);
        gru_update_reset_before(update, new, wide);
        update_sums.skip(1);
    }
    round_hidden(wide, hidden);
    Some(())
}

/// What the reset gates let through of every unit. A function of its own, so that its sums and those of the other gates never
/// lie on the stack at once.
#[inline(never)]
fn reset_units(layer: &Layer<'_>, input: Vector<'_>, old: Vector<'_>, hidden: &[i16], reset_hidden: &mut [i16]) {
    let mut reset_sums = sums(layer, input, old);
    for (kept, hidden) in reset_hidden.as_chunks_mut::<4>().0.iter_mut().zip(hidden.as_chunks::<4>().0) {
        let ([reset], _) = reset_sums.group();
        gru_reset_before(reset, hidden, kept);
        reset_sums.skip(2);
    }
}

/// The hidden state in Q0.15. It is at most 32767·2^15, which makes 32767 the largest result.
#[inline(always)]
fn round_hidden(wide: &[i32], hidden: &mut [i16]) {
    for (hidden, &wide) in hidden.iter_mut().zip(wide) {
        *hidden = round_shift(wide, 15) as i16;
    }
}
