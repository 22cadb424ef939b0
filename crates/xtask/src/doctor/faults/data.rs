//! Faults of the inputs.

use super::{ALL, BM, CHANNELS, Case, ECG, Fault, JV, NO_CHANNELS, Severity, TOKENS};
use crate::doctor::series::{Sequence, statistics};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "features-unscaled",
        expected: &["features-unscaled"],
        edit: [
            "scaler.kind = \"none\", and channels in turn x 1e5 and / 1e5, with offsets of 3 deviations",
            "scaler.kind = \"none\", and channels in turn x 1000 and / 1000, with offsets of 3 deviations",
        ],
        sets: CHANNELS,
        left_out: NO_CHANNELS,
        is_long: false,
        inject: |case, severity| unscale(case, severity.of(1e5, 1e3)),
    },
    Fault {
        name: "outliers",
        expected: &["outliers"],
        edit: [
            "some values of 3 % of the training sequences x 1e5, scaler.kind = \"minmax\"",
            "some values of 3 % of the training sequences x 1000, scaler.kind = \"standard\"",
        ],
        sets: CHANNELS,
        left_out: NO_CHANNELS,
        is_long: false,
        inject: |case, severity| {
            case.config.set("scaler.kind", severity.of("minmax", "standard"));
            outliers(case, severity.of(1e5, 1e3));
        },
    },
    Fault {
        name: "scaler-leak",
        expected: &["scaler-leak"],
        edit: [
            "the values are standardised beforehand by mean and deviation of all sides, or of validation and test; scaler.kind = \"none\"",
            "the same, with other seeds; the test skill loses nothing by it, what is validated says too much",
        ],
        sets: CHANNELS,
        left_out: NO_CHANNELS,
        is_long: false,
        inject: leak_scale,
    },
    Fault {
        name: "split-leak",
        expected: &["split-leak"],
        edit: [
            "all of the validation sequences are training sequences (beijing_pm25: overlapping windows are divided at random)",
            "half of the validation sequences are training sequences (beijing_pm25: overlapping windows are divided at random); the test skill loses nothing by it, what is validated says too much",
        ],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: leak_sequences,
    },
    Fault {
        name: "padding",
        expected: &["padding"],
        edit: [
            "sequences are padded with zeros (tokens: <pad>) to 6 x the longest, and no lengths are given; head = \"last\", one direction",
            "sequences are padded with zeros (tokens: <pad>) to 3 x the longest, and no lengths are given; head = \"last\", one direction",
        ],
        sets: &[JV, BM, ECG, TOKENS],
        left_out: "in beijing_pm25 it costs next to nothing",
        is_long: true,
        inject: |case, severity| {
            case.config.set("model.head", "last");
            case.config.unset("model.bidirectional");
            case.config.unset("training.truncate");
            let numbers = severity.of(6, 3) * case.splits.longest() * case.splits.channels;
            case.splits.each().for_each(|sequence| sequence.values.resize(numbers, 0.0));
        },
    },
    Fault {
        name: "lengths-wrong",
        expected: &["lengths-wrong"],
        edit: [
            "data.lengths names an array that gives every sequence 1 or 2 steps",
            "data.lengths names an array that gives a tenth of the steps",
        ],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| {
            case.config.set("data.lengths", "size");
            case.splits.lengths_name = "size";
            let channels = case.splits.channels;
            let random = &mut case.random;
            let short = |sequence: &mut Sequence| {
                let steps = sequence.values.len() / channels;
                let stated = severity.of(1 + random.below(2), steps / 10);
                sequence.stated = Some(stated.clamp(1, steps));
            };
            case.splits.each().for_each(short);
        },
    },
    Fault {
        name: "values-missing",
        expected: &["values-missing"],
        edit: [
            "85 % of the values of every side are missing, scaler.missing = \"mean\"",
            "50 % of the values of every side are missing, scaler.missing = \"mean\"",
        ],
        sets: CHANNELS,
        left_out: NO_CHANNELS,
        is_long: false,
        inject: |case, severity| {
            case.config.set("scaler.missing", "mean");
            let random = &mut case.random;
            let values = case.splits.each().flat_map(|sequence| &mut sequence.values);
            values.for_each(|value| {
                if random.chance(severity.of(0.85, 0.5)) {
                    *value = f32::NAN
                }
            });
        },
    },
    Fault {
        name: "feature-constant",
        expected: &["feature-constant"],
        edit: [
            "five constant channels are added",
            "two constant channels are added; it costs less than 0.05 in most sets",
        ],
        sets: CHANNELS,
        left_out: NO_CHANNELS,
        is_long: false,
        inject: |case, severity| {
            let constants: Vec<f32> = (0..severity.of(5, 2)).map(|_| case.random.below(20) as f32).collect();
            add_channels(case, |_| constants.clone());
        },
    },
    Fault {
        name: "feature-duplicate",
        expected: &["feature-duplicate"],
        edit: ["a channel is there six times", "a channel is there three times; it costs nothing"],
        sets: CHANNELS,
        left_out: NO_CHANNELS,
        is_long: false,
        inject: |case, severity| {
            let channel = case.random.below(case.splits.channels);
            add_channels(case, |row| vec![row[channel]; severity.of(5, 2)]);
        },
    },
    Fault {
        name: "not-enough-data",
        expected: &["not-enough-data"],
        edit: [
            "2 training sequences of each class and 1 to validate on (beijing_pm25: 10 windows and 5)",
            "3 training sequences of each class and 2 to validate on (beijing_pm25: 20 windows and 10)",
        ],
        sets: ALL,
        left_out: "",
        is_long: false,
        inject: |case, severity| {
            case.own_validation = true;
            if case.set.is_classes() {
                keep_of_each(&mut case.splits.train, severity.of(2, 3));
                keep_of_each(&mut case.splits.validation, severity.of(1, 2));
            } else {
                case.splits.train.truncate(severity.of(10, 20));
                case.splits.validation.truncate(severity.of(5, 10));
            }
        },
    },
];

/// The first so many of each class.
fn keep_of_each(side: &mut Vec<Sequence>, count: usize) {
    let mut kept = std::collections::BTreeMap::new();
    side.retain(|sequence| {
        let own = kept.entry(sequence.target as usize).or_insert(0);
        *own += 1;
        *own <= count
    });
}

fn unscale(case: &mut Case, factor: f64) {
    case.config.set("scaler.kind", "none");
    let scale = case.splits.scale();
    let channels = case.splits.channels;
    for sequence in case.splits.each() {
        for (place, value) in sequence.values.iter_mut().enumerate() {
            let (mean, deviation) = scale[place % channels];
            let own = if (place % channels).is_multiple_of(2) { factor } else { 1.0 / factor };
            *value = (own * ((f64::from(*value) - mean) / deviation + 3.0)) as f32;
        }
    }
}

/// In each spoiled sequence one value of each channel: like a sensor that drops out for a moment.
fn outliers(case: &mut Case, factor: f32) {
    let scale = case.splits.scale();
    let channels = case.splits.channels;
    let count = case.splits.train.len().div_ceil(33).max(2);
    for index in 0..count.min(case.splits.train.len()) {
        let sequence = &mut case.splits.train[index];
        let steps = sequence.values.len() / channels;
        for (channel, &(_, deviation)) in scale.iter().enumerate() {
            let place = case.random.below(steps) * channels + channel;
            // A value that happens to be near 0 would be no outlier.
            sequence.values[place] = factor * deviation as f32 * if case.random.chance(0.5) { 1.0 } else { -1.0 };
        }
    }
}

fn leak_scale(case: &mut Case, _: Severity) {
    case.own_validation = true;
    case.config.set("scaler.kind", "none");
    let channels = case.splits.channels;
    let of_all = case.random.chance(0.5);
    let learned = if of_all { case.splits.train.as_slice() } else { &[] };
    let pooled: Vec<Sequence> =
        learned.iter().chain(&case.splits.validation).chain(&case.splits.test).cloned().collect();
    let scale = statistics(&pooled, channels);
    case.splits.standardise(&scale);
}

fn leak_sequences(case: &mut Case, severity: Severity) {
    case.own_validation = true;
    if case.set.is_classes() {
        let count = case.splits.validation.len() / severity.of(1, 2);
        for index in 0..count {
            case.splits.validation[index] = case.random.pick(&case.splits.train).clone();
        }
        return;
    }
    // The windows of a block overlap; drawn from all of them, each of one side has neighbours on the other.
    let validation = case.splits.validation.len();
    let mut both: Vec<Sequence> = case.splits.seen().map(|sequence| sequence.clone()).collect();
    case.random.shuffle(&mut both);
    case.splits.train = both.split_off(validation);
    case.splits.validation = both;
}

/// Adds to each row what `more` makes of it.
fn add_channels(case: &mut Case, more: impl Fn(&[f32]) -> Vec<f32>) {
    let channels = case.splits.channels;
    let mut width = channels;
    for sequence in case.splits.each() {
        let rows = sequence.values.chunks_exact(channels).map(|row| [row, &more(row)].concat());
        let rows: Vec<Vec<f32>> = rows.collect();
        width = rows.first().map_or(width, Vec::len);
        sequence.values = rows.concat();
    }
    case.splits.channels = width;
}
