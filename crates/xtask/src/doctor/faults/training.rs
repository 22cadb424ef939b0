//! Faults of `[training]`.

use super::{ALL, BM, CLASSES, Case, ECG, Fault, JV, NO_CLASSES, PM25, Severity, TOKENS};

const RATE: &str = "training.optimizer.learning_rate";

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "learning-rate-high",
        expected: &["learning-rate-high"],
        edit: ["learning rate x 200, at least 0.6 (SGD: 6)", "learning rate x 60, at least 0.18 (SGD: 1.8)"],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| raise_rate(case, severity.of(200.0, 60.0)),
    },
    Fault {
        name: "learning-rate-low",
        expected: &["learning-rate-low"],
        edit: ["learning rate / 2000, at most 1.5e-6 (SGD: 1.5e-5)", "learning rate / 100, at most 3e-5 (SGD: 3e-4)"],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| lower_rate(case, severity.of(2000.0, 100.0)),
    },
    Fault {
        name: "batch-large",
        expected: &["batch-large"],
        edit: [
            "batch = all of the training sequences, half the epochs",
            "batch = half of the training sequences, a third of the epochs",
        ],
        sets: &[JV, ECG, PM25, TOKENS],
        left_out: "basic_motions is learned from its 40 sequences in few steps as well",
        is_long: false,
        inject: |case, severity| {
            let count = case.splits.train.len() / severity.of(1, 2);
            case.config.set("training.batch", count as i64);
            let epochs = case.config.number("training.epochs").unwrap_or(0.0) as i64;
            case.config.set("training.epochs", epochs / severity.of(2, 3));
        },
    },
    Fault {
        name: "clip-always",
        expected: &["clip-always"],
        edit: ["clip = { norm = 1e-10 }", "clip = { norm = 1e-8 }"],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| {
            case.config.unset("training.clip");
            case.config.set("training.clip.norm", severity.of(1e-10, 1e-8));
        },
    },
    Fault {
        name: "regularization-strong",
        expected: &["regularization-strong"],
        edit: ["l2 = 1", "optimizer.weight_decay = 0.2; with adamw, whose decay is another, l2 = 0.1"],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| match severity {
            Severity::A => case.config.set("training.l2", 1.0),
            Severity::B if case.config.word("training.optimizer.kind") == Some("adamw") => {
                case.config.set("training.l2", 0.1)
            }
            Severity::B => case.config.set("training.optimizer.weight_decay", 0.2),
        },
    },
    Fault {
        name: "label-smoothing-strong",
        expected: &["label-smoothing-strong"],
        edit: ["loss = { kind = \"cross_entropy\", label_smoothing = 0.999 }", "the same with 0.98"],
        sets: CLASSES,
        left_out: NO_CLASSES,
        is_long: false,
        inject: |case, severity| {
            case.config.set("training.loss.kind", "cross_entropy");
            case.config.set("training.loss.label_smoothing", severity.of(0.999, 0.98));
        },
    },
    Fault {
        name: "class-weights",
        expected: &["class-weights"],
        edit: [
            "class_weights: 30000 for one class, 1 for the others",
            "class_weights: 300 for one class, 1 for the others",
        ],
        sets: &[ECG, TOKENS],
        left_out: "beijing_pm25 has no classes; those of japanese_vowels and basic_motions lie so far apart that it costs little",
        is_long: false,
        inject: |case, severity| {
            let super::super::series::Kind::Classes(classes) = case.splits.kind else { return };
            let heavy = case.random.below(classes);
            let weight = |class| if class == heavy { severity.of(30000.0, 300.0) } else { 1.0 };
            case.config.set("training.loss.kind", "cross_entropy");
            case.config.set("training.loss.class_weights", toml_edit::Array::from_iter((0..classes).map(weight)));
        },
    },
    Fault {
        name: "schedule-early",
        expected: &["schedule-early"],
        edit: [
            "schedule = { kind = \"plateau\", patience = 1, factor = 0.1, min_delta = 10 }",
            "schedule = { kind = \"step\", every = 1, factor = 0.1 }",
        ],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| {
            case.config.unset("training.schedule");
            match severity {
                Severity::A => {
                    case.config.set("training.schedule.kind", "plateau");
                    case.config.set("training.schedule.patience", 1);
                    case.config.set("training.schedule.factor", 0.1);
                    case.config.set("training.schedule.min_delta", 10.0);
                }
                Severity::B => {
                    case.config.set("training.schedule.kind", "step");
                    case.config.set("training.schedule.every", 1);
                    case.config.set("training.schedule.factor", 0.1);
                }
            }
        },
    },
    Fault {
        name: "epochs-few",
        expected: &["epochs-few"],
        edit: ["epochs = 1", "epochs = 3"],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| {
            // A warmup that is longer than the training is an error, which nobody needs a doctor for.
            case.config.unset("training.schedule.warmup_epochs");
            case.config.set("training.epochs", severity.of(1, 3));
        },
    },
    Fault {
        name: "truncate-short",
        expected: &["truncate-short"],
        edit: [
            "truncate = 1, head = \"last\", one direction",
            "truncate = 1, head = \"last\", one direction; it costs little but in basic_motions and japanese_vowels",
        ],
        sets: &[JV, BM, ECG, TOKENS],
        left_out: "the last steps say most of beijing_pm25's target",
        is_long: false,
        inject: |case, _| {
            case.config.set("training.truncate", 1);
            case.config.unset("model.bidirectional");
            case.config.set("model.head", "last");
        },
    },
];

/// Never below what harms: a healthy rate that is low already bears more.
fn raise_rate(case: &mut Case, factor: f64) {
    let (rate, unit) = rate_and_unit(case);
    set_rate(case, (rate * factor).max(unit * factor));
}

/// Never above what harms.
fn lower_rate(case: &mut Case, divisor: f64) {
    let (rate, unit) = rate_and_unit(case);
    set_rate(case, (rate / divisor).min(unit / divisor));
}

/// The drawn rate, and one that is usual; SGD's is ten times Adam's.
fn rate_and_unit(case: &Case) -> (f64, f64) {
    let is_sgd = case.config.word("training.optimizer.kind") == Some("sgd");
    (case.config.number(RATE).expect("every recipe has a rate"), if is_sgd { 3e-2 } else { 3e-3 })
}

fn set_rate(case: &mut Case, rate: f64) {
    case.config.set(RATE, format!("{rate:.2e}").parse::<f64>().expect("written above"));
}
