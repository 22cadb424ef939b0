//! Statistics of one channel, in f64.

use crate::scaler::{FeatureScale, ScalerKind};

/// Fits one channel on its valid values; `None` where there is none.
pub(crate) fn fit(mut values: Vec<f64>, kind: ScalerKind) -> Option<FeatureScale> {
    if values.is_empty() {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let (offset, scale) = match kind {
        ScalerKind::Standard => (mean, standard_deviation(&values, mean)),
        ScalerKind::Minmax => {
            let minimum = values.iter().copied().fold(f64::INFINITY, f64::min);
            let maximum = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (minimum, maximum - minimum)
        }
        ScalerKind::Robust => {
            values.sort_unstable_by(f64::total_cmp);
            (quantile(&values, 0.5), quantile(&values, 0.75) - quantile(&values, 0.25))
        }
        ScalerKind::None => (0.0, 1.0),
    };
    // A constant channel says nothing; dividing by 1 keeps it at 0 instead of at NaN.
    Some(FeatureScale { offset, scale: if scale > 0.0 { scale } else { 1.0 }, fill: mean })
}

/// The population standard deviation; 0 where it is no more than the rounding of the sums (scikit-learn's
/// `_is_constant_feature`), so that 0.1 repeated is a constant.
fn standard_deviation(values: &[f64], mean: f64) -> f64 {
    let count = values.len() as f64;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    let rounding = count * f64::EPSILON * variance + (count * mean * f64::EPSILON).powi(2);
    if variance <= rounding { 0.0 } else { variance.sqrt() }
}

/// NumPy's default quantile: linear between the two nearest order statistics.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let position = (sorted.len() - 1) as f64 * fraction;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let weight = position - below as f64;
    let step = sorted[above] - sorted[below];
    // From the nearer end, as NumPy does, so that weight 1 would give the upper value exactly.
    if weight < 0.5 { sorted[below] + step * weight } else { sorted[above] - step * (1.0 - weight) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 33.0];

    fn fitted(kind: ScalerKind) -> FeatureScale {
        fit(VALUES.to_vec(), kind).unwrap()
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
            assert_eq!(fit(vec![0.1; 1000], kind).unwrap().scale, 1.0, "{kind:?}");
        }
    }

    #[test]
    fn no_values_give_no_scale() {
        assert_eq!(fit(Vec::new(), ScalerKind::Standard), None);
    }
}
