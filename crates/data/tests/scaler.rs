//! The scaler: fitted on training alone, undone exactly enough, and one policy for missing values.

mod common;

use common::Folder;
use emberloop_data::{
    Dataset, FeatureScale, Filler, Inputs, MissingPolicy, Scaler, ScalerKind, Sequence, SequenceTarget, TargetPer,
    TargetScaler, Targets,
};
use proptest::prelude::*;

const KINDS: [ScalerKind; 4] = [ScalerKind::Standard, ScalerKind::Minmax, ScalerKind::Robust, ScalerKind::None];

fn dataset(channels: usize, sequences: &[&[f32]]) -> Dataset {
    let sequence = |(i, values): (usize, &&[f32])| Sequence {
        name: i.to_string(),
        steps: values.len() / channels,
        values: values.to_vec().into(),
        target: SequenceTarget::Values(vec![values[0]]),
        group: None,
    };
    Dataset {
        inputs: Inputs::Channels((0..channels).map(|channel| format!("c{channel}")).collect()),
        targets: Targets::Values { names: vec!["t".into()] },
        target_per: TargetPer::Sequence,
        sequences: sequences.iter().enumerate().map(sequence).collect(),
        hash: String::new(),
        path: "t.csv".into(),
    }
}

const NAN: f32 = f32::NAN;

#[test]
fn statistics_run_over_every_step_of_a_channel_and_skip_missing_ones() {
    let train = dataset(2, &[&[1.0, 10.0, NAN, 20.0], &[3.0, 60.0]]);
    let scaler = Scaler::fit(&train, ScalerKind::Minmax, MissingPolicy::Mean).unwrap();
    assert_eq!(
        scaler.features,
        [FeatureScale { offset: 1.0, scale: 2.0, fill: 2.0 }, FeatureScale { offset: 10.0, scale: 50.0, fill: 30.0 },]
    );
}

/// The statistics of these values are worked out by hand in `src/statistics.rs`.
#[test]
fn scaled_values() {
    let train = dataset(1, &[&[1.0, 2.0, 4.0, 8.0, 16.0, 33.0]]);
    let scaled = |kind| Scaler::fit(&train, kind, MissingPolicy::Error).unwrap().apply(&train.sequences[0]).unwrap();
    assert_eq!(scaled(ScalerKind::Minmax), [0.0, 0.03125, 0.09375, 0.21875, 0.46875, 1.0]);
    assert_eq!(scaled(ScalerKind::None), train.sequences[0].values.loaded().unwrap());
    let robust = scaled(ScalerKind::Robust);
    assert_eq!((robust[1], robust[5]), ((-4.0f64 / 11.5) as f32, (27.0f64 / 11.5) as f32));
    let standard = scaled(ScalerKind::Standard);
    let mean: f32 = standard.iter().sum::<f32>() / 6.0;
    let variance: f32 = standard.iter().map(|value| value * value).sum::<f32>() / 6.0;
    assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
}

#[test]
fn missing_values_follow_the_policy() {
    let train = dataset(1, &[&[1.0, 3.0]]);
    let gaps = dataset(1, &[&[NAN, 7.0, NAN, NAN, 9.0], &[NAN]]);
    let filled = |missing| {
        let scaler = Scaler::fit(&train, ScalerKind::None, missing).unwrap();
        gaps.sequences.iter().map(|sequence| scaler.fill_raw(sequence).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(filled(MissingPolicy::HoldLast), [vec![2.0, 7.0, 7.0, 7.0, 9.0], vec![2.0]]);
    assert_eq!(filled(MissingPolicy::Mean), [vec![2.0, 7.0, 2.0, 2.0, 9.0], vec![2.0]]);
}

#[test]
fn a_stream_is_filled_as_a_sequence_is_and_forgets_on_reset() {
    let train = dataset(2, &[&[1.0, 10.0, 3.0, 30.0]]);
    let scaler = Scaler::fit(&train, ScalerKind::Standard, MissingPolicy::HoldLast).unwrap();
    let mut filler = Filler::new(&scaler);
    let mut step = |raw: [f32; 2]| {
        let mut raw = raw;
        (filler.step(&mut raw), raw)
    };
    assert_eq!(step([5.0, NAN]), (Ok(1), [5.0, 20.0]));
    assert_eq!(step([NAN, NAN]), (Ok(2), [5.0, 20.0]));
    assert_eq!(step([6.0, 7.0]), (Ok(0), [6.0, 7.0]));
    filler.reset();
    let mut raw = [NAN, NAN];
    assert_eq!((filler.step(&mut raw), raw), (Ok(2), [2.0, 20.0]));

    let strict = Scaler { missing: MissingPolicy::Error, ..scaler };
    assert_eq!(Filler::new(&strict).step(&mut [1.0, NAN]), Err(1));
}

#[test]
fn values_beyond_f32_are_refused() {
    let scaler = Scaler {
        kind: ScalerKind::Standard,
        missing: MissingPolicy::Error,
        features: vec![FeatureScale { offset: 0.0, scale: 1e-3, fill: 0.0 }],
    };
    let error = scaler.apply(&dataset(1, &[&[1.0, 3e38]]).sequences[0]).unwrap_err().to_string();
    assert!(error.starts_with("input: sequence 0, step 1, channel 0: expected a value that is finite"), "{error}");
}

#[test]
fn tokens_are_not_scaled() {
    let mut train = dataset(1, &[&[3.0, 0.0, 5.0]]);
    train.inputs = Inputs::Tokens { column: "c".into(), vocabulary: vec![String::new(); 6] };
    let scaler = Scaler::fit(&train, ScalerKind::Standard, MissingPolicy::Mean).unwrap();
    assert_eq!((scaler.kind, scaler.features.len()), (ScalerKind::None, 0));
    assert_eq!(scaler.apply(&train.sequences[0]).unwrap(), [3.0, 0.0, 5.0]);
}

#[test]
fn targets_are_standardised_or_left_alone() {
    let train = dataset(1, &[&[1.0], &[3.0], &[8.0]]);
    let scaler = TargetScaler::fit(&train, true).unwrap().unwrap();
    assert_eq!((scaler.features[0].offset, scaler.features[0].scale), (4.0, (26.0f64 / 3.0).sqrt()));
    let off = TargetScaler::fit(&train, false).unwrap().unwrap();
    assert_eq!((off.apply(0, 7.5), off.inverse(0, 7.5)), (7.5, 7.5));
    let mut classes = train.clone();
    classes.targets = Targets::Classes { labels: vec!["a".into()] };
    assert_eq!(TargetScaler::fit(&classes, true).unwrap(), None);
}

#[test]
fn it_survives_json_bit_for_bit() {
    let train = dataset(2, &[&[0.1, -7.3, 1e-30, 1e30], &[0.7, 3.0]]);
    for kind in KINDS {
        let scaler = Scaler::fit(&train, kind, MissingPolicy::HoldLast).unwrap();
        let json = serde_json::to_string(&scaler).unwrap();
        assert_eq!(serde_json::from_str::<Scaler>(&json).unwrap(), scaler, "{json}");
    }
}

/// Two files that differ in everything but the training rows give the same scaler, target scaler and vocabulary.
#[test]
fn validation_and_test_data_leave_the_scaler_unchanged() {
    let rows = |from: usize, to: usize, factor: f64| -> String {
        (from..to).map(|i| format!("{i},{},{},g{i}\n", i as f64 * 0.37 * factor, (i * i) as f64 * factor)).collect()
    };
    // One long series: the first 60 of 100 rows are training.
    let series = |factor: f64| format!("i,a,t,g\n{}{}", rows(0, 60, 1.0), rows(60, 100, factor));
    let window = "train='t.csv'\nstep='i'\nchannels=['a','t']\ntask='regression'\ntarget='t'\n\
                  validation_fraction=0.2\ntest_fraction=0.2\nwindow={length=4,horizon=1}";
    // By group: the last two groups are named away from training.
    let grouped = |factor: f64| format!("s,a,t,g\n{}{}", rows(0, 8, 1.0), rows(8, 10, factor));
    let group = "train='t.csv'\nsequence='s'\nchannels=['a','t']\ntask='regression'\ntarget='t'\ngroup='g'\n\
                 validation_groups=['g8']\ntest_groups=['g9']";
    // Own files.
    let files = "train='t.csv'\nsequence='i'\nchannels=['a','t']\ntask='regression'\ntarget='t'\n\
                 validation='v.csv'\ntest='v.csv'";
    let own = |factor: f64| format!("i,a,t,g\n{}", rows(0, 20, factor));

    let fits = |folder: &Folder, table: &str| {
        let splits = folder.load(table).unwrap();
        let fitted: Vec<Scaler> =
            KINDS.iter().map(|&kind| Scaler::fit(&splits.train, kind, MissingPolicy::Mean).unwrap()).collect();
        (fitted, TargetScaler::fit(&splits.train, true).unwrap(), splits.validation.sequences)
    };
    let pairs = [
        (Folder::new().with("t.csv", series(1.0)), Folder::new().with("t.csv", series(-1e6)), window),
        (Folder::new().with("t.csv", grouped(1.0)), Folder::new().with("t.csv", grouped(-1e6)), group),
        (
            Folder::new().with("t.csv", own(1.0)).with("v.csv", own(1.0)),
            Folder::new().with("t.csv", own(1.0)).with("v.csv", own(-1e6)),
            files,
        ),
    ];
    for (one, other, table) in pairs {
        let (one, other) = (fits(&one, table), fits(&other, table));
        assert_eq!((&one.0, &one.1), (&other.0, &other.1), "{table}");
        assert_ne!(one.2, other.2, "the validation data should differ: {table}");
    }
}

proptest! {
    #[test]
    fn scaling_is_undone(values in prop::collection::vec(-1e4f32..1e4, 2..60), kind in 0usize..4) {
        let train = dataset(1, &[&values]);
        let scaler = Scaler::fit(&train, KINDS[kind], MissingPolicy::Error).unwrap();
        let feature = &scaler.features[0];
        prop_assert!(feature.scale > 0.0);
        for (raw, scaled) in values.iter().zip(scaler.apply(&train.sequences[0]).unwrap()) {
            let back = f64::from(scaled) * feature.scale + feature.offset;
            // One rounding to f32 of the scaled value, at most half a unit in its last place.
            let bound = f64::from(scaled.abs()) * feature.scale * f64::from(f32::EPSILON) + feature.offset.abs() * 1e-12;
            prop_assert!((back - f64::from(*raw)).abs() <= bound + 1e-12, "{raw} {back}");
        }
    }

    #[test]
    fn target_scaling_is_undone(values in prop::collection::vec(-1e4f32..1e4, 2..60)) {
        let each: Vec<&[f32]> = values.chunks(1).collect();
        let scaler = TargetScaler::fit(&dataset(1, &each), true).unwrap().unwrap();
        for raw in values {
            let back = scaler.inverse(0, scaler.apply(0, raw));
            prop_assert!((back - raw).abs() <= 2e-7 * (raw.abs() + scaler.features[0].offset.abs() as f32) + 1e-6);
        }
    }
}
