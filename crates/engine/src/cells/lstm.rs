//! The LSTM.

use emberloop_image::Layer;

use super::rows::sums;
use super::{narrow_mut, padded_units, take_over, vector, wide_and_narrow};
use crate::activation::{sigmoid, tanh};
use crate::arithmetic::{multiply_q15, round_shift, scale_by_gate};
use crate::kernel::Vector;

/// `c' = f·c + i·g`, `h' = o·tanh(c')`: the gates in Q0.15, the cell in int32 with `cell_fraction` fraction bits,
/// saturated; the hidden state in Q0.15.
pub(super) fn step(layer: &Layer<'_>, input: Vector<'_>, state: &mut [i32], scratch: &mut [i32]) -> Option<()> {
    let units = padded_units(layer);
    let fraction = u32::from(layer.shape.cell_fraction);
    let (cell, hidden) = wide_and_narrow(state, units)?;
    // Every unit reads every old hidden value, so the new ones wait in the scratch.
    let next = narrow_mut(scratch, units)?;

    let old = vector(layer, hidden)?;
    let mut sums = sums(layer, input, old);
    for (cell, next) in cell.as_chunks_mut::<4>().0.iter_mut().zip(next.as_chunks_mut::<4>().0) {
        let (gates, _) = sums.group();
        update(gates, cell, next, fraction);
    }
    take_over(hidden, next);
    Some(())
}

/// Four units: pre-activations of the input, forget, candidate and output gates, to the new cells and hidden values.
#[inline(always)]
fn update(gates: &[[i32; 4]; 4], cell: &mut [i32; 4], next: &mut [i16; 4], fraction: u32) {
    let [input, forget, candidate, output] = gates;
    for unit in 0..4 {
        // Q0.15 · Q0.15 = Q0.30, brought to the cell's format.
        let entering = round_shift(sigmoid(input[unit]) * tanh(candidate[unit]), 30 - fraction);
        let kept = scale_by_gate(cell[unit], sigmoid(forget[unit]));
        cell[unit] = kept.saturating_add(entering);
        // The cell in Q15.16. Two shifts, because adding the half first could overflow.
        let narrowed = ((cell[unit] >> (fraction - 17)) + 1) >> 1;
        next[unit] = multiply_q15(sigmoid(output[unit]), tanh(narrowed)) as i16;
    }
}
