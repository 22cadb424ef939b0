//! The configuration: one TOML document with `[data]`, `[scaler]`, `[model]` and `[training]`.
//!
//! Every key has a default that suits a first try, except `data.train`. A key that is not known is an error that names the
//! nearest one; a value out of range is an error that says the range.

mod checks;
mod document;
mod model;
mod training;

pub use document::ConfigError;
pub(crate) use document::nearest;
pub use model::{CellName, EmbeddingConfig, ModelConfig};
pub use training::{
    Balanced, ClassWeights, ClipConfig, EarlyStoppingConfig, Keep, LossConfig, OptimizerConfig, ScheduleConfig,
    TrainingConfig,
};

use std::path::{Path, PathBuf};

use emberloop_data::{DataConfig, ScalerConfig};
use serde::{Deserialize, Serialize};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Files, columns, splits.
    pub data: DataConfig,
    /// How raw values become what the model sees.
    #[serde(default)]
    pub scaler: ScalerConfig,
    /// The network.
    #[serde(default)]
    pub model: ModelConfig,
    /// How it learns.
    #[serde(default)]
    pub training: TrainingConfig,
    /// The file this was read from, for messages; empty if it was not a file.
    #[serde(skip)]
    pub path: PathBuf,
    /// Whether the document has a `[model]`: a fine-tune without one takes the parent's.
    #[serde(skip)]
    pub model_given: bool,
    /// Which keys the document's `[scaler]` names: they count where a fine-tune keeps the parent's scaler.
    #[serde(skip)]
    pub scaler_given: ScalerGiven,
}

/// The keys of `[scaler]` that stand in a document, as opposed to having their defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScalerGiven {
    /// `kind`
    pub kind: bool,
    /// `missing`
    pub missing: bool,
    /// `target`
    pub target: bool,
}

impl Config {
    /// Reads and checks a configuration.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        Self::parse(&text, path)
    }

    /// Checks a configuration that is already in memory; `path` is for messages and for the folder of its data.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let mut config: Config = document::parse(text, path)?;
        config.path = path.to_path_buf();
        let document: toml::Table = text.parse().unwrap_or_default();
        let scaler = |key| document.get("scaler").and_then(|scaler| scaler.get(key)).is_some();
        config.model_given = document.contains_key("model");
        config.scaler_given =
            ScalerGiven { kind: scaler("kind"), missing: scaler("missing"), target: scaler("target") };
        config.validate()?;
        Ok(config)
    }

    /// A configuration with every default, for data already in memory. Every value counts as given.
    pub fn new(data: DataConfig) -> Self {
        Self {
            data,
            scaler: ScalerConfig::default(),
            model: ModelConfig::default(),
            training: TrainingConfig::default(),
            path: PathBuf::new(),
            model_given: true,
            scaler_given: ScalerGiven { kind: true, missing: true, target: true },
        }
    }

    /// The folder that the configuration's paths are relative to.
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            // Joined with a file's name it leaves that name as the user wrote it.
            _ => Path::new(""),
        }
    }

    /// Checks every value's range, and what two keys say together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let problem = self.model.problem(&self.data).or_else(|| self.training.problem(&self.data));
        match problem {
            None => Ok(()),
            Some(Problem { key, expected, found }) => {
                Err(ConfigError::Value { path: self.path.clone(), key, expected, found })
            }
        }
    }
}

/// A value that cannot be.
pub(crate) struct Problem {
    key: String,
    expected: String,
    found: String,
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self { key: key.into(), expected: expected.into(), found: found.to_string() }
    }
}

/// The first of some checks that fails: `(whether it holds, key, expected, found)`.
pub(crate) fn first_problem(checks: &[(bool, &str, &str, String)]) -> Option<Problem> {
    checks.iter().find(|(holds, ..)| !holds).map(|(_, key, expected, found)| Problem::new(*key, *expected, found))
}

#[cfg(test)]
mod tests;
