//! The metrics of either task, by name.

use std::collections::BTreeMap;

pub use emberloop_data::metrics::{ClassMetrics, ValueMetrics};
use serde::{Deserialize, Serialize};

use crate::monitor::Metric;

/// The metrics of either task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metrics {
    /// Of a classification.
    Classes(ClassMetrics),
    /// Of a regression.
    Values(ValueMetrics),
}

impl Metrics {
    /// How many targets were looked at.
    pub fn n(&self) -> usize {
        match self {
            Metrics::Classes(metrics) => metrics.n,
            Metrics::Values(metrics) => metrics.n,
        }
    }

    /// The single numbers by name, without the loss.
    pub fn named(&self) -> BTreeMap<Metric, f64> {
        match self {
            Metrics::Classes(metrics) => BTreeMap::from([
                (Metric::Accuracy, metrics.accuracy),
                (Metric::BalancedAccuracy, metrics.balanced_accuracy),
                (Metric::MacroF1, metrics.macro_f1),
            ]),
            Metrics::Values(metrics) => {
                BTreeMap::from([(Metric::Rmse, metrics.rmse), (Metric::Mae, metrics.mae), (Metric::R2, metrics.r2)])
            }
        }
    }
}
