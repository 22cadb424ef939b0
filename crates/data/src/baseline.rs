//! What a forecast must beat.

use crate::dataset::{Dataset, Inputs, SequenceTarget, Targets};
use crate::error::DataError;
use crate::metrics::ValueMetrics;

/// Persistence: the target's own channel, as last seen, taken as the forecast. `None` where a target is no input channel,
/// or nothing was forecast for a whole sequence.
///
/// Sequences in which the channel has no value at all are left out; `n` says how many were judged.
///
/// # Errors
/// If the data are streamed and their file cannot be read any more.
pub fn persistence(dataset: &Dataset) -> Result<Option<ValueMetrics>, DataError> {
    let (Inputs::Channels(channels), Targets::Values { names }) = (&dataset.inputs, &dataset.targets) else {
        return Ok(None);
    };
    let columns = names.iter().map(|name| channels.iter().position(|channel| channel == name));
    let Some(columns) = columns.collect::<Option<Vec<usize>>>() else { return Ok(None) };
    if dataset.sequences.iter().any(|sequence| !matches!(sequence.target, SequenceTarget::Values(_))) {
        return Ok(None);
    }
    let mut pairs = vec![Vec::new(); columns.len()];
    dataset.each(|sequence, values| {
        let SequenceTarget::Values(truths) = &sequence.target else { return Ok(()) };
        for ((pairs, &column), &truth) in pairs.iter_mut().zip(&columns).zip(truths) {
            let mut seen = values.chunks_exact(channels.len()).rev().map(|step| step[column]);
            if let Some(last) = seen.find(|value| !value.is_nan()) {
                pairs.push((f64::from(truth), f64::from(last)));
            }
        }
        Ok::<(), DataError>(())
    })?;
    Ok(Some(ValueMetrics::new(&pairs)))
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
            values: values.to_vec().into(),
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
        let metrics = persistence(&dataset).unwrap().unwrap();
        assert_eq!(metrics.n, 2, "the third has nothing to go by");
        assert!((metrics.rmse - (9.0f64 / 2.0).sqrt()).abs() < 1e-12);
        dataset.targets = Targets::Values { names: vec!["c".into()] };
        assert!(persistence(&dataset).unwrap().is_none());
    }
}
