//! Classes learned as numbers, and numbers learned as classes.

use std::collections::BTreeMap;
use std::path::Path;

use emberloop_data::{DataConfig, Dataset, SequenceTarget, TargetPer, Targets, Task, load};

use serde_json::Value;

use super::ordinal::{Relation, relation};
use super::view::View;
use super::{Said, percent, short};
use crate::{Cause, Confidence, Finding, Fix};

/// More different values than this are no codes of classes that anybody would take for numbers by mistake.
const CODES_MOST: usize = 30;

/// More than this may be codes, too, but as well a count.
const CLEAR_MOST: usize = 12;

/// The share of what the inputs tell about the target that has no order, from which on the target is no amount.
const UNORDERED: f64 = 0.06;

/// The distinct values of a regression's target and how often each is there; `None` beyond `most` of them.
fn distinct(dataset: &Dataset, output: usize, most: usize) -> Option<BTreeMap<i64, usize>> {
    let Targets::Values { names } = &dataset.targets else { return None };
    let outputs = names.len();
    let mut counts = BTreeMap::new();
    for sequence in &dataset.sequences {
        let (SequenceTarget::Values(values) | SequenceTarget::StepValues(values)) = &sequence.target else {
            return None;
        };
        for &value in values.iter().skip(output).step_by(outputs).filter(|value| !value.is_nan()) {
            if value.fract() != 0.0 || value.abs() > 1e6 {
                return None;
            }
            *counts.entry(value as i64).or_insert(0) += 1;
            if counts.len() > most {
                return None;
            }
        }
    }
    Some(counts)
}

/// Whether counts rise to one peak and fall again, but for noise, as those of a quantity do.
fn has_one_peak(counts: &[f64]) -> bool {
    let peak = (0..counts.len()).max_by(|&a, &b| counts[a].total_cmp(&counts[b])).unwrap_or(0);
    // Two standard deviations of a Poisson count.
    let rises = |from: f64, to: f64| to >= from - 2.0 * from.max(1.0).sqrt();
    let (before, after) = counts.split_at(peak);
    before.windows(2).all(|pair| rises(pair[0], pair[1])) && after.windows(2).all(|pair| rises(pair[1], pair[0]))
}

/// A regression whose target looks like the codes of classes.
pub(super) fn labels_as_values(view: &View<'_>) -> Option<Finding> {
    let Targets::Values { names } = &view.train.targets else { return None };
    let [name] = names.as_slice() else { return None };
    // A quantity that is an input as well is none that has a class for each value.
    if view.columns.iter().any(|column| column.name == *name) {
        return None;
    }
    let counts = distinct(&view.train, 0, CODES_MOST)?;
    let (kinds, total) = (counts.len(), counts.values().sum::<usize>());
    let (&low, &high) = (counts.keys().next()?, counts.keys().next_back()?);
    if kinds < 2 || low < 0 || high > 100 || total < 3 * kinds {
        return None;
    }
    let gaps = (high - low + 1) as usize - kinds;
    let frequencies: Vec<f64> = counts.values().map(|&count| count as f64).collect();
    let most = frequencies.iter().copied().fold(0.0, f64::max);
    let uneven = most * kinds as f64 / total as f64;
    let named = ["label", "class", "category", "kind", "type", "species", "speaker", "activity"]
        .iter()
        .any(|word| name.to_lowercase().contains(word));
    // Values of a quantity crowd around one; those of codes do so as it happens.
    let peaked = kinds > 2 && uneven > 1.6 && has_one_peak(&frequencies);
    let codes: Vec<i64> = counts.keys().copied().collect();
    let relation = relation(view, &codes);
    let confidence = match (low == 0 && gaps == 0 && kinds <= CLEAR_MOST, &relation) {
        // Two values have no order, and three hardly one.
        (true, _) if kinds == 2 || kinds == 3 && named && uneven < 1.3 => Confidence::High,
        (true, Relation::Unordered(share)) if *share >= if peaked { 0.3 } else { UNORDERED } => Confidence::High,
        (true, Relation::Unknown) if named && !peaked => Confidence::High,
        (_, Relation::Unordered(share)) if *share >= UNORDERED => Confidence::Medium,
        _ if named || !peaked && low <= 1 && kinds <= CLEAR_MOST => Confidence::Medium,
        _ => Confidence::Low,
    };
    let per_step = view.train.target_per == TargetPer::Step;
    let confidence = if per_step && !named && peaked { Confidence::Low } else { confidence };
    let unordered = match relation {
        Relation::Unordered(share) => Value::from(share),
        Relation::Unknown => Value::Null,
    };
    let explanation = match kinds {
        2 => format!(
            "A regression takes the codes {low} and {high} for amounts, and what it says is mostly neither of them; nothing \
             rewards telling the classes apart."
        ),
        _ => format!(
            "A regression takes the codes for amounts: to confuse {} with {} would be worse than with {}, and what lies \
             between two classes would be a third. The model learns the mean of the codes instead of telling the classes \
             apart. If the target is a rating or a count, leave it as it is.",
            codes[0],
            codes[kinds - 1],
            codes[1]
        ),
    };
    let certain = if confidence == Confidence::High { "look like" } else { "may be" };
    Some(
        Said {
            id: Cause::LabelsAsValues,
            confidence,
            score: if confidence == Confidence::High { 0.97 } else { 0.6 },
            summary: format!(
                "target {name:?} of a regression has only {kinds} different values, all of them integers from {low} to \
                 {high}, each {} times on average: they {certain} codes of classes",
                short(total as f64 / kinds as f64)
            ),
            evidence: &[
                ("distinct", kinds.into()),
                ("lowest", low.into()),
                ("highest", high.into()),
                ("gaps", gaps.into()),
                ("values", total.into()),
                ("largest_share", (most / total as f64).into()),
                ("unordered_share", unordered),
            ],
            explanation: &explanation,
            // The metrics of a regression are none of a classification.
            fix: Fix::unset("training.loss")
                .with_unset("training.early_stopping.monitor")
                .with_unset("training.schedule.monitor")
                .and("data.task", "classification")
                .and("training.loss.kind", "cross_entropy"),
        }
        .into(),
    )
}

/// What the sizes of numeric classes say: each a number and how many it has, in order of the numbers.
struct Numeric {
    kinds: usize,
    total: usize,
    /// Share of the classes with at most three members.
    rare: f64,
    /// Whether some are no integers.
    fractional: bool,
    /// How alike the sizes of neighbouring numbers are, -1 to 1.
    smooth: f64,
}

impl Numeric {
    fn of(counts: &[(f64, usize)]) -> Numeric {
        let kinds = counts.len();
        let rare = counts.iter().filter(|(_, count)| *count <= 3).count() as f64 / kinds.max(1) as f64;
        let sizes: Vec<f64> = counts.iter().map(|(_, count)| *count as f64).collect();
        let mean = sizes.iter().sum::<f64>() / kinds.max(1) as f64;
        let variance: f64 = sizes.iter().map(|size| (size - mean).powi(2)).sum();
        let neighbours: f64 = sizes.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        Numeric {
            kinds,
            total: counts.iter().map(|(_, count)| count).sum(),
            rare,
            fractional: counts.iter().any(|(value, _)| value.fract() != 0.0),
            smooth: if variance > 0.0 { neighbours / variance } else { 0.0 },
        }
    }

    fn confidence(&self, also_input: bool) -> Option<Confidence> {
        let mean = self.total as f64 / self.kinds.max(1) as f64;
        if self.kinds < 10 {
            return None;
        }
        if also_input && self.kinds > 20 {
            return Some(Confidence::High);
        }
        match self.kinds > 20 {
            true if self.fractional || mean < 2.5 => Some(Confidence::High),
            true if self.kinds > CODES_MOST && self.smooth > 0.5 => Some(Confidence::High),
            true if self.rare > 0.3 || self.smooth > 0.6 => Some(Confidence::Medium),
            false if self.fractional && mean < 5.0 => Some(Confidence::High),
            false if self.fractional || mean < 2.0 => Some(Confidence::Medium),
            _ => None,
        }
    }

    fn finding(&self, name: &str, also_input: bool) -> Option<Finding> {
        let confidence = self.confidence(also_input)?;
        let repeats = self.total as f64 / self.kinds as f64;
        Some(
            Said {
                id: Cause::ValuesAsLabels,
                confidence,
                score: if confidence == Confidence::High { 0.98 } else { 0.6 },
                summary: format!(
                    "target {name:?} of a classification has {} different numbers in {} targets ({} of them at most three \
                     times): it looks like a quantity",
                    self.kinds,
                    self.total,
                    percent(self.rare)
                ),
                evidence: &[
                    ("classes", self.kinds.into()),
                    ("targets", self.total.into()),
                    ("mean_per_class", repeats.into()),
                    ("share_rare", self.rare.into()),
                    ("fractional", self.fractional.into()),
                    ("neighbours_alike", self.smooth.into()),
                ],
                explanation: "A classification knows no order: to say 20 where 21 was measured is as wrong as to say 900, and \
                              a number that training never showed cannot be said at all. A regression learns how much.",
                fix: Fix::unset("training.loss")
                    .and("data.task", "regression")
                    .and("training.loss.kind", "mse")
                    .with_unset("data.labels")
                    .with_unset("training.early_stopping.monitor")
                    .with_unset("training.schedule.monitor"),
            }
            .into(),
        )
    }
}

/// A classification whose classes are numbers that look like a quantity.
pub(super) fn labels_are_values(view: &View<'_>) -> Option<Finding> {
    let Targets::Classes { labels } = &view.train.targets else { return None };
    let numbers: Vec<f64> = labels.iter().map_while(|label| label.parse().ok()).collect();
    if numbers.len() < labels.len() {
        return None;
    }
    let mut counts: Vec<(f64, usize)> = numbers.into_iter().zip(view.train.class_counts()).collect();
    counts.retain(|(_, count)| *count > 0);
    counts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let name = target_name(view.config);
    let also_input = view.columns.iter().any(|column| column.name == name);
    Numeric::of(&counts).finding(&name, also_input)
}

fn target_name(config: &DataConfig) -> String {
    let default = if config.train.extension().is_some_and(|extension| extension == "npz") { "y" } else { "label" };
    config.target.as_ref().and_then(|target| target.names().first()).map_or(default, String::as_str).to_owned()
}

/// The same where a classification cannot even be loaded: labels of validation that training does not have, or numbers with
/// fractions. Reads the training file again as a regression; `base` is the folder that its path is relative to. `None` where
/// the target is no quantity, or cannot be read as one either.
pub fn values_as_labels(config: &DataConfig, base: &Path) -> Option<Finding> {
    if config.task != Task::Classification {
        return None;
    }
    let mut config = config.clone();
    (config.task, config.labels, config.validation, config.test) = (Task::Regression, None, None, None);
    (config.validation_fraction, config.test_fraction) = (0.0, 0.0);
    (config.validation_groups, config.test_groups, config.group) = (None, None, None);
    let train = load(&config, base, 1).ok()?.train;
    let mut all: Vec<f32> = Vec::new();
    for sequence in &train.sequences {
        if let SequenceTarget::Values(values) | SequenceTarget::StepValues(values) = &sequence.target {
            all.extend(values.iter().filter(|value| !value.is_nan()));
        }
    }
    all.sort_unstable_by(f32::total_cmp);
    let counts: Vec<(f64, usize)> =
        all.chunk_by(|a, b| a == b).map(|equal| (f64::from(equal[0]), equal.len())).collect();
    let name = target_name(&config);
    let also_input = match &train.inputs {
        emberloop_data::Inputs::Channels(names) => names.contains(&name),
        emberloop_data::Inputs::Tokens { .. } => false,
    };
    Numeric::of(&counts).finding(&name, also_input)
}
