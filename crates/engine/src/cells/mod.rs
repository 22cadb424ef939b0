//! One step of each cell; the equations stand in CELLS.md, their integer form in NUMERICS §8.
//!
//! Every function takes the layer, its input of this step, its state of the last step and scratch, all of the lengths
//! that [`emberloop_image::MemoryPlan`] gives them; states are updated in place. Units are computed four at a time: the
//! lengths are rounded up, and the units beyond the last stay 0 because all their weights are.

#[cfg(feature = "gru")]
mod gru;
#[cfg(feature = "lstm")]
mod lstm;
#[cfg(feature = "rnn")]
mod rnn;
mod rows;

use emberloop_cells::CellKind;
use emberloop_image::{Image, Layer, MemoryPlan, Pooling, TILE_ROWS};

use crate::head::MEAN_WINDOW;
use crate::kernel::Vector;

/// Cuts `hidden` words and then the int16 values that fit `hidden` units off a layer's state.
#[cfg(any(feature = "lstm", feature = "gru"))]
fn wide_and_narrow(state: &mut [i32], hidden: usize) -> Option<(&mut [i32], &mut [i16])> {
    let (wide, narrow) = state.split_at_mut_checked(hidden)?;
    Some((wide, narrow_mut(narrow, hidden)?))
}

/// The first `n` int16 values that lie in `words`.
pub(crate) fn narrow_mut(words: &mut [i32], n: usize) -> Option<&mut [i16]> {
    bytemuck::cast_slice_mut::<i32, i16>(words).get_mut(..n)
}

/// Units of a layer, rounded up to whole tiles.
#[inline(always)]
fn padded_units(layer: &Layer<'_>) -> usize {
    usize::from(layer.shape.hidden).next_multiple_of(TILE_ROWS)
}

/// The hidden state as the recurrent product sees it.
#[inline(always)]
fn vector<'h>(layer: &Layer<'_>, hidden: &'h [i16]) -> Option<Vector<'h>> {
    Vector::first(hidden, usize::from(layer.shape.hidden))
}

/// The new hidden values become the old ones.
#[cfg(all(any(feature = "rnn", feature = "lstm"), any(kernel = "thumb1", kernel = "dsp", kernel = "helium")))]
use crate::arch::copy_groups as take_over;

/// The new hidden values become the old ones. Not `copy_from_slice`, which checks two equal lengths and could panic.
#[cfg(all(any(feature = "rnn", feature = "lstm"), not(any(kernel = "thumb1", kernel = "dsp", kernel = "helium"))))]
#[inline(always)]
fn take_over(hidden: &mut [i16], next: &[i16]) {
    for (hidden, next) in hidden.as_chunks_mut::<4>().0.iter_mut().zip(next.as_chunks::<4>().0) {
        *hidden = *next;
    }
}

/// Whether this build has the cell; a match without a wildcard, so that a new cell is a compile error here.
pub(crate) fn is_supported(cell: CellKind) -> bool {
    match cell {
        CellKind::Rnn => cfg!(feature = "rnn"),
        CellKind::Lstm => cfg!(feature = "lstm"),
        CellKind::GruResetAfter | CellKind::GruResetBefore => cfg!(feature = "gru"),
    }
}

/// Runs one step of a layer; `None` if a slice is shorter than the layer needs, which a network's memory plan excludes, or
/// if this build does not have the cell, which [`crate::Network::new`] does.
pub(crate) fn step(layer: &Layer<'_>, input: Vector<'_>, state: &mut [i32], scratch: &mut [i32]) -> Option<()> {
    match layer.shape.cell {
        #[cfg(feature = "rnn")]
        CellKind::Rnn => rnn::step(layer, input, state, scratch),
        #[cfg(feature = "lstm")]
        CellKind::Lstm => lstm::step(layer, input, state, scratch),
        #[cfg(feature = "gru")]
        CellKind::GruResetAfter => gru::step_reset_after(layer, input, state),
        #[cfg(feature = "gru")]
        CellKind::GruResetBefore => gru::step_reset_before(layer, input, state, scratch),
        #[cfg(not(all(feature = "rnn", feature = "lstm", feature = "gru")))]
        _ => None,
    }
}

/// The hidden state of a layer in Q0.15, with its padding to whole tiles.
#[inline(always)]
pub(crate) fn hidden<'s>(layer: &Layer<'_>, state: &'s [i32]) -> Option<&'s [i16]> {
    let units = padded_units(layer);
    let narrow = match layer.shape.cell {
        CellKind::Rnn => state,
        CellKind::Lstm | CellKind::GruResetAfter | CellKind::GruResetBefore => state.get(units..)?,
    };
    bytemuck::cast_slice::<i32, i16>(narrow).get(..units)
}

/// Whether a saved state holds only values that the arithmetic can reach, so that its bounds hold from there on: no input
/// of -32768, GRU states within -2^30 to 32767·2^15 and equal to their roundings, zeros beyond the last unit, and sums that
/// fit their count.
pub(crate) fn reachable(image: &Image<'_>, plan: MemoryPlan, saved: &[i32]) -> bool {
    let Some((input, mut states)) = saved.split_at_checked(plan.input) else { return false };
    let input = bytemuck::cast_slice::<i32, i16>(input);
    let width = image.header().input_width();
    let mut ok = !input.contains(&i16::MIN) && input.iter().skip(width).all(|&value| value == 0);
    let mut last_units = 0;
    for layer in image.layers() {
        let Some((state, behind)) = states.split_at_checked(layer.shape.state_words()) else { return false };
        let Some(narrow) = hidden(&layer, state) else { return false };
        let units = usize::from(layer.shape.hidden);
        ok &= narrow.iter().skip(units).all(|&value| value == 0);
        let wide = state.get(..padded_units(&layer)).unwrap_or(&[]);
        ok &= match layer.shape.cell {
            CellKind::Rnn | CellKind::Lstm => true,
            CellKind::GruResetAfter | CellKind::GruResetBefore => wide.iter().zip(narrow).all(|(&wide, &narrow)| {
                (-(1 << 30)..=32_767 << 15).contains(&wide) && (wide + (1 << 14)) >> 15 == i32::from(narrow)
            }),
        };
        ok &= layer.shape.cell == CellKind::Rnn || wide.iter().skip(units).all(|&value| value == 0);
        last_units = units;
        states = behind;
    }
    if image.head().shape.pooling == Pooling::Mean {
        let Some((&count, sums)) = states.split_last() else { return false };
        // The count first: the product below fits only for one within its range.
        ok = ok
            && (0..=MEAN_WINDOW).contains(&count)
            && sums.iter().all(|sum| (-(count << 15)..=count * 32_767).contains(sum))
            && sums.iter().skip(last_units).all(|&sum| sum == 0);
    }
    ok
}
