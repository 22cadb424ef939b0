//! Threads and devices: no result depends on how many threads there are; several devices share a training.

mod common;

use common::data::{SERIES_TOML, long_csv, series_csv, slopes};
use common::models::{slopes_model, train_and_quantize};
use common::{Folder, Ran, assert_says, without_time};
use serde_json::Value;

/// More than there are cores, one that does not divide the work, and what the machine has.
const THREADS: [Option<&str>; 4] = [Some("1"), Some("3"), Some("17"), None];

fn evaluate(folder: &Folder, threads: Option<&str>) -> Ran {
    let mut command = folder.command(&["evaluate", "model/model.ember", "--data", "other.csv", "--json"]);
    match threads {
        Some(threads) => command.env("RAYON_NUM_THREADS", threads),
        None => command.env_remove("RAYON_NUM_THREADS"),
    };
    Ran::new(command.output().unwrap())
}

#[test]
fn the_same_metrics_with_any_number_of_threads() {
    // Classes are counted; errors of values are summed, where another order would show in the last bits.
    let classes = slopes_model();
    classes.write("other.csv", long_csv(&slopes(333, 3)));
    let values = Folder::new();
    values.write("series.csv", series_csv(240));
    values.write("other.csv", series_csv(700));
    values.write("train.toml", SERIES_TOML);
    train_and_quantize(&values);
    for folder in [classes, values] {
        let all = THREADS.map(|threads| without_time(evaluate(&folder, threads).json()));
        assert!(all.iter().all(|evaluation| *evaluation == all[0]), "{all:?}");
    }
}

#[test]
fn of_several_errors_the_first_in_the_data_is_told() {
    let folder = slopes_model();
    let csv = long_csv(&slopes(333, 3));
    let mut lines: Vec<String> = csv.lines().map(String::from).collect();
    // The noise of one step early on, and of one of the last sequences.
    for sequence in ["s21,2,", "s330,0,"] {
        let line = lines.iter_mut().find(|line| line.starts_with(sequence)).unwrap();
        let fields: Vec<&str> = line.split(',').collect();
        *line = format!("{},{},{},NaN,{}", fields[0], fields[1], fields[2], fields[4]);
    }
    folder.write("other.csv", lines.join("\n"));
    for threads in THREADS {
        assert_says(&evaluate(&folder, threads).fails(), &["other.csv: sequence s21, step 3, noise"]);
    }
}

#[test]
fn people_are_told_the_speed() {
    let folder = slopes_model();
    let said = folder.run(&["evaluate", "model/model.ember", "--data", "other.csv"]).succeeds();
    let line = said.lines().find(|line| line.ends_with("steps/s")).unwrap_or_else(|| panic!("{said}"));
    let evaluation: Value = evaluate(&folder, None).json();
    assert!(line.starts_with(&format!("{} steps in ", evaluation["steps"])), "{line}");
}

#[test]
fn threads_are_a_flag_too() {
    let folder = slopes_model();
    let all = evaluate(&folder, None).json();
    for threads in ["1", "3"] {
        let image = ["evaluate", "model/model.ember", "--data", "other.csv", "--json", "--threads", threads];
        assert_eq!(without_time(folder.run(&image).json()), without_time(all.clone()));
        let out = format!("run-{threads}");
        folder.run(&["train", "train.toml", "--out", &out, "--threads", threads]).succeeds();
        let model = folder.read(format!("{out}/checkpoint.safetensors"));
        assert!(model == folder.read("model/checkpoint.safetensors"), "{threads} threads");
        let model = "model/checkpoint.safetensors";
        folder.run(&["evaluate", model, "--data", "other.csv", "--threads", threads]).succeeds();
        folder.run(&["compare", model, "model/model.ember", "--data", "other.csv", "--threads", threads]).succeeds();
    }
    let ran = folder.run(&["train", "train.toml", "--threads", "0"]);
    assert_eq!(ran.code, Some(2));
    assert_says(&ran.stderr, &["invalid value '0' for '--threads <N>'"]);
}

#[test]
fn devices_share_a_training() {
    let folder = slopes_model();
    let train =
        |out: &str, devices: &[&str]| folder.run(&[&["train", "train.toml", "--out", out][..], devices].concat());
    let ran = train("two", &["--devices", "cpu,cpu"]);
    assert_says(&ran.stderr, &[" batches on cpu, cpu\n"]);
    ran.succeeds();
    train("again", &["--devices", "cpu,cpu", "--threads", "3"]).succeeds();
    assert!(folder.read("two/checkpoint.safetensors") == folder.read("again/checkpoint.safetensors"));
    train("one", &["--device", "cpu"]).succeeds();
    assert!(folder.read("one/checkpoint.safetensors") == folder.read("model/checkpoint.safetensors"));
    let refused = |devices: &[&str]| folder.refuses(&[&["train", "train.toml", "--out", "no"][..], devices].concat());
    assert_says(&refused(&["--devices", "cpu,cuda"]), &["devices: expected all of one kind", "found cpu and cuda"]);
    for (devices, says) in [
        (
            &["--devices", "cpu,gpu"][..],
            "device: expected cpu, cuda, vulkan, or one of several as in cuda:1, found \"gpu\"",
        ),
        (&["--devices", "cpu", "--device", "cpu"], "cannot be used with"),
    ] {
        let ran = train("no", devices);
        assert_eq!(ran.code, Some(2));
        assert_says(&ran.stderr, &[says]);
    }
}
