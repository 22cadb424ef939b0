//! From raw units to the numbers that the model sees, by statistics of the training split alone.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Inputs, Sequence, SequenceTarget, Targets};
use crate::error::DataError;
use crate::statistics;

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

/// What stands in the way of scaling a sequence.
pub(crate) struct Fault {
    step: usize,
    channel: usize,
    kind: FaultKind,
}

enum FaultKind {
    Missing,
    NotFinite(f32),
}

impl Fault {
    /// The error, with the names that only the caller knows.
    pub(crate) fn into_error(self, path: &Path, sequence: &str, channel: String) -> DataError {
        match self.kind {
            FaultKind::Missing => {
                DataError::Missing { path: path.to_owned(), sequence: sequence.into(), step: self.step, channel }
            }
            FaultKind::NotFinite(value) => DataError::Content {
                path: path.to_owned(),
                place: format!("sequence {sequence}, step {}, channel {channel}", self.step),
                expected: "a value that is finite before and after scaling".into(),
                found: value.to_string(),
            },
        }
    }

    pub(crate) fn channel(&self) -> usize {
        self.channel
    }
}

impl Scaler {
    /// Fits the scaler on the training split, ignoring missing values. Tokens are not scaled: their scaler is of kind
    /// [`ScalerKind::None`] and has no features.
    pub fn fit(train: &Dataset, kind: ScalerKind, missing: MissingPolicy) -> Result<Scaler, DataError> {
        let Inputs::Channels(names) = &train.inputs else {
            return Ok(Scaler { kind: ScalerKind::None, missing, features: Vec::new() });
        };
        let pass = |look: &mut dyn FnMut(&[f32]) -> Result<(), DataError>| train.each(|_, values| look(values));
        let features = statistics::fit(names.len(), kind, &pass)?;
        let features = features
            .into_iter()
            .zip(names)
            .map(|(feature, name)| feature.ok_or_else(|| no_value(train, format!("channel {name:?}"))));
        Ok(Scaler { kind, missing, features: features.collect::<Result<_, _>>()? })
    }

    /// The sequence's raw values with every missing one filled by the policy.
    ///
    /// # Panics
    /// If the sequence has another number of channels than the scaler; so for every method that takes a sequence.
    pub fn fill_raw(&self, sequence: &Sequence) -> Result<Vec<f32>, DataError> {
        let mut values = sequence.values.read()?.into_owned();
        self.fill_in_place(sequence.steps, &mut values).map_err(|fault| self.describe(fault, sequence))?;
        Ok(values)
    }

    /// Fills missing values, then scales; computed in f64 and rounded once to f32.
    pub fn apply(&self, sequence: &Sequence) -> Result<Vec<f32>, DataError> {
        let mut values = sequence.values.read()?.into_owned();
        self.apply_in_place(sequence.steps, &mut values).map_err(|fault| self.describe(fault, sequence))?;
        Ok(values)
    }

    /// Whether values of a channel between two others scale to what is finite, if those two do.
    pub(crate) fn is_finite_within(&self, channel: usize, low: f32, high: f32) -> bool {
        let feature = &self.features[channel];
        [low, high].into_iter().all(|raw| (((f64::from(raw) - feature.offset) / feature.scale) as f32).is_finite())
    }

    /// Fills and scales `[steps, channels]`.
    ///
    /// # Panics
    /// If `values` is not of that shape.
    pub(crate) fn apply_in_place(&self, steps: usize, values: &mut [f32]) -> Result<(), Fault> {
        self.fill_in_place(steps, values)?;
        if self.features.is_empty() {
            return Ok(());
        }
        for (step, row) in values.chunks_exact_mut(self.features.len()).enumerate() {
            for (channel, (value, feature)) in row.iter_mut().zip(&self.features).enumerate() {
                let scaled = ((f64::from(*value) - feature.offset) / feature.scale) as f32;
                if !scaled.is_finite() {
                    return Err(Fault { step, channel, kind: FaultKind::NotFinite(*value) });
                }
                *value = scaled;
            }
        }
        Ok(())
    }

    fn fill_in_place(&self, steps: usize, values: &mut [f32]) -> Result<(), Fault> {
        if self.features.is_empty() {
            return Ok(());
        }
        assert_eq!(values.len(), steps * self.features.len(), "the scaler knows {} channels", self.features.len());
        let mut filler = Filler::new(self);
        for (step, row) in values.chunks_exact_mut(self.features.len()).enumerate() {
            filler.step(row).map_err(|channel| Fault { step, channel, kind: FaultKind::Missing })?;
        }
        Ok(())
    }

    fn describe(&self, fault: Fault, sequence: &Sequence) -> DataError {
        let channel = fault.channel().to_string();
        fault.into_error(Path::new("input"), &sequence.name, channel)
    }
}

/// The error that there is nothing to fit on.
fn no_value(train: &Dataset, what: String) -> DataError {
    DataError::TooLittle {
        path: train.path.clone(),
        what,
        expected: "at least one value in the training split".into(),
        found: "none".into(),
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

    /// Forgets every step, as at the start of a sequence.
    pub fn reset(&mut self) {
        for (last, feature) in self.last.iter_mut().zip(&self.scaler.features) {
            *last = feature.fill as f32;
        }
    }

    /// Fills the missing values (NaN) of one raw step in place and returns how many there were; under
    /// [`MissingPolicy::Error`], the first missing channel as the error, with the step left as it was.
    pub fn step(&mut self, raw: &mut [f32]) -> Result<usize, usize> {
        let mut filled = 0;
        for (channel, (value, last)) in raw.iter_mut().zip(&mut self.last).enumerate() {
            if !value.is_nan() {
                if self.scaler.missing == MissingPolicy::HoldLast {
                    *last = *value;
                }
                continue;
            }
            match self.scaler.missing {
                MissingPolicy::Error => return Err(channel),
                // Under `mean`, `last` is never anything but the mean.
                MissingPolicy::HoldLast | MissingPolicy::Mean => {
                    *value = *last;
                    filled += 1;
                }
            }
        }
        Ok(filled)
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
        let Targets::Values { names } = &train.targets else { return Ok(None) };
        let kind = if standardise { ScalerKind::Standard } else { ScalerKind::None };
        let pass = |look: &mut dyn FnMut(&[f32]) -> Result<(), DataError>| {
            train.sequences.iter().try_for_each(|sequence| match &sequence.target {
                SequenceTarget::Values(values) | SequenceTarget::StepValues(values) => look(values),
                SequenceTarget::Class(_) | SequenceTarget::Classes(_) | SequenceTarget::Absent => Ok(()),
            })
        };
        let features = statistics::fit(names.len(), kind, &pass)?;
        let features = features
            .into_iter()
            .zip(names)
            .map(|(feature, name)| feature.ok_or_else(|| no_value(train, format!("target {name:?}"))));
        Ok(Some(TargetScaler { features: features.collect::<Result<_, _>>()? }))
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
