//! Keys of a configuration that are far from what trains well: each is tried with a usual value.
//!
//! A suspect is no finding. Whether the usual value helps is seen by training with it ([`crate::examine()`]).

mod model;
mod optimizer;
mod regularization;
mod schedule;

use emberloop_core::Config;
use emberloop_data::{Splits, Targets};
use emberloop_findings::{Cause, Fix};
use serde_json::{Map, Value};

use crate::trial::Trial;

/// A key that may be to blame.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// What it would be called.
    pub cause: Cause,
    /// How unusual the key is: 0, as everybody has it; 1, nobody would want it.
    pub strangeness: f64,
    /// Ways to mend it, each of which is tried.
    pub fixes: Vec<Fix>,
    /// What is unusual, as a sentence without a full stop.
    pub what: String,
    /// Its numbers.
    pub evidence: Map<String, Value>,
}

impl Suspect {
    fn new(cause: Cause, strangeness: f64, what: impl Into<String>, fixes: Vec<Fix>) -> Suspect {
        let strangeness = strangeness.clamp(0.0, 1.0);
        Suspect { cause, strangeness, fixes, what: what.into(), evidence: Map::new() }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Suspect {
        self.evidence.insert(name.into(), value.into());
        self
    }
}

/// What the suspects are judged by.
pub struct Scene<'a> {
    /// As it is examined.
    pub config: &'a Config,
    /// Epochs that the user's configuration has.
    pub epochs: usize,
    /// What is trained on.
    pub splits: &'a Splits,
    /// The configuration's own training.
    pub reference: &'a Trial,
}

impl Scene<'_> {
    /// Training sequences.
    pub fn sequences(&self) -> usize {
        self.splits.train.sequences.len()
    }

    /// Steps of the optimizer in an epoch.
    pub fn batches(&self) -> usize {
        let training = &self.config.training;
        self.sequences().div_ceil(training.batch).div_ceil(training.accumulate)
    }

    /// The longest training sequence.
    pub fn steps(&self) -> usize {
        self.splits.train.sequences.iter().map(|sequence| sequence.steps).max().unwrap_or(0)
    }

    /// Classes, or 0 for values.
    pub fn classes(&self) -> usize {
        match &self.splits.train.targets {
            Targets::Classes { labels } => labels.len(),
            Targets::Values { .. } => 0,
        }
    }
}

/// A suspect below this is not tried.
pub const STRANGE: f64 = 0.25;

/// Every suspect, the strangest first.
pub fn all(scene: &Scene<'_>) -> Vec<Suspect> {
    let mut all: Vec<Suspect> = [
        optimizer::learning_rate(scene),
        optimizer::clip(scene),
        optimizer::explosion(scene),
        optimizer::batch_large(scene),
        optimizer::batch_small(scene),
        regularization::dropout(scene),
        regularization::penalty(scene),
        regularization::label_smoothing(scene),
        regularization::class_weights(scene),
        model::capacity_small(scene),
        model::overfitting(scene),
        model::vanishing(scene),
        schedule::decay(scene),
        schedule::epochs(scene),
        schedule::truncation(scene),
    ]
    .into_iter()
    .flatten()
    .filter(|suspect| suspect.strangeness >= STRANGE)
    .collect();
    all.sort_by(|a, b| b.strangeness.total_cmp(&a.strangeness));
    all
}

/// What is tried where nothing is strange and still nothing is learned: the usual suspects, one step each way.
pub fn usual(scene: &Scene<'_>) -> Vec<Suspect> {
    let config = scene.config;
    let rate = config.training.optimizer.learning_rate();
    let tries = [
        (Cause::LearningRateLow, "a larger learning rate", Fix::set(optimizer::RATE, round(rate * 5.0))),
        (Cause::LearningRateHigh, "a smaller learning rate", Fix::set(optimizer::RATE, round(rate / 5.0))),
        (Cause::CapacitySmall, "more units", Fix::set("model.hidden", wider(&config.model.hidden, 3))),
        (Cause::EpochsFew, "more epochs", Fix::set("training.epochs", config.training.epochs * 3)),
    ];
    tries.into_iter().map(|(cause, what, fix)| Suspect::new(cause, 0.2, what, vec![fix])).collect()
}

/// Layers with `factor` times the units.
fn wider(hidden: &[usize], factor: usize) -> Vec<usize> {
    hidden.iter().map(|units| (units * factor).min(256)).collect()
}

/// Two significant digits: a value that a person would write.
pub fn round(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// How many factors of ten `value` lies above `limit`; 0 below it.
fn decades_above(value: f64, limit: f64) -> f64 {
    if value > limit { (value / limit).log10() } else { 0.0 }
}
