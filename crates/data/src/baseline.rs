//! What a forecast must beat.

use crate::dataset::{Dataset, Inputs, SequenceTarget, Targets};
use crate::metrics::ValueMetrics;

/// Persistence: the target's own channel, as last seen, taken as the forecast. `None` where a target is no input channel,
/// or nothing was forecast for a whole sequence.
///
/// Sequences in which the channel has no value at all are left out; `n` says how many were judged.
pub fn persistence(dataset: &Dataset) -> Option<ValueMetrics> {
    let (Inputs::Channels(channels), Targets::Values { names }) = (&dataset.inputs, &dataset.targets) else {
        return None;
    };
    let columns: Vec<usize> =
        names.iter().map(|name| channels.iter().position(|channel| channel == name)).collect::<Option<_>>()?;
    let mut pairs = vec![Vec::new(); columns.len()];
    for sequence in &dataset.sequences {
        let SequenceTarget::Values(truths) = &sequence.target else { return None };
        for ((pairs, &column), &truth) in pairs.iter_mut().zip(&columns).zip(truths) {
            let seen = sequence.values.chunks_exact(channels.len()).rev().map(|step| step[column]);
            if let Some(last) = seen.into_iter().find(|value| !value.is_nan()) {
                pairs.push((f64::from(truth), f64::from(last)));
            }
        }
    }
    Some(ValueMetrics::new(&pairs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequence, TargetPer};

    #[test]
    fn the_last_value_that_was_seen_is_the_forecast() {
        let sequence = |values: &[f32], target: f32| Sequence {
            name: "s".into(),
            steps: values.len() / 2,
            values: values.to_vec(),
            target: SequenceTarget::Values(vec![target]),
            group: None,
        };
        let nan = f32::NAN;
        let mut dataset = Dataset {
            inputs: Inputs::Channels(vec!["a".into(), "b".into()]),
            targets: Targets::Values { names: vec!["b".into()] },
            target_per: TargetPer::Sequence,
            sequences: vec![
                sequence(&[0.0, 1.0, 0.0, 4.0], 7.0),
                sequence(&[0.0, 2.0, 0.0, nan], 2.0),
                sequence(&[0.0, nan], 9.0),
            ],
            hash: String::new(),
            path: "memory".into(),
        };
        let metrics = persistence(&dataset).unwrap();
        assert_eq!(metrics.n, 2, "the third has nothing to go by");
        assert!((metrics.rmse - (9.0f64 / 2.0).sqrt()).abs() < 1e-12);
        dataset.targets = Targets::Values { names: vec!["c".into()] };
        assert!(persistence(&dataset).is_none());
    }
}
