//! How good predictions are: metrics of float and fixed-point models alike, in f64.

use serde::{Deserialize, Serialize};

/// The metrics of either task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Metrics {
    /// Of a classification.
    Classes(ClassMetrics),
    /// Of a regression, in raw units.
    Values(ValueMetrics),
}

impl Metrics {
    /// Number of targets.
    pub fn n(&self) -> usize {
        match self {
            Metrics::Classes(metrics) => metrics.n,
            Metrics::Values(metrics) => metrics.n,
        }
    }

    /// Accuracy, or root of the mean squared error: the one number for a summary.
    pub fn headline(&self) -> f64 {
        match self {
            Metrics::Classes(metrics) => metrics.accuracy,
            Metrics::Values(metrics) => metrics.rmse,
        }
    }
}

/// What a confusion matrix says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Number of targets.
    pub n: usize,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean recall over the classes that occur.
    pub balanced_accuracy: f64,
    /// Mean F1 over the classes that occur or were predicted, as scikit-learn's `f1_score(average="macro")`.
    pub macro_f1: f64,
    /// By class; 0 for a class that is never predicted rightly.
    pub f1: Vec<f64>,
    /// `confusion[truth][prediction]`
    pub confusion: Vec<Vec<usize>>,
}

impl ClassMetrics {
    /// From pairs of truth and prediction.
    ///
    /// # Panics
    /// If a class is not below `classes`.
    pub fn new(classes: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut confusion = vec![vec![0usize; classes]; classes];
        for (truth, prediction) in pairs {
            confusion[truth][prediction] += 1;
        }
        let truths: Vec<usize> = confusion.iter().map(|row| row.iter().sum()).collect();
        let predictions: Vec<usize> = (0..classes).map(|class| confusion.iter().map(|row| row[class]).sum()).collect();
        let right: Vec<usize> = (0..classes).map(|class| confusion[class][class]).collect();
        let n = truths.iter().sum();
        let occurring = (0..classes).filter(|&class| truths[class] > 0);
        let recalls = occurring.map(|class| right[class] as f64 / truths[class] as f64);
        // 2 precision recall / (precision + recall) without its divisions by 0.
        let f1: Vec<f64> =
            (0..classes).map(|class| ratio(2 * right[class], truths[class] + predictions[class])).collect();
        let seen = (0..classes).filter(|&class| truths[class] + predictions[class] > 0);
        Self {
            n,
            accuracy: ratio(right.iter().sum(), n),
            balanced_accuracy: mean(recalls),
            macro_f1: mean(seen.map(|class| f1[class])),
            f1,
            confusion,
        }
    }
}

/// Errors of a regression, in raw units, over all outputs together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValueMetrics {
    /// Number of targets.
    pub n: usize,
    /// Root of the mean squared error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// `1 - squared error / squared distance from the mean`, averaged over outputs, as scikit-learn's `r2_score`.
    pub r2: f64,
}

impl ValueMetrics {
    /// From pairs of truth and prediction, one list for each output.
    pub fn new(outputs: &[Vec<(f64, f64)>]) -> Self {
        let all = || outputs.iter().flatten();
        let n = all().count();
        let squares: f64 = all().map(|(truth, prediction)| (truth - prediction).powi(2)).sum();
        let distances: f64 = all().map(|(truth, prediction)| (truth - prediction).abs()).sum();
        let per = |sum: f64| if n == 0 { 0.0 } else { sum / n as f64 };
        let r2 = mean(outputs.iter().filter(|pairs| !pairs.is_empty()).map(|pairs| r2(pairs)));
        Self { n, rmse: per(squares).sqrt(), mae: per(distances), r2 }
    }
}

/// A constant truth has no variance to explain: 1 if it is met, 0 if not, as scikit-learn.
fn r2(pairs: &[(f64, f64)]) -> f64 {
    let center = mean(pairs.iter().map(|(truth, _)| *truth));
    let error: f64 = pairs.iter().map(|(truth, prediction)| (truth - prediction).powi(2)).sum();
    let total: f64 = pairs.iter().map(|(truth, _)| (truth - center).powi(2)).sum();
    if total > 0.0 { 1.0 - error / total } else { f64::from(u8::from(error == 0.0)) }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { 0.0 } else { sum / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: truth 0 0 0 1 1 2, prediction 0 0 1 1 0 2.
    #[test]
    fn class_metrics_of_six_answers() {
        let pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (2, 2)];
        let metrics = ClassMetrics::new(4, pairs);
        assert_eq!(metrics.confusion[0], [2, 1, 0, 0]);
        assert_eq!(metrics.n, 6);
        assert!((metrics.accuracy - 4.0 / 6.0).abs() < 1e-12);
        assert!((metrics.balanced_accuracy - (2.0 / 3.0 + 0.5 + 1.0) / 3.0).abs() < 1e-12);
        // Class 0: precision 2/3, recall 2/3. Class 1: 1/2, 1/2. Class 2: 1, 1. Class 3 never occurs.
        assert_eq!(metrics.f1, [4.0 / 6.0, 2.0 / 4.0, 1.0, 0.0]);
        assert!((metrics.macro_f1 - (4.0 / 6.0 + 0.5 + 1.0) / 3.0).abs() < 1e-12);
    }

    /// Worked by hand: truth 1 2 3, prediction 1 2 6.
    #[test]
    fn value_metrics_of_three_answers() {
        let metrics = ValueMetrics::new(&[vec![(1.0, 1.0), (2.0, 2.0), (3.0, 6.0)]]);
        assert!((metrics.rmse - 3f64.sqrt()).abs() < 1e-12);
        assert!((metrics.mae - 1.0).abs() < 1e-12);
        assert!((metrics.r2 - (1.0 - 9.0 / 2.0)).abs() < 1e-12);
    }

    #[test]
    fn a_constant_truth_divides_by_nothing() {
        assert_eq!(ValueMetrics::new(&[vec![(2.0, 2.0), (2.0, 2.0)]]).r2, 1.0);
        assert_eq!(ValueMetrics::new(&[vec![(2.0, 3.0), (2.0, 2.0)]]).r2, 0.0);
        assert_eq!(ValueMetrics::new(&[]).rmse, 0.0);
    }
}
