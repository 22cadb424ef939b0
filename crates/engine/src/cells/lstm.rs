//! The LSTM.

use emberloop_image::Layer;

use super::rows::sums;
use super::{narrow_mut, padded_units, take_over, vector, wide_and_narrow};
use crate::kernel::Vector;
use crate::update::{lstm_constants, lstm_update};

/// `c' = f·c + i·g`, `h' = o·tanh(c')`: the gates in Q0.15, the cell in int32 with `cell_fraction` fraction bits,
/// saturated; the hidden state in Q0.15.
#[inline(never)]
pub(super) fn step(layer: &Layer<'_>, input: Vector<'_>, state: &mut [i32], scratch: &mut [i32]) -> Option<()> {
    let units = padded_units(layer);
    let constants = lstm_constants(u32::from(layer.shape.cell_fraction));
    let (cell, hidden) = wide_and_narrow(state, units)?;
    // Every unit reads every old hidden value, so the new ones wait in the scratch.
    let next = narrow_mut(scratch, units)?;

    let old = vector(layer, hidden)?;
    let mut sums = sums(layer, input, old);
    for (cell, next) in cell.as_chunks_mut::<4>().0.iter_mut().zip(next.as_chunks_mut::<4>().0) {
        let (gates, _) = sums.group();
        lstm_update(gates, cell, next, &constants);
    }
    take_over(hidden, next);
    Some(())
}
