//! What several checks look at: the training split, its columns, and a sample of its rows.

use std::borrow::Cow;

use emberloop_data::{DataConfig, DataError, Dataset, Inputs, ScalerConfig, Splits};

/// Numbers of streamed data that are looked at.
const NUMBERS: usize = 1 << 22;

/// Rows whose values are sorted and compared with one another.
const SAMPLE_ROWS: usize = 4096;

/// One look at the data that the checks share.
pub(super) struct View<'a> {
    pub(super) config: &'a DataConfig,
    pub(super) scaler: &'a ScalerConfig,
    pub(super) splits: &'a Splits,
    /// The training split; of streamed data a sample of it.
    pub(super) train: Cow<'a, Dataset>,
    /// One for each channel; none for tokens.
    pub(super) columns: Vec<Column>,
    /// `[rows, channels]`, rows taken evenly; empty for tokens.
    pub(super) sample: Vec<f32>,
}

/// One channel of the training split.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) sums: Sums,
    /// Values of the sample that are not missing, in order.
    pub(super) sorted: Vec<f32>,
}

impl Column {
    /// The value below which a share of the sample lies; NaN of an empty one.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((share * last as f64).round() as usize).map_or(f64::NAN, |&value| f64::from(value))
    }

    pub(super) fn is_constant(&self) -> bool {
        self.sums.count > 0.0 && self.sums.minimum == self.sums.maximum
    }
}

/// Sums over the values of a channel that are not missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) count: f64,
    pub(super) missing: f64,
    /// Near the mean, so that squares of what differs from it do not cancel.
    origin: f64,
    first: f64,
    second: f64,
    pub(super) minimum: f64,
    pub(super) maximum: f64,
}

impl Sums {
    fn new(origin: f32) -> Sums {
        let origin = if origin.is_finite() { f64::from(origin) } else { 0.0 };
        let (minimum, maximum) = (f64::INFINITY, f64::NEG_INFINITY);
        Sums { count: 0.0, missing: 0.0, origin, first: 0.0, second: 0.0, minimum, maximum }
    }

    fn add(&mut self, value: f32) {
        if value.is_nan() {
            self.missing += 1.0;
            return;
        }
        let value = f64::from(value);
        let off = value - self.origin;
        self.count += 1.0;
        self.first += off;
        self.second += off * off;
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
    }

    pub(super) fn mean(&self) -> f64 {
        self.origin + self.first / self.count
    }

    /// Population standard deviation.
    pub(super) fn deviation(&self) -> f64 {
        let mean = self.first / self.count;
        (self.second / self.count - mean * mean).max(0.0).sqrt()
    }

    /// Of this and another stretch of the same channel.
    pub(super) fn with(self, other: &Sums) -> Sums {
        let shift = other.origin - self.origin;
        Sums {
            count: self.count + other.count,
            missing: self.missing + other.missing,
            origin: self.origin,
            first: self.first + other.first + other.count * shift,
            second: self.second + other.second + 2.0 * shift * other.first + other.count * shift * shift,
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.max(other.maximum),
        }
    }
}

impl<'a> View<'a> {
    pub(super) fn new(config: &'a DataConfig, scaler: &'a ScalerConfig, splits: &'a Splits) -> Result<Self, DataError> {
        let train = splits.train.sample(NUMBERS)?;
        let Inputs::Channels(names) = &train.inputs else {
            return Ok(View { config, scaler, splits, train, columns: Vec::new(), sample: Vec::new() });
        };
        let width = names.len();
        let sums = sums(config, &train)?;
        let rows = sums.first().map_or(0.0, |sums| sums.count + sums.missing) as usize;
        let mut sample = Vec::with_capacity(SAMPLE_ROWS * width);
        let (stride, mut row): (usize, usize) = (rows.div_ceil(SAMPLE_ROWS).max(1), 0);
        each_own(config, &train, |values| {
            let first = row.next_multiple_of(stride) - row;
            row += values.len() / width;
            values.chunks_exact(width).skip(first).step_by(stride).for_each(|values| sample.extend_from_slice(values));
        })?;
        let column = |(at, (name, sums)): (usize, (&String, Sums))| {
            let values = sample.iter().skip(at).step_by(width).copied();
            let mut sorted: Vec<f32> = values.filter(|value| !value.is_nan()).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            Column { name: name.clone(), sums, sorted }
        };
        let columns = names.iter().zip(sums).enumerate().map(column).collect();
        Ok(View { config, scaler, splits, train, columns, sample })
    }

    /// Whether the channels are columns of a table, so that `data.channels` chooses among them.
    pub(super) fn is_table(&self) -> bool {
        let extension = self.splits.train.path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        !matches!(extension.as_deref(), Some("npz" | "npy"))
    }

    /// The channels but those at these places.
    pub(super) fn channels_without(&self, places: &[usize]) -> Vec<String> {
        let kept = self.columns.iter().enumerate().filter(|(at, _)| !places.contains(at));
        kept.map(|(_, column)| column.name.clone()).collect()
    }
}

/// Shows the rows of each sequence; of overlapping windows those that the next one does not have, so that no row counts
/// more than another.
pub(super) fn each_own(config: &DataConfig, dataset: &Dataset, mut look: impl FnMut(&[f32])) -> Result<(), DataError> {
    let (width, count) = (dataset.channels(), dataset.sequences.len());
    let mut at = 0;
    dataset.each(|sequence, values| {
        at += 1;
        let ends = dataset.sequences.get(at).is_none_or(|next| next.group != sequence.group);
        let rows = match config.window {
            Some(window) if !ends && at < count => window.stride.min(sequence.steps),
            _ => sequence.steps,
        };
        look(&values[..rows * width]);
        Ok(())
    })
}

/// Sums of each channel of a dataset.
pub(super) fn sums(config: &DataConfig, dataset: &Dataset) -> Result<Vec<Sums>, DataError> {
    let width = dataset.channels();
    let mut sums: Vec<Sums> = Vec::new();
    each_own(config, dataset, |values| {
        if sums.is_empty() {
            sums = values[..width].iter().map(|&value| Sums::new(value)).collect();
        }
        for row in values.chunks_exact(width) {
            sums.iter_mut().zip(row).for_each(|(sums, &value)| sums.add(value));
        }
    })?;
    sums.resize(width, Sums::new(0.0));
    Ok(sums)
}
