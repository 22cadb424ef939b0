//! Pooling over the steps and the dense head (NUMERICS §7).

use emberloop_image::Head;

use crate::cells::narrow_mut;
use crate::product::products;

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
        // |2·sum + n| <= 2·32,767·2^15 + 2^15 = 2^31 - 2^15
        *mean = (2 * sum + count).checked_div_euclid(2 * count)? as i16;
    }
    Some(mean)
}

/// `y = R(W·h) + b`, in the head's format.
pub(crate) fn dense(head: &Head<'_>, hidden: &[i16], outputs: &mut [i32]) {
    for ((output, product), &bias) in outputs.iter_mut().zip(products(head.weights, 0, hidden)).zip(head.bias) {
        *output = product + bias;
    }
}
