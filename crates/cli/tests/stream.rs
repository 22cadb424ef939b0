//! `emberloop run`: samples in, answers out, and what it says of samples that are none.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::data::{LONG_TOML, long_csv, slopes};
use common::models::{slopes_model, train_and_quantize};
use common::{Folder, Ran, assert_says, number};
use serde_json::Value;

const RUN: [&str; 2] = ["run", "model/model.ember"];

fn answers(folder: &Folder, input: &str) -> Vec<Value> {
    let lines = folder.pipe(&["run", "model/model.ember", "--json"], input).succeeds();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_empty_line_starts_anew() {
    let folder = slopes_model();
    let both = answers(&folder, "20,0\n21,0.5\n\n20,0\n21,0.5\n");
    assert_eq!(both.len(), 4);
    assert_eq!(both[..2], both[2..], "the second sequence knows nothing of the first");
    let one = answers(&folder, "20,0\n21,0.5\n20,0\n21,0.5\n");
    assert_eq!(one[..2], both[..2]);
    assert_ne!(one[2]["logits"], both[2]["logits"], "without it the state goes on");
    // Blanks do not matter, nor does a last line without its end.
    assert_eq!(answers(&folder, " 20 , 0 \r\n21,0.5\n  \n20,0\n21,0.5"), both);
}

#[test]
fn a_column_of_sequences_starts_anew() {
    let folder = slopes_model();
    let arguments = ["run", "model/model.ember", "--json", "--sequence", "id"];
    let ran = folder.pipe(&arguments, "id,level,noise\na,20,0\na,21,0.5\nb,20,0\nb,21,0.5\n");
    assert_eq!(ran.stderr, "");
    let both = answers(&folder, "20,0\n21,0.5\n\n20,0\n21,0.5\n");
    let lines: Vec<Value> = ran.succeeds().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, both);
    // A whole data file: without --sequence its columns are named, so that nobody takes it for one sequence unawares.
    let ran = folder.pipe(&RUN, "id,level,noise,label\na,20,0,rise\n");
    assert_says(&ran.stderr, &["note: columns that the model does not use: id, label; ", "by --sequence\n"]);
    for (input, says) in [
        ("20,0\n", "stdin, line 1: expected a header that names the column \"id\" of --sequence"),
        ("level,noise\n20,0\n", "stdin, line 1: the header lacks \"id\"; it has level, noise"),
    ] {
        assert_says(&folder.pipe(&arguments, input).fails(), &[says]);
    }
}

#[test]
fn text_says_what_json_says() {
    let folder = slopes_model();
    let input = "20,0\n21,0.5\n22,-0.5\n";
    let text = folder.pipe(&RUN, input).succeeds();
    let expected = answers(&folder, input)
        .into_iter()
        .map(|answer| format!("{},{:.4}\n", answer["label"].as_str().unwrap(), number(&answer, "/probability")));
    assert_eq!(text, expected.collect::<String>());
}

#[test]
fn raw_integers_are_the_same_numbers() {
    let folder = slopes_model();
    let inspected = folder.run(&["inspect", "model/model.ember", "--json"]).json();
    let unit = |channel: usize| number(&inspected, &format!("/input/channels/{channel}/raw_fraction")).exp2();
    // Halves, so that they are exact.
    let (mut numbers, mut integers) = (String::new(), String::new());
    for step in 0..6 {
        let (level, noise) = (20.0 + 0.5 * f64::from(step), 0.5 - 0.5 * f64::from(step % 3));
        numbers += &format!("{level},{noise}\n");
        integers += &format!("{},{}\n", level * unit(0), noise * unit(1));
    }
    let raw = folder.pipe(&["run", "model/model.ember", "--raw"], &integers).succeeds();
    assert_eq!(raw, folder.pipe(&RUN, &numbers).succeeds());
    let said = folder.pipe(&["run", "model/model.ember", "--raw"], "1.5,0\n").fails();
    assert_says(&said, &["stdin, line 1, level: expected an integer of 32 bits, found \"1.5\""]);
}

#[test]
fn lines_that_are_no_samples() {
    let folder = slopes_model();
    for (input, says) in [
        ("20\n", "stdin, line 1: expected 2 numbers, found 1"),
        ("20,0,1\n", "stdin, line 1: expected 2 numbers, found 3"),
        ("20,many\n", "stdin, line 1, noise: expected a number, found \"many\""),
        ("20,inf\n", "stdin, line 1, noise: expected a finite number, found \"inf\""),
        ("level,nose\n20,0\n", "stdin, line 1: the header lacks \"noise\"; it has level, nose"),
        ("level,noise,level\n20,0,1\n", "stdin, line 1: the header names \"level\" twice"),
        ("NaN,0\n", "stdin, line 1, level: expected a number, found none (the model refuses missing values; "),
        (",0\n", "stdin, line 1, level: expected a number, found none"),
    ] {
        assert_says(&folder.pipe(&RUN, input).fails(), &[says]);
    }
    // What was answered before stays answered.
    let ran = folder.pipe(&RUN, "20,0\n\nx,0\n");
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 1));
    assert_says(&ran.stderr, &["error: stdin, line 3, level: expected a number, found \"x\""]);

    let mut command = folder.command(&RUN);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\xff\xfe\n").unwrap();
    let said = Ran::new(child.wait_with_output().unwrap()).fails();
    assert_says(&said, &["stdin, line 1: cannot read", "UTF-8"]);
}

#[test]
fn numbers_beyond_the_range_are_clipped_and_counted() {
    let folder = slopes_model();
    let ran = folder.pipe(&RUN, "20,0\n1e9,0\n20,-1e30\n");
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 3), "{ran:?}");
    assert_eq!(ran.stderr, "note: numbers beyond the scaler's range, clipped to it: 2\n");
}

#[test]
fn each_line_is_answered_before_the_next_comes() {
    let folder = slopes_model();
    let mut child = folder.command(&RUN).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for _ in 0..3 {
        stdin.write_all(b"20,0\n").unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert!(answer.contains(','), "{answer}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn who_stops_reading_is_no_error() {
    let folder = slopes_model();
    folder.write("samples", "20,0\n".repeat(20_000));
    let mut command = folder.command(&RUN);
    command.stdin(std::fs::File::open(folder.file("samples")).unwrap());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_training_that_nobody_watches_goes_on() {
    let folder = slopes_model();
    let mut child = folder
        .command(&["train", "train.toml", "--out", "unwatched"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    child.wait().unwrap();
    assert!(folder.read("unwatched/checkpoint.safetensors") == folder.read("model/checkpoint.safetensors"));
}

/// Slopes in which every fifth number is missing.
fn with_gaps(sequences: &[common::data::Labelled]) -> String {
    let csv = long_csv(sequences);
    let gap = |(row, line): (usize, &str)| {
        let mut fields: Vec<&str> = line.split(',').collect();
        if row % 5 == 3 {
            fields[2 + row % 2] = "NaN";
        }
        fields.join(",") + "\n"
    };
    csv.lines().enumerate().map(gap).collect()
}

fn model_with_policy(policy: &str) -> Folder {
    let folder = Folder::new();
    folder.write("train.csv", with_gaps(&slopes(60, 1)));
    folder.write("other.csv", with_gaps(&slopes(30, 2)));
    folder.write("train.toml", format!("{LONG_TOML}\n[scaler]\nmissing = \"{policy}\"\n"));
    train_and_quantize(&folder);
    let arguments = ["compare", "model/checkpoint.safetensors", "model/model.ember", "--data", "other.csv", "--json"];
    let compared = folder.run(&arguments).json();
    let gaps = String::from_utf8(folder.read("other.csv")).unwrap().matches("NaN").count();
    assert_eq!(number(&compared, "/missing"), gaps as f64, "{compared}");
    assert!(number(&compared, "/logit_error") < 0.02, "host and board fill in alike: {compared}");
    assert!(number(&compared, "/disagreement") <= 0.04, "{compared}");
    folder
}

#[test]
fn a_missing_number_holds_the_last_one() {
    let folder = model_with_policy("hold_last");
    let logits =
        |input: &str| answers(&folder, input).into_iter().map(|answer| answer["logits"].clone()).collect::<Vec<_>>();
    assert_eq!(logits("20.5,0\nNaN,0.25\n,0.5\n"), logits("20.5,0\n20.5,0.25\n20.5,0.5\n"));
    // Not over the end of a sequence: there the mean of training stands in.
    assert_eq!(logits("25,0\n\nNaN,0.25\n")[1], logits("NaN,0.25\n")[0]);
    assert_ne!(logits("25,0\n\n25,0.25\n")[1], logits("NaN,0.25\n")[0]);
    let ran = folder.pipe(&RUN, "NaN,0\nNA,\n");
    assert_eq!(ran.stderr, "note: missing numbers, filled in by the model's policy: 3\n");
}

#[test]
fn a_missing_number_is_the_mean_of_training() {
    let folder = model_with_policy("mean");
    let inspected = folder.run(&["inspect", "model/checkpoint.safetensors", "--json"]).json();
    let mean = number(&inspected, "/scaler/features/0/fill");
    let logits = |input: &str| -> Vec<f64> {
        answers(&folder, input)
            .iter()
            .flat_map(|answer| answer["logits"].as_array().unwrap().clone())
            .map(|value| value.as_f64().unwrap())
            .collect()
    };
    let (missing, filled) = (logits("25,0\nNaN,0.25\n"), logits(&format!("25,0\n{mean},0.25\n")));
    let held = logits("25,0\n25,0.25\n");
    let far = |other: &[f64]| missing.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far(&filled) < 0.005, "{missing:?} {filled:?}");
    assert!(far(&held) > 0.01, "{missing:?} {held:?}");
}
