//! Every way in which data can be wrong: one line that names the file, the place, what was expected and what was found.

mod common;

use common::{Folder, Npz, config, npy};
use emberloop_data::{MissingPolicy, Prepared, Scaler, ScalerKind, load_one};

const CSV: &str = "train = 't.csv'\nsequence = 's'\nstep = 'i'";

/// The error for `text` as the training file.
fn csv(text: &str) -> String {
    Folder::new().with("t.csv", text).error(CSV)
}

#[test]
fn a_missing_file() {
    let error = Folder::new().error(CSV);
    assert!(error.starts_with("t.csv: cannot read it: ") && error.contains("No such file"), "{error}");
    let error = Folder::new().error("train = 't.npz'");
    assert!(error.starts_with("t.npz: cannot read it: "), "{error}");
    let folder = Folder::new().with("t.csv", "s,i,a,label\n1,1,1,x\n");
    let error = folder.error(&format!("{CSV}\ntest = 'test.csv'"));
    assert!(error.starts_with("test.csv: cannot read it: "), "{error}");
}

#[test]
fn an_unknown_extension() {
    assert_eq!(
        Folder::new().error("train = 'data.parquet'"),
        "data.parquet: file name: expected an extension that says how to read it: .csv, .txt, .tsv, .npz or .npy, \
         found .parquet"
    );
}

#[test]
fn an_empty_file_and_one_without_rows() {
    assert_eq!(csv(""), "t.csv: line 1: expected a header that names the columns, found an empty file");
    let named = format!("{CSV}\nchannels = ['a']");
    // Whether channels are named or to be found.
    for table in [&named, CSV] {
        let error = Folder::new().with("t.csv", "s,i,a,label\n").error(table);
        assert_eq!(error, "t.csv: line 2: expected a row of data, found the end of the file (a header without rows)");
    }
}

#[test]
fn a_column_that_is_not_there() {
    let text = "sequense,i,a,label\n1,1,1,x\n";
    let error = Folder::new().with("t.csv", text).error("train = 't.csv'\nsequence = 'sequence'");
    assert_eq!(error, "t.csv: no column \"sequence\" (did you mean \"sequense\"?); it has: sequense, i, a, label");
    let error = Folder::new().with("t.csv", "s,i,a\n1,1,1\n").error(CSV);
    assert_eq!(error, "t.csv: no column \"label\"; it has: s, i, a");
    let error = Folder::new().with("t.csv", "s,i,a,label\n1,1,1,x\n").error(&format!("{CSV}\nchannels = ['a', 'b2']"));
    assert!(error.starts_with("t.csv: no column \"b2\""), "{error}");
}

#[test]
fn a_column_that_is_there_twice() {
    let error = csv("s,i,a,i,label\n1,1,1,1,x\n");
    assert_eq!(error, "t.csv: line 1: expected a name of its own for each column, found \"i\" twice");
}

#[test]
fn a_row_with_another_number_of_fields() {
    let error = csv("s,i,a,label\n1,1,1,x\n1,2,2\n");
    assert_eq!(error, "t.csv: line 3: expected 4 fields as in the header, found 3");
    // As R writes it: the header has no name for the index.
    let error = csv("s,i,a,label\n0,1,1,1,x\n");
    assert!(error.starts_with("t.csv: line 2: expected 4 fields as in the header, found 5 (does the header lack"));
}

#[test]
fn the_line_is_that_of_an_editor() {
    let text = "s,i,a,label\n1,1,1,x\n1,2,2,\"x\"\n\n1,3,\"high\nlow\",x\n1,4,3,x\n";
    let short = "s,i,a,label\n1,1,1,\"x\n\ny\"\n1,2\n";
    for (mark, end) in [("", "\n"), ("", "\r\n"), ("", "\r"), ("\u{feff}", "\n"), ("\u{feff}", "\r\n")] {
        let error = csv(&format!("{mark}{}", text.replace('\n', end)));
        assert!(error.starts_with("t.csv: line 5, column a: expected a number"), "{mark:?} {end:?}: {error}");
        let error = csv(&format!("{mark}{}", short.replace('\n', end)));
        let expected = "t.csv: line 5: expected 4 fields as in the header, found 2";
        assert_eq!(error, expected, "{mark:?} {end:?}");
    }
    // The row after empty lines.
    assert!(csv("s,i,a,label\r\n\r\n\r\n1,1\r\n").starts_with("t.csv: line 4: "));
}

#[test]
fn cells_that_are_no_numbers() {
    let error = csv("s,i,a,label\n1,1,1.5,x\n1,2,high,x\n");
    assert_eq!(error, "t.csv: line 3, column a: expected a number, found \"high\"");
    for infinite in ["inf", "-inf", "1e39"] {
        let error = csv(&format!("s,i,a,label\n1,1,1.5,x\n1,2,{infinite},x\n"));
        assert_eq!(error, format!("t.csv: line 3, column a: expected a finite number, found \"{infinite}\""));
    }
    let error = csv("s,i,a,label\n1,1,x,x\n");
    assert!(error.starts_with("t.csv: header: expected at least one numeric column"), "{error}");
    let text = b"s,i,a,label\n1,1,1,caf\xE9\n";
    let error = Folder::new().with("t.csv", text).error(CSV);
    assert!(error.starts_with("t.csv: line 2, column label: expected text in UTF-8"), "{error}");
}

#[test]
fn a_step_that_occurs_twice() {
    let error = csv("s,i,a,label\n1,1,1,x\n1,2,1,x\n2,1,1,x\n1,1.0,1,x\n");
    assert_eq!(
        error,
        "t.csv: line 5, step column: expected each step once in sequence \"1\", found \"1.0\" again (first on line 2)"
    );
}

#[test]
fn a_sequence_without_a_name_and_a_row_without_a_label() {
    let error = csv("s,i,a,label\n1,1,1,x\n ,2,1,x\n");
    assert_eq!(error, "t.csv: line 3, column s: expected a value, found an empty cell");
    let error = csv("s,i,a,label\n1,1,1,x\n1,2,1,NA\n");
    assert_eq!(error, "t.csv: line 3, target column: expected a label, found no value");
    let table = format!("{CSV}\ntask = 'regression'");
    let error = Folder::new().with("t.csv", "s,i,a,label\n1,1,1,?\n").error(&table);
    assert_eq!(error, "t.csv: line 2, target column: expected a number, found no value");
}

#[test]
fn a_label_target_or_group_that_changes_within_a_sequence() {
    let error = csv("s,i,a,label\n1,1,1,x\n1,2,1,y\n");
    assert_eq!(
        error,
        "t.csv: line 3, target column: expected one label in sequence \"1\", \"x\" as on line 2 \
         (or target_per = \"step\"), found \"y\""
    );
    let table = format!("{CSV}\ntask = 'regression'");
    let error = Folder::new().with("t.csv", "s,i,a,label\n1,1,1,3\n1,2,1,4\n").error(&table);
    assert!(
        error.starts_with("t.csv: line 3, target column: expected one target in sequence \"1\", [3.0] as on line 2")
    );
    let table = format!("{CSV}\ngroup = 'g'");
    let error = Folder::new().with("t.csv", "s,i,a,g,label\n1,1,1,p,x\n1,2,1,q,x\n").error(&table);
    assert_eq!(
        error,
        "t.csv: line 3, group column: expected one group in sequence \"1\", \"p\" as on line 2, found \"q\""
    );
}

#[test]
fn a_label_that_training_never_showed() {
    let folder = Folder::new()
        .with("t.csv", "s,i,a,label\n1,1,1,walk\n2,1,1,run\n")
        .with("v.csv", "s,i,a,label\n1,1,1,walk\n2,1,1,swim\n");
    let expected = "v.csv: line 3, column label: label \"swim\" was not seen in training; known labels: run, walk";
    assert_eq!(folder.error(&format!("{CSV}\nvalidation = 'v.csv'")), expected);
    assert_eq!(folder.error(&format!("{CSV}\ntest = 'v.csv'")), expected);
    let schema = folder.load(CSV).unwrap().train.schema();
    let error = load_one(&config(CSV), &folder.path().join("v.csv"), &schema).unwrap_err();
    assert_eq!(folder.shorten(&error), expected);
    let error = folder.error(&format!("{CSV}\nlabels = ['run', 'swim']"));
    assert_eq!(error, "t.csv: line 2, column label: label \"walk\" was not seen in training; known labels: run, swim");
}

#[test]
fn a_missing_value_under_the_policy_error() {
    let folder = Folder::new().with("t.csv", "s,i,a,b,label\n7,1,1,1,x\n7,2,1,,x\n");
    let train = folder.load(CSV).unwrap().train;
    let scaler = Scaler::fit(&train, ScalerKind::Standard, MissingPolicy::Error).unwrap();
    let error = Prepared::new(&train, &scaler, None).unwrap_err();
    assert!(
        folder.shorten(&error).starts_with("t.csv: sequence 7, step 1, channel b: expected a number, found no value"),
        "{error}"
    );
    let error = scaler.apply(&train.sequences[0]).unwrap_err();
    assert!(error.to_string().starts_with("input: sequence 7, step 1, channel 1: expected a number"), "{error}");
}

#[test]
fn a_channel_or_target_without_any_value() {
    let folder = Folder::new().with("t.csv", "s,i,a,b,label\n7,1,1,,x\n7,2,1,NA,x\n");
    let train = folder.load(&format!("{CSV}\nchannels = ['a', 'b']")).unwrap().train;
    let error = Scaler::fit(&train, ScalerKind::Standard, MissingPolicy::Mean).unwrap_err();
    assert_eq!(
        folder.shorten(&error),
        "t.csv: channel \"b\": expected at least one value in the training split, found none"
    );
}

#[test]
fn neither_sequences_nor_windows() {
    let error = Folder::new().with("t.csv", "a,label\n1,x\n").error("train = 't.csv'");
    assert!(error.starts_with("[data] sequence: expected the column that groups rows into sequences"), "{error}");
}

#[test]
fn windows_that_fit_nowhere() {
    let folder = Folder::new().with("t.csv", "s,i,a,label\n1,1,1,x\n1,2,1,x\n");
    let error = folder.error(&format!("{CSV}\nwindow = {{ length = 3 }}"));
    assert!(error.starts_with("t.csv: windows of the file: expected at least one of 3 rows"), "{error}");
    let folder = Folder::new().with("t.csv", "a,label\n1,?\n2,?\n3,?\n4,?\n");
    let error = folder.error("train = 't.csv'\nwindow = { length = 1 }");
    assert!(error.ends_with("found none in 3 rows"), "{error}");
    let npz = Npz::new().with("x", &[1, 1], &[1f32]).with("y", &[1], &[1i64]).bytes();
    let error = Folder::new().with("t.npz", npz).error("train = 't.npz'\nwindow = { length = 1 }");
    assert!(error.starts_with("[data] window: expected none beside NPZ"), "{error}");
}

#[test]
fn groups_that_are_too_few_or_unknown() {
    let folder = Folder::new().with("t.csv", "s,i,a,g,label\n1,1,1,anna,x\n2,1,1,anna,x\n");
    let error = folder.error(&format!("{CSV}\ngroup = 'g'"));
    assert_eq!(error, "t.csv: a split by group: expected at least 2 groups for 2 sides, found 1");
    let error = folder.error(&format!("{CSV}\ngroup = 'g'\nvalidation_groups = ['ana']"));
    assert_eq!(error, "t.csv: no group \"ana\" (did you mean \"anna\"?); it has: anna");
    let error = folder.error(&format!("{CSV}\ngroup = 'g'\nvalidation_groups = ['anna']"));
    assert_eq!(error, "t.csv: a split by group: expected at least 1 groups for 1 sides, found 0");
}

fn good() -> Npz {
    Npz::new().with("x", &[2, 3, 1], &[0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).with("y", &[2], &[0i64, 1])
}

/// The error for these arrays as the training file.
fn npz(arrays: Npz, table: &str) -> String {
    Folder::new().with("t.npz", arrays.bytes()).error(&format!("train = 't.npz'\n{table}"))
}

#[test]
fn an_array_that_is_not_there() {
    assert_eq!(npz(good(), "inputs = 'X'"), "t.npz: no array \"X\" (did you mean \"x\"?); it has: x, y");
    assert_eq!(npz(good(), "target = 'label'"), "t.npz: no array \"label\"; it has: x, y");
    assert_eq!(npz(good(), "lengths = 'n'"), "t.npz: no array \"n\"; it has: x, y");
    assert_eq!(npz(good(), "group = 'record'"), "t.npz: no array \"record\"; it has: x, y");
}

#[test]
fn arrays_of_the_wrong_shape() {
    let flat = Npz::new().with("x", &[4], &[0f32; 4]).with("y", &[4], &[0i64; 4]);
    assert_eq!(npz(flat, ""), "t.npz: array \"x\": expected shape [n, steps, channels] or [n, steps], found [4]");
    let none = Npz::new().with("x", &[0, 3], &[0f32; 0]).with("y", &[0], &[0i64; 0]);
    assert_eq!(
        npz(none, ""),
        "t.npz: array \"x\": expected at least one sequence, step and channel, found shape [0, 3]"
    );
    let short = good().with("z", &[3], &[0i64; 3]);
    assert_eq!(
        npz(short, "target = 'z'"),
        "t.npz: array \"z\": expected shape [2] or [2, 1] (one class per sequence), found [3]"
    );
    assert_eq!(
        npz(good(), "target_per = 'step'"),
        "t.npz: array \"y\": expected shape [2, 3] or [2, 3, 1] (one class per step), found [2]"
    );
    assert_eq!(
        npz(good(), "target = 'x'\ntask = 'regression'"),
        "t.npz: array \"x\": expected shape [2] or [2, outputs], found [2, 3, 1]"
    );
    let groups = good().with("g", &[1], &[0i64]);
    assert_eq!(
        npz(groups, "group = 'g'"),
        "t.npz: array \"g\": expected shape [2] or [2, 1] (one group per sequence), found [1]"
    );
    assert_eq!(
        npz(good(), "channels = ['a', 'b']"),
        "t.npz: array \"x\": expected 2 channels (a, b), found 1 (shape [2, 3, 1])"
    );
}

#[test]
fn lengths_out_of_range() {
    for (length, found) in [(0, "0"), (4, "4"), (-1, "-1")] {
        let error = npz(good().with("n", &[2], &[3i64, length]), "lengths = 'n'");
        assert_eq!(error, format!("t.npz: array \"n\", sequence 1: expected a length of 1 to 3 steps, found {found}"));
    }
}

#[test]
fn elements_that_are_no_class_or_number() {
    let error = npz(good(), "labels = ['only']");
    assert_eq!(error, "t.npz: array \"y\", sequence 1: expected a class below 1, the number of labels, found 1");
    let halves = good().with("h", &[2], &[0.0f64, 0.5]);
    assert_eq!(npz(halves, "target = 'h'"), "t.npz: array \"h\", element 1: expected an integer or a text, found 0.5");
    let nan = good().with("h", &[2], &[0.0f64, f64::NAN]);
    assert_eq!(
        npz(nan, "target = 'h'\ntask = 'regression'"),
        "t.npz: array \"h\", sequence 1: expected a finite number, found NaN"
    );
}

#[test]
fn an_archive_that_is_truncated_or_damaged() {
    let x: Vec<f32> = (0..3000).map(|value| value as f32 * 0.37).collect();
    let bytes = Npz::new().with("x", &[10, 300], &x).with("y", &[10], &[0i64; 10]).bytes();
    let table = "train = 't.npz'";
    for length in [0, 1, 100, bytes.len() / 2, bytes.len() - 1] {
        let error = Folder::new().with("t.npz", &bytes[..length]).error(table);
        assert!(error.starts_with("t.npz: archive: expected a complete NPZ"), "{length}: {error}");
    }
    // Anywhere in the compressed bytes of x.
    for place in (60..bytes.len() / 2).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        let error = Folder::new().with("t.npz", damaged).error(table);
        assert!(error.starts_with("t.npz: array \"x\": expected a complete .npy array, found"), "{place}: {error}");
    }
    let error = Folder::new().with("t.npz", "s,i,a,label\n").error(table);
    assert!(error.starts_with("t.npz: archive: expected a complete NPZ"), "{error}");
}

#[test]
fn a_truncated_npy() {
    let bytes = npy(&[4, 3], &[1.5f64; 12]);
    for length in [0, 5, 40, bytes.len() - 1] {
        let error = Folder::new().with("x.npy", &bytes[..length]).error("train = 'x.npy'\ntarget = 'y.npy'");
        assert!(error.starts_with("x.npy: array \"array\": expected a complete .npy array"), "{length}: {error}");
    }
}

#[test]
fn npy_needs_a_target_file() {
    let error = Folder::new().with("x.npy", npy(&[2, 3], &[1.5f32; 6])).error("train = 'x.npy'");
    assert_eq!(error, "[data] target: expected the path of the .npy file with the targets, found none");
}

#[test]
fn an_unknown_key_is_refused() {
    let error = toml::from_str::<emberloop_data::DataConfig>("train = 't.csv'\nsequense = 's'").unwrap_err();
    assert!(error.to_string().contains("unknown field `sequense`"), "{error}");
    let error = toml::from_str::<emberloop_data::ScalerConfig>("kin = 'standard'").unwrap_err();
    assert!(error.to_string().contains("unknown field `kin`"), "{error}");
}

#[test]
fn columns_that_a_user_did_not_mean() {
    assert_eq!(
        csv("s,i,a,a,label\n1,1,1,1,x\n"),
        "t.csv: line 1: expected a name of its own for each column, found \"a\" twice"
    );
    assert_eq!(
        csv("s;i;a;label\n1;1;1;x\n"),
        "t.csv: line 1: expected columns separated by commas, found semicolons: s;i;a;label"
    );
}

#[test]
fn labels_that_are_no_classes() {
    let rows = |label: &dyn Fn(usize) -> String| -> String {
        let rows = (0..60).map(|row| format!("{row},0,1.5,{}\n", label(row)));
        std::iter::once("s,i,a,label\n".to_owned()).chain(rows).collect()
    };
    assert_eq!(
        csv(&rows(&|row| format!("{}.5", row))),
        "t.csv: labels: expected the names of classes, found 60 different numbers; for a quantity set task = \
         \"regression\" under [data]"
    );
}
