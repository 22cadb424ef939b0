//! Keys of a configuration that are far from what trains well: each is tried with a usual value.
//!
//! A suspect is no finding. Whether the usual value helps is seen by training with it ([`crate::examine()`]).

mod model;
mod optimizer;
mod regularization;
mod schedule;

use emberloop_checkpoint::Pooling;
use emberloop_core::Config;
use emberloop_data::{Splits, TargetPer, Targets};
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
    /// Training sequences that there are; `splits` may have a part of them.
    pub sequences: usize,
    /// The batch that the user's configuration has.
    pub batch: usize,
    /// What is trained on.
    pub splits: &'a Splits,
    /// The configuration's own training.
    pub reference: &'a Trial,
}

impl Scene<'_> {
    /// Steps of the optimizer in an epoch of the user's own training.
    pub fn batches(&self) -> usize {
        self.sequences.div_ceil(self.batch).div_ceil(self.config.training.accumulate)
    }

    /// Whether the reference is the user's own training, and not one on a part of its data.
    pub fn is_whole(&self) -> bool {
        self.sequences == self.splits.train.sequences.len() && self.epochs == self.config.training.epochs
    }

    /// Whether the head reads the last of many steps, and could read them all.
    pub fn can_take_the_mean(&self) -> bool {
        let reads_last = self.config.model.pooling(self.splits.train.target_per) == Pooling::Last;
        reads_last && self.splits.train.target_per == TargetPer::Sequence && self.steps() >= 30
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
    .filter_map(|suspect| changing(suspect, scene.config))
    .collect();
    all.sort_by(|a, b| b.strangeness.total_cmp(&a.strangeness));
    all
}

/// What is tried where nothing is strange and still nothing is learned: the usual suspects, one step each way.
pub fn usual(scene: &Scene<'_>) -> Vec<Suspect> {
    let config = scene.config;
    let mean = scene.can_take_the_mean().then(|| Fix::set("model.head", "mean"));
    let rate = config.training.optimizer.learning_rate();
    let tries = [
        (Cause::LearningRateLow, "a larger learning rate trains better", Fix::set(optimizer::RATE, round(rate * 5.0))),
        (
            Cause::LearningRateHigh,
            "a smaller learning rate trains better",
            Fix::set(optimizer::RATE, round(rate / 5.0)),
        ),
        (Cause::CapacitySmall, "more units train better", Fix::set("model.hidden", wider(&config.model.hidden, 3))),
    ];
    let head = mean.map(|fix| {
        let what = "the last state alone says little: the mean over all steps trains better";
        Suspect::new(Cause::GradientVanishing, 0.3, what, vec![fix])
    });
    let tries = tries.into_iter().map(|(cause, what, fix)| Suspect::new(cause, 0.2, what, vec![fix]));
    tries.chain(head).filter_map(|suspect| changing(suspect, config)).collect()
}

/// A suspect without the parts of its fixes that change nothing; `None` if nothing is left.
fn changing(mut suspect: Suspect, config: &Config) -> Option<Suspect> {
    let document = serde_json::to_value(config).unwrap_or_default();
    for fix in &mut suspect.fixes {
        let there = |key: &str| document.pointer(&format!("/{}", key.replace('.', "/")));
        fix.set.retain(|key, value| there(key) != Some(value));
        fix.unset.retain(|key| there(key).is_some_and(|value| !value.is_null()));
    }
    suspect.fixes.retain(Fix::changes_configuration);
    (!suspect.fixes.is_empty()).then_some(suspect)
}

/// Layers with `factor` times the units.
fn wider(hidden: &[usize], factor: usize) -> Vec<usize> {
    hidden.iter().map(|&units| units.max((units * factor).min(256))).collect()
}

/// Two significant digits: a value that a person would write.
pub fn round(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// How many factors of ten `value` lies above `limit`; 0 below it.
fn decades_above(value: f64, limit: f64) -> f64 {
    if value > limit { (value / limit).log10() } else { 0.0 }
}
