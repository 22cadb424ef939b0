//! The Elman network with tanh.

use emberloop_image::Layer;

use super::narrow_mut;
use crate::activation::tanh;
use crate::product::preactivations;

/// `h' = tanh(W·x + U·h + b)`.
pub(super) fn step(layer: &Layer<'_>, input: &[i16], state: &mut [i32], scratch: &mut [i32]) -> Option<()> {
    let units = usize::from(layer.shape.hidden);
    let hidden = narrow_mut(state, units)?;
    // Every unit reads every old hidden value, so the new ones wait in the scratch.
    let next = narrow_mut(scratch, units)?;
    for (next, preactivation) in next.iter_mut().zip(preactivations(layer, 0, input, hidden)) {
        *next = tanh(preactivation) as i16;
    }
    hidden.copy_from_slice(next);
    Some(())
}
