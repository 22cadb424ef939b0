//! What a page shows, as plain data. Every list may be empty and every number NaN or infinite: the page says so.

use std::collections::BTreeMap;

use emberloop_findings::{Cause, Finding};
use serde::{Deserialize, Serialize};

use crate::number;

/// Everything that a page shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The heading: the name of the run.
    pub title: String,
    /// A word or two beside it: "finished", "running", "examined".
    pub state: String,
    /// Names and values in this order: cell, units, parameters, data, device, time, metrics.
    pub facts: Vec<(String, String)>,
    /// What is wrong, the likeliest cause first ([`emberloop_findings::rank`]).
    pub findings: Vec<Finding>,
    /// What was looked for, found or not: the page lists what was not found. Empty: nothing was looked for.
    pub looked_for: Vec<Cause>,
    /// Whether nothing was trained to find out: data, log and model were only looked at.
    pub only_read: bool,
    /// Sentences that say how far the findings can be trusted, such as on what part of the data they rest; right under their
    /// heading.
    pub limits: Vec<String>,
    /// What the fixes came to, all together, where they were applied.
    pub mended: Option<Mended>,
    /// The course of the training; epochs in rising order.
    pub epochs: Vec<Epoch>,
    /// The epoch (as in [`Epoch::epoch`]) whose parameters were kept.
    pub kept_epoch: Option<usize>,
    /// How the gradient fades or grows from step to step of a sequence.
    pub gradients: Option<Gradients>,
    /// How open the gates stand.
    pub gates: Vec<GateHistogram>,
    /// What was taken for what.
    pub confusion: Option<Confusion>,
    /// Short trainings with one thing changed.
    pub trials: Vec<Trial>,
    /// Sentences for the end of the page.
    pub notes: Vec<String>,
}

/// One epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, as the training counts.
    pub epoch: usize,
    /// By name, as in `log.jsonl`: `loss`, `accuracy`, `rmse`, ... of the training data, `val_loss`, ... of the validation
    /// data. `val_x` is drawn beside `x`. A name may be missing in some epochs.
    #[serde(with = "number::map")]
    pub metrics: BTreeMap<String, f64>,
    /// The optimizer's learning rate.
    #[serde(with = "number")]
    pub learning_rate: f64,
    /// The norm of the whole gradient before clipping, averaged over the epoch's updates.
    #[serde(with = "number")]
    pub gradient_norm: f64,
}

/// Norms of the loss's gradient with respect to what each layer reads, step by step.
///
/// Sequences differ in length; they are aligned at their ends, for both directions. So each column is so many steps before the
/// end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gradients {
    /// Names, the layer next to the input first. One that contains "reverse" is of a direction that reads the end first.
    pub layers: Vec<String>,
    /// Steps of the longest sequence.
    pub steps: usize,
    /// A row for each layer, a column for each step, the last step last. The page puts steps together where they are many.
    #[serde(with = "number::table")]
    pub norms: Vec<Vec<f64>>,
}

/// The values of one gate of one layer, over units, steps and sequences.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GateHistogram {
    /// As in [`Gradients::layers`].
    pub layer: String,
    /// "input", "forget", "output", "reset", "update".
    pub gate: String,
    /// Counts in bins of one width from 0 to 1.
    pub bins: Vec<u64>,
    /// Share of values below 0.02, from 0 to 1.
    #[serde(with = "number")]
    pub low_share: f64,
    /// Share of values above 0.98, from 0 to 1.
    #[serde(with = "number")]
    pub high_share: f64,
}

/// A confusion matrix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of the classes.
    pub labels: Vec<String>,
    /// A row for each true class, a column for each predicted one.
    pub counts: Vec<Vec<u64>>,
}

/// A short training with one thing changed, beside one without.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What was changed, in words ([`emberloop_findings::Fix::lines`]).
    pub what: String,
    /// What the change would mend, if it is what is wrong.
    pub suspected: Option<Cause>,
    /// The metric's name; the larger, the better.
    pub metric: String,
    /// Its value without the change.
    #[serde(with = "number")]
    pub before: f64,
    /// Its value with the change.
    #[serde(with = "number")]
    pub after: f64,
}

/// A training with everything mended that is known to help, beside one without.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mended {
    /// What was changed, in words, a line for each key.
    pub what: Vec<String>,
    /// The metric's name; the larger, the better.
    pub metric: String,
    /// Its value as configured.
    #[serde(with = "number")]
    pub before: f64,
    /// Its value mended.
    #[serde(with = "number")]
    pub after: f64,
}
