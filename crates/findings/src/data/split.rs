//! The same data on two sides of a split.

use emberloop_data::{DataError, Dataset, Inputs, SharedContent, shared_content};

use super::view::View;
use super::{Said, percent};
use crate::{Cause, Confidence, Finding, Fix};

/// Sequences of validation or test data that training has as well.
pub(super) fn leak(view: &View<'_>) -> Result<Option<Finding>, DataError> {
    let splits = view.splits;
    let mut sides: Vec<(&str, &Dataset)> = vec![("validation", &splits.validation)];
    sides.extend(splits.test.as_ref().map(|test| ("test", test)));
    sides.retain(|(_, dataset)| !dataset.sequences.is_empty());
    if sides.is_empty() {
        return Ok(None);
    }
    let datasets: Vec<&Dataset> = sides.iter().map(|(_, dataset)| *dataset).collect();
    let shared = shared_content(&splits.train, &datasets)?;
    let findings =
        sides.iter().zip(&shared).filter_map(|((side, _), shared)| Some((*side, describe(view, side, shared)?)));
    let mut found: Vec<(&str, Finding)> = findings.collect();
    found.sort_by(|(_, a), (_, b)| b.confidence.cmp(&a.confidence).then(b.score.total_cmp(&a.score)));
    let also = found.get(1).map(|(side, _)| format!("; so do some {side} sequences"));
    Ok(found.into_iter().next().map(|(_, mut worst)| {
        worst.summary.extend(also);
        worst
    }))
}

fn describe(view: &View<'_>, side: &str, shared: &SharedContent) -> Option<Finding> {
    let looked_at = shared.looked_at as f64;
    let share = shared.shared as f64 / looked_at;
    let plain = shared.plain as f64 / looked_at;
    let repeated = shared.repeated as f64 / shared.training.max(1) as f64;
    // Short or plain sequences, and words, are there twice by nature: it counts what is more than training has of itself.
    let confidence = if matches!(view.train.inputs, Inputs::Tokens { .. }) {
        let unnatural = (share + plain - repeated).max(0.0);
        match share + plain {
            _ if unnatural >= 0.25 => Confidence::High,
            all if unnatural >= 0.1 || all >= 0.5 => Confidence::Medium,
            all if all >= 0.05 => Confidence::Low,
            _ => return None,
        }
    } else {
        let unnatural = (plain - repeated).max(0.0);
        match share {
            _ if share >= 0.1 || unnatural >= 0.5 => Confidence::High,
            _ if share >= 0.02 || unnatural >= 0.2 || plain >= 0.5 => Confidence::Medium,
            _ if share > 0.0 || plain >= 0.1 => Confidence::Low,
            _ => return None,
        }
    };
    let found = share.max(plain);
    let count = if share >= plain { shared.shared } else { shared.plain };
    let how = match (shared.whole >= shared.shared, &view.train.inputs) {
        (true, _) | (false, Inputs::Tokens { .. }) => "stand in training as well, whole".to_owned(),
        (false, Inputs::Channels(_)) => {
            format!(
                "have rows in common with training ({} and more in a row, {} of them whole)",
                shared.run, shared.whole
            )
        }
    };
    Some(
        Said {
            id: Cause::SplitLeak,
            confidence,
            score: 0.55 + 0.4 * found,
            summary: format!(
                "{count} of {} {side} sequences that were looked at ({}) {how}",
                shared.looked_at,
                percent(found)
            ),
            evidence: &[
                ("share", found.into()),
                ("looked_at", shared.looked_at.into()),
                ("shared", shared.shared.into()),
                ("whole", shared.whole.into()),
                ("plain", shared.plain.into()),
                ("rows_of_a_run", shared.run.into()),
                ("repeated_in_training", repeated.into()),
            ],
            explanation: "What a model has seen in training it knows by heart: the numbers on it say nothing of new data, and \
                          early stopping picks the epoch that remembers best. It comes of copies in the file, or of \
                          overlapping windows of one recording that were divided at random.",
            fix: Fix::set("data.overlap", "separate").with_advice(
                "If the file says whose recording a sequence is, name that column: data.group keeps each of them on one side.",
            ),
        }
        .into(),
    )
}
