//! The engine on all cores: what `evaluate` says of an image does not depend on how many there are.

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
