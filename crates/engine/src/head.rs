//! Pooling over the steps and the dense head (NUMERICS §7).

use emberloop_image::Head;

use crate::cells::narrow_mut;
use crate::kernel::{Product, Sums, Vector};

/// Number of steps at which the running mean halves its sums and its count, so that it never overflows and an endless
/// stream becomes a mean over the recent past.
pub(crate) const MEAN_WINDOW: i32 = 1 << 15;

/// Adds a hidden state to the running sums; the word behind them counts the steps.
pub(crate) fn accumulate_mean(sums: &mut [i32], hidden: &[i16]) -> Option<()> {
    let (count, sums) = sums.split_last_mut()?;
    if *count == MEAN_WINDOW {
        *count /= 2;
        for sum in sums.iter_mut() {
            *sum = (*sum + 1) >> 1;
        }
    }
    *count += 1;
    for (sum, &hidden) in sums.iter_mut().zip(hidden) {
        *sum += i32::from(hidden);
    }
    Some(())
}

/// The mean hidden state in Q0.15, rounded half up: `floor((2·sum + n) / (2·n))`.
pub(crate) fn mean<'s>(sums: &[i32], scratch: &'s mut [i32]) -> Option<&'s [i16]> {
    let (&count, sums) = sums.split_last()?;
    let mean = narrow_mut(scratch, sums.len())?;
    for (mean, &sum) in mean.iter_mut().zip(sums) {
        // -n·2^15 <= sum <= n·32767 and n <= 2^15, so both ends fit: -2^31 + 2^15 and 2^31 - 2^15.
        *mean = (2 * sum + count).checked_div_euclid(2 * count)? as i16;
    }
    Some(mean)
}

/// `y = (S(V·h) + b) · 2^k`, in the head's format, four outputs at a time.
#[inline(always)]
pub(crate) fn dense(head: &Head<'_>, hidden: &[i16], outputs: &mut [i32]) {
    let (outputs, _) = outputs.as_chunks_mut::<4>();
    // Whole tiles of hidden values are there, which is always enough.
    let vector = Vector::first(hidden, head.weights.columns).unwrap_or(Vector::EMPTY);
    let product = Product { tiles: head.weights.values, vector };
    Sums::new(product, Product::NONE, head.multipliers, head.bias, u32::from(head.shape.shift)).next(outputs);
}
