//! Faults of `[model]`.

use super::{ALL, Case, ECG, Fault, PM25, TOKENS};
use crate::doctor::series::Sequence;

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "dropout-strong",
        expected: &["dropout-strong"],
        edit: ["dropout = 0.99", "dropout = 0.95"],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| case.config.set("model.dropout", severity.of(0.99, 0.95)),
    },
    Fault {
        name: "capacity-small",
        expected: &["capacity-small"],
        edit: ["hidden = [1], one direction", "hidden = [2], one direction"],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| {
            case.config.unset("model.bidirectional");
            hidden(case, severity.of(&[1], &[2]));
        },
    },
    Fault {
        name: "capacity-large",
        expected: &["capacity-large"],
        edit: [
            "hidden = [160], no dropout, no early stopping, keep = \"last\", 4 x the epochs, an eighth of the training sequences",
            "hidden = [128], no dropout, no early stopping, keep = \"last\", 4 x the epochs, a sixth of the training sequences",
        ],
        sets: &[ECG, PM25, TOKENS],
        left_out: "an eighth of japanese_vowels or basic_motions is hardly any data, which is another fault",
        is_long: false,
        inject: |case, severity| {
            case.own_validation = true;
            hidden(case, severity.of(&[160], &[128]));
            case.config.set("model.dropout", 0.0);
            case.config.unset("training.early_stopping");
            case.config.set("training.keep", "last");
            let epochs = case.config.number("training.epochs").unwrap_or(0.0) as i64;
            case.config.set("training.epochs", 4 * epochs);
            let count = case.splits.train.len() / severity.of(8, 6);
            case.splits.train.truncate(count);
        },
    },
    Fault {
        name: "gradient-vanishing",
        expected: &["gradient-vanishing"],
        edit: [
            "cell = \"rnn\", head = \"last\", one direction, and every sequence goes on for 200 steps of noise like the data",
            "cell = \"rnn\", head = \"last\", one direction, and every sequence goes on for 100 steps of noise like the data",
        ],
        sets: ALL,
        left_out: "",
        is_long: true,
        inject: |case, severity| {
            case.config.set("model.cell", "rnn");
            case.config.unset("model.bidirectional");
            case.config.unset("training.truncate");
            case.config.set("model.head", "last");
            append_noise(case, severity.of(200, 100));
        },
    },
];

fn hidden(case: &mut Case, units: &[i64]) {
    case.config.set("model.hidden", toml_edit::Array::from_iter(units.iter().copied()));
}

/// What goes on after the sequence says nothing: values of each channel's own mean and deviation; tokens: a separator, then letters.
fn append_noise(case: &mut Case, steps: usize) {
    let scale = case.splits.scale();
    let (channels, tokens) = (case.splits.channels, case.splits.tokens);
    let codes = case.splits.each().flat_map(|s| s.values.clone()).fold(0.0, f32::max) as usize;
    let random = &mut case.random;
    let mut append = |sequence: &mut Sequence| {
        if tokens {
            sequence.values.push((codes + 1) as f32);
            sequence.values.extend((1..steps).map(|_| (1 + random.below(codes)) as f32));
        } else {
            for place in 0..steps * channels {
                let (mean, deviation) = scale[place % channels];
                sequence.values.push((mean + deviation * random.normal()) as f32);
            }
        }
    };
    case.splits.each().for_each(&mut append);
}
