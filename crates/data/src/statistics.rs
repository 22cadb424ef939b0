//! Statistics of channels, in f64, by passes over the data: nothing but sums is held.

use crate::error::DataError;
use crate::scaler::{FeatureScale, ScalerKind};
use crate::selection::order_statistics;

/// Shows all rows once, always in the same order: `[rows, columns]` at a time, NaN where a value is missing.
pub(crate) type Pass<'a> = &'a dyn Fn(&mut dyn FnMut(&[f32]) -> Result<(), DataError>) -> Result<(), DataError>;

/// Fits each column on its valid values; `None` where there is none.
///
/// What is summed is summed value by value in the order of the rows, so that the result does not depend on the pieces in
/// which they come.
pub(crate) fn fit(columns: usize, kind: ScalerKind, pass: Pass<'_>) -> Result<Vec<Option<FeatureScale>>, DataError> {
    let mut sums = vec![Sums::default(); columns];
    pass(&mut |rows| {
        for row in rows.chunks_exact(columns) {
            sums.iter_mut().zip(row).for_each(|(sums, &value)| sums.add(value));
        }
        Ok(())
    })?;
    let scales: Vec<(f64, f64)> = match kind {
        ScalerKind::Standard => {
            let deviations = deviations(&sums, pass)?;
            sums.iter().map(Sums::mean).zip(deviations).collect()
        }
        ScalerKind::Minmax => sums.iter().map(|sums| (sums.minimum, sums.maximum - sums.minimum)).collect(),
        ScalerKind::Robust => quartiles(&sums, pass)?,
        ScalerKind::None => vec![(0.0, 1.0); columns],
    };
    let feature = |(sums, (offset, scale)): (&Sums, (f64, f64))| {
        // A constant channel says nothing; dividing by 1 keeps it at 0 instead of at NaN.
        let scale = if scale > 0.0 { scale } else { 1.0 };
        (sums.count > 0).then(|| FeatureScale { offset, scale, fill: sums.mean() })
    };
    Ok(sums.iter().zip(scales).map(feature).collect())
}

/// What one pass says of a column.
#[derive(Clone, Copy, Debug)]
struct Sums {
    count: u64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

impl Default for Sums {
    fn default() -> Sums {
        // -0 is what a sum starts from: with 0, a column of nothing but -0 would have another mean.
        Sums { count: 0, sum: -0.0, minimum: f64::INFINITY, maximum: f64::NEG_INFINITY }
    }
}

impl Sums {
    fn add(&mut self, value: f32) {
        if !value.is_nan() {
            let value = f64::from(value);
            self.count += 1;
            self.sum += value;
            self.minimum = self.minimum.min(value);
            self.maximum = self.maximum.max(value);
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// The population standard deviations; 0 where it is no more than the rounding of the sums (scikit-learn's
/// `_is_constant_feature`), so that 0.1 repeated is a constant.
fn deviations(sums: &[Sums], pass: Pass<'_>) -> Result<Vec<f64>, DataError> {
    let means: Vec<f64> = sums.iter().map(Sums::mean).collect();
    let mut squares = vec![-0.0f64; sums.len()];
    pass(&mut |rows| {
        for row in rows.chunks_exact(sums.len()) {
            for ((squares, mean), &value) in squares.iter_mut().zip(&means).zip(row) {
                if !value.is_nan() {
                    *squares += (f64::from(value) - mean) * (f64::from(value) - mean);
                }
            }
        }
        Ok(())
    })?;
    let deviation = |((sums, mean), squares): ((&Sums, f64), f64)| {
        let count = sums.count as f64;
        let variance = squares / count;
        let rounding = count * f64::EPSILON * variance + (count * mean * f64::EPSILON).powi(2);
        if variance <= rounding { 0.0 } else { variance.sqrt() }
    };
    Ok(sums.iter().zip(means).zip(squares).map(deviation).collect())
}

/// Median and interquartile range.
fn quartiles(sums: &[Sums], pass: Pass<'_>) -> Result<Vec<(f64, f64)>, DataError> {
    const FRACTIONS: [f64; 3] = [0.25, 0.5, 0.75];
    let ranks: Vec<Vec<u64>> = sums
        .iter()
        .map(|sums| match sums.count {
            0 => Vec::new(),
            count => FRACTIONS.iter().flat_map(|&fraction| Quantile::new(count, fraction).ranks).collect(),
        })
        .collect();
    let found = order_statistics(pass, &ranks)?;
    let quartiles = |(sums, values): (&Sums, &Vec<f32>)| {
        let (pairs, _) = values.as_chunks::<2>();
        let mut quantiles =
            FRACTIONS.iter().zip(pairs).map(|(&fraction, &pair)| Quantile::new(sums.count, fraction).between(pair));
        let [low, median, high] = std::array::from_fn(|_| quantiles.next().unwrap_or(f64::NAN));
        (median, high - low)
    };
    Ok(sums.iter().zip(&found).map(quartiles).collect())
}

/// NumPy's default quantile: linear between the two nearest order statistics.
struct Quantile {
    /// The ranks of the two, which may be the same.
    ranks: [u64; 2],
    /// How far it is from the lower to the upper.
    weight: f64,
}

impl Quantile {
    fn new(count: u64, fraction: f64) -> Quantile {
        let position = (count - 1) as f64 * fraction;
        let below = position.floor() as u64;
        Quantile { ranks: [below, (below + 1).min(count - 1)], weight: position - below as f64 }
    }

    fn between(&self, values: [f32; 2]) -> f64 {
        let [below, above] = values.map(f64::from);
        let step = above - below;
        // From the nearer end, as NumPy does, so that weight 1 would give the upper value exactly.
        if self.weight < 0.5 { below + step * self.weight } else { above - step * (1.0 - self.weight) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f32; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 33.0];

    fn of(values: &[f32], kind: ScalerKind) -> Option<FeatureScale> {
        fit(1, kind, &|look| look(values)).unwrap()[0]
    }

    fn fitted(kind: ScalerKind) -> FeatureScale {
        of(&VALUES, kind).unwrap()
    }

    /// Mean 64/6; squares sum to 1430; variance 1430/6 - (64/6)^2 = 1123.22.../9.
    #[test]
    fn standard_is_mean_and_population_deviation() {
        let feature = fitted(ScalerKind::Standard);
        assert_eq!(feature.offset, 64.0 / 6.0);
        assert!((feature.scale - (1430.0 / 6.0 - (64.0f64 / 6.0).powi(2)).sqrt()).abs() < 1e-12);
        assert_eq!(feature.fill, 64.0 / 6.0);
    }

    #[test]
    fn minmax_is_minimum_and_range() {
        let feature = fitted(ScalerKind::Minmax);
        assert_eq!((feature.offset, feature.scale, feature.fill), (1.0, 32.0, 64.0 / 6.0));
    }

    /// Positions 1.25, 2.5, 3.75 of the sorted values: 2.5, 6, 14.
    #[test]
    fn robust_is_median_and_interpolated_quartiles() {
        let feature = fitted(ScalerKind::Robust);
        assert_eq!((feature.offset, feature.scale), (6.0, 11.5));
    }

    #[test]
    fn none_leaves_values_alone_but_knows_the_mean() {
        let feature = fitted(ScalerKind::None);
        assert_eq!((feature.offset, feature.scale, feature.fill), (0.0, 1.0, 64.0 / 6.0));
    }

    #[test]
    fn a_constant_channel_is_divided_by_one() {
        for kind in [ScalerKind::Standard, ScalerKind::Minmax, ScalerKind::Robust] {
            assert_eq!(of(&[0.1; 1000], kind).unwrap().scale, 1.0, "{kind:?}");
        }
    }

    #[test]
    fn no_values_give_no_scale() {
        for kind in [ScalerKind::Standard, ScalerKind::Robust] {
            assert_eq!(of(&[], kind), None);
            assert_eq!(of(&[f32::NAN], kind), None);
        }
    }
}
