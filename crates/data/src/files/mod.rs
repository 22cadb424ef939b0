//! One file at a time: from bytes to sequences, in the file's own words.
//!
//! Labels and tokens are numbered here in the order in which the file shows them. What class or place in the vocabulary
//! a number stands for is settled only after the split ([`crate::resolve`]), because the vocabulary is the training
//! split's alone.

pub(crate) mod array;
mod element;
mod header;
pub(crate) mod numpy;
mod padding;
pub(crate) mod rows;
pub(crate) mod stored;
pub(crate) mod table;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::DataConfig;
use crate::dataset::{Inputs, Schema, Sequence, TargetPer, Targets};
use crate::error::DataError;
use crate::names::Names;

/// What is wanted of a file.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) config: &'a DataConfig,
    /// The terms of a trained model, or of the training file; `None` when reading the training file itself.
    pub(crate) schema: Option<&'a Schema>,
    /// Whether targets are looked for.
    pub(crate) targets: bool,
}

impl Request<'_> {
    pub(crate) fn target_per(&self) -> TargetPer {
        self.schema.map_or(self.config.target_per, |schema| schema.target_per)
    }

    /// Whether the targets are classes.
    pub(crate) fn classes(&self) -> bool {
        match self.schema {
            Some(schema) => matches!(schema.targets, Targets::Classes { .. }),
            None => self.config.task == crate::Task::Classification,
        }
    }

    /// The column or array of tokens, if the inputs are tokens.
    pub(crate) fn token(&self) -> Option<&str> {
        match self.schema.map(|schema| &schema.inputs) {
            Some(Inputs::Tokens { column, .. }) => Some(column),
            Some(Inputs::Channels(_)) => None,
            None => self.config.token.as_deref(),
        }
    }

    /// The channels' names, if they are settled.
    pub(crate) fn channels(&self) -> Option<&[String]> {
        match self.schema.map(|schema| &schema.inputs) {
            Some(Inputs::Channels(names)) => Some(names),
            Some(Inputs::Tokens { .. }) => None,
            None => self.config.channels.as_deref(),
        }
    }
}

/// What a file turned out to hold.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) hash: String,
    pub(crate) inputs: SourceInputs,
    pub(crate) targets: SourceTargets,
    pub(crate) target_per: TargetPer,
    /// Classes and tokens are numbers in `targets` and `inputs`.
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) notes: Vec<String>,
}

pub(crate) enum SourceInputs {
    Channels(Vec<String>),
    Tokens { column: String, tokens: Names },
}

pub(crate) enum SourceTargets {
    Labels(Names),
    Values(Vec<String>),
    Absent,
}

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv { delimiter: u8 },
    Npz,
    Npy,
}

impl Format {
    pub(crate) fn of(path: &Path) -> Result<Format, DataError> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("csv" | "txt") => Ok(Format::Csv { delimiter: b',' }),
            Some("tsv") => Ok(Format::Csv { delimiter: b'\t' }),
            Some("npz") => Ok(Format::Npz),
            Some("npy") => Ok(Format::Npy),
            _ => Err(DataError::Content {
                path: path.to_owned(),
                place: "file name".into(),
                expected: "an extension that says how to read it: .csv, .txt, .tsv, .npz or .npy".into(),
                found: extension.map_or_else(|| "none".into(), |extension| format!(".{extension}")),
            }),
        }
    }
}

/// The bytes of a file.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Io { path: path.to_owned(), source })
}

/// Lower-case hexadecimal digits.
pub(crate) fn digits(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
