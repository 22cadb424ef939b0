//! The learning rate over time. Part of the resume state.

use serde::{Deserialize, Serialize};

use crate::{
    config::ScheduleConfig,
    monitor::{Better, Monitor},
};

/// The learning rate and what it remembers. Epochs count from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    config: ScheduleConfig,
    base: f64,
    epochs: usize,
    monitor: Monitor,
    state: PlateauState,
}

/// What a plateau schedule remembers between epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauState {
    /// The rate now.
    learning_rate: f64,
    /// The best value so far.
    best: Option<f64>,
    /// Epochs since, or since the last reduction.
    wait: usize,
    /// Epochs for which nothing counts.
    cooldown: usize,
}

impl Schedule {
    /// The schedule at its start; `base` is the optimizer's learning rate.
    pub fn new(config: &ScheduleConfig, base: f64, epochs: usize, has_validation: bool) -> Self {
        let monitor = match config {
            ScheduleConfig::Plateau { monitor: Some(monitor), .. } => *monitor,
            _ => Monitor::default_for(has_validation),
        };
        let state = PlateauState { learning_rate: base, best: None, wait: 0, cooldown: 0 };
        Self { config: config.clone(), base, epochs, monitor, state }
    }

    /// What the resume file keeps.
    pub fn state(&self) -> &PlateauState {
        &self.state
    }

    /// Goes on from a state that was kept.
    pub fn with_state(self, state: PlateauState) -> Self {
        Self { state, ..self }
    }

    /// The metric that [`epoch_ended`](Self::epoch_ended) wants to see, if any.
    pub fn monitor(&self) -> Option<Monitor> {
        matches!(self.config, ScheduleConfig::Plateau { .. }).then_some(self.monitor)
    }

    /// The rate for batch `batch` of `batches` in epoch `epoch`.
    pub fn learning_rate(&self, epoch: usize, batch: usize, batches: usize) -> f64 {
        let warmup = self.config.warmup_epochs();
        if epoch < warmup {
            return self.base * (epoch * batches + batch + 1) as f64 / (warmup * batches) as f64;
        }
        let since = epoch - warmup;
        match self.config {
            ScheduleConfig::Plateau { .. } => self.state.learning_rate,
            ScheduleConfig::Step { factor, every, min_learning_rate, .. } => {
                let reduced = self.base * factor.powi((since / every) as i32);
                reduced.max(min_learning_rate.min(self.base))
            }
            ScheduleConfig::Cosine { min_learning_rate, .. } => {
                // The last epoch runs at the minimum.
                let span = (self.epochs - warmup).saturating_sub(1).max(1);
                let half = 0.5 * (1.0 + (std::f64::consts::PI * since as f64 / span as f64).cos());
                min_learning_rate + (self.base - min_learning_rate) * half
            }
            ScheduleConfig::None { .. } => self.base,
        }
    }

    /// Looks at the monitored metric after an epoch. Exactly Keras's `ReduceLROnPlateau.on_epoch_end`, once any warm-up
    /// is over.
    pub fn epoch_ended(&mut self, epoch: usize, value: f64) {
        let ScheduleConfig::Plateau { factor, patience, min_delta, cooldown, min_learning_rate, warmup_epochs, .. } =
            self.config
        else {
            return;
        };
        if epoch < warmup_epochs {
            return;
        }
        let better: Better = self.monitor.metric.direction();
        let state = &mut self.state;
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.wait = 0;
        }
        if better.improves(value, state.best, min_delta) {
            state.best = Some(value);
            state.wait = 0;
        } else if state.cooldown == 0 {
            state.wait += 1;
            if state.wait >= patience && state.learning_rate > min_learning_rate {
                state.learning_rate = (state.learning_rate * factor).max(min_learning_rate);
                state.cooldown = cooldown;
                state.wait = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests;
