//! The `[data]` and `[scaler]` tables of a configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::dataset::TargetPer;
use crate::scaler::{MissingPolicy, ScalerKind};

/// What kind of answer the model gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of several classes.
    #[default]
    Classification,
    /// One or more numbers.
    Regression,
}

/// The `memory` key: whether the inputs of an NPZ or `.npy` are read into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// Streamed if they would take more than 1 GiB as float32 and can be streamed; loaded if not.
    #[default]
    Auto,
    /// Read into memory once, whatever they take.
    Load,
    /// Read from the file a few sequences at a time, whenever they are wanted. That takes a `.npy` file or an NPZ that is
    /// not compressed (`numpy.savez`), of numbers in C order. Targets, lengths and groups are in memory all the same.
    Stream,
}

impl Memory {
    fn is_auto(&self) -> bool {
        *self == Memory::Auto
    }
}

/// The `padding` key: the value, or the token, that rows which are no data consist of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected padding to be a number, or the text of a token")]
pub enum Padding {
    /// Of channels: every one has this value. `nan` stands for rows without any value.
    Value(f64),
    /// Of tokens.
    Token(String),
}

/// The `overlap` key: what becomes of sequences that share content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// They are divided as all others are.
    #[default]
    Allow,
    /// They stay on one side of the split. What is left of them in validation (test) while it is in training (or validation)
    /// is left out there: files of their own, the groups of `group`, and the seams where a recording had to be cut.
    Separate,
}

impl Overlap {
    fn is_allow(&self) -> bool {
        *self == Overlap::Allow
    }
}

/// The `target` key: one column or array, or several columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetColumns {
    /// One column (CSV), array (NPZ) or file (`.npy`).
    One(String),
    /// Several columns of a CSV, for regression.
    Many(Vec<String>),
}

impl TargetColumns {
    /// The names, one or more.
    pub fn names(&self) -> &[String] {
        match self {
            TargetColumns::One(name) => std::slice::from_ref(name),
            TargetColumns::Many(names) => names,
        }
    }
}

/// `[data.window]`: how a long series is cut into sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Rows in a window.
    pub length: usize,
    /// Rows from the start of a window to the start of the next.
    #[serde(default = "one")]
    pub stride: usize,
    /// The target is taken this many rows after the window's last row; 0 takes it from the last row itself.
    #[serde(default)]
    pub horizon: usize,
}

/// `[data]`: which files to read, and how. Paths are relative to the folder of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The training file. Its extension says how to read it: `.csv` (or `.txt`, `.tsv`), `.npz`, `.npy`.
    pub train: PathBuf,
    /// The validation file; without one, `validation_fraction` of the training file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// The test file; without one, `test_fraction` of the training file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The share of the training file kept for validation.
    #[serde(default = "default_validation_fraction")]
    pub validation_fraction: f64,
    /// The share of the training file kept for testing.
    #[serde(default)]
    pub test_fraction: f64,
    /// Classification or regression.
    #[serde(default)]
    pub task: Task,
    /// One target per sequence or per step.
    #[serde(default)]
    pub target_per: TargetPer,
    /// CSV: the column that groups rows into sequences. Without it the file is one long series and needs `window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// CSV: the column that orders the rows of a sequence; each value may occur once in a sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// CSV: the input columns; by default every numeric column that no other key names. NPZ: names for the channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// Instead of channels: the column (CSV) or array (NPZ) that holds one token per step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The target's column or columns (CSV, default `label`), array (NPZ, default `y`) or file (`.npy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetColumns>,
    /// The column or array that says whose sequence it is; no group is on two sides of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// CSV: cells that mean "no value".
    #[serde(default = "default_missing_values")]
    pub missing_values: Vec<String>,
    /// NPZ: the array `[n, steps, channels]` or `[n, steps]`.
    #[serde(default = "default_inputs")]
    pub inputs: String,
    /// NPZ: the array `[n]` of lengths. Without the key, an array named `lengths` is used where there is one; `"none"` uses
    /// none, and every sequence has all the steps of the array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<String>,
    /// The classes in order. NPZ: names of the codes 0, 1, ...; CSV: the labels themselves. By default the labels found
    /// in the training file, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// The groups to validate on, in place of a share of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_groups: Option<Vec<String>>,
    /// The groups to test on, in place of a share of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_groups: Option<Vec<String>>,
    /// How a long series is cut into sequences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowConfig>,
    /// NPZ and `.npy`: whether the inputs are loaded, or streamed from the file: data larger than memory.
    // Left out where it says nothing, so that a run of an earlier version resumes.
    #[serde(default, skip_serializing_if = "Memory::is_auto")]
    pub memory: Memory,
    /// Streamed data: so many neighbouring sequences are read at once and stay together as a block. An epoch takes the blocks
    /// in a random order, 64 at a time, whose sequences are shuffled; so 64 blocks are in memory. By default as many as
    /// have 1 MiB of numbers as float32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle_block: Option<usize>,
    /// Rows at the end of a sequence of which every channel has this value (or whose token is this text) are no data, and are
    /// cut off; one row stays. Not for streamed inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<Padding>,
    /// Whether sequences that share content may be on two sides of a split. They share it if they are equal, or if a run of
    /// rows stands in both that is too surprising to be there twice by chance: overlapping windows of one recording.
    #[serde(default, skip_serializing_if = "Overlap::is_allow")]
    pub overlap: Overlap,
}

impl DataConfig {
    /// Every default, for one training file.
    pub fn new(train: impl Into<PathBuf>) -> DataConfig {
        DataConfig {
            train: train.into(),
            validation: None,
            test: None,
            validation_fraction: default_validation_fraction(),
            test_fraction: 0.0,
            task: Task::default(),
            target_per: TargetPer::default(),
            sequence: None,
            step: None,
            channels: None,
            token: None,
            target: None,
            group: None,
            missing_values: default_missing_values(),
            inputs: default_inputs(),
            lengths: None,
            labels: None,
            validation_groups: None,
            test_groups: None,
            window: None,
            memory: Memory::default(),
            shuffle_block: None,
            padding: None,
            overlap: Overlap::default(),
        }
    }
}

/// `[scaler]`: how raw values become the numbers that the model sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScalerConfig {
    /// Which statistics scale a channel.
    pub kind: ScalerKind,
    /// What to do about a missing value.
    pub missing: MissingPolicy,
    /// Whether regression targets are standardised for training.
    pub target: bool,
}

impl Default for ScalerConfig {
    fn default() -> ScalerConfig {
        ScalerConfig { kind: ScalerKind::default(), missing: MissingPolicy::default(), target: true }
    }
}

fn one() -> usize {
    1
}

fn default_validation_fraction() -> f64 {
    0.2
}

fn default_missing_values() -> Vec<String> {
    ["", "NA", "NaN", "?"].map(String::from).to_vec()
}

fn default_inputs() -> String {
    String::from("x")
}
