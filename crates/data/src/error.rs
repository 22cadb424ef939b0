//! What can be wrong with data, in one line each.

use std::path::PathBuf;

use thiserror::Error;

/// Something wrong with a data file or with what the configuration says about it.
///
/// Each message is one line: the file, the place in it, what was expected, what was found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be read.
    #[error("{}: cannot read it: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Something in the file is not what it must be.
    #[error("{}: {place}: expected {expected}, found {found}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Line, column, sequence or array.
        place: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A column or array that the configuration or the model names is not in the file.
    #[error("{}: no {what} {name:?}{}; it has: {}", path.display(), suggestion(nearest), known.join(", "))]
    NotThere {
        /// The file.
        path: PathBuf,
        /// "column", "array" or "group".
        what: &'static str,
        /// The name that was looked for.
        name: String,
        /// The name most like it.
        nearest: Option<String>,
        /// Every name there is.
        known: Vec<String>,
    },
    /// A label that the model does not know.
    #[error("{}: {place}: label {label:?} was not seen in training; known labels: {}", path.display(), known.join(", "))]
    UnknownLabel {
        /// The file.
        path: PathBuf,
        /// Line or sequence.
        place: String,
        /// The label found.
        label: String,
        /// The labels of the training file.
        known: Vec<String>,
    },
    /// A value is missing, and the policy is to refuse that.
    #[error(
        "{}: sequence {sequence}, step {step}, channel {channel}: expected a number, found no value \
         (set missing = \"hold_last\" or \"mean\" under [scaler] to fill it)",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The sequence's name.
        sequence: String,
        /// The step, from 0.
        step: usize,
        /// The channel's name.
        channel: String,
    },
    /// There is too little data for what was asked.
    #[error("{}: {what}: expected {expected}, found {found}", path.display())]
    TooLittle {
        /// The file.
        path: PathBuf,
        /// What cannot be made from it.
        what: String,
        /// How much it needs.
        expected: String,
        /// How much there is.
        found: String,
    },
    /// The configuration contradicts itself or the file.
    #[error("[data] {key}: {problem}")]
    Config {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}
