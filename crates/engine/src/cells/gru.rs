//! Both GRUs. The hidden state is the memory: it is carried in Q1.30, so that an update gate near one lets it move by
//! less than a unit of Q0.15 per step, and rounded to Q0.15 for the products.

use emberloop_image::Layer;

use super::{narrow_mut, wide_and_narrow};
use crate::activation::{sigmoid, tanh};
use crate::arithmetic::{multiply_q15, round_shift, scale_by_gate};
use crate::product::{preactivations, products};

/// Reset gate after the recurrent product: `n = tanh(W·x + b + r·(U·h + b'))`, `h' = n + z·(h - n)`.
pub(super) fn step_reset_after(layer: &Layer<'_>, input: &[i16], state: &mut [i32]) -> Option<()> {
    let units = usize::from(layer.shape.hidden);
    let (wide, hidden) = wide_and_narrow(state, units)?;

    let new_recurrent =
        products(layer.recurrent, 2 * units, hidden).zip(layer.recurrent_bias).map(|(product, &bias)| product + bias);
    let new_input = products(layer.input, 2 * units, input)
        .zip(layer.bias.get(2 * units..)?)
        .map(|(product, &bias)| product + bias);
    let gates = preactivations(layer, 0, input, hidden)
        .zip(preactivations(layer, 1, input, hidden))
        .zip(new_input)
        .zip(new_recurrent);
    for (wide, (((reset, update), new_input), new_recurrent)) in wide.iter_mut().zip(gates) {
        let new = tanh(new_input + scale_by_gate(new_recurrent, sigmoid(reset)));
        *wide = blend(*wide, new, sigmoid(update));
    }
    round_hidden(wide, hidden);
    Some(())
}

/// Reset gate before the recurrent product: `n = tanh(W·x + U·(r·h) + b)`, `h' = n + z·(h - n)`.
pub(super) fn step_reset_before(
    layer: &Layer<'_>,
    input: &[i16],
    state: &mut [i32],
    scratch: &mut [i32],
) -> Option<()> {
    let units = usize::from(layer.shape.hidden);
    let (wide, hidden) = wide_and_narrow(state, units)?;
    let reset_hidden = narrow_mut(scratch, units)?;

    for ((kept, &hidden), reset) in
        reset_hidden.iter_mut().zip(hidden.iter()).zip(preactivations(layer, 0, input, hidden))
    {
        *kept = multiply_q15(sigmoid(reset), i32::from(hidden)) as i16;
    }
    let gates = preactivations(layer, 1, input, hidden).zip(preactivations(layer, 2, input, reset_hidden));
    for (wide, (update, new)) in wide.iter_mut().zip(gates) {
        *wide = blend(*wide, tanh(new), sigmoid(update));
    }
    round_hidden(wide, hidden);
    Some(())
}

/// `n + z·(h - n)`: hidden in Q1.30, new value and update gate in Q0.15.
///
/// `|h| <= 32767·2^15` and so is `|n·2^15|`: the difference fits 32 bits, and the result lies between the two, so the
/// bound holds for ever.
#[inline(always)]
fn blend(hidden: i32, new: i32, update: i32) -> i32 {
    let new = new << 15;
    new + scale_by_gate(hidden - new, update)
}

/// The hidden state in Q0.15. Its bound above makes 32767 the largest result.
#[inline(always)]
fn round_hidden(wide: &[i32], hidden: &mut [i16]) {
    for (hidden, &wide) in hidden.iter_mut().zip(wide) {
        *hidden = round_shift(wide, 15) as i16;
    }
}
