//! What a checkpoint says about itself.

use std::collections::BTreeMap;

use emberloop_data::{Inputs, Scaler, Schema, TargetScaler, Targets, Task};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::architecture::Architecture;

/// The version of the metadata's layout that this crate writes and reads.
pub const FORMAT: u32 = 1;

/// Everything in a checkpoint that is not a weight; JSON under the key `emberloop` of the file's `__metadata__`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The layout's version, [`FORMAT`].
    pub format: u32,
    /// What the tensors form together.
    pub architecture: Architecture,
    /// Names of the channels or tokens, and of the labels or targets.
    pub schema: Schema,
    /// How a raw input becomes what the first layer reads.
    pub scaler: Scaler,
    /// Regression: how the head's numbers become raw units. Absent for classification.
    pub target_scaler: Option<TargetScaler>,
    /// The whole training configuration, so that the run can be repeated.
    pub config: Value,
    /// Named results, such as `val_accuracy`.
    pub metrics: BTreeMap<String, f64>,
    /// Where the model comes from.
    pub provenance: Provenance,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of emberloop that trained it.
    pub emberloop: String,
    /// The run's seed.
    pub seed: u64,
    /// SHA-256 of the training data's files.
    pub data_hash: String,
    /// Epochs trained until these weights.
    pub epochs: u64,
    /// [`Checkpoint::hash`](crate::Checkpoint::hash) of the model that a fine-tune started from.
    pub parent: Option<String>,
    /// Versions of whatever else may have a say in the result, such as `burn`.
    pub versions: BTreeMap<String, String>,
}

impl Metadata {
    /// The JSON as it stands in the file.
    ///
    /// The configuration's keys are sorted: whether `serde_json` keeps them sorted by itself depends on features that
    /// any crate of the build may switch on.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let sorted = Metadata { config: sort_keys(self.config.clone()), ..self.clone() };
        serde_json::to_string(&sorted)
    }

    /// Finds what does not fit together: `(what, expected, found)`.
    pub(crate) fn flaw(&self) -> Option<(String, String, String)> {
        if self.format != FORMAT {
            return Some(("format".into(), FORMAT.to_string(), self.format.to_string()));
        }
        if let Some((what, expected, found)) = self.architecture.flaw() {
            return Some((format!("architecture.{what}"), expected, found));
        }
        self.sizes_flaw().or_else(|| self.number_flaw())
    }

    /// The parts of the metadata that count the same things must agree.
    fn sizes_flaw(&self) -> Option<(String, String, String)> {
        let architecture = &self.architecture;
        let mut counts = Vec::new();
        match (&self.schema.inputs, &architecture.embedding) {
            (Inputs::Channels(names), None) => {
                counts.push(("schema.inputs", architecture.inputs, names.len()));
                counts.push(("scaler.features", architecture.inputs, self.scaler.features.len()));
            }
            (Inputs::Tokens { vocabulary, .. }, Some(embedding)) => {
                counts.push(("schema.inputs.vocabulary", embedding.vocabulary, vocabulary.len()));
            }
            (Inputs::Channels(_), Some(_)) => {
                return Some(("schema.inputs".into(), "tokens, as there is an embedding".into(), "channels".into()));
            }
            (Inputs::Tokens { .. }, None) => {
                return Some(("architecture.embedding".into(), "one, as the inputs are tokens".into(), "none".into()));
            }
        }
        match (&self.schema.targets, architecture.task) {
            (Targets::Classes { labels }, Task::Classification) => {
                counts.push(("schema.targets.labels", architecture.outputs, labels.len()));
                counts.push(("target_scaler", 0, usize::from(self.target_scaler.is_some())));
            }
            (Targets::Values { names }, Task::Regression) => {
                counts.push(("schema.targets.names", architecture.outputs, names.len()));
                if let Some(scaler) = &self.target_scaler {
                    counts.push(("target_scaler.features", architecture.outputs, scaler.features.len()));
                }
            }
            (Targets::Classes { .. }, Task::Regression) => {
                return Some(("schema.targets".into(), "values, as the task is regression".into(), "classes".into()));
            }
            (Targets::Values { .. }, Task::Classification) => {
                let expected = "classes, as the task is classification";
                return Some(("schema.targets".into(), expected.into(), "values".into()));
            }
        }
        let (what, expected, found) = counts.into_iter().find(|(_, expected, found)| expected != found)?;
        Some((what.into(), expected.to_string(), found.to_string()))
    }

    /// JSON has no NaN and no infinity, and a scale of 0 divides by it.
    fn number_flaw(&self) -> Option<(String, String, String)> {
        for (name, value) in &self.metrics {
            if !value.is_finite() {
                return Some((format!("metrics.{name}"), "a finite number".into(), value.to_string()));
            }
        }
        let inputs = self.scaler.features.iter().map(|feature| ("scaler", feature));
        let targets = self.target_scaler.iter().flat_map(|scaler| &scaler.features);
        for (what, feature) in inputs.chain(targets.map(|feature| ("target_scaler", feature))) {
            if !(feature.offset.is_finite() && feature.fill.is_finite() && feature.scale.is_finite())
                || feature.scale <= 0.0
            {
                let expected = "finite numbers and a scale above 0".to_string();
                return Some((format!("{what}.features"), expected, format!("{feature:?}")));
            }
        }
        None
    }
}

fn sort_keys(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<String, Value> = map.into_iter().map(|(key, value)| (key, sort_keys(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sort_keys).collect()),
        plain => plain,
    }
}
