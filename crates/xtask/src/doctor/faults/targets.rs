//! Faults of the targets.

use super::{CLASSES, Case, ECG, Fault, NO_CLASSES, PM25, Severity, TOKENS};
use crate::doctor::series::{Kind, Sequence};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "class-imbalance",
        expected: &["class-imbalance"],
        edit: [
            "of every class but one, 2 % of the training and validation sequences are left; no class weights",
            "of every class but one, 4 % of the training and validation sequences are left; no class weights",
        ],
        sets: &[ECG, TOKENS],
        left_out: "beijing_pm25 has no classes; of japanese_vowels and basic_motions, a few hundredths of a class are none",
        is_long: false,
        inject: |case, severity| {
            let Kind::Classes(classes) = case.splits.kind else { return };
            case.own_validation = true;
            case.config.unset("training.loss.class_weights");
            let common = case.random.below(classes) as f32;
            let share = severity.of(0.02, 0.04);
            thin_out(&mut case.splits.train, common, share);
            thin_out(&mut case.splits.validation, common, share);
        },
    },
    Fault {
        name: "labels-unrelated",
        expected: &["labels-unrelated"],
        edit: [
            "the targets of training and validation are permuted",
            "the targets of training and validation are moved on by one sequence",
        ],
        sets: super::ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| {
            let Case { splits, random, .. } = case;
            for side in [&mut splits.train, &mut splits.validation] {
                let mut targets: Vec<f32> = side.iter().map(|sequence| sequence.target).collect();
                match severity {
                    Severity::A => random.shuffle(&mut targets),
                    Severity::B => targets.rotate_right(1),
                }
                side.iter_mut().zip(targets).for_each(|(sequence, target)| sequence.target = target);
            }
        },
    },
    Fault {
        name: "labels-as-values",
        expected: &["labels-as-values"],
        edit: [
            "task = \"regression\" on the classes' codes, and no metric of classes is monitored",
            "the same, loss = { kind = \"huber\" }",
        ],
        sets: CLASSES,
        left_out: NO_CLASSES,
        is_long: false,
        inject: |case, severity| {
            case.config.set("data.task", "regression");
            case.config.unset("training.early_stopping.monitor");
            case.config.unset("training.loss");
            if severity == Severity::B {
                case.config.set("training.loss.kind", "huber");
            }
        },
    },
    Fault {
        name: "values-as-labels",
        expected: &["values-as-labels"],
        edit: [
            "task = \"classification\" on pm2.5 rounded to tens",
            "task = \"classification\" on pm2.5 in whole numbers",
        ],
        sets: &[PM25],
        left_out: "the others have classes",
        is_long: false,
        inject: |case, severity| {
            case.config.set("data.task", "classification");
            case.config.unset("training.loss");
            round_targets(case, severity.of(10.0, 1.0));
        },
    },
];

/// Leaves a share of the classes that are not the common one; at least one sequence of each.
fn thin_out(side: &mut Vec<Sequence>, common: f32, share: f64) {
    let mut seen = std::collections::BTreeMap::new();
    side.retain(|sequence| {
        let own = seen.entry(sequence.target as usize).or_insert(0usize);
        *own += 1;
        let before = ((*own - 1) as f64 * share).ceil();
        sequence.target == common || (*own as f64 * share).ceil() > before
    });
}

/// Rounds targets; what training has not is moved to the nearest that it has, for a classification knows no others.
fn round_targets(case: &mut Case, unit: f32) {
    let round = |value: f32| (value / unit).round() * unit;
    let mut known: Vec<f32> = case.splits.train.iter().map(|sequence| round(sequence.target)).collect();
    known.sort_by(f32::total_cmp);
    known.dedup();
    for sequence in case.splits.each() {
        let distance = |value: &f32| (value - sequence.target).abs();
        let nearest = known.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        sequence.target = nearest.unwrap_or(sequence.target);
    }
    case.splits.kind = Kind::Classes(known.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_each_rare_class_is_left() {
        let mut side: Vec<Sequence> = (0..900).map(|i| Sequence::new(vec![0.0], (i % 3) as f32)).collect();
        thin_out(&mut side, 1.0, 0.02);
        let count = |class: f32| side.iter().filter(|sequence| sequence.target == class).count();
        assert_eq!([count(0.0), count(1.0), count(2.0)], [6, 300, 6]);
    }
}
