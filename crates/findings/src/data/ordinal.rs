//! Whether a target of few integers is an amount: whether the inputs change with it in order, or just differ.

use emberloop_data::{Inputs, SequenceTarget};

use super::view::View;

/// Sequences that are looked at.
const SEQUENCES: usize = 4096;

/// Channels, or tokens, that are looked at.
const WIDTH: usize = 64;

/// What the inputs' statistics say about the values of a target.
pub(super) enum Relation {
    /// None of them differs between the values.
    Unknown,
    /// They differ; this share of it, 0 to 1, no rising or falling curve over the values explains.
    Unordered(f64),
}

/// A statistic by the target's values, in order of these: `(count, sum, sum of squares)`.
type Groups = Vec<(f64, f64, f64)>;

/// Compares simple statistics of the sequences between the values of the target, `codes` in order.
pub(super) fn relation(view: &View<'_>, codes: &[i64]) -> Relation {
    let stride = view.train.sequences.len().div_ceil(SEQUENCES).max(1);
    let mut groups: Vec<Groups> = Vec::new();
    for sequence in view.train.sequences.iter().step_by(stride) {
        let Ok(values) = sequence.values.read() else { return Relation::Unknown };
        let SequenceTarget::Values(target) = &sequence.target else { return Relation::Unknown };
        let Some(place) = target.first().and_then(|&code| codes.binary_search(&(code as i64)).ok()) else { continue };
        let statistics = statistics(&view.train.inputs, &values);
        groups.resize(statistics.len(), vec![(0.0, 0.0, 0.0); codes.len()]);
        for (groups, value) in groups.iter_mut().zip(statistics).filter(|(_, value)| value.is_finite()) {
            let group = &mut groups[place];
            *group = (group.0 + 1.0, group.1 + value, group.2 + value * value);
        }
    }
    let parts = groups.iter().filter_map(parts);
    let (between, unordered) = parts.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    if between > 0.0 { Relation::Unordered(unordered / between) } else { Relation::Unknown }
}

/// Of each channel the mean, the deviation, the mean step, and the means of four quarters; of tokens how often each is there.
fn statistics(inputs: &Inputs, values: &[f32]) -> Vec<f64> {
    let width = match inputs {
        Inputs::Tokens { vocabulary, .. } => {
            let mut shares = vec![0.0; vocabulary.len().min(WIDTH)];
            for &token in values {
                shares.get_mut(token as usize).into_iter().for_each(|share| *share += 1.0 / values.len() as f64);
            }
            shares.push(values.len() as f64);
            return shares;
        }
        Inputs::Channels(names) => names.len(),
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let mut all = Vec::new();
    for channel in 0..width.min(WIDTH) {
        let own = values.iter().skip(channel).step_by(width).map(|&value| f64::from(value));
        let own: Vec<f64> = own.filter(|value| !value.is_nan()).collect();
        let centre = mean(&own);
        let squares: Vec<f64> = own.iter().map(|value| (value - centre).powi(2)).collect();
        let steps: Vec<f64> = own.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        all.extend([centre, mean(&squares).sqrt(), mean(&steps)]);
        all.extend((0..4).map(|quarter| mean(&own[quarter * own.len() / 4..(quarter + 1) * own.len() / 4])));
    }
    all
}

/// Of a statistic's variance, the share between the groups and the part of that which no monotone curve over them explains;
/// both without what noise alone would make. `None` where the groups do not differ.
fn parts(groups: &Groups) -> Option<(f64, f64)> {
    let groups: Vec<_> = groups.iter().filter(|group| group.0 > 0.0).collect();
    let (kinds, count) = (groups.len() as f64, groups.iter().map(|group| group.0).sum::<f64>());
    if kinds < 2.0 || count <= kinds {
        return None;
    }
    let centre = groups.iter().map(|group| group.1).sum::<f64>() / count;
    let total = groups.iter().map(|group| group.2).sum::<f64>() - count * centre * centre;
    let means: Vec<(f64, f64)> = groups.iter().map(|group| (group.0, group.1 / group.0 - centre)).collect();
    let between: f64 = means.iter().map(|(weight, mean)| weight * mean * mean).sum();
    let noise = (total - between).max(0.0) / (count - kinds);
    // Four standard deviations beyond what chance makes of groups that do not differ.
    let chance = (kinds - 1.0) * noise * (1.0 + 4.0 * (2.0 / (kinds - 1.0)).sqrt());
    if total <= 1e-9 * count * centre * centre || between <= chance.max(1e-9 * total) {
        return None;
    }
    let falling: Vec<(f64, f64)> = means.iter().map(|&(weight, mean)| (weight, -mean)).collect();
    let monotone = rising(&means).max(rising(&falling));
    let unordered = (between - monotone - (kinds - 2.0) * noise).max(0.0);
    Some(((between - (kinds - 1.0) * noise) / total, unordered / total))
}

/// What the best rising curve over `(weight, mean)` explains of their squares: neighbours that fall are pooled.
fn rising(means: &[(f64, f64)]) -> f64 {
    let mut pools: Vec<(f64, f64)> = Vec::new();
    for &(mut weight, mut mean) in means {
        while let Some(&(before, higher)) = pools.last().filter(|(_, higher)| *higher > mean) {
            mean = (weight * mean + before * higher) / (weight + before);
            weight += before;
            pools.pop();
        }
        pools.push((weight, mean));
    }
    pools.iter().map(|(weight, mean)| weight * mean * mean).sum()
}
