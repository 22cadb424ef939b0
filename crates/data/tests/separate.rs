//! Padding, lengths that are not to be used, and sequences that share content.

mod common;

use common::{Folder, Npz, config, npy};
use emberloop_data::{DataConfig, Dataset, Overlap, Padding, SequenceTarget, shared_content};

/// Rows of a series that is never twice the same.
fn row(at: u64) -> [f32; 2] {
    let noise = |at: u64| {
        let z = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((z ^ (z >> 27)) >> 40) as f32 / (1u64 << 24) as f32
    };
    [noise(2 * at + 1), noise(2 * at + 2)]
}

/// Windows of 12 rows of one series, from these starts.
fn windows(starts: impl IntoIterator<Item = u64>) -> (u64, Vec<f32>) {
    let starts: Vec<u64> = starts.into_iter().collect();
    let rows = |start: &u64| (*start..start + 12).flat_map(row).collect::<Vec<f32>>();
    (starts.len() as u64, starts.iter().flat_map(rows).collect())
}

fn npz(starts: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let (count, x) = windows(starts);
    let y: Vec<i64> = (0..count as i64).map(|at| at % 2).collect();
    Npz::new().with("x", &[count, 12, 2], &x).with("y", &[count], &y).bytes()
}

fn shared(train: &Dataset, other: &Dataset) -> usize {
    shared_content(train, &[other]).unwrap()[0].shared
}

#[test]
fn windows_of_one_series_are_cut_once_and_nothing_is_on_both_sides() {
    let folder = Folder::new().with("d.npz", npz((0..300).map(|at| at * 3)));
    let mixed = folder.load("train='d.npz'\ntest_fraction=0.2").unwrap();
    let found = shared_content(&mixed.train, &[&mixed.validation]).unwrap()[0];
    assert!(found.shared > 50, "{found:?}");
    let apart = folder.load("train='d.npz'\ntest_fraction=0.2\noverlap='separate'").unwrap();
    let test = apart.test.as_ref().unwrap();
    assert_eq!(
        shared(&apart.train, &apart.validation) + shared(&apart.train, test) + shared(&apart.validation, test),
        0
    );
    // What is left out at the seams is little.
    let sizes = [apart.train.sequences.len(), apart.validation.sequences.len(), test.sequences.len()];
    assert!(sizes[0] >= 150 && sizes[1] >= 30 && sizes[2] >= 30, "{sizes:?}");
    assert!(apart.notes.iter().any(|note| note.contains("share content")), "{:?}", apart.notes);
}

#[test]
fn the_order_of_the_file_does_not_matter() {
    let folder = Folder::new().with("d.npz", npz((0..300).map(|at| (at * 77 % 300) * 3)));
    let apart = folder.load("train='d.npz'\noverlap='separate'").unwrap();
    assert_eq!(shared(&apart.train, &apart.validation), 0);
    assert!(apart.validation.sequences.len() >= 30, "{:?}", apart.notes);
}

#[test]
fn copies_stay_together() {
    let folder = Folder::new().with("d.npz", npz((0..100).map(|at| at % 50 * 40)));
    let splits = folder.load("train='d.npz'\noverlap='separate'").unwrap();
    assert_eq!((splits.train.sequences.len(), splits.validation.sequences.len()), (80, 20));
    assert_eq!(shared(&splits.train, &splits.validation), 0);
}

#[test]
fn a_validation_file_is_left_without_what_training_has() {
    let folder =
        Folder::new().with("a.npz", npz((0..60).map(|at| at * 40))).with("b.npz", npz((50..90).map(|at| at * 40)));
    let splits = folder.load("train='a.npz'\nvalidation='b.npz'\noverlap='separate'").unwrap();
    assert_eq!((splits.train.sequences.len(), splits.validation.sequences.len()), (60, 30));
    assert!(
        splits.notes.iter().any(|note| note.contains("left out 10 of 40 validation sequences")),
        "{:?}",
        splits.notes
    );
}

#[test]
fn where_nothing_is_shared_the_split_is_the_same() {
    let folder = Folder::new().with("d.npz", npz((0..60).map(|at| at * 40)));
    let [allowed, apart] = ["", "overlap='separate'"].map(|key| folder.load(&format!("train='d.npz'\n{key}")).unwrap());
    assert_eq!(allowed, apart);
}

#[test]
fn words_are_equal_only_as_a_whole() {
    let word = |name: usize, text: &str| text.chars().map(|c| format!("{name},{c},l\n")).collect::<String>();
    let rows: String = (0..40).map(|at| word(at, ["ember", "member", "remember", "loop"][at % 4])).collect();
    let folder = Folder::new().with("d.csv", format!("w,c,label\n{rows}"));
    let splits = folder.load("train='d.csv'\nsequence='w'\ntoken='c'\noverlap='separate'").unwrap();
    let lengths = |dataset: &Dataset| {
        dataset.sequences.iter().map(|sequence| sequence.steps).collect::<std::collections::BTreeSet<_>>()
    };
    // Each word is a group of ten.
    assert_eq!((splits.train.sequences.len(), splits.validation.sequences.len()), (30, 10));
    assert!(lengths(&splits.train).is_disjoint(&lengths(&splits.validation)));
}

#[test]
fn padding_of_arrays() {
    let x: [f32; 12] = [1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 4.0, 5.0, 0.0, 0.0, 0.0, 0.0];
    let npz = Npz::new().with("x", &[2, 3, 2], &x).with("y", &[2, 3], &[0i64, 1, 0, 1, 0, 1]).bytes();
    let folder = Folder::new().with("d.npz", npz);
    let table = "train='d.npz'\nvalidation_fraction=0\ntarget_per='step'\n";
    let splits = folder.load(&format!("{table}padding=0")).unwrap();
    let sequences = &splits.train.sequences;
    // A row is padding if every channel is.
    assert_eq!(sequences.iter().map(|sequence| sequence.steps).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(sequences[0].values.loaded().unwrap(), [1.0, 2.0, 0.0, 3.0]);
    assert_eq!(sequences[0].target, SequenceTarget::Classes(vec![0, 1]));
    assert!(folder.load(table).unwrap().train.sequences.iter().all(|sequence| sequence.steps == 3));
    // At least one row stays.
    let nothing = Npz::new().with("x", &[1, 3, 1], &[7i64, 7, 7]).with("y", &[1], &[0i64]).bytes();
    let folder = Folder::new().with("d.npz", nothing);
    let splits = folder.load("train='d.npz'\nvalidation_fraction=0\npadding=7").unwrap();
    assert_eq!(splits.train.sequences[0].steps, 1);
}

#[test]
fn padding_of_tables() {
    let csv = "s,t,a,b,label\n1,2,-1,-1,u\n1,0,3,-1,u\n1,1,-1,4,u\n2,0,5,6,v\n2,1,NA,NA,v\n";
    let folder = Folder::new().with("d.csv", csv);
    let steps = |padding: &str| -> Vec<usize> {
        let table = format!("train='d.csv'\nsequence='s'\nstep='t'\nvalidation_fraction=0\npadding={padding}");
        folder.load(&table).unwrap().train.sequences.iter().map(|sequence| sequence.steps).collect()
    };
    assert_eq!(steps("-1"), [2, 2]);
    assert_eq!(steps("nan"), [3, 1]);
    let tokens = Folder::new().with("d.csv", "s,c,label\n1,a,u\n1,_,u\n1,_,u\n2,_,v\n2,b,v\n");
    let splits = tokens.load("train='d.csv'\nsequence='s'\ntoken='c'\nvalidation_fraction=0\npadding='_'").unwrap();
    assert_eq!(splits.train.sequences.iter().map(|sequence| sequence.steps).collect::<Vec<_>>(), [1, 2]);
    let error = tokens.error("train='d.csv'\nsequence='s'\nchannels=['c']\npadding='_'");
    assert_eq!(error, "[data] padding: expected the value of every channel, a number, found \"_\"");
}

#[test]
fn padding_of_streamed_inputs_is_refused() {
    let folder = Folder::new().with("x.npy", npy(&[2, 2], &[1.0f32; 4])).with("y.npy", npy(&[2], &[0i64, 1]));
    let error = folder.error("train='x.npy'\ntarget='y.npy'\nmemory='stream'\npadding=0");
    assert!(error.starts_with("[data] padding: expected inputs in memory, found those of x.npy streamed"), "{error}");
}

#[test]
fn lengths_that_are_not_used() {
    let (count, x) = windows([0, 40]);
    let npz = Npz::new().with("x", &[count, 12, 2], &x).with("y", &[2], &[0i64, 1]).with("lengths", &[2], &[3i64, 12]);
    let folder = Folder::new().with("d.npz", npz.bytes());
    let steps = |key: &str| -> Vec<usize> {
        let table = format!("train='d.npz'\nvalidation_fraction=0\n{key}");
        folder.load(&table).unwrap().train.sequences.iter().map(|sequence| sequence.steps).collect()
    };
    assert_eq!(steps(""), [3, 12]);
    assert_eq!(steps("lengths='none'"), [12, 12]);
}

#[test]
fn keys_that_say_nothing_are_not_written() {
    let written = serde_json::to_value(DataConfig::new("d.npz")).unwrap();
    assert!(written.get("padding").is_none() && written.get("overlap").is_none(), "{written}");
    let config = config("train='d.npz'\npadding='_'\noverlap='separate'");
    assert_eq!((&config.padding, config.overlap), (&Some(Padding::Token("_".into())), Overlap::Separate));
    assert_eq!(serde_json::from_value::<DataConfig>(serde_json::to_value(&config).unwrap()).unwrap(), config);
}
