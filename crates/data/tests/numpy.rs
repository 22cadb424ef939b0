//! NPZ archives and `.npy` files.

mod common;

use std::path::Path;

use common::{Folder, Npz, config, npy};
use emberloop_data::{Inputs, SequenceTarget, Targets, load, load_inputs, load_one};

#[test]
fn the_worked_example_is_the_official_split() {
    let table = "train='train.npz'\ntest='test.npz'\nlengths='lengths'\nlabels=['1','2','3','4','5','6','7','8','9']";
    let splits = load(&config(table), &common::vowels(), 1).unwrap();
    let test = splits.test.unwrap();
    assert_eq!((splits.train.channels(), test.channels()), (12, 12));
    assert_eq!(splits.train.class_counts(), [24; 9]);
    assert_eq!(splits.validation.class_counts(), [6; 9]);
    assert_eq!(test.class_counts(), [31, 35, 88, 44, 29, 24, 40, 50, 29]);
    let lengths: Vec<usize> = test.sequences.iter().map(|sequence| sequence.steps).collect();
    assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&7), Some(&29)));
    // The first frame of the source's first test utterance.
    let first = [1.635533, 0.024848, 0.432087, -0.361914, -0.074776, -0.693481];
    assert_eq!(test.sequences[0].values.loaded().unwrap()[..6], first);
}

/// `kinds.npz` is NumPy's own work (tests/tools/make_numpy_kinds.py): every array of `[2, 3, 2]` counts from 0 to 11.
#[test]
fn every_kind_of_number_reads_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let kinds = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "big_endian", "fortran"];
    for kind in kinds {
        let table = format!("train='kinds.npz'\ninputs='{kind}'\ntarget='code'\nvalidation_fraction=0.0");
        let train = load(&config(&table), &folder, 1).unwrap().train;
        let values: Vec<f32> =
            train.sequences.iter().flat_map(|sequence| sequence.values.loaded().unwrap().to_vec()).collect();
        assert_eq!(values, (0..12).map(|value| value as f32).collect::<Vec<_>>(), "{kind}");
        assert_eq!(train.inputs, Inputs::Channels(vec![format!("{kind}_0"), format!("{kind}_1")]));
    }
}

#[test]
fn labels_may_be_texts_flags_or_codes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let cases = [
        ("unicode", ["gehen ü", "walk"], [1, 0]),
        ("bytes", ["run", "walk"], [1, 0]),
        ("bool", ["0", "1"], [1, 0]),
        ("code", ["3", "7"], [1, 0]),
        ("float_code", ["3", "7"], [1, 0]),
    ];
    for (kind, labels, classes) in cases {
        let table = format!("train='kinds.npz'\ninputs='f4'\ntarget='{kind}'\nvalidation_fraction=0.0");
        let train = load(&config(&table), &folder, 1).unwrap().train;
        assert_eq!(train.targets, Targets::Classes { labels: labels.map(String::from).to_vec() }, "{kind}");
        assert_eq!(train.sequences[0].target, SequenceTarget::Class(classes[0]), "{kind}");
        assert_eq!(train.sequences[1].target, SequenceTarget::Class(classes[1]), "{kind}");
    }
}

#[test]
fn kinds_that_are_no_data_are_refused_by_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (kind, problem) in [
        ("half", "a type that is not read (<f2)"),
        ("complex", "a type that is not read (<c8)"),
        ("objects", "pickled"),
    ] {
        let table = format!("train='kinds.npz'\ninputs='{kind}'\ntarget='code'");
        let error = load(&config(&table), &folder, 1).unwrap_err().to_string();
        assert!(error.contains(&format!("kinds.npz: array \"{kind}\"")) && error.contains(problem), "{error}");
    }
}

#[test]
fn tokens_may_be_texts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let table = "train='kinds.npz'\ntoken='tokens'\ntarget='code'\nvalidation_fraction=0.0";
    let train = load(&config(table), &folder, 1).unwrap().train;
    let vocabulary = ["<unknown>", "a", "b", "c"].map(String::from).to_vec();
    assert_eq!(train.inputs, Inputs::Tokens { column: "tokens".into(), vocabulary });
    assert_eq!(train.sequences[1].values.loaded().unwrap(), [3.0, 1.0, 2.0]);
}

fn small() -> Npz {
    let x: Vec<f32> = (0..12).map(|value| value as f32).collect();
    Npz::new().with("x", &[3, 4], &x)
}

#[test]
fn two_dimensions_are_one_channel_and_lengths_cut_the_padding_off() {
    let bytes = small().with("y", &[3], &[0i64, 1, 0]).with("lengths", &[3], &[4i32, 1, 2]).bytes();
    let folder = Folder::new().with("t.npz", bytes);
    let splits = folder.load("train = 't.npz'\nlabels = ['N', 'S']\nvalidation_fraction = 0.0").unwrap();
    assert_eq!(splits.train.inputs, Inputs::Channels(vec!["x".into()]));
    let values: Vec<Vec<f32>> =
        splits.train.sequences.iter().map(|sequence| sequence.values.loaded().unwrap().to_vec()).collect();
    assert_eq!(values, [vec![0.0, 1.0, 2.0, 3.0], vec![4.0], vec![8.0, 9.0]]);
    assert_eq!(splits.train.targets, Targets::Classes { labels: vec!["N".into(), "S".into()] });
    assert!(splits.notes[0].ends_with("lengths are taken from the array \"lengths\""), "{:?}", splits.notes);
}

#[test]
fn padding_may_hold_anything() {
    let x = [1.0f32, 2.0, f32::INFINITY, f32::NAN];
    let bytes = Npz::new().with("x", &[2, 2], &x).with("y", &[2], &[0i64, 1]).with("n", &[2], &[2i64, 1]);
    // The second sequence's second step is padding; its first is infinite.
    let folder = Folder::new().with("t.npz", bytes.bytes());
    let error = folder.error("train = 't.npz'\nlengths = 'n'");
    assert_eq!(error, "t.npz: array \"x\", sequence 1, step 0, channel x: expected a finite number, found inf");
    let x = [1.0f32, 2.0, 3.0, f32::INFINITY];
    let bytes = Npz::new().with("x", &[2, 2], &x).with("y", &[2], &[0i64, 1]).with("n", &[2], &[2i64, 1]);
    let folder = Folder::new().with("t.npz", bytes.bytes());
    folder.load("train = 't.npz'\nlengths = 'n'").unwrap();
}

#[test]
fn values_per_sequence_and_per_step() {
    let y: Vec<f64> = (0..24).map(f64::from).collect();
    let bytes = small().with("y", &[3], &y[..3]).with("pair", &[3, 2], &y[..6]).with("each", &[3, 4], &y[..12]);
    let bytes = bytes.with("each_pair", &[3, 4, 2], &y).with("lengths", &[3], &[4i64, 1, 2]).bytes();
    let folder = Folder::new().with("t.npz", bytes);
    let target = |table: &str| {
        let table = format!("train='t.npz'\ntask='regression'\nlengths='lengths'\nvalidation_fraction=0.0\n{table}");
        let train = folder.load(&table).unwrap().train;
        (train.targets.outputs(), train.sequences[1].target.clone())
    };
    assert_eq!(target(""), (1, SequenceTarget::Values(vec![1.0])));
    assert_eq!(target("target='pair'"), (2, SequenceTarget::Values(vec![2.0, 3.0])));
    let step = "target_per='step'\n";
    assert_eq!(target(&format!("{step}target='each'")), (1, SequenceTarget::StepValues(vec![4.0])));
    assert_eq!(target(&format!("{step}target='each_pair'")), (2, SequenceTarget::StepValues(vec![8.0, 9.0])));
}

#[test]
fn single_arrays_may_be_files() {
    let x: Vec<i16> = (0..12).collect();
    let folder = Folder::new()
        .with("x.npy", npy(&[3, 2, 2], &x))
        .with("y.npy", npy(&[3], &[5u8, 6, 5]))
        .with("who.npy", npy(&[3], &[1i64, 2, 3]))
        .with("n.npy", npy(&[3], &[2i64, 2, 1]));
    let table = "train='x.npy'\ntarget='y.npy'\ngroup='who.npy'\nlengths='n.npy'\nvalidation_groups=['2']";
    let splits = folder.load(table).unwrap();
    assert_eq!(splits.validation.sequences.len(), 1);
    assert_eq!(splits.validation.sequences[0].values.loaded().unwrap(), [4.0, 5.0, 6.0, 7.0]);
    assert_eq!(splits.train.sequences[1].values.loaded().unwrap(), [8.0, 9.0]);
    assert_eq!(splits.train.targets, Targets::Classes { labels: vec!["5".into(), "6".into()] });

    let (config, path) = (config("train='x.npy'\ntarget='y.npy'"), folder.path().join("x.npy"));
    let other = load_inputs(&config, &path, &splits.train.schema()).unwrap();
    assert_eq!((other.sequences.len(), &other.sequences[0].target), (3, &SequenceTarget::Absent));
    let error = folder.shorten(&load_one(&config, &path, &splits.train.schema()).unwrap_err());
    assert!(error.starts_with("x.npy: file name: expected an .npz with inputs and targets"), "{error}");
}

#[test]
fn another_archive_must_have_the_models_channels() {
    let y = [0i64, 1, 0];
    let wide: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let folder = Folder::new()
        .with("t.npz", small().with("y", &[3], &y).bytes())
        .with("o.npz", Npz::new().with("x", &[3, 4, 2], &wide).with("y", &[3], &y).bytes());
    let schema = folder.load("train='t.npz'").unwrap().train.schema();
    let other = load_one(&config("train='t.npz'"), &folder.path().join("o.npz"), &schema);
    let error = folder.shorten(&other.unwrap_err());
    assert_eq!(error, "o.npz: array \"x\": expected 1 channels (x), found 2 (shape [3, 4, 2])");
}
