//! One number for how good a model is, the same for every trial: the *skill*.
//!
//! 0 is a model that ignores its input, 1 one that is always right. For classes it is the balanced accuracy between these
//! two, so that a majority does not pass for knowledge; for values R^2.

use emberloop_checkpoint::Checkpoint;
use emberloop_core::{Device, EvaluateError, Metrics, evaluate};
use emberloop_data::Dataset;

/// How good a model is on one dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// 0: as good as an answer that ignores the input; 1: perfect.
    pub skill: f64,
    /// The standard error of `skill`.
    pub error: f64,
    /// Accuracy, or R^2.
    pub headline: f64,
    /// `confusion[truth][prediction]`; empty for a regression.
    pub confusion: Vec<Vec<usize>>,
    /// Targets.
    pub n: usize,
}

impl Score {
    /// Of a model that says nothing, or broke down.
    pub fn none() -> Score {
        Score { skill: 0.0, error: 1.0, headline: 0.0, confusion: Vec::new(), n: 0 }
    }

    /// Of a checkpoint on a dataset.
    ///
    /// # Errors
    /// If the dataset is not in the model's terms, or cannot be scaled.
    pub fn of(checkpoint: &Checkpoint, dataset: &Dataset) -> Result<Score, EvaluateError> {
        if dataset.sequences.is_empty() {
            return Ok(Score::none());
        }
        // Steps of one sequence are alike: what is known is known of so many sequences.
        let alike = |n: usize| (n as f64 / dataset.sequences.len() as f64).max(1.0).sqrt();
        Ok(match evaluate(checkpoint, dataset, Device::Cpu)?.metrics {
            Metrics::Classes(metrics) => {
                let (skill, error) = class_skill(&metrics.confusion);
                let error = error * alike(metrics.n);
                Score { skill, error, headline: metrics.accuracy, confusion: metrics.confusion, n: metrics.n }
            }
            Metrics::Values(metrics) => {
                let skill = metrics.r2.max(-1.0);
                // Of a ratio of two sums of n squares each; their tails are heavier than a Gaussian's.
                let error = 1.5 * (1.0 - skill) * (2.0 / metrics.n.max(1) as f64).sqrt() * alike(metrics.n);
                Score { skill, error, headline: metrics.r2, confusion: Vec::new(), n: metrics.n }
            }
        })
    }

    /// Whether it can be told at all: with targets of one class alone it cannot.
    pub fn is_known(&self) -> bool {
        self.n > 0 && self.error < 0.5
    }

    /// The share of the answers that the most frequent answer has.
    pub fn largest_answer(&self) -> f64 {
        let classes = self.confusion.len();
        let answers = (0..classes).map(|class| self.confusion.iter().map(|row| row[class]).sum::<usize>());
        answers.max().unwrap_or(0) as f64 / self.n.max(1) as f64
    }

    /// The share of the largest class, and which it is.
    pub fn majority(&self) -> (f64, usize) {
        let shares = self.confusion.iter().map(|row| row.iter().sum::<usize>()).enumerate();
        let (class, count) = shares.max_by_key(|(class, count)| (*count, usize::MAX - class)).unwrap_or((0, 0));
        (count as f64 / self.n.max(1) as f64, class)
    }
}

/// Balanced accuracy between chance and 1, and its standard error.
fn class_skill(confusion: &[Vec<usize>]) -> (f64, f64) {
    let rows = confusion.iter().enumerate().map(|(class, row)| (row[class] as f64, row.iter().sum::<usize>() as f64));
    let rows: Vec<(f64, f64)> = rows.filter(|(_, n)| *n > 0.0).collect();
    let classes = rows.len() as f64;
    if rows.len() < 2 {
        // One class tells nothing about telling apart.
        return (0.0, 1.0);
    }
    let balanced = rows.iter().map(|(right, n)| right / n).sum::<f64>() / classes;
    // Each share with one right and one wrong answer more (Laplace): none is known without doubt.
    let variance = rows.iter().map(|(right, n)| ((right + 1.0) / (n + 2.0), n)).map(|(p, n)| p * (1.0 - p) / n);
    let error = variance.sum::<f64>().sqrt() / classes;
    let chance = 1.0 / classes;
    ((balanced - chance) / (1.0 - chance), error / (1.0 - chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skill_of_a_majority_is_none() {
        let (skill, _) = class_skill(&[vec![90, 0], vec![10, 0]]);
        assert!(skill.abs() < 1e-12);
        let (skill, error) = class_skill(&[vec![50, 0], vec![0, 50]]);
        assert!((skill - 1.0).abs() < 1e-12 && error > 0.0);
        // A class without targets says nothing.
        let (skill, _) = class_skill(&[vec![50, 0, 0], vec![0, 50, 0], vec![0, 0, 0]]);
        assert!((skill - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_most_frequent_answer_and_the_majority() {
        let score = Score { skill: 0.0, error: 0.0, headline: 0.7, confusion: vec![vec![7, 0], vec![2, 1]], n: 10 };
        assert_eq!((score.largest_answer(), score.majority()), (0.9, (0.7, 0)));
    }
}
