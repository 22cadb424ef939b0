//! CSV files in long form, and one long series cut into windows.

mod common;

use common::Folder;
use emberloop_data::{Inputs, SequenceTarget, TargetPer, Targets, load_inputs, load_one};

const LONG: &str = "\
sequence,step,a,b,label
u1,0,1,10,yes
u1,1,2,20,yes
u2,1,6,60,no
u2,0,5,50,no
u1,2,3,30,yes
";

const LONG_TABLE: &str = "train = 't.csv'\nsequence = 'sequence'\nstep = 'step'\nvalidation_fraction = 0.0";

#[test]
fn long_form_groups_rows_and_orders_them_by_step() {
    let splits = Folder::new().with("t.csv", LONG).load(LONG_TABLE).unwrap();
    let train = &splits.train;
    assert_eq!(train.inputs, Inputs::Channels(vec!["a".into(), "b".into()]));
    assert_eq!(train.targets, Targets::Classes { labels: vec!["no".into(), "yes".into()] });
    assert_eq!(train.sequences.len(), 2);
    assert_eq!((train.sequences[0].name.as_str(), train.sequences[0].steps), ("u1", 3));
    assert_eq!(train.sequences[0].values.loaded().unwrap(), [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
    assert_eq!(train.sequences[0].target, SequenceTarget::Class(1));
    assert_eq!(train.sequences[1].values.loaded().unwrap(), [5.0, 50.0, 6.0, 60.0]);
    assert_eq!(train.sequences[1].target, SequenceTarget::Class(0));
    assert!(splits.validation.sequences.is_empty() && splits.test.is_none() && splits.notes.is_empty());
}

#[test]
fn a_byte_order_mark_quotes_and_line_ends_of_windows_change_nothing() {
    let quoted = LONG.replace("yes", "\"yes\"").replace('\n', "\r\n");
    let plain = Folder::new().with("t.csv", LONG).load(LONG_TABLE).unwrap().train;
    let marked = Folder::new().with("t.csv", format!("\u{feff}{quoted}")).load(LONG_TABLE).unwrap().train;
    assert_eq!(plain.sequences, marked.sequences);
    assert_ne!(plain.hash, marked.hash);
}

#[test]
fn the_hash_is_the_files_sha256() {
    let train = Folder::new().with("t.csv", "sequence,a,label\n1,2,x\n").load("train='t.csv'\nsequence='sequence'");
    assert_eq!(train.unwrap().train.hash, "6b34894529adfa7b4cb7f35cc95022ab4192b3f9d55794a1c431cb032bac29d1");
}

#[test]
fn steps_that_are_numbers_sort_as_numbers_and_times_as_texts() {
    let csv = "s,when,a,label\n1,10,3,x\n1,9,2,x\n1,-1,1,x\n2,2024-01-02 00:00,2,x\n2,2024-01-01 23:59,1,x\n";
    let table = "train = 't.csv'\nsequence = 's'\nstep = 'when'\nvalidation_fraction = 0.0";
    let train = Folder::new().with("t.csv", csv).load(table).unwrap().train;
    assert_eq!(train.sequences[0].values.loaded().unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(train.sequences[1].values.loaded().unwrap(), [1.0, 2.0]);
}

#[test]
fn a_target_per_step_is_read_row_by_row() {
    let csv = "s,a,label,v\n1,1,x,0.5\n1,2,y,NA\n";
    let folder = Folder::new().with("t.csv", csv);
    let base = "train = 't.csv'\nsequence = 's'\nchannels = ['a']\ntarget_per = 'step'\n";
    let classes = folder.load(base).unwrap().train;
    assert_eq!(classes.target_per, TargetPer::Step);
    assert_eq!(classes.sequences[0].target, SequenceTarget::Classes(vec![0, 1]));
    let values = folder.load(&format!("{base}task = 'regression'\ntarget = 'v'")).unwrap().train;
    let SequenceTarget::StepValues(values) = &values.sequences[0].target else { panic!("{values:?}") };
    assert!(values[0] == 0.5 && values[1].is_nan());
}

#[test]
fn several_columns_may_be_the_target() {
    let csv = "s,a,p,q\n1,1,3,4\n1,2,3,4\n2,1,5,6\n";
    let table = "train='t.csv'\nsequence='s'\ntask='regression'\ntarget=['q','p']\nvalidation_fraction=0.0";
    let train = Folder::new().with("t.csv", csv).load(table).unwrap().train;
    assert_eq!(train.targets, Targets::Values { names: vec!["q".into(), "p".into()] });
    assert_eq!(train.sequences[0].target, SequenceTarget::Values(vec![4.0, 3.0]));
    assert_eq!(train.sequences[1].target, SequenceTarget::Values(vec![6.0, 5.0]));
    assert_eq!(train.inputs, Inputs::Channels(vec!["a".into()]));
}

#[test]
fn default_channels_are_the_numeric_columns_and_a_note_names_the_others() {
    let csv = "s,a,city,b,label\n1,NA,Rom,?,x\n1,2,Oslo,3,x\n";
    let splits = Folder::new().with("t.csv", csv).load("train = 't.csv'\nsequence = 's'").unwrap();
    assert_eq!(splits.train.inputs, Inputs::Channels(vec!["a".into(), "b".into()]));
    assert!(splits.train.sequences[0].values.loaded().unwrap()[..2].iter().all(|value| value.is_nan()));
    assert_eq!(splits.train.sequences[0].values.loaded().unwrap()[2..], [2.0, 3.0]);
    assert!(splits.notes.iter().any(|note| note.ends_with("are no channels: city")), "{:?}", splits.notes);
}

#[test]
fn missing_values_are_what_the_config_says() {
    let csv = "s,a,label\n1,-999,x\n1,2,x\n";
    let table = "train = 't.csv'\nsequence = 's'\nmissing_values = ['-999']";
    let train = Folder::new().with("t.csv", csv).load(table).unwrap().train;
    assert!(train.sequences[0].values.loaded().unwrap()[0].is_nan());
}

#[test]
fn labels_in_the_config_set_the_order_of_the_classes() {
    let csv = "s,a,label\n1,1,high\n2,2,low\n3,3,mid\n";
    let table = "train='t.csv'\nsequence='s'\nlabels=['low','mid','high']\nvalidation_fraction=0.0";
    let train = Folder::new().with("t.csv", csv).load(table).unwrap().train;
    let classes: Vec<_> = train.sequences.iter().map(|sequence| sequence.target.clone()).collect();
    assert_eq!(classes, [SequenceTarget::Class(2), SequenceTarget::Class(0), SequenceTarget::Class(1)]);
}

#[test]
fn the_vocabulary_is_the_training_splits_alone() {
    let text = |words: &str| {
        let rows: String = words.chars().map(|c| format!("1,{c},x\n")).collect();
        format!("s,char,label\n{rows}")
    };
    let folder = Folder::new().with("t.csv", text("ba?b ")).with("v.csv", text("bzq"));
    let splits = folder.load("train='t.csv'\nvalidation='v.csv'\nsequence='s'\ntoken='char'").unwrap();
    let vocabulary = ["<unknown>", " ", "?", "a", "b"].map(String::from).to_vec();
    assert_eq!(splits.train.inputs, Inputs::Tokens { column: "char".into(), vocabulary });
    assert_eq!(splits.train.sequences[0].values.loaded().unwrap(), [4.0, 3.0, 2.0, 4.0, 1.0]);
    assert_eq!(splits.validation.sequences[0].values.loaded().unwrap(), [4.0, 0.0, 0.0]);
    assert_eq!(splits.validation.inputs, splits.train.inputs);
}

/// Row `i` holds a = i and target t = 100 + i.
fn series(rows: std::ops::Range<usize>, missing: &[usize]) -> String {
    let row = |i: usize| match missing.contains(&i) {
        true => format!("{i},NA\n"),
        false => format!("{i},{}\n", 100 + i),
    };
    format!("a,t\n{}", rows.map(row).collect::<String>())
}

const SERIES: &str = "train = 't.csv'\ntask = 'regression'\ntarget = 't'\n";

#[test]
fn windows_take_their_target_after_the_horizon() {
    let table = format!("{SERIES}validation_fraction = 0.0\nwindow = {{ length = 3, stride = 2, horizon = 2 }}");
    let train = Folder::new().with("t.csv", series(0..9, &[])).load(&table).unwrap().train;
    let windows: Vec<_> =
        train.sequences.iter().map(|w| (w.values.loaded().unwrap().to_vec(), w.target.clone())).collect();
    // The window from row 4 would need row 8 as its target: it is there. From row 6 it would need row 10.
    let expected = [(0.0, 104.0), (2.0, 106.0), (4.0, 108.0)]
        .map(|(first, target)| (vec![first, first + 1.0, first + 2.0], SequenceTarget::Values(vec![target])));
    assert_eq!(windows, expected);
    assert_eq!(train.sequences[1].name, "lines 4-6");
}

#[test]
fn a_window_with_a_target_per_step_is_shifted_by_the_horizon() {
    let table =
        format!("{SERIES}target_per = 'step'\nvalidation_fraction = 0.0\nwindow = {{ length = 2, horizon = 1 }}");
    let train = Folder::new().with("t.csv", series(0..3, &[])).load(&table).unwrap().train;
    assert_eq!(train.sequences.len(), 1);
    assert_eq!(train.sequences[0].target, SequenceTarget::StepValues(vec![101.0, 102.0]));
}

#[test]
fn windows_without_a_target_are_dropped_and_counted() {
    let table = format!("{SERIES}validation_fraction = 0.0\nwindow = {{ length = 2 }}");
    let splits = Folder::new().with("t.csv", series(0..6, &[2, 4])).load(&table).unwrap();
    let last: Vec<f32> = splits.train.sequences.iter().map(|window| window.values.loaded().unwrap()[1]).collect();
    assert_eq!(last, [1.0, 3.0, 5.0]);
    assert!(splits.notes[0].ends_with("dropped 2 windows whose target is missing"), "{:?}", splits.notes);
}

#[test]
fn a_series_is_divided_in_time_and_no_window_straddles() {
    let table =
        format!("{SERIES}validation_fraction = 0.2\ntest_fraction = 0.2\nwindow = {{ length = 3, horizon = 1 }}");
    let splits = Folder::new().with("t.csv", series(0..50, &[])).load(&table).unwrap();
    let rows = |dataset: &emberloop_data::Dataset| -> Vec<usize> {
        let mut rows: Vec<usize> = Vec::new();
        for window in &dataset.sequences {
            rows.extend(window.values.loaded().unwrap().iter().map(|value| *value as usize));
            let SequenceTarget::Values(target) = &window.target else { panic!() };
            rows.push(target[0] as usize - 100);
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    };
    assert_eq!(rows(&splits.train), (0..30).collect::<Vec<_>>());
    assert_eq!(rows(&splits.validation), (30..40).collect::<Vec<_>>());
    assert_eq!(rows(splits.test.as_ref().unwrap()), (40..50).collect::<Vec<_>>());
}

#[test]
fn a_part_too_short_for_a_window_is_a_note_except_for_training() {
    let folder = Folder::new().with("t.csv", series(0..10, &[]));
    let splits = folder.load(&format!("{SERIES}window = {{ length = 5 }}")).unwrap();
    assert!(splits.validation.sequences.is_empty());
    assert!(splits.notes[0].contains("windows of the validation part"), "{:?}", splits.notes);
    let error = folder.error(&format!("{SERIES}window = {{ length = 9 }}"));
    assert!(error.starts_with("t.csv: windows of the training part: expected at least one of 9 rows"), "{error}");
}

#[test]
fn windows_inside_sequences_stay_inside_and_on_one_side() {
    let rows: String =
        (0..10).flat_map(|machine| (0..6).map(move |i| format!("m{machine},{}\n", machine * 100 + i))).collect();
    let csv = format!("machine,a\n{rows}");
    let table = "train='t.csv'\nsequence='machine'\ntask='regression'\ntarget='a'\nchannels=['a']\nwindow={length=3}";
    let splits = Folder::new().with("t.csv", csv).load(table).unwrap();
    let sides = [&splits.train, &splits.validation];
    for window in sides.iter().flat_map(|side| &side.sequences) {
        let hundreds: Vec<i32> = window.values.loaded().unwrap().iter().map(|value| *value as i32 / 100).collect();
        assert!(hundreds.iter().all(|hundred| *hundred == hundreds[0]), "{window:?}");
    }
    let groups = |side: usize| -> std::collections::BTreeSet<_> {
        sides[side].sequences.iter().map(|window| window.group.as_deref().unwrap().to_owned()).collect()
    };
    assert_eq!((groups(0).len(), groups(1).len()), (8, 2));
    assert!(groups(0).is_disjoint(&groups(1)));
    assert!(splits.notes.iter().any(|note| note.contains("the answer is an input")), "{:?}", splits.notes);
}

#[test]
fn another_file_is_read_in_the_models_terms() {
    let folder = Folder::new().with("t.csv", LONG).with("o.csv", "label,b,extra,a,step,sequence\nyes,7,?,8,0,q\n");
    let schema = folder.load(LONG_TABLE).unwrap().train.schema();
    let other = load_one(&common::config(LONG_TABLE), &folder.path().join("o.csv"), &schema).unwrap();
    assert_eq!(other.sequences[0].values.loaded().unwrap(), [8.0, 7.0]);
    assert_eq!(other.sequences[0].target, SequenceTarget::Class(1));
    assert_eq!(other.schema(), schema);
}

#[test]
fn inference_needs_no_target() {
    let folder = Folder::new().with("t.csv", LONG).with("o.csv", "sequence,step,a,b\nq,0,1,2\n");
    let schema = folder.load(LONG_TABLE).unwrap().train.schema();
    let (config, path) = (common::config(LONG_TABLE), folder.path().join("o.csv"));
    let other = load_inputs(&config, &path, &schema).unwrap();
    assert_eq!(
        (other.sequences[0].values.loaded().unwrap(), &other.sequences[0].target),
        ([1.0, 2.0].as_slice(), &SequenceTarget::Absent)
    );
    let error = folder.shorten(&load_one(&config, &path, &schema).unwrap_err());
    assert_eq!(error, "o.csv: no column \"label\"; it has: sequence, step, a, b");
}

#[test]
fn inference_windows_reach_to_the_last_row() {
    let table = format!("{SERIES}validation_fraction = 0.0\nwindow = {{ length = 3, horizon = 5 }}");
    let folder = Folder::new().with("t.csv", series(0..20, &[])).with("o.csv", "a\n1\n2\n3\n4\n");
    let schema = folder.load(&table).unwrap().train.schema();
    let other = load_inputs(&common::config(&table), &folder.path().join("o.csv"), &schema).unwrap();
    assert_eq!(other.sequences.iter().map(|window| window.values.loaded().unwrap()[2]).collect::<Vec<_>>(), [3.0, 4.0]);
}
