//! From raw units to the numbers that the model sees, by statistics of the training split alone.

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Sequence};
use crate::error::DataError;

/// Which statistics scale a channel: `scaled = (raw - offset) / scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalerKind {
    /// Mean and population standard deviation (divided by n, as scikit-learn's `StandardScaler`).
    #[default]
    Standard,
    /// Minimum and range, so that the training split covers 0 to 1.
    Minmax,
    /// Median and interquartile range (quantiles interpolated linearly, as NumPy's default).
    Robust,
    /// 0 and 1: raw values as they are.
    None,
}

/// What to do about a missing value. The device knows the same three policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingPolicy {
    /// Refuse it.
    #[default]
    Error,
    /// The channel's last valid raw value in the same sequence (streaming: since the reset); before the first, `fill`.
    HoldLast,
    /// The channel's mean over the training split.
    Mean,
}

/// How one channel or target is scaled: `scaled = (raw - offset) / scale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureScale {
    /// The raw value that becomes 0.
    pub offset: f64,
    /// The raw distance that becomes 1; above 0, and 1 for a constant channel.
    pub scale: f64,
    /// Stands in for a missing value: the training mean in raw units.
    pub fill: f64,
}

/// The scaler of a model's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaler {
    /// Which statistics were fitted.
    pub kind: ScalerKind,
    /// What to do about a missing value.
    pub missing: MissingPolicy,
    /// One entry per channel; empty for tokens, which are never scaled.
    pub features: Vec<FeatureScale>,
}

impl Scaler {
    /// Fits the scaler on the training split, ignoring missing values.
    pub fn fit(train: &Dataset, kind: ScalerKind, missing: MissingPolicy) -> Result<Scaler, DataError> {
        let _ = (train, kind, missing);
        todo!("being written")
    }

    /// The sequence's raw values with every missing one filled by the policy.
    pub fn fill_raw(&self, sequence: &Sequence) -> Result<Vec<f32>, DataError> {
        let _ = sequence;
        todo!("being written")
    }

    /// Fills missing values, then scales; computed in f64 and rounded once to f32.
    pub fn apply(&self, sequence: &Sequence) -> Result<Vec<f32>, DataError> {
        let _ = sequence;
        todo!("being written")
    }
}

/// Fills missing values of a stream, step by step.
#[derive(Clone, Debug)]
pub struct Filler<'a> {
    scaler: &'a Scaler,
    last: Vec<f32>,
}

impl<'a> Filler<'a> {
    /// A filler that has seen no step yet.
    pub fn new(scaler: &'a Scaler) -> Filler<'a> {
        Filler { scaler, last: scaler.features.iter().map(|feature| feature.fill as f32).collect() }
    }

    /// Fills the missing values of one raw step in place and returns how many there were; under
    /// [`MissingPolicy::Error`], the first missing channel as the error.
    pub fn step(&mut self, raw: &mut [f32]) -> Result<usize, usize> {
        let _ = (raw, self.scaler, &mut self.last);
        todo!("being written")
    }
}

/// The scaler of regression targets: standardised by the training split, or 0 and 1 where that is switched off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScaler {
    /// One entry per output.
    pub features: Vec<FeatureScale>,
}

impl TargetScaler {
    /// Fits on the training split; `None` for classification. Without `standardise` every target is left as it is.
    pub fn fit(train: &Dataset, standardise: bool) -> Result<Option<TargetScaler>, DataError> {
        let _ = (train, standardise);
        todo!("being written")
    }

    /// One raw value of output `output` as the model should say it.
    pub fn apply(&self, output: usize, raw: f32) -> f32 {
        let feature = &self.features[output];
        ((f64::from(raw) - feature.offset) / feature.scale) as f32
    }

    /// What the model said for output `output`, in raw units.
    pub fn inverse(&self, output: usize, scaled: f32) -> f32 {
        let feature = &self.features[output];
        (f64::from(scaled) * feature.scale + feature.offset) as f32
    }
}
