//! Which data a command works on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use emberloop_checkpoint::Checkpoint;
use emberloop_core::Config;
use emberloop_data::{DataConfig, DataError, Dataset, Schema, Splits, TargetPer, Targets};

use crate::model::{self, ImageFile, Model};
use crate::output;

/// `--data FILE`, or a split of `--config TOML`.
#[derive(Args, Clone, Debug)]
pub struct Source {
    /// A file to work on: CSV, NPZ or NPY, with the columns or arrays that the model was trained with.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// A training configuration: says how to read --data, or, without it, which files to take --split from.
    #[arg(long, value_name = "TOML")]
    pub config: Option<PathBuf>,
    /// Which split of --config to take.
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    pub split: SplitName,
}

/// A split of a configuration's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// What the model learned from.
    Train,
    /// What chose its weights.
    Validation,
    /// What it never saw.
    Test,
}

/// How a model wants its data read.
pub struct Reader {
    /// Channels, labels, vocabulary.
    pub schema: Schema,
    /// Columns or arrays, where the model remembers them.
    pub data: Option<DataConfig>,
}

impl Reader {
    /// Of any model file. An image does not remember the names of columns that it has no use for: the checkpoint it was
    /// made of does, if it lies beside it.
    pub fn of(model: &Model) -> Result<Self> {
        match model {
            Model::Float(checkpoint) => Ok(Self::of_checkpoint(checkpoint)),
            Model::Image(file) | Model::Quantized(file, _) => Self::of_image(file),
        }
    }

    /// Of a float checkpoint.
    pub fn of_checkpoint(checkpoint: &Checkpoint) -> Self {
        Self { schema: checkpoint.metadata.schema.clone(), data: model::data_config(checkpoint).ok() }
    }

    /// Of an image.
    pub fn of_image(file: &ImageFile) -> Result<Self> {
        if let Some(checkpoint) = model::checkpoint_beside(file) {
            return Ok(Self::of_checkpoint(&checkpoint));
        }
        let schema = model::schema_of(file.parse()?.header());
        Ok(Self { schema: schema.with_context(|| file.path.display().to_string())?, data: None })
    }
}

impl Source {
    /// Reads the data in the model's terms.
    pub fn load(&self, reader: &Reader) -> Result<Dataset> {
        self.load_split(reader, self.split)
    }

    /// As [`Source::load`], with the split chosen by the caller.
    pub fn load_split(&self, reader: &Reader, split: SplitName) -> Result<Dataset> {
        match (&self.data, &self.config) {
            (Some(file), config) => {
                let data = match config {
                    Some(config) => Config::load(config)?.data,
                    None => reader
                        .data
                        .clone()
                        .context("this model does not remember which columns hold its data; add --config train.toml")?,
                };
                Ok(emberloop_data::load_one(&data, file, &reader.schema)?)
            }
            (None, Some(config)) => {
                let (config, splits) = load_config(config)?;
                // Fine-tuned models number tokens and classes as their parents do, and not as this file alone would.
                let splits = emberloop_core::in_terms_of(&reader.schema, &splits)?;
                let dataset = take(splits, split, &config.path)?;
                if dataset.schema() != reader.schema {
                    bail!(
                        "{}: its data do not fit the model: expected {}, found {}",
                        config.path.display(),
                        targets(&reader.schema),
                        targets(&dataset.schema())
                    );
                }
                Ok(dataset)
            }
            (None, None) => bail!("no data: give --data FILE, or --config TOML to take its test split"),
        }
    }
}

/// Refuses a missing value for a model that does, before any work is done: whatever the model's kind, in one wording.
pub fn refuse_missing(dataset: &Dataset) -> Result<()> {
    dataset.each(|sequence, values| {
        if let Some(place) = values.iter().position(|value| value.is_nan()) {
            let (step, channel) = (place / dataset.channels(), place % dataset.channels());
            bail!(
                "{}: sequence {}, step {}, {}: expected a number, found none ({REFUSES_MISSING})",
                dataset.path.display(),
                sequence.name,
                step + 1,
                dataset.channel_name(channel)
            );
        }
        Ok(())
    })
}

/// Why a missing value is an error.
pub const REFUSES_MISSING: &str = "the model refuses missing values; one trained with missing = \"hold_last\" or \"mean\" under [scaler] fills them in";

/// What a model answers, in words.
fn targets(schema: &Schema) -> String {
    let (what, names) = match &schema.targets {
        Targets::Classes { labels } => ("classes", labels),
        Targets::Values { names } => ("values", names),
    };
    let per = match schema.target_per {
        TargetPer::Sequence => "for each sequence",
        TargetPer::Step => "for each step",
    };
    format!("the {what} {} {per}", names.join(", "))
}

/// Reads a configuration and its data, and repeats on stderr what the loader has to say.
pub fn load_config(path: &Path) -> Result<(Config, Splits)> {
    load_splits(Config::load(path)?)
}

/// As [`load_config`], of a configuration that was read already.
pub fn load_splits(config: Config) -> Result<(Config, Splits)> {
    let splits = emberloop_data::load(&config.data, config.folder(), config.training.seed);
    // Of a wrong key the loader knows the table, but not the file.
    let splits = splits.map_err(|error| match error {
        DataError::Config { .. } => anyhow!("{}: {error}", config.path.display()),
        error => error.into(),
    })?;
    for note in &splits.notes {
        output::message(&format!("note: {note}"));
    }
    Ok((config, splits))
}

fn take(splits: Splits, split: SplitName, config: &Path) -> Result<Dataset> {
    let dataset = match split {
        SplitName::Train => splits.train,
        SplitName::Validation => splits.validation,
        SplitName::Test => splits
            .test
            .with_context(|| format!("{}: has no test split (data.test or data.test_fraction)", config.display()))?,
    };
    if dataset.sequences.is_empty() {
        let split = format!("{split:?}").to_lowercase();
        bail!("{}: the {split} split is empty: there are too few sequences to divide", config.display());
    }
    Ok(dataset)
}
