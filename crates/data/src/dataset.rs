//! What a file becomes: sequences, and the words in which a model speaks of them.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::values::Values;

/// The vocabulary's entry 0: every token that the training split never showed.
pub const UNKNOWN_TOKEN: &str = "<unknown>";

/// What one step of a sequence consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Inputs {
    /// One number per named channel.
    Channels(Vec<String>),
    /// One token per step, given to the model as its place in the vocabulary.
    Tokens {
        /// The column (CSV) or array (NPZ) that holds the tokens.
        column: String,
        /// The tokens of the training split in order; entry 0 is [`UNKNOWN_TOKEN`].
        vocabulary: Vec<String>,
    },
}

impl Inputs {
    /// How many numbers one step holds: the channels, or 1 (the token's id).
    pub fn width(&self) -> usize {
        match self {
            Inputs::Channels(names) => names.len(),
            Inputs::Tokens { .. } => 1,
        }
    }
}

/// What the model is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Targets {
    /// One of these classes; a class is known by its place in the list.
    Classes {
        /// The names, by class.
        labels: Vec<String>,
    },
    /// One number for each name.
    Values {
        /// The names, by output.
        names: Vec<String>,
    },
}

impl Targets {
    /// How many outputs a model for these targets has.
    pub fn outputs(&self) -> usize {
        match self {
            Targets::Classes { labels } => labels.len(),
            Targets::Values { names } => names.len(),
        }
    }
}

/// Whether a target belongs to a whole sequence or to each of its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetPer {
    /// One target for the sequence.
    #[default]
    Sequence,
    /// One target for every step.
    Step,
}

/// The target of one sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceTarget {
    /// The class of the sequence.
    Class(usize),
    /// The class of each step, `[steps]`.
    Classes(Vec<usize>),
    /// The values of the sequence in raw units, `[outputs]`.
    Values(Vec<f32>),
    /// The values of each step in raw units, `[steps, outputs]` row-major; NaN where a value is missing.
    StepValues(Vec<f32>),
    /// Not in the file: read by [`load_inputs`](crate::load_inputs) for inference alone.
    Absent,
}

/// One sequence in raw units.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// What the file calls it: the cell of its sequence column, its place in the array, or the rows of its window.
    pub name: String,
    /// Number of steps, at least 1.
    pub steps: usize,
    /// `[steps, channels]` row-major in raw units; NaN where a value is missing. For tokens: their ids.
    pub values: Values,
    /// What the model should say about it.
    pub target: SequenceTarget,
    /// The person, record or device it comes from, where the configuration names one.
    pub group: Option<Arc<str>>,
}

/// Sequences of one split, and what their numbers mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What one step consists of.
    pub inputs: Inputs,
    /// What the model is to say.
    pub targets: Targets,
    /// About what it says it.
    pub target_per: TargetPer,
    /// The sequences.
    pub sequences: Vec<Sequence>,
    /// SHA-256 over the bytes of the source file (for `.npy`: of every file read, in the order inputs, target, lengths,
    /// group), as lower-case hexadecimal digits.
    pub hash: String,
    /// The file, for messages.
    pub path: PathBuf,
}

impl Dataset {
    /// How many numbers one step holds: the channels, or 1 for a token's id.
    pub fn channels(&self) -> usize {
        self.inputs.width()
    }

    /// What a model trained on this dataset must remember to read another file.
    pub fn schema(&self) -> Schema {
        Schema { inputs: self.inputs.clone(), targets: self.targets.clone(), target_per: self.target_per }
    }

    /// The name of a channel, for messages.
    pub fn channel_name(&self, channel: usize) -> String {
        match &self.inputs {
            Inputs::Channels(names) => names.get(channel).cloned().unwrap_or_else(|| channel.to_string()),
            Inputs::Tokens { column, .. } => column.clone(),
        }
    }

    /// How many sequences (or, with a target per step, steps) each class has; empty for regression.
    pub fn class_counts(&self) -> Vec<usize> {
        let Targets::Classes { labels } = &self.targets else { return Vec::new() };
        let mut counts = vec![0; labels.len()];
        for sequence in &self.sequences {
            match &sequence.target {
                SequenceTarget::Class(class) => counts[*class] += 1,
                SequenceTarget::Classes(classes) => classes.iter().for_each(|class| counts[*class] += 1),
                SequenceTarget::Values(_) | SequenceTarget::StepValues(_) | SequenceTarget::Absent => {}
            }
        }
        counts
    }
}

/// The three parts of the data, and what a person should know about how they were made.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// What the model and its scaler are fitted on.
    pub train: Dataset,
    /// What chooses the best epoch. It has no sequences where the configuration asked for none (fraction 0) or where
    /// none could be spared; `notes` says so.
    pub validation: Dataset,
    /// What nothing is chosen by, where there is one.
    pub test: Option<Dataset>,
    /// One sentence for each thing that was dropped, left out or could not be had.
    pub notes: Vec<String>,
}

/// What a trained model remembers of its data, so that another file can be read in the same terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// What one step consists of, by name and in order.
    pub inputs: Inputs,
    /// What the model says, by name and in order.
    pub targets: Targets,
    /// About what it says it.
    pub target_per: TargetPer,
}
