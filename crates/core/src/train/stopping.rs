//! Early stopping, and which epoch's weights are kept. Part of the resume state.

use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, Keep},
    monitor::Monitor,
};

/// Watches one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopping {
    monitor: Monitor,
    min_delta: f64,
    /// Epochs without improvement before training ends; `None` never ends it.
    patience: Option<usize>,
    keep: Keep,
    state: StoppingState,
}

/// What is remembered between epochs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoppingState {
    best: Option<f64>,
    wait: usize,
}

/// What an epoch's metric means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The best epoch so far.
    pub best: bool,
    /// Keep these weights in place of those kept so far.
    pub keep: bool,
    /// End training.
    pub stop: bool,
}

impl Stopping {
    /// At the start of a training.
    pub fn new(config: &Config, has_validation: bool) -> Self {
        let stopping = config.training.early_stopping.as_ref();
        Self {
            monitor: stopping
                .and_then(|stopping| stopping.monitor)
                .unwrap_or_else(|| Monitor::default_for(has_validation)),
            min_delta: stopping.map_or(0.0, |stopping| stopping.min_delta),
            patience: stopping.map(|stopping| stopping.patience),
            keep: config.training.keep,
            state: StoppingState::default(),
        }
    }

    /// The metric to show to [`epoch_ended`](Self::epoch_ended).
    pub fn monitor(&self) -> Monitor {
        self.monitor
    }

    /// What the resume file keeps.
    pub fn state(&self) -> &StoppingState {
        &self.state
    }

    /// Goes on from a state that was kept.
    pub fn with_state(self, state: StoppingState) -> Self {
        Self { state, ..self }
    }

    /// Keras's `EarlyStopping.on_epoch_end`.
    pub fn epoch_ended(&mut self, value: f64) -> Verdict {
        let state = &mut self.state;
        let best = self.monitor.metric.direction().improves(value, state.best, self.min_delta);
        if best {
            state.best = Some(value);
            state.wait = 0;
        } else {
            state.wait += 1;
        }
        Verdict {
            best,
            keep: best || self.keep == Keep::Last,
            stop: self.patience.is_some_and(|patience| state.wait >= patience),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EarlyStoppingConfig;
    use emberloop_data::DataConfig;

    fn verdicts(config: EarlyStoppingConfig, values: &[f64]) -> Vec<(bool, bool)> {
        let mut whole = Config::new(DataConfig::new("x.csv"));
        whole.training.early_stopping = Some(config);
        let mut stopping = Stopping::new(&whole, true);
        values.iter().map(|&value| stopping.epoch_ended(value)).map(|verdict| (verdict.best, verdict.stop)).collect()
    }

    #[test]
    fn stops_after_patience_epochs_without_improvement() {
        let config = EarlyStoppingConfig { monitor: None, patience: 2, min_delta: 0.0 };
        let seen = verdicts(config, &[1.0, 0.9, 0.95, 0.9, 0.8]);
        assert_eq!(seen[..4], [(true, false), (true, false), (false, false), (false, true)]);
    }

    #[test]
    fn a_score_improves_upwards_and_by_more_than_min_delta() {
        let monitor = Some("val_accuracy".parse().unwrap());
        let config = EarlyStoppingConfig { monitor, patience: 9, min_delta: 0.1 };
        let seen = verdicts(config, &[0.5, 0.55, 0.65, 0.6]);
        assert_eq!(seen, [(true, false), (false, false), (true, false), (false, false)]);
    }
}
