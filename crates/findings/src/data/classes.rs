//! How many there are of each class.

use emberloop_data::{SequenceTarget, TargetPer, Targets};

use super::view::View;
use super::{Said, Training, percent, short};
use crate::{Cause, Confidence, Finding, Fix};

/// One class for everything.
pub(super) fn single(view: &View<'_>) -> Option<Finding> {
    let Targets::Classes { labels } = &view.splits.train.targets else { return None };
    let counts = view.splits.train.class_counts();
    let mut present = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let (Some((class, &count)), None) = (present.next(), present.next()) else { return None };
    let what = match view.splits.train.target_per {
        TargetPer::Sequence => "sequences",
        TargetPer::Step => "steps",
    };
    Some(
        Said {
            id: Cause::ClassImbalance,
            confidence: Confidence::High,
            score: 1.0,
            summary: format!(
                "all {count} {what} of the training split have the class {:?}: there is nothing to tell apart",
                labels[class]
            ),
            evidence: &[("largest_share", 1.0.into()), ("largest_count", count.into()), ("classes", 1.into())],
            explanation: "A model that always says this class is right every time, so that is what it learns, whatever the \
                          inputs are.",
            fix: Fix::advice(
                "Look at how the file was made: sequences of the other classes are missing, or data.target names the wrong \
                 column or array. To tell what is normal from what is not, a model needs examples of both.",
            ),
        }
        .into(),
    )
}

/// Classes of very uneven size, in a training whose loss weighs them all alike.
pub(super) fn imbalance(view: &View<'_>, training: Training) -> Option<Finding> {
    let Targets::Classes { labels } = &view.splits.train.targets else { return None };
    let counts = view.splits.train.class_counts();
    let sized: Vec<(usize, usize)> = counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
    let &(largest, most) = sized.iter().max_by_key(|(_, count)| *count)?;
    let &(smallest, fewest) = sized.iter().min_by_key(|(_, count)| *count)?;
    let total: usize = counts.iter().sum();
    // A quantity taken for classes, or a class for each of a few sequences, is another finding.
    if sized.len() < 2 || sized.len() * 3 > total {
        return None;
    }
    let (share, ratio) = (most as f64 / total as f64, most as f64 / fewest as f64);
    let fair = 1.0 / sized.len() as f64;
    let confidence = match (share, ratio) {
        _ if share >= 0.9 || ratio >= 8.0 && share >= (2.5 * fair).clamp(0.5, 0.8) => Confidence::High,
        _ if share >= 0.7 || ratio >= 5.0 => Confidence::Medium,
        _ if ratio >= 3.0 => Confidence::Low,
        _ => return None,
    };
    let (largest, smallest) = (&labels[largest], &labels[smallest]);
    let balanced = Fix::set("training.loss.kind", "cross_entropy").and("training.loss.class_weights", "balanced");
    // Nobody is given early stopping by the way, and without a validation split there is nothing to watch.
    let fix = match training.early_stopping && !view.splits.validation.sequences.is_empty() {
        true => balanced.and("training.early_stopping.monitor", "val_macro_f1"),
        false => balanced,
    };
    Some(
        Said {
            id: Cause::ClassImbalance,
            confidence,
            score: 0.5 + 0.45 * ((share - fair) / (1.0 - fair)).max(0.0),
            summary: format!(
                "{} of the training targets are class {largest:?} and {} are class {smallest:?}, a ratio of {} to 1: a model \
                 that always says {largest:?} has an accuracy of {}",
                percent(share),
                percent(fewest as f64 / total as f64),
                short(ratio),
                short(share)
            ),
            evidence: &[
                ("largest_share", share.into()),
                ("largest_count", most.into()),
                ("smallest_count", fewest.into()),
                ("ratio", ratio.into()),
                ("classes", sized.len().into()),
            ],
            explanation: "The loss is a mean over all targets, so the large class decides it, and a model is rewarded for \
                          never naming the small ones. Class weights make each class count the same; accuracy says little \
                          here, macro F1 says more.",
            fix,
        }
        .into(),
    )
}

/// Fewer sequences than a model can learn from.
pub(super) fn not_enough(view: &View<'_>) -> Option<Finding> {
    let train = &view.splits.train;
    let sequences = train.sequences.len();
    let steps: usize = train.sequences.iter().map(|sequence| sequence.steps).sum();
    let (each, per, of) = match (&train.targets, train.target_per) {
        (Targets::Classes { labels }, TargetPer::Sequence) if labels.len() > 1 => {
            let counts = train.class_counts();
            let present = counts.iter().filter(|count| **count > 0).count().max(1);
            // A quantity taken for classes is another finding.
            if present > 20 && labels.iter().all(|label| label.parse::<f64>().is_ok()) {
                return None;
            }
            (sequences as f64 / present as f64, "per class", present)
        }
        // Every step has a target: what counts is steps, but of one recording they say much the same.
        (_, TargetPer::Step) => ((sequences as f64).max(steps as f64 / 100.0), "in all", 1),
        _ => (sequences as f64 / 4.0, "in all", 1),
    };
    let confidence = match each {
        _ if each < 4.0 => Confidence::High,
        _ if each < 6.0 => Confidence::Medium,
        _ if each < 10.0 => Confidence::Low,
        _ => return None,
    };
    let distinct = train.sequences.iter().filter(|sequence| sequence.target != SequenceTarget::Absent).count();
    let said = match per {
        "per class" => format!("{} per class, of {of} classes", short(each)),
        _ => format!("{steps} steps in all"),
    };
    Some(
        Said {
            id: Cause::NotEnoughData,
            confidence,
            score: 0.5 + 0.4 * (1.0 - each / 10.0),
            summary: format!("the training split has only {sequences} sequences ({said})"),
            evidence: &[
                ("sequences", sequences.into()),
                ("steps", steps.into()),
                ("classes", of.into()),
                ("sequences_per_class", each.into()),
                ("with_target", distinct.into()),
            ],
            explanation: "A model has thousands of weights: so few examples it can learn by heart, without learning what they \
                          have in common, and the validation numbers jump by whole percents with each sequence.",
            fix: Fix::advice(
                "More data is what helps: record more, cut longer recordings into more sequences ([data.window]), or give less \
                 to validation (data.validation_fraction). Until then: fewer hidden units, dropout, weight decay.",
            ),
        }
        .into(),
    )
}
