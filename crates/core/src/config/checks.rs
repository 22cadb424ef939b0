//! Ranges of `[training]`, and what its keys say together with `[data]`.

use emberloop_data::{DataConfig, Task};

use super::{
    ClassWeights, ClipConfig, LossConfig, OptimizerConfig, Problem, ScheduleConfig, TrainingConfig, first_problem,
    training::Balanced,
};
use crate::monitor::Monitor;

const POSITIVE: &str = "a number above 0";
const NOT_NEGATIVE: &str = "a number of at least 0";
const BELOW_ONE: &str = "at least 0 and below 1";

fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

fn not_negative(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

impl TrainingConfig {
    pub(super) fn problem(&self, data: &DataConfig) -> Option<Problem> {
        first_problem(&[
            (self.epochs >= 1, "training.epochs", "at least 1", self.epochs.to_string()),
            (self.batch >= 1, "training.batch", "at least 1", self.batch.to_string()),
            (self.truncate != Some(0), "training.truncate", "at least 1 step", "0".into()),
            (self.accumulate >= 1, "training.accumulate", "at least 1", self.accumulate.to_string()),
            (not_negative(self.l1), "training.l1", NOT_NEGATIVE, self.l1.to_string()),
            (not_negative(self.l2), "training.l2", NOT_NEGATIVE, self.l2.to_string()),
        ])
        .or_else(|| self.optimizer.problem())
        .or_else(|| self.loss.as_ref().and_then(|loss| loss.problem(data)))
        .or_else(|| {
            let (key, limit) = match self.clip? {
                ClipConfig::Norm(limit) => ("training.clip.norm", limit),
                ClipConfig::Value(limit) => ("training.clip.value", limit),
            };
            first_problem(&[(positive(limit), key, POSITIVE, limit.to_string())])
        })
        .or_else(|| self.schedule.problem(data, self.epochs))
        .or_else(|| {
            let stopping = self.early_stopping.as_ref()?;
            let min_delta = stopping.min_delta;
            let key = "training.early_stopping.monitor";
            first_problem(&[
                (
                    stopping.patience >= 1,
                    "training.early_stopping.patience",
                    "at least 1",
                    stopping.patience.to_string(),
                ),
                (not_negative(min_delta), "training.early_stopping.min_delta", NOT_NEGATIVE, min_delta.to_string()),
            ])
            .or_else(|| monitor_problem(key, stopping.monitor, data))
        })
    }
}

impl OptimizerConfig {
    fn problem(&self) -> Option<Problem> {
        let rate = self.learning_rate();
        let (betas, eps, momentum, weight_decay) = match *self {
            OptimizerConfig::Adam { betas, eps, weight_decay, .. }
            | OptimizerConfig::Adamw { betas, eps, weight_decay, .. } => (betas, eps, 0.0, weight_decay),
            OptimizerConfig::Rmsprop { alpha, eps, momentum, weight_decay, .. } => {
                ([alpha; 2], eps, momentum, weight_decay)
            }
            OptimizerConfig::Sgd { momentum, weight_decay, .. } => ([0.0; 2], 1.0, momentum, weight_decay),
        };
        let decays = if matches!(self, OptimizerConfig::Rmsprop { .. }) { "alpha" } else { "betas" };
        first_problem(&[
            (positive(rate), "training.optimizer.learning_rate", POSITIVE, rate.to_string()),
            (
                betas.iter().all(|beta| (0.0..1.0).contains(beta)),
                &format!("training.optimizer.{decays}"),
                BELOW_ONE,
                format!("{betas:?}"),
            ),
            (positive(eps), "training.optimizer.eps", POSITIVE, eps.to_string()),
            ((0.0..1.0).contains(&momentum), "training.optimizer.momentum", BELOW_ONE, momentum.to_string()),
            (not_negative(weight_decay), "training.optimizer.weight_decay", NOT_NEGATIVE, weight_decay.to_string()),
            (
                !matches!(self, OptimizerConfig::Sgd { nesterov: true, .. }) || momentum > 0.0,
                "training.optimizer.momentum",
                "above 0, as nesterov is set",
                momentum.to_string(),
            ),
        ])
    }
}

impl LossConfig {
    fn problem(&self, data: &DataConfig) -> Option<Problem> {
        let classes = matches!(self, LossConfig::CrossEntropy { .. });
        let fits = first_problem(&[(
            classes == (data.task == Task::Classification),
            "training.loss.kind",
            match data.task {
                Task::Classification => "\"cross_entropy\", as data.task is \"classification\"",
                Task::Regression => "\"mse\", \"mae\" or \"huber\", as data.task is \"regression\"",
            },
            self.name().to_string(),
        )]);
        fits.or_else(|| match self {
            LossConfig::CrossEntropy { class_weights, label_smoothing } => {
                let weights = match class_weights {
                    Some(ClassWeights::List(weights)) => weights.as_slice(),
                    Some(ClassWeights::Named(Balanced::Balanced)) | None => &[],
                };
                first_problem(&[
                    (
                        (0.0..1.0).contains(label_smoothing),
                        "training.loss.label_smoothing",
                        BELOW_ONE,
                        label_smoothing.to_string(),
                    ),
                    (
                        weights.iter().all(|&weight| not_negative(weight))
                            && (weights.is_empty() || weights.iter().any(|&weight| weight > 0.0)),
                        "training.loss.class_weights",
                        "numbers of at least 0, not all 0",
                        format!("{weights:?}"),
                    ),
                ])
            }
            LossConfig::Mse {} | LossConfig::Mae {} => None,
            LossConfig::Huber { delta } => {
                first_problem(&[(positive(*delta), "training.loss.delta", POSITIVE, delta.to_string())])
            }
        })
    }

    /// The name in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            LossConfig::CrossEntropy { .. } => "cross_entropy",
            LossConfig::Mse {} => "mse",
            LossConfig::Mae {} => "mae",
            LossConfig::Huber { .. } => "huber",
        }
    }
}

impl ScheduleConfig {
    /// Epochs of linear rise at the start.
    pub fn warmup_epochs(&self) -> usize {
        match self {
            ScheduleConfig::Plateau { warmup_epochs, .. }
            | ScheduleConfig::Step { warmup_epochs, .. }
            | ScheduleConfig::Cosine { warmup_epochs, .. }
            | ScheduleConfig::None { warmup_epochs } => *warmup_epochs,
        }
    }

    fn problem(&self, data: &DataConfig, epochs: usize) -> Option<Problem> {
        let (factor, wait, min_delta, floor) = match *self {
            ScheduleConfig::Plateau { factor, patience, min_delta, min_learning_rate, .. } => {
                // Keras allows a patience of 0.
                (factor, ("patience", patience.max(1)), min_delta, min_learning_rate)
            }
            ScheduleConfig::Step { factor, every, min_learning_rate, .. } => {
                (factor, ("every", every), 0.0, min_learning_rate)
            }
            ScheduleConfig::Cosine { min_learning_rate, .. } => (0.5, ("", 1), 0.0, min_learning_rate),
            ScheduleConfig::None { .. } => (0.5, ("", 1), 0.0, 0.0),
        };
        let warmup = self.warmup_epochs();
        first_problem(&[
            (positive(factor) && factor < 1.0, "training.schedule.factor", "above 0 and below 1", factor.to_string()),
            (wait.1 >= 1, &format!("training.schedule.{}", wait.0), "at least 1", wait.1.to_string()),
            (not_negative(min_delta), "training.schedule.min_delta", NOT_NEGATIVE, min_delta.to_string()),
            (not_negative(floor), "training.schedule.min_learning_rate", NOT_NEGATIVE, floor.to_string()),
            (warmup < epochs, "training.schedule.warmup_epochs", "less than training.epochs", warmup.to_string()),
        ])
        .or_else(|| match self {
            ScheduleConfig::Plateau { monitor, .. } => monitor_problem("training.schedule.monitor", *monitor, data),
            ScheduleConfig::Step { .. } | ScheduleConfig::Cosine { .. } | ScheduleConfig::None { .. } => None,
        })
    }
}

fn monitor_problem(key: &str, monitor: Option<Monitor>, data: &DataConfig) -> Option<Problem> {
    let monitor = monitor?;
    let known = Monitor::names(data.task);
    (!known.contains(&monitor.to_string()))
        .then(|| Problem::new(key, format!("one of {}", known.join(", ")), format!("{:?}", monitor.to_string())))
}
