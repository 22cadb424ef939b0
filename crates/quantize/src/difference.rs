//! How far two runs' outputs lie apart, relative to how far the outputs themselves spread.

use serde::{Deserialize, Serialize};

/// Points of an error curve at most; longer sequences share points.
const POINTS: usize = 64;

/// The error at some steps of the sequences.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The first step, from 0.
    pub step: usize,
    /// Root of the mean squared difference there, over the standard deviation of the answers.
    pub error: f64,
}

/// Sums over outputs.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// By output; a classification's logits are of one kind and share one.
    answers: Vec<Spread>,
    /// `[points, kinds]`: squared differences and their number.
    curve: Vec<(f64, f64)>,
    outputs: usize,
    stride: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    count: f64,
    mean: f64,
    /// Σ (value - mean)², updated as Welford does: targets far from 0 lose no digits.
    squares: f64,
    differences: f64,
}

impl Spread {
    fn add(&mut self, float: f64, fixed: f64) {
        self.count += 1.0;
        let before = float - self.mean;
        self.mean += before / self.count;
        self.squares += before * (float - self.mean);
        self.differences += (fixed - float) * (fixed - float);
    }

    fn append(&mut self, other: &Spread) {
        let count = self.count + other.count;
        if count == 0.0 {
            return;
        }
        let apart = other.mean - self.mean;
        self.squares += other.squares + apart * apart * self.count * other.count / count;
        self.mean += apart * other.count / count;
        self.differences += other.differences;
        self.count = count;
    }

    fn variance(&self) -> f64 {
        self.squares / self.count.max(1.0)
    }
}

impl Difference {
    /// For outputs of one kind (`pooled`) or of a kind each, in sequences of at most `longest` steps.
    pub(crate) fn new(outputs: usize, longest: usize, pooled: bool) -> Self {
        let kinds = if pooled { 1 } else { outputs };
        let stride = longest.div_ceil(POINTS).max(1);
        let curve = vec![(0.0, 0.0); longest.div_ceil(stride) * kinds];
        Self { answers: vec![Spread::default(); kinds], curve, outputs, stride }
    }

    /// Adds outputs that answer a target.
    pub(crate) fn add_answers(&mut self, float: &[f64], fixed: &[f64]) {
        let kinds = self.answers.len();
        for (at, (&float, &fixed)) in float.iter().zip(fixed).enumerate() {
            self.answers[at % kinds].add(float, fixed);
        }
    }

    /// Adds the outputs of all steps of a sequence.
    pub(crate) fn add_steps(&mut self, float: &[f64], fixed: &[f64]) {
        let kinds = self.answers.len();
        for (at, (float, fixed)) in float.iter().zip(fixed).enumerate() {
            let point = at / self.outputs / self.stride;
            let (sum, count) = &mut self.curve[point * kinds + at % kinds];
            *sum += (fixed - float) * (fixed - float);
            *count += 1.0;
        }
    }

    pub(crate) fn append(&mut self, other: &Difference) {
        for (spread, other) in self.answers.iter_mut().zip(&other.answers) {
            spread.append(other);
        }
        for ((sum, count), (other_sum, other_count)) in self.curve.iter_mut().zip(&other.curve) {
            *sum += other_sum;
            *count += other_count;
        }
    }

    /// Over all answers.
    pub(crate) fn relative(&self) -> f64 {
        let kinds =
            self.answers.iter().map(|spread| share(spread.differences / spread.count.max(1.0), spread.variance()));
        (kinds.sum::<f64>() / self.answers.len() as f64).sqrt()
    }

    pub(crate) fn curve(&self) -> Vec<CurvePoint> {
        let kinds = self.answers.len();
        let point = |(index, sums): (usize, &[(f64, f64)])| {
            let shares = sums.iter().zip(&self.answers);
            let shares = shares.map(|(&(sum, count), spread)| share(sum / f64::max(count, 1.0), spread.variance()));
            CurvePoint { step: index * self.stride, error: (shares.sum::<f64>() / kinds as f64).sqrt() }
        };
        self.curve.chunks_exact(kinds).enumerate().map(point).collect()
    }
}

/// Without any spread there is nothing to be relative to: equal is 0, different is infinite.
fn share(difference: f64, variance: f64) -> f64 {
    match (difference > 0.0, variance > 0.0) {
        (false, _) => 0.0,
        (true, true) => difference / variance,
        (true, false) => f64::INFINITY,
    }
}

/// What differs inside one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerError {
    /// The layer, from 0.
    pub layer: usize,
    /// Root of the mean squared difference between the engine's hidden state and the float model's (values of ±1).
    pub hidden: f64,
    /// LSTM: the same for the cell state.
    pub cell: Option<f64>,
    /// The same for each gate (values of 0 to 1, or ±1), by the rounding of the weights and inputs alone.
    pub gates: Vec<GateError>,
}

/// What differs in one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateError {
    /// The gate's name.
    pub gate: String,
    /// Root of the mean squared difference.
    pub error: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: logits 1, 3, 5, 7 (variance 5), two of them off by 1.
    #[test]
    fn pooled_logits_are_relative_to_their_common_spread() {
        let mut first = Difference::new(2, 4, true);
        first.add_answers(&[1.0, 3.0], &[2.0, 3.0]);
        let mut second = Difference::new(2, 4, true);
        second.add_answers(&[5.0, 7.0], &[5.0, 6.0]);
        first.append(&second);
        assert!((first.relative() - (0.5f64 / 5.0).sqrt()).abs() < 1e-12);
    }

    /// Two targets of different units: each is judged by its own spread.
    #[test]
    fn values_are_relative_to_their_own_spread() {
        let mut difference = Difference::new(2, 1, false);
        difference.add_answers(&[0.0, 1000.0, 2.0, 3000.0], &[1.0, 1000.0, 3.0, 3000.0]);
        // The first: differences 1, variance 1. The second: none.
        assert!((difference.relative() - (0.5f64).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn long_sequences_share_the_points_of_the_curve() {
        let mut difference = Difference::new(1, 200, true);
        let float: Vec<f64> = (0..200).map(f64::from).collect();
        let fixed: Vec<f64> = float.iter().map(|value| value + if *value < 100.0 { 0.0 } else { 1.0 }).collect();
        difference.add_answers(&float, &fixed);
        difference.add_steps(&float, &fixed);
        let curve = difference.curve();
        assert_eq!((curve.len(), curve[1].step), (50, 4));
        assert_eq!(curve[0].error, 0.0);
        assert!(curve[49].error > 0.0);
    }

    #[test]
    fn without_spread_only_equality_is_no_error() {
        let mut difference = Difference::new(1, 1, true);
        difference.add_answers(&[2.0, 2.0], &[2.0, 2.0]);
        assert_eq!(difference.relative(), 0.0);
        difference.add_answers(&[2.0], &[2.5]);
        assert_eq!(difference.relative(), f64::INFINITY);
    }
}
