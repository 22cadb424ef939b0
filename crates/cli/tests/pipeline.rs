//! From a file to the board's answers, for every kind of data: train, quantize, compare, evaluate, run, inspect; and that
//! they agree with each other.

mod common;

use common::data::{
    LONG_TOML, NPZ_TOML, SERIES_TOML, SLOPES, WORDS_TOML, long_csv, series_csv, slopes, slopes_npz, words_csv,
};
use common::models::train_and_quantize;
use common::{Folder, assert_says, number, without_time};
use serde_json::{Value, json};

const CHECKPOINT: &str = "model/checkpoint.safetensors";
const IMAGE: &str = "model/model.ember";
const QUANTIZED: &str = "model/model.q.safetensors";

/// Checks what must hold for every model on the file `data`, and returns the evaluation of the image.
fn check_agreement(folder: &Folder, data: &str, score: &str) -> Value {
    let compared = folder.run(&["compare", CHECKPOINT, IMAGE, "--data", data, "--json"]).json();
    let evaluate = |model: &str| without_time(folder.run(&["evaluate", model, "--data", data, "--json"]).json());
    let (float, fixed) = (evaluate(CHECKPOINT), evaluate(IMAGE));
    assert_eq!(float["arithmetic"], "float");
    assert_eq!(fixed["arithmetic"], "fixed point");
    // Both kinds of file hold the same integers.
    assert_eq!(evaluate(QUANTIZED), fixed);
    assert_eq!(folder.run(&["compare", CHECKPOINT, QUANTIZED, "--data", data, "--json"]).json(), compared);
    for (side, evaluation) in [("float", &float), ("fixed", &fixed)] {
        let (of_compare, of_evaluate) =
            (number(&compared, &format!("/{side}/{score}")), number(evaluation, &format!("/{score}")));
        assert!((of_compare - of_evaluate).abs() <= 1e-5 * of_evaluate.abs(), "{side}: {of_compare} {of_evaluate}");
        assert_eq!(compared[side]["n"], evaluation["n"]);
    }
    assert_eq!(compared["steps"], fixed["steps"]);
    assert!(number(&compared, "/sequences") > 0.0);
    assert!(number(&compared, "/logit_error") < 0.05, "{compared}");
    assert_eq!(number(&compared, "/image_bytes"), folder.read(IMAGE).len() as f64);
    let inspected = folder.run(&["inspect", IMAGE, "--json"]).json();
    assert_eq!(inspected["image_bytes"], compared["image_bytes"]);
    assert_eq!(inspected["ram_bytes"], compared["ram_bytes"]);
    assert!(number(&compared, "/ram_bytes") > 0.0);
    match score {
        "accuracy" => assert!(number(&compared, "/disagreement") <= 0.05, "{compared}"),
        _ => assert_eq!(compared["disagreement"], Value::Null, "values have no classes to disagree on"),
    }
    // The same for people.
    for arguments in [&["compare", CHECKPOINT, IMAGE, "--data", data][..], &["evaluate", IMAGE, "--data", data]] {
        assert!(folder.run(arguments).succeeds().to_lowercase().contains(score));
    }
    fixed
}

/// The last line of output for each sequence of samples, all in one stream, divided by empty lines.
fn last_outputs(folder: &Folder, header: &str, sequences: impl IntoIterator<Item = Vec<String>>) -> Vec<Value> {
    let mut input = format!("{header}\n").trim_start().to_string();
    let mut ends = Vec::new();
    for samples in sequences {
        ends.push(ends.last().unwrap_or(&0) + samples.len());
        input += &format!("{}\n\n", samples.join("\n"));
    }
    let lines = folder.pipe(&["run", IMAGE, "--json"], &input).succeeds();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), *ends.last().unwrap(), "a line for each sample");
    ends.into_iter().map(|end| lines[end - 1].clone()).collect()
}

/// `confusion[truth][prediction]` of labels.
fn confusion(labels: &[&str], truths: &[&str], outputs: &[Value]) -> Value {
    let place = |label: &str| labels.iter().position(|known| *known == label).unwrap();
    let mut counts = vec![vec![0; labels.len()]; labels.len()];
    for (truth, output) in truths.iter().zip(outputs) {
        counts[place(truth)][place(output["label"].as_str().unwrap())] += 1;
    }
    json!(counts)
}

#[test]
fn sequences_of_a_csv() {
    let folder = Folder::new();
    let test = slopes(30, 2);
    folder.write("train.csv", long_csv(&slopes(60, 1)));
    folder.write("other.csv", long_csv(&test));
    folder.write("train.toml", LONG_TOML);
    train_and_quantize(&folder);
    let fixed = check_agreement(&folder, "other.csv", "accuracy");
    assert_eq!(fixed["n"], 30);
    assert_eq!(fixed["names"], json!(SLOPES));
    assert!(number(&fixed, "/accuracy") > 0.9, "{fixed}");

    // The stream, its columns in another order than the model's, and with one more, says what evaluation counted.
    let samples = test.iter().map(|sequence| {
        sequence.steps.iter().map(|[level, noise]| format!("{noise},{},{level}", sequence.name)).collect()
    });
    let outputs = last_outputs(&folder, "noise,sequence,level", samples);
    let truths: Vec<&str> = test.iter().map(|sequence| sequence.label).collect();
    assert_eq!(confusion(&SLOPES, &truths, &outputs), fixed["confusion"]);
    for (output, sequence) in outputs.iter().zip(&test) {
        assert_eq!(number(output, "/step"), sequence.steps.len() as f64);
        let probability = number(output, "/probability");
        assert!((1.0 / 3.0..=1.0).contains(&probability), "{output}");
        assert_eq!(output["logits"].as_array().unwrap().len(), 3);
    }

    // The splits of the configuration, without a file of their own.
    for (split, n) in [("train", 36), ("validation", 12), ("test", 12)] {
        let arguments = ["evaluate", CHECKPOINT, "--config", "train.toml", "--split", split, "--json"];
        assert_eq!(folder.run(&arguments).json()["n"], n, "{split}");
    }
}

#[test]
fn arrays_of_an_npz() {
    let folder = Folder::new();
    let test = slopes(30, 2);
    folder.write("train.npz", slopes_npz(&slopes(60, 1)));
    folder.write("test.npz", slopes_npz(&test));
    folder.write("train.toml", NPZ_TOML);
    train_and_quantize(&folder);
    let fixed = check_agreement(&folder, "test.npz", "accuracy");
    assert_eq!(fixed["names"], json!(SLOPES));
    assert!(number(&fixed, "/accuracy") > 0.9, "{fixed}");
    let samples = test.iter().map(|sequence| sequence.steps.iter().map(|[a, b]| format!("{a},{b}")).collect());
    let outputs = last_outputs(&folder, "", samples);
    let truths: Vec<&str> = test.iter().map(|sequence| sequence.label).collect();
    assert_eq!(confusion(&SLOPES, &truths, &outputs), fixed["confusion"]);
    // Padding has no part in it: the training's own number for the test file is that of the evaluation.
    let inspected = folder.run(&["inspect", CHECKPOINT, "--json"]).json();
    let evaluated = folder.run(&["evaluate", CHECKPOINT, "--data", "test.npz", "--json"]).json();
    assert_eq!(inspected["metrics"]["test_accuracy"], evaluated["accuracy"]);
}

#[test]
fn windows_of_one_long_series() {
    let folder = Folder::new();
    folder.write("series.csv", series_csv(240));
    let later = series_csv(60);
    folder.write("later.csv", &later);
    folder.write("train.toml", SERIES_TOML);
    train_and_quantize(&folder);
    let fixed = check_agreement(&folder, "later.csv", "rmse");
    assert_eq!(fixed["names"], json!(["load"]));
    assert_eq!(fixed["n"], 60 - 8, "windows of 8 whose target is one row on");

    // The image answers in raw units: its error over all windows, streamed, is what evaluation says.
    let rows: Vec<Vec<f64>> =
        later.lines().skip(1).map(|row| row.split(',').map(|field| field.parse().unwrap()).collect()).collect();
    let window = |start: usize| rows[start..start + 8].iter().map(|row| format!("{},{}", row[1], row[2])).collect();
    let outputs = last_outputs(&folder, "", (0..52).map(window));
    let squares = outputs.iter().enumerate().map(|(start, output)| {
        let truth = f64::from(rows[start + 8][1] as f32);
        (number(output, "/values/load") - truth).powi(2)
    });
    let rmse = (squares.sum::<f64>() / 52.0).sqrt();
    let expected = number(&fixed, "/rmse");
    assert!((rmse - expected).abs() < 1e-9 * expected, "{rmse} {expected}");
    // It has learned more than the mean.
    assert!(number(&fixed, "/r2") > 0.3, "{fixed}");
}

#[test]
fn tokens_of_a_column() {
    let folder = Folder::new();
    let later = words_csv(24, 2) + "w99,z,odd\nw99,a,odd\n";
    folder.write("words.csv", words_csv(60, 1));
    folder.write("later.csv", &later);
    folder.write("train.toml", WORDS_TOML);
    train_and_quantize(&folder);
    let fixed = check_agreement(&folder, "later.csv", "accuracy");
    assert!(number(&fixed, "/accuracy") > 0.8, "{fixed}");
    // Letter by letter; one was never seen, and stands for the unknown.
    let mut words: Vec<(String, Vec<String>, String)> = Vec::new();
    for row in later.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        if words.last().is_none_or(|word| word.0 != fields[0]) {
            words.push((fields[0].into(), Vec::new(), fields[2].into()));
        }
        words.last_mut().unwrap().1.push(fields[1].into());
    }
    let outputs = last_outputs(&folder, "", words.iter().map(|word| word.1.clone()));
    let truths: Vec<&str> = words.iter().map(|word| word.2.as_str()).collect();
    assert_eq!(confusion(&["even", "odd"], &truths, &outputs), fixed["confusion"]);

    // The file itself, piped as it is, with its own column of words.
    let ran = folder.pipe(&["run", IMAGE, "--sequence", "word", "--json"], &later);
    assert_says(&ran.stderr, &["note: columns that the model does not use: kind\n", "training never showed: 1\n"]);
    let lines: Vec<Value> = ran.succeeds().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut ends = words.iter().scan(0, |end, word| {
        *end += word.1.len();
        Some(*end)
    });
    assert!(outputs.iter().all(|output| lines[ends.next().unwrap() - 1] == *output));
    // Without its checkpoint the image knows tokens by number alone.
    folder.write("alone/model.ember", folder.read(IMAGE));
    let alone = ["run", "alone/model.ember"];
    let said = folder.pipe(&alone, "a\n").fails();
    assert_says(&said, &["stdin, line 1: expected a token's number, found \"a\""]);
    assert_says(&folder.pipe(&alone, "7\n").fails(), &["stdin, line 1: token 7 is not between 0 and 5"]);
    assert_eq!(folder.pipe(&alone, "2\n0\n").succeeds(), folder.pipe(&["run", IMAGE], "a\nzz\n").succeeds());
    let said = folder.refuses(&["evaluate", "alone/model.ember", "--data", "later.csv", "--config", "train.toml"]);
    assert_says(&said, &["alone/model.ember", "an image knows tokens by number alone; keep the checkpoint"]);
}

#[test]
fn a_class_at_every_step() {
    let folder = Folder::new();
    let mut csv = String::from("sequence,level,noise,state\n");
    for sequence in slopes(40, 1) {
        let mut falling = 0.0;
        for [level, noise] in sequence.steps {
            falling = 0.5 * falling + noise;
            csv += &format!("{},{level},{noise},{}\n", sequence.name, if falling > 0.0 { "up" } else { "down" });
        }
    }
    folder.write("train.csv", &csv);
    let toml = LONG_TOML.replace("step = \"step\"", "target_per = \"step\"").replace("\"label\"", "\"state\"");
    folder.write("train.toml", toml);
    train_and_quantize(&folder);
    let fixed = check_agreement(&folder, "train.csv", "accuracy");
    assert_eq!(number(&fixed, "/n"), csv.lines().count() as f64 - 1.0, "an answer for each row");
    assert!(number(&fixed, "/accuracy") > 0.8, "{fixed}");
}

#[test]
fn a_run_leaves_what_it_promises() {
    let folder = Folder::new();
    folder.write("slopes/train.csv", long_csv(&slopes(60, 1)));
    folder.write("slopes/train.toml", LONG_TOML);
    let said = folder.run(&["train", "slopes/train.toml", "--json"]).json();
    // A configuration named `train` says nothing: its folder does.
    assert_eq!(said["run"], "runs/slopes");
    assert_eq!(said["checkpoint"], "runs/slopes/checkpoint.safetensors");
    assert_eq!(said["ended"], "completed");
    assert_eq!(said["epochs"], 25);
    let log = String::from_utf8(folder.read("runs/slopes/log.jsonl")).unwrap();
    let epochs: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = epochs.iter().map(|epoch| epoch["epoch"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=25), "{numbers:?}");
    let loss = |epoch: &Value| number(epoch, "/metrics/loss");
    assert!(loss(&epochs[24]) < 0.5 * loss(&epochs[0]), "it learned");
    // The kept epoch is the one with the best validation loss, and the report tells its numbers.
    let val_loss = |epoch: &Value| number(epoch, "/metrics/val_loss");
    let best = epochs.iter().min_by(|a, b| val_loss(a).total_cmp(&val_loss(b))).unwrap();
    assert_eq!(best["epoch"], said["kept_epoch"]);
    assert_eq!(best["metrics"]["val_loss"], said["metrics"]["val_loss"]);
    assert!(number(&said, "/metrics/test_accuracy") > 0.8);
    assert!(folder.read("runs/slopes/train.toml") == folder.read("slopes/train.toml"));
    let files = || folder.snapshot().into_keys().filter(|name| name.starts_with("runs/slopes")).count();
    assert_eq!(files(), 6, "the folder, and in it checkpoint.safetensors, log.jsonl, origin, report.html, train.toml");

    // Each next run has a folder of its own, and is told from the others by name in its image.
    let again = folder.run(&["train", "slopes/train.toml"]).succeeds();
    assert!(again.contains("wrote runs/slopes-2/checkpoint.safetensors"), "{again}");
    assert!(folder.read("runs/slopes/checkpoint.safetensors") == folder.read("runs/slopes-2/checkpoint.safetensors"));
    // What it advises to do next works.
    let next = again.lines().find_map(|line| line.strip_prefix("next: emberloop ")).unwrap();
    let quantized = folder.run(&next.split_whitespace().collect::<Vec<_>>()).succeeds();
    assert!(quantized.contains("wrote runs/slopes-2/model.ember and runs/slopes-2/model.q.safetensors"), "{quantized}");
    let inspected = folder.run(&["inspect", "runs/slopes-2/model.ember", "--json"]).json();
    assert_eq!(inspected["name"], "slopes-2");
    let next = quantized.lines().find_map(|line| line.strip_prefix("next: emberloop ")).unwrap();
    let next = next.replace("TEST_DATA", "slopes/train.csv");
    folder.run(&next.split_whitespace().collect::<Vec<_>>()).succeeds();
    // In the configuration's own folder the name is that folder's too.
    let mut inside = folder.command(&["train", "train.toml", "--json"]);
    let inside = common::Ran::new(inside.current_dir(folder.file("slopes")).output().unwrap()).json();
    assert_eq!(inside["run"], "runs/slopes");
}
