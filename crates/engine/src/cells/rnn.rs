//! The Elman network with tanh.

use emberloop_image::Layer;

use super::rows::sums;
use super::{narrow_mut, padded_units, take_over, vector};
use crate::kernel::Vector;
use crate::update::rnn_update;

/// `h' = tanh(W·x + U·h + b)`.
#[inline(never)]
pub(super) fn step(layer: &Layer<'_>, input: Vector<'_>, state: &mut [i32], scratch: &mut [i32]) -> Option<()> {
    let units = padded_units(layer);
    let hidden = narrow_mut(state, units)?;
    // Every unit reads every old hidden value, so the new ones wait in the scratch.
    let next = narrow_mut(scratch, units)?;
    let old = vector(layer, hidden)?;
    let mut sums = sums(layer, input, old);
    for next in next.as_chunks_mut::<4>().0 {
        let ([preactivations], _) = sums.group();
        rnn_update(preactivations, next);
    }
    take_over(hidden, next);
    Some(())
}
