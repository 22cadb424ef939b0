//! The numbers that can be monitored, and which way is better.

use std::{fmt, str::FromStr};

use emberloop_data::Task;
use serde::{Deserialize, Serialize};

/// A number that an epoch yields for each split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// The training objective without penalties.
    Loss,
    /// Share of right answers.
    Accuracy,
    /// Mean over the classes of the share found.
    BalancedAccuracy,
    /// Mean over the classes of F1.
    MacroF1,
    /// Root of the mean squared error, in raw units.
    Rmse,
    /// Mean absolute error, in raw units.
    Mae,
    /// Share of variance explained.
    R2,
}

impl Metric {
    /// The metrics of a task, the loss first.
    pub fn of(task: Task) -> &'static [Metric] {
        match task {
            Task::Classification => &[Metric::Loss, Metric::Accuracy, Metric::BalancedAccuracy, Metric::MacroF1],
            Task::Regression => &[Metric::Loss, Metric::Rmse, Metric::Mae, Metric::R2],
        }
    }

    /// The name in reports and configurations.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Loss => "loss",
            Metric::Accuracy => "accuracy",
            Metric::BalancedAccuracy => "balanced_accuracy",
            Metric::MacroF1 => "macro_f1",
            Metric::Rmse => "rmse",
            Metric::Mae => "mae",
            Metric::R2 => "r2",
        }
    }

    /// Which way is better.
    pub fn direction(self) -> Better {
        match self {
            Metric::Loss | Metric::Rmse | Metric::Mae => Better::Lower,
            Metric::Accuracy | Metric::BalancedAccuracy | Metric::MacroF1 | Metric::R2 => Better::Higher,
        }
    }
}

/// Which way a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Errors.
    Lower,
    /// Scores.
    Higher,
}

impl Better {
    /// Whether `value` improves on `best` by more than `min_delta`. Any number improves on nothing; what is infinite or
    /// NaN never improves, so that a best value can always be written as JSON.
    pub fn improves(self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        let better = match (self, best) {
            (_, None) => true,
            (Better::Lower, Some(best)) => value < best - min_delta,
            (Better::Higher, Some(best)) => value > best + min_delta,
        };
        better && value.is_finite()
    }
}

/// A metric of one of the splits, such as `val_loss` or `accuracy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Monitor {
    /// Of the validation split, not the training split.
    pub validation: bool,
    /// The number.
    pub metric: Metric,
}

impl Monitor {
    /// Every name that a configuration for `task` may use.
    pub fn names(task: Task) -> Vec<String> {
        let of =
            |validation: bool| Metric::of(task).iter().map(move |&metric| Monitor { validation, metric }.to_string());
        of(true).chain(of(false)).collect()
    }

    /// The loss of the validation split, or of the training split where there is no other.
    pub fn default_for(has_validation: bool) -> Self {
        Monitor { validation: has_validation, metric: Metric::Loss }
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.validation { "val_" } else { "" }, self.metric.name())
    }
}

impl FromStr for Monitor {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Task::Classification, Task::Regression].into_iter().flat_map(Metric::of);
        let mut monitors = all.flat_map(|&metric| [true, false].map(|validation| Monitor { validation, metric }));
        monitors.find(|monitor| monitor.to_string() == name).ok_or_else(|| {
            let mut known = Monitor::names(Task::Classification);
            known.extend(Monitor::names(Task::Regression).into_iter().filter(|name| !name.ends_with("loss")));
            let nearest = crate::config::nearest(name, &known);
            let hint = nearest.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
            format!("unknown monitor {name:?}{hint}; expected one of: {}", known.join(", "))
        })
    }
}

impl TryFrom<String> for Monitor {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Monitor> for String {
    fn from(monitor: Monitor) -> Self {
        monitor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_never_improves() {
        for best in [None, Some(1.0)] {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(!Better::Lower.improves(value, best, 0.0) && !Better::Higher.improves(value, best, 0.0));
            }
        }
        assert!(Better::Lower.improves(2.0, None, 0.5));
    }
}
