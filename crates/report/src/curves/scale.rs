//! What an axis of values shows: from where to where, in which steps, straight or by powers of ten.

use std::ops::Range;

use plotters::coord::ranged1d::{BoldPoints, KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

use crate::text::tick;

/// An axis in the coordinates that are drawn: the value itself, or its logarithm.
#[derive(Clone, Debug)]
pub struct Scale {
    logarithmic: bool,
    pub low: f64,
    pub high: f64,
    /// Where a number stands.
    ticks: Vec<f64>,
}

/// Above this ratio of the largest to the smallest value a straight axis would show the largest alone.
const WIDE: f64 = 100.0;

/// Differences of larger numbers overflow.
const HUGE: f64 = 1e300;

impl Scale {
    /// An axis for these values, of which those that are not finite do not count; `None` if no other is there.
    pub fn new(values: impl Iterator<Item = f64>, prefer_logarithmic: bool) -> Option<Scale> {
        let finite = values.filter(|value| value.is_finite()).map(|value| value.clamp(-HUGE, HUGE));
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if low > high {
            return None;
        }
        let logarithmic = low > 0.0 && (prefer_logarithmic || high / low > WIDE);
        let (low, high) = if logarithmic { (low.log10(), high.log10()) } else { (low, high) };
        let margin = match high - low {
            // One value: it stands in the middle.
            0.0 if logarithmic => 0.5,
            0.0 => (low.abs() * 0.5).max(1e-3),
            range => range * 0.06,
        };
        let (low, high) = (low - margin, high + margin);
        let ticks = if logarithmic { powers(low, high) } else { even(low, high) };
        Some(Scale { logarithmic, low, high, ticks })
    }

    /// Where a value is drawn; `None` if it has no place.
    pub fn place(&self, value: f64) -> Option<f64> {
        let value = value.is_finite().then_some(value.clamp(-HUGE, HUGE))?;
        match self.logarithmic {
            true => (value > 0.0).then(|| value.log10()),
            false => Some(value),
        }
    }

    /// The value at a place.
    fn value(&self, place: f64) -> f64 {
        if self.logarithmic { 10f64.powf(place) } else { place }
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(place, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Scale {
    fn format(place: &f64) -> String {
        tick(*place)
    }

    fn format_ext(&self, place: &f64) -> String {
        tick(self.value(*place))
    }
}

fn even(low: f64, high: f64) -> Vec<f64> {
    RangedCoordf64::from(low..high).key_points(BoldPoints(6))
}

/// Powers of ten, with 2 and 5 between them where there is one at most; in a range without any, even steps of the value.
fn powers(low: f64, high: f64) -> Vec<f64> {
    let decades = (high.floor() - low.ceil()).max(-1.0) as i64 + 1;
    let step = (decades / 5 + 1) as usize;
    let digits: &[f64] = if decades < 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let exponents = (low.floor() as i64..=high.ceil() as i64).filter(|exponent| exponent.rem_euclid(step as i64) == 0);
    let all = exponents.flat_map(|exponent| digits.iter().map(move |digit| exponent as f64 + digit.log10()));
    let ticks: Vec<f64> = all.filter(|place| (low..=high).contains(place)).collect();
    if ticks.len() >= 2 {
        return ticks;
    }
    even(10f64.powf(low), 10f64.powf(high)).into_iter().filter(|value| *value > 0.0).map(f64::log10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[f64], logarithmic: bool) -> Vec<String> {
        let scale = Scale::new(values.iter().copied(), logarithmic).unwrap();
        assert!(scale.low < scale.high && scale.low.is_finite() && scale.high.is_finite(), "{scale:?}");
        assert!(scale.ticks.iter().all(|place| (scale.low..=scale.high).contains(place)), "{scale:?}");
        assert!((2..=9).contains(&scale.ticks.len()), "{values:?}: {scale:?}");
        scale.ticks.iter().map(|place| tick(scale.value(*place))).collect()
    }

    #[test]
    fn every_axis_has_a_few_round_numbers() {
        assert_eq!(shown(&[0.0, 1.0], false), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(shown(&[1e-3, 1e-1], true), ["0.001", "0.01", "0.1"]);
        assert_eq!(shown(&[1e-3], true), ["5e−4", "0.001", "0.002"]);
        for values in [
            &[0.0][..],
            &[5.0],
            &[-3.0],
            &[1e-12, 1e12],
            &[1e-300, 1e300],
            &[f64::MAX, f64::MIN],
            &[0.99999, 1.0],
            &[2.0, f64::NAN, f64::INFINITY],
        ] {
            shown(values, false);
            shown(values, true);
        }
        assert!(Scale::new([f64::NAN].into_iter(), true).is_none());
    }
}
