//! The LSTM.

use emberloop_image::Layer;

use super::{narrow_mut, wide_and_narrow};
use crate::activation::{sigmoid, tanh};
use crate::arithmetic::{multiply_q15, round_shift, scale_by_gate};
use crate::product::preactivations;

/// `c' = f·c + i·g`, `h' = o·tanh(c')`: the gates in Q0.15, the cell in int32 with `cell_fraction` fraction bits,
/// saturated; the hidden state in Q0.15.
pub(super) fn step(layer: &Layer<'_>, input: &[i16], state: &mut [i32], scratch: &mut [i32]) -> Option<()> {
    let units = usize::from(layer.shape.hidden);
    let fraction = u32::from(layer.shape.cell_fraction);
    let (cell, hidden) = wide_and_narrow(state, units)?;
    // Every unit reads every old hidden value, so the new ones wait in the scratch.
    let next = narrow_mut(scratch, units)?;

    let gates = preactivations(layer, 0, input, hidden)
        .zip(preactivations(layer, 1, input, hidden))
        .zip(preactivations(layer, 2, input, hidden))
        .zip(preactivations(layer, 3, input, hidden));
    for ((cell, next), (((input, forget), candidate), output)) in cell.iter_mut().zip(next.iter_mut()).zip(gates) {
        let (input, forget, output) = (sigmoid(input), sigmoid(forget), sigmoid(output));
        // Q0.15 · Q0.15 = Q0.30, brought to the cell's format.
        let entering = round_shift(input * tanh(candidate), 30 - fraction);
        *cell = scale_by_gate(*cell, forget).saturating_add(entering);
        // The cell in Q15.16. Two shifts, because adding the half first could overflow.
        let narrowed = ((*cell >> (fraction - 17)) + 1) >> 1;
        *next = multiply_q15(output, tanh(narrowed)) as i16;
    }
    hidden.copy_from_slice(next);
    Some(())
}
