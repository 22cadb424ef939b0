//! One step of each cell; the equations stand in CELLS.md, their integer form in NUMERICS §8.
//!
//! Every function takes the layer, its input of this step, its state of the last step and scratch, all of the lengths
//! that [`emberloop_image::MemoryPlan`] gives them; states are updated in place.

mod gru;
mod lstm;
mod rnn;

use emberloop_cells::CellKind;
use emberloop_image::{Image, Layer, MemoryPlan, Pooling};

use crate::head::MEAN_WINDOW;

/// Cuts `hidden` words and then the int16 values that fit `hidden` units off a layer's state.
fn wide_and_narrow(state: &mut [i32], hidden: usize) -> Option<(&mut [i32], &mut [i16])> {
    let (wide, narrow) = state.split_at_mut_checked(hidden)?;
    Some((wide, narrow_mut(narrow, hidden)?))
}

/// The first `n` int16 values that lie in `words`.
pub(crate) fn narrow_mut(words: &mut [i32], n: usize) -> Option<&mut [i16]> {
    bytemuck::cast_slice_mut::<i32, i16>(words).get_mut(..n)
}

/// Runs one step of a layer; `None` if a slice is shorter than the layer needs, which a network's memory plan excludes.
pub(crate) fn step(layer: &Layer<'_>, input: &[i16], state: &mut [i32], scratch: &mut [i32]) -> Option<()> {
    match layer.shape.cell {
        CellKind::Rnn => rnn::step(layer, input, state, scratch),
        CellKind::Lstm => lstm::step(layer, input, state, scratch),
        CellKind::GruResetAfter => gru::step_reset_after(layer, input, state),
        CellKind::GruResetBefore => gru::step_reset_before(layer, input, state, scratch),
    }
}

/// The hidden state of a layer in Q0.15, as the next layer and the head see it.
pub(crate) fn hidden<'s>(layer: &Layer<'_>, state: &'s [i32]) -> Option<&'s [i16]> {
    let units = usize::from(layer.shape.hidden);
    let narrow = match layer.shape.cell {
        CellKind::Rnn => state,
        CellKind::Lstm | CellKind::GruResetAfter | CellKind::GruResetBefore => state.get(units..)?,
    };
    bytemuck::cast_slice::<i32, i16>(narrow).get(..units)
}

/// Whether a saved state holds only values that the arithmetic can reach, so that its bounds hold from there on: int16
/// values other than -32768, GRU states within ±32767·2^15 and equal to their roundings, and sums that fit their count.
pub(crate) fn reachable(image: &Image<'_>, plan: MemoryPlan, saved: &[i32]) -> bool {
    let narrow_ok = |words: &[i32]| !bytemuck::cast_slice::<i32, i16>(words).contains(&i16::MIN);
    let Some((input, mut states)) = saved.split_at_checked(plan.input) else { return false };
    let mut ok = narrow_ok(input);
    for layer in image.layers() {
        let Some((state, behind)) = states.split_at_checked(layer.shape.state_words()) else { return false };
        let Some(narrow) = hidden(layer, state) else { return false };
        ok &= !narrow.contains(&i16::MIN);
        ok &= match layer.shape.cell {
            CellKind::Rnn | CellKind::Lstm => true,
            CellKind::GruResetAfter | CellKind::GruResetBefore => state.iter().zip(narrow).all(|(&wide, &narrow)| {
                wide.unsigned_abs() <= 32_767 << 15 && (wide + (1 << 14)) >> 15 == i32::from(narrow)
            }),
        };
        states = behind;
    }
    if image.head().shape.pooling == Pooling::Mean {
        let Some((&count, sums)) = states.split_last() else { return false };
        // The count first: the product below fits only for one within its range.
        ok = ok
            && (0..=MEAN_WINDOW).contains(&count)
            && sums.iter().all(|sum| sum.unsigned_abs() <= 32_767 * count.unsigned_abs());
    }
    ok
}
