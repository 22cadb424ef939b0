//! Which values a sweep tries: every combination, or draws that depend on seed, key and run alone.

use sha2::{Digest, Sha256};
use toml_edit::Value;

use super::file::{Domain, Parameter};

/// Every combination, the last parameter changing fastest; `None` if there are more than `limit`.
pub fn grid(parameters: &[Parameter], limit: usize) -> Option<Vec<Vec<Value>>> {
    let mut all = vec![Vec::new()];
    for parameter in parameters {
        let points = parameter.domain.points();
        if all.len().checked_mul(points.len())? > limit {
            return None;
        }
        let with = |values: Vec<Value>| {
            points.iter().map(move |point| values.iter().cloned().chain([point.clone()]).collect())
        };
        all = all.into_iter().flat_map(with).collect();
    }
    Some(all)
}

/// Run `run` of a random search. No draw depends on another: the order of the runs and of the keys, or another key more,
/// change nothing.
pub fn random(parameters: &[Parameter], seed: u64, run: usize) -> Vec<Value> {
    parameters.iter().map(|parameter| parameter.domain.quantile(uniform(seed, &parameter.key, run))).collect()
}

/// Uniform in `[0, 1)`, with the 53 bits that an `f64` holds, out of a hash of what it is for.
fn uniform(seed: u64, key: &str, run: usize) -> f64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update((run as u64).to_le_bytes());
    hash.update(key.as_bytes());
    let bits = hash.finalize().iter().take(8).fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

impl Domain {
    /// The value below which a share `u` of the distribution lies, `u` in `[0, 1)`.
    fn quantile(&self, u: f64) -> Value {
        match self {
            Domain::Values(values) => {
                let index = (u * values.len() as f64) as usize;
                values[index.min(values.len() - 1)].clone()
            }
            // Each integer stands for itself and half of the way to its neighbours.
            Domain::Integers { min, max, log, .. } => {
                let drawn = between(*min as f64 - 0.5, *max as f64 + 0.5, *log, u).round();
                Value::from((drawn as i64).clamp(*min, *max))
            }
            Domain::Floats { min, max, log, .. } => Value::from(between(*min, *max, *log, u)),
        }
    }

    /// The points of a grid. Of integers, those that rounding makes equal are one.
    fn points(&self) -> Vec<Value> {
        let shares = |steps: Option<usize>| {
            let steps = steps.unwrap_or(2);
            (0..steps).map(move |index| index as f64 / (steps - 1) as f64)
        };
        match self {
            Domain::Values(values) => values.clone(),
            Domain::Integers { min, max, log, steps } => {
                let point = |share| (between(*min as f64, *max as f64, *log, share).round() as i64).clamp(*min, *max);
                let mut points: Vec<i64> = shares(*steps).map(point).collect();
                points.dedup();
                points.into_iter().map(Value::from).collect()
            }
            Domain::Floats { min, max, log, steps } => {
                let point = |share| Value::from(readable(between(*min, *max, *log, share)).clamp(*min, *max));
                shares(*steps).map(point).collect()
            }
        }
    }
}

/// 0.01, where arithmetic gives 0.010000000000000002: twelve digits are more than a grid's points need.
fn readable(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

/// A share of the way from `min` to `max`, by difference or by ratio; never beyond them.
fn between(min: f64, max: f64, log: bool, share: f64) -> f64 {
    let value = match (log, share) {
        (_, 0.0) => min,
        (_, 1.0) => max,
        (true, _) => (min.ln() + share * (max.ln() - min.ln())).exp(),
        // The difference may be too large for an f64, the two parts are not.
        (false, _) => min * (1.0 - share) + max * share,
    };
    value.clamp(min, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(key: &str, domain: Domain) -> Parameter {
        Parameter { key: key.into(), domain }
    }

    fn floats(min: f64, max: f64, log: bool, steps: Option<usize>) -> Domain {
        Domain::Floats { min, max, log, steps }
    }

    fn integers(min: i64, max: i64, log: bool, steps: Option<usize>) -> Domain {
        Domain::Integers { min, max, log, steps }
    }

    fn numbers(values: &[Value]) -> Vec<f64> {
        values.iter().map(|value| value.as_float().unwrap_or_else(|| value.as_integer().unwrap() as f64)).collect()
    }

    #[test]
    fn a_grid_has_every_combination_the_last_fastest() {
        let parameters =
            [parameter("a", Domain::Values(vec![1.into(), 2.into()])), parameter("b", integers(1, 3, false, Some(3)))];
        let all: Vec<Vec<f64>> = grid(&parameters, 6).unwrap().iter().map(|values| numbers(values)).collect();
        assert_eq!(all, [[1.0, 1.0], [1.0, 2.0], [1.0, 3.0], [2.0, 1.0], [2.0, 2.0], [2.0, 3.0]]);
        assert!(grid(&parameters, 5).is_none());
    }

    #[test]
    fn the_points_of_a_range_reach_both_ends() {
        let close = |points: Vec<Value>, expected: &[f64]| {
            let points = numbers(&points);
            assert_eq!(points.len(), expected.len(), "{points:?}");
            assert_eq!((points[0], points.last()), (expected[0], expected.last()), "the ends are exact");
            assert!(points.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-12), "{points:?}");
        };
        close(floats(1e-4, 1e-1, true, Some(4)).points(), &[1e-4, 1e-3, 1e-2, 1e-1]);
        assert_eq!(
            numbers(&floats(1e-4, 1e-1, true, Some(4)).points()),
            [1e-4, 1e-3, 1e-2, 1e-1],
            "as a person writes them"
        );
        close(floats(1.0, 2.0, false, Some(5)).points(), &[1.0, 1.25, 1.5, 1.75, 2.0]);
        close(integers(8, 64, true, Some(4)).points(), &[8.0, 16.0, 32.0, 64.0]);
        close(integers(1, 3, false, Some(9)).points(), &[1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_log_uniform_draw_is_uniform_in_the_logarithm() {
        let domain = floats(1e-5, 1e-1, true, None);
        for u in [0.0, 0.1, 0.25, 0.5, 0.9, 0.999_999] {
            let drawn = domain.quantile(u).as_float().unwrap();
            assert!((drawn.log10() - (-5.0 + 4.0 * u)).abs() < 1e-12, "{u}: {drawn}");
        }
        assert_eq!(domain.quantile(0.0).as_float(), Some(1e-5));
        assert!(domain.quantile(1.0 - f64::EPSILON / 2.0).as_float().unwrap() <= 1e-1);
        // As drawn: each of the four decades has a quarter, within five standard deviations.
        let mut decades = [0usize; 4];
        for run in 0..4000 {
            let [value] = &random(&[parameter("rate", domain.clone())], 1, run)[..] else { unreachable!() };
            decades[((value.as_float().unwrap().log10() + 5.0) as usize).min(3)] += 1;
        }
        assert!(decades.iter().all(|&count| count.abs_diff(1000) < 137), "{decades:?}");
    }

    #[test]
    fn integers_and_choices_are_hit_alike() {
        let count = |domain: Domain, of: usize| {
            let mut counts = vec![0usize; of];
            (0..1000 * of).for_each(|run| {
                let drawn = random(&[parameter("key", domain.clone())], 9, run);
                counts[numbers(&drawn)[0] as usize] += 1;
            });
            counts
        };
        let choices = Domain::Values(vec![0.into(), 1.into(), 2.into()]);
        for counts in [count(integers(0, 4, false, None), 5), count(choices, 3)] {
            assert!(counts.iter().all(|&count| count.abs_diff(1000) < 160), "{counts:?}");
        }
        // By ratio: 1 from 0.5 to 1.5, 2 from 1.5 to 2.5, 4 at the end; the shares are those of the logarithms.
        let log = integers(1, 4, true, None);
        let edge = (1.5f64 / 0.5).ln() / (4.5f64 / 0.5).ln();
        assert_eq!(numbers(&[log.quantile(edge - 1e-9), log.quantile(edge + 1e-9)]), [1.0, 2.0]);
        assert_eq!(numbers(&[log.quantile(0.0), log.quantile(1.0 - 1e-12)]), [1.0, 4.0]);
    }

    #[test]
    fn a_draw_depends_on_seed_key_and_run_alone() {
        let rate = || parameter("rate", floats(0.0, 1.0, false, None));
        let other = || parameter("other", floats(0.0, 1.0, false, None));
        let alone = numbers(&random(&[rate()], 1, 3))[0];
        assert_eq!(numbers(&random(&[other(), rate()], 1, 3))[1], alone);
        assert_ne!(numbers(&random(&[other()], 1, 3))[0], alone);
        assert_ne!(numbers(&random(&[rate()], 2, 3))[0], alone);
        assert_ne!(numbers(&random(&[rate()], 1, 4))[0], alone);
        // The same on every machine and in every version.
        assert_eq!(alone, 0.838_421_963_250_672_5);
    }
}
