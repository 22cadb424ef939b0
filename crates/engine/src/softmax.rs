//! Integer softmax (NUMERICS §9).

/// `2^(-k/32)` in Q0.16 for `k` in 0..=32.
#[rustfmt::skip]
const EXP2: [u32; 33] = [
    65536, 64132, 62757, 61413, 60097, 58809, 57549, 56316, 55109, 53928, 52773,
    51642, 50535, 49452, 48393, 47356, 46341, 45348, 44376, 43425, 42495, 41584,
    40693, 39821, 38968, 38133, 37316, 36516, 35734, 34968, 34219, 33486, 32768,
];

/// log2(e) in Q0.16 (with one integer bit): `round(1.4426950408889634 · 2^16)`.
const LOG2_E: u64 = 94_548;

/// Probabilities of logits in Q15.16, as Q0.15 (32768 is one), rounded; returns how many were written, the shorter of
/// the two lengths.
///
/// Within 2 units of Q0.15 of the real softmax for up to 4096 classes (tested).
pub fn softmax(logits: &[i32], out: &mut [u16]) -> usize {
    let n = logits.len().min(out.len());
    let Some(largest) = logits.iter().copied().max() else { return 0 };
    // The largest logit alone makes it 2^30, so it is never zero.
    let sum: u64 = logits.iter().map(|&logit| u64::from(exponential(largest, logit))).sum();
    for (out, &logit) in out.iter_mut().zip(logits) {
        let scaled = (u64::from(exponential(largest, logit)) << 15) + sum / 2;
        *out = scaled.checked_div(sum).unwrap_or(0) as u16;
    }
    n
}

/// `exp(logit - largest)` in Q0.30, so that a sum of thousands of small terms loses nothing that shows.
fn exponential(largest: i32, logit: i32) -> u32 {
    let below = u64::from(largest.abs_diff(logit));
    let exponent = (below * LOG2_E + (1 << 15)) >> 16;
    let whole = exponent >> 16;
    if whole > 30 {
        return 0;
    }
    // 32 entries to the octave, 11 bits between two of them.
    let index = (exponent >> 11 & 31) as usize;
    let fraction = (exponent & 0x7ff) as u32;
    let Some(&[high, low]) = EXP2.get(index..).and_then(|rest| rest.first_chunk()) else { return 0 };
    // At most 1,404 · 2,047 · 2^3; 11 bits of fraction and Q0.16 to Q0.30: a shift of 3.
    ((high << 14) - (((high - low) * fraction) << 3)) >> whole
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn is_close_to_the_real_softmax(logits in prop::collection::vec(-(20 << 16)..20 << 16, 1..40)) {
            prop_assert!(worst_error(&logits) <= 2.0);
        }

        #[test]
        fn is_close_where_one_class_stands_above_thousands(below in 0i32..25 << 16, classes in 2usize..=4096) {
            let mut logits = std::vec![-below; classes];
            logits[0] = 0;
            prop_assert!(worst_error(&logits) <= 2.0);
        }
    }

    fn worst_error(logits: &[i32]) -> f64 {
        let mut out = std::vec![0; logits.len()];
        assert_eq!(softmax(logits, &mut out), logits.len());
        let real: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) / 65_536.0).exp()).collect();
        let sum: f64 = real.iter().sum();
        let errors = out.iter().zip(&real).map(|(&found, real)| (f64::from(found) - real / sum * 32_768.0).abs());
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut out = [0; 3];
        softmax(&[i32::MIN, i32::MAX, 0], &mut out);
        assert_eq!(out, [0, 32_768, 0]);
        let mut out = [0; 2];
        softmax(&[7, 7], &mut out);
        assert_eq!(out, [16_384, 16_384]);
        assert_eq!(softmax(&[], &mut out), 0);
    }

    #[test]
    fn the_table_is_its_formula() {
        for (k, &entry) in EXP2.iter().enumerate() {
            assert_eq!(f64::from(entry), ((-(k as f64) / 32.0).exp2() * 65_536.0).round());
        }
    }
}
