//! The metrics of either task, by name.

use std::collections::BTreeMap;

pub use emberloop_data::metrics::{ClassMetrics, Metrics, ValueMetrics};

use crate::monitor::Metric;

/// The single numbers by name, without the loss.
pub(crate) fn by_name(metrics: &Metrics) -> BTreeMap<Metric, f64> {
    match metrics {
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
