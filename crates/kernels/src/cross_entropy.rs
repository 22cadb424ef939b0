//! Softmax and cross-entropy with their gradient in one pass.

use rayon::prelude::*;

/// Rows of a task: the sums of tasks are added in order, the same for any number of threads.
const BLOCK: usize = 1024;

/// `-sum_rc weights[r, c] log softmax(logits)[r, c]`, and its gradient by the logits, both `[N, C]`: `weights` say how much
/// each class of each row counts.
///
/// # Panics
/// If the lengths differ or are no multiple of `classes`.
#[track_caller]
pub fn cross_entropy(logits: &[f32], weights: &[f32], classes: usize) -> (f64, Vec<f32>) {
    assert!(classes > 0 && logits.len().is_multiple_of(classes), "logits: expected rows of {classes} numbers");
    assert_eq!(logits.len(), weights.len(), "weights: expected one for each logit");
    let mut gradient = vec![0.0; logits.len()];
    let blocks = gradient.par_chunks_mut(BLOCK * classes).zip(logits.par_chunks(BLOCK * classes));
    let sums: Vec<f64> = blocks
        .zip(weights.par_chunks(BLOCK * classes))
        .map(|((gradient, logits), weights)| {
            let rows = logits.chunks_exact(classes).zip(weights.chunks_exact(classes));
            rows.zip(gradient.chunks_exact_mut(classes))
                .map(|((logits, weights), gradient)| row(logits, weights, gradient))
                .sum()
        })
        .collect();
    (sums.into_iter().sum(), gradient)
}

fn row(logits: &[f32], weights: &[f32], gradient: &mut [f32]) -> f64 {
    let all: f32 = weights.iter().sum();
    // Padding, or a target that is missing: whatever stands there (also a NaN) counts nothing.
    if all == 0.0 && weights.iter().all(|&weight| weight == 0.0) {
        return 0.0;
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (power, logit) in gradient.iter_mut().zip(logits) {
        *power = (logit - largest).exp();
        sum += *power;
    }
    let (log_sum, share) = (sum.ln(), all / sum);
    let mut loss = 0.0;
    for ((gradient, logit), weight) in gradient.iter_mut().zip(logits).zip(weights) {
        *gradient = *gradient * share - weight;
        // A class that does not count adds nothing, though its logit be infinitely far below.
        if *weight != 0.0 {
            loss += f64::from(*weight) * f64::from(log_sum - (logit - largest));
        }
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_gradient_equal_the_definition_in_f64() {
        let logits = [0.3, -1.2, 2.0, 50.0, 49.0, -80.0, 1.0, 1.0, 1.0];
        let weights = [0.5, 0.0, 0.0, 0.05, 0.2, 0.05, 0.1, 0.1, 0.3];
        let definition = |logits: &[f64]| -> f64 {
            let rows = logits.chunks(3).zip(weights.chunks(3));
            rows.map(|(logits, weights)| {
                let sum = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
                logits.iter().zip(weights).map(|(logit, weight)| f64::from(*weight) * (sum - logit)).sum::<f64>()
            })
            .sum()
        };
        let (loss, gradient) = cross_entropy(&logits, &weights, 3);
        let exact = logits.map(f64::from);
        assert!((loss - definition(&exact)).abs() < 1e-5, "{loss}");
        for at in 0..logits.len() {
            let step = 1e-5;
            let moved = |by: f64| {
                let mut moved = exact;
                moved[at] += by;
                definition(&moved)
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((f64::from(gradient[at]) - slope).abs() < 1e-6, "{at}: {} against {slope}", gradient[at]);
        }
    }

    #[test]
    fn rows_that_do_not_count_add_nothing_whatever_they_hold() {
        let (loss, gradient) = cross_entropy(&[f32::NAN, 1.0, 2.0, 1.0], &[0.0, 0.0, 1.0, 0.0], 2);
        assert_eq!(gradient[..2], [0.0, 0.0]);
        assert!((loss - (1.0 + (-1.0f64).exp()).ln()).abs() < 1e-6);
    }

    #[test]
    fn a_logit_that_is_no_number_is_no_loss() {
        assert!(cross_entropy(&[f32::NAN, 1.0], &[1.0, 0.0], 2).0.is_nan());
        assert!(!cross_entropy(&[f32::INFINITY, 1.0], &[0.0, 1.0], 2).0.is_finite());
    }

    #[test]
    fn threads_change_no_bit() {
        let logits: Vec<f32> = (0..5 * BLOCK).map(|at| (at as f32 * 0.37).sin()).collect();
        let weights: Vec<f32> = (0..5 * BLOCK).map(|at| f32::from(u8::from(at % 5 == at / 5 % 5))).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| cross_entropy(&logits, &weights, 5))
        };
        assert_eq!(with(1), with(3));
    }
}
