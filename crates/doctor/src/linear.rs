//! What a linear model makes of simple statistics of each sequence: whether the targets follow from the inputs at all,
//! whatever becomes of the network.

use std::collections::BTreeMap;

use emberloop_data::{DataError, Dataset, Inputs, MissingPolicy, Scaler, ScalerKind, SequenceTarget, Targets};

use crate::study::sample;

/// Sequences that are looked at.
const SEQUENCES: usize = 3000;
/// Features at most; of more channels the first are taken.
const FEATURES: usize = 240;
/// Ridge, in units of the number of sequences: features are standardised.
const RIDGE: f64 = 0.02;

/// The skill of ridge regression (on one-hot classes, or values) from one half of a dataset to the other, both ways; 0 is
/// what an answer that ignores the input has. With its standard error under no relation at all.
///
/// `None` where there is too little to say, or targets belong to steps.
///
/// # Errors
/// If streamed data cannot be read any more.
pub fn skill(dataset: &Dataset) -> Result<Option<(f64, f64)>, DataError> {
    let some = sample(dataset, SEQUENCES);
    let Some(targets) = targets(&some) else { return Ok(None) };
    if targets.len() < 16 {
        return Ok(None);
    }
    let features = features(&some)?;
    let one_hot = matches!(some.targets, Targets::Classes { .. });
    let mut order: Vec<usize> = (0..targets.len()).collect();
    // Every class on both sides: neighbours in an order by target are dealt out in turn.
    order.sort_by(|&a, &b| targets[a].1.total_cmp(&targets[b].1).then(a.cmp(&b)));
    let halves = [0, 1].map(|half| order.iter().skip(half).step_by(2).copied().collect::<Vec<usize>>());
    let mut skills = Vec::new();
    for (fit, judge) in [(&halves[0], &halves[1]), (&halves[1], &halves[0])] {
        skills.push(from_half(&features, &targets, one_hot, fit, judge));
    }
    let error = 1.0 / (targets.len() as f64).sqrt();
    Ok(Some(((skills[0] + skills[1]) / 2.0, error)))
}

/// One-hot or values, and a number to order by.
fn targets(dataset: &Dataset) -> Option<Vec<(Vec<f64>, f64)>> {
    let classes = dataset.targets.outputs();
    let target = |target: &SequenceTarget| match target {
        SequenceTarget::Class(class) => {
            let mut row = vec![0.0; classes];
            row[*class] = 1.0;
            Some((row, *class as f64))
        }
        SequenceTarget::Values(values) => {
            Some((values.iter().map(|&value| f64::from(value)).collect(), f64::from(*values.first()?)))
        }
        SequenceTarget::Classes(_) | SequenceTarget::StepValues(_) | SequenceTarget::Absent => None,
    };
    dataset.sequences.iter().map(|sequence| target(&sequence.target)).collect()
}

/// Of each channel mean, spread, extremes, first and last value; of tokens how often each occurs.
fn features(dataset: &Dataset) -> Result<Vec<Vec<f64>>, DataError> {
    let channels = dataset.channels();
    let scaler = Scaler::fit(dataset, ScalerKind::Robust, MissingPolicy::HoldLast)?;
    let common = common_tokens(dataset)?;
    let mut all = Vec::with_capacity(dataset.sequences.len());
    dataset.each(|_, values| {
        let row = match &dataset.inputs {
            Inputs::Tokens { .. } => {
                let mut row = vec![0.0; common.len()];
                values.iter().filter_map(|token| common.get(&(*token as usize))).for_each(|&place| row[place] += 1.0);
                row
            }
            Inputs::Channels(_) => (0..channels.min(FEATURES / 6))
                .flat_map(|channel| {
                    let feature = &scaler.features[channel];
                    // A far outlier is as far as 10 quartiles: linear models cannot bear more.
                    let scaled =
                        |value: &f32| ((f64::from(*value) - feature.offset) / feature.scale).clamp(-10.0, 10.0);
                    let own: Vec<f64> = values
                        .iter()
                        .skip(channel)
                        .step_by(channels)
                        .filter(|value| !value.is_nan())
                        .map(scaled)
                        .collect();
                    statistics(&own)
                })
                .collect(),
        };
        all.push(row);
        Ok::<(), DataError>(())
    })?;
    Ok(all)
}

/// The most frequent tokens, each with its place among the features; empty for channels.
fn common_tokens(dataset: &Dataset) -> Result<BTreeMap<usize, usize>, DataError> {
    let Inputs::Tokens { vocabulary, .. } = &dataset.inputs else { return Ok(BTreeMap::new()) };
    let mut counts = vec![0usize; vocabulary.len()];
    dataset.each(|_, values| {
        values.iter().for_each(|&token| counts[token as usize] += 1);
        Ok::<(), DataError>(())
    })?;
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&token| (std::cmp::Reverse(counts[token]), token));
    Ok(order.into_iter().take(FEATURES).enumerate().map(|(place, token)| (token, place)).collect())
}

fn statistics(values: &[f64]) -> [f64; 6] {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
    let extreme = |better: fn(f64, f64) -> f64| values.iter().copied().reduce(better).unwrap_or(0.0);
    let end = |value: Option<&f64>| value.copied().unwrap_or(0.0);
    [mean, spread, extreme(f64::min), extreme(f64::max), end(values.first()), end(values.last())]
}

fn from_half(features: &[Vec<f64>], targets: &[(Vec<f64>, f64)], one_hot: bool, fit: &[usize], judge: &[usize]) -> f64 {
    let width = features[0].len();
    let n = fit.len() as f64;
    let mean: Vec<f64> = (0..width).map(|k| fit.iter().map(|&i| features[i][k]).sum::<f64>() / n).collect();
    let spread: Vec<f64> = (0..width)
        .map(|k| (fit.iter().map(|&i| (features[i][k] - mean[k]).powi(2)).sum::<f64>() / n).sqrt().max(1e-9))
        .collect();
    let row = |i: usize| -> Vec<f64> {
        (0..width).map(|k| ((features[i][k] - mean[k]) / spread[k]).clamp(-5.0, 5.0)).collect()
    };
    let rows: Vec<Vec<f64>> = fit.iter().map(|&i| row(i)).collect();
    let mut gram = vec![vec![0.0; width]; width];
    for row in &rows {
        for (a, line) in gram.iter_mut().enumerate() {
            let scale = row[a];
            line.iter_mut().zip(row).take(a + 1).for_each(|(sum, value)| *sum += scale * value);
        }
    }
    (0..width).for_each(|k| gram[k][k] += RIDGE * n + 1.0);
    let outputs = targets[0].0.len();
    let centre: Vec<f64> = (0..outputs).map(|o| fit.iter().map(|&i| targets[i].0[o]).sum::<f64>() / n).collect();
    let sides: Vec<Vec<f64>> = (0..outputs)
        .map(|o| {
            (0..width)
                .map(|k| rows.iter().zip(fit).map(|(row, &i)| row[k] * (targets[i].0[o] - centre[o])).sum())
                .collect()
        })
        .collect();
    let weights = solve(gram, sides);
    // The share of the targets' variance that is explained.
    let (mut left, mut total) = (vec![0.0; outputs], vec![0.0; outputs]);
    for &i in judge {
        let row = row(i);
        for o in 0..outputs {
            let said = centre[o] + row.iter().zip(&weights[o]).map(|(value, weight)| value * weight).sum::<f64>();
            left[o] += (targets[i].0[o] - said).powi(2);
            total[o] += (targets[i].0[o] - centre[o]).powi(2);
        }
    }
    // Of classes all together, so that rare ones do not count for more; of values each by itself, whatever its unit.
    if one_hot {
        let (left, total) = (left.iter().sum::<f64>(), total.iter().sum::<f64>());
        return if total > 0.0 { 1.0 - left / total } else { 0.0 };
    }
    let shares = left.iter().zip(&total).filter(|(_, total)| **total > 0.0).map(|(left, total)| 1.0 - left / total);
    let shares: Vec<f64> = shares.collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

/// Solves with the lower triangle of a symmetric positive definite matrix (Cholesky).
fn solve(mut matrix: Vec<Vec<f64>>, sides: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = matrix.len();
    for i in 0..n {
        for j in 0..=i {
            let products: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            let rest = matrix[i][j] - products;
            matrix[i][j] = if i == j { rest.max(1e-12).sqrt() } else { rest / matrix[j][j] };
        }
    }
    let solve = |mut x: Vec<f64>| {
        for i in 0..n {
            let known: f64 = (0..i).map(|k| matrix[i][k] * x[k]).sum();
            x[i] = (x[i] - known) / matrix[i][i];
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|k| matrix[k][i] * x[k]).sum();
            x[i] = (x[i] - known) / matrix[i][i];
        }
        x
    };
    sides.into_iter().map(solve).collect()
}

#[cfg(test)]
mod tests {
    use emberloop_data::{Sequence, TargetPer};

    use super::*;

    #[test]
    fn cholesky_solves() {
        let solved = solve(vec![vec![4.0, 2.0], vec![2.0, 3.0]], vec![vec![8.0, 7.0]]);
        assert!((solved[0][0] - 1.25).abs() < 1e-12 && (solved[0][1] - 1.5).abs() < 1e-12, "{solved:?}");
    }

    /// 80 sequences whose class says whether they rise, or nothing.
    fn dataset(related: bool) -> Dataset {
        let sequences = (0..80usize).map(|i| {
            let class = i % 2;
            let direction = if related { class } else { i / 7 % 2 };
            let slope = if direction == 1 { 1.0 } else { -1.0 };
            let noise = (i as f32 * 12.9898).sin() * 0.3;
            let values: Vec<f32> = (0..5).map(|step| slope * step as f32 + noise).collect();
            Sequence {
                name: i.to_string(),
                steps: 5,
                values: values.into(),
                target: SequenceTarget::Class(class),
                group: None,
            }
        });
        Dataset {
            inputs: Inputs::Channels(vec!["a".into()]),
            targets: Targets::Classes { labels: vec!["down".into(), "up".into()] },
            target_per: TargetPer::Sequence,
            sequences: sequences.collect(),
            hash: String::new(),
            path: "memory".into(),
        }
    }

    #[test]
    fn a_relation_is_found_and_none_is_not() {
        let (skill_of_related, _) = skill(&dataset(true)).unwrap().unwrap();
        let (skill_of_unrelated, error) = skill(&dataset(false)).unwrap().unwrap();
        assert!(skill_of_related > 0.8, "{skill_of_related}");
        assert!(skill_of_unrelated < 2.0 * error, "{skill_of_unrelated} +- {error}");
    }
}
