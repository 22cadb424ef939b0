//! `emberloop doctor`: configurations with a known fault, healthy ones, and runs.

mod common;

use common::data::{LONG_TOML, SERIES_TOML, long_csv, series_csv, slopes};
use common::{Folder, assert_says, number};
use serde_json::Value;

/// A healthy configuration of the slopes, or what `change` makes of it.
fn folder(change: impl Fn(String) -> String) -> Folder {
    let folder = Folder::new();
    folder.write("train.csv", long_csv(&slopes(240, 1)));
    folder.write("gestures.toml", change(LONG_TOML.into()));
    folder
}

fn doctor(folder: &Folder, more: &[&str]) -> Value {
    folder.run(&[&["doctor", "gestures.toml", "--json"], more].concat()).json()
}

/// `(id, confidence)` in their order.
fn findings(report: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_string();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(finding, "id"), text(finding, "confidence"))).collect()
}

#[test]
fn nothing_certain_is_found_in_a_healthy_training() {
    let folder = folder(|text| text);
    let report = doctor(&folder, &[]);
    assert!(findings(&report).iter().all(|(_, confidence)| confidence != "high"), "{report}");
    assert!(number(&report, "/skill") > 0.8, "{report}");
    let page = String::from_utf8(folder.read(report["report"].as_str().unwrap())).unwrap();
    assert_says(&page, &["<html", "gestures", "</html>"]);
}

#[test]
fn a_rate_that_is_far_too_low_is_found_and_mended() {
    let folder = folder(|text| text.replace("learning_rate = 2e-2 }", "learning_rate = 2e-6 } # mine"));
    let before = folder.read("gestures.toml");
    let report = doctor(&folder, &["--fix"]);
    assert_eq!(findings(&report)[0], ("learning-rate-low".into(), "high".into()), "{report}");
    let set = &report["findings"][0]["fix"]["set"]["training.optimizer.learning_rate"];
    assert!(set.as_f64().is_some_and(|rate| (5e-4..=2e-2).contains(&rate)), "{report}");
    assert!(number(&report, "/fixed/after") > number(&report, "/fixed/before") + 0.2, "{report}");
    assert_eq!(folder.read("gestures.toml"), before, "the configuration is left alone");
    let fixed = String::from_utf8(folder.read("gestures.fixed.toml")).unwrap();
    assert!(fixed.contains("# mine") && !fixed.contains("2e-6"), "{fixed}");
    // It trains as it stands, and a second one goes beside it.
    folder.run(&["train", "gestures.fixed.toml"]).succeeds();
    assert_eq!(doctor(&folder, &["--fix"])["fixed"]["config"], "gestures.fixed-2.toml");
}

#[test]
fn the_same_findings_with_any_number_of_threads() {
    let folder = folder(|text| text.replace("[model]", "[model]\ndropout = 0.9"));
    let all: Vec<Value> = ["1", "2", "5"].iter().map(|threads| doctor(&folder, &["--threads", threads])).collect();
    assert!(all.iter().all(|report| *report == all[0]), "{all:#?}");
    assert!(findings(&all[0]).iter().take(2).any(|(id, _)| id == "dropout-strong"), "{}", all[0]);
}

#[test]
fn every_finding_says_what_to_do() {
    let folder =
        folder(|text| text.replace("[training]", "[scaler]\nkind = \"none\"\n\n[training]\nclip = { norm = 1e-9 }"));
    let report = doctor(&folder, &[]);
    for finding in report["findings"].as_array().unwrap() {
        let fix = &finding["fix"];
        let some = |value: &Value| !value.is_null() && *value != "";
        assert!(some(&fix["set"]) || some(&fix["unset"]) || some(&fix["advice"]), "{finding}");
        for key in ["summary", "explanation"] {
            assert!(some(&finding[key]) && !finding[key].as_str().unwrap().contains('\n'), "{finding}");
        }
        assert!(finding["evidence"].as_object().is_some_and(|evidence| !evidence.is_empty()), "{finding}");
    }
    let said = folder.run(&["doctor", "gestures.toml"]).succeeds();
    assert_says(&said, &["1. ", "fix: ", "report: runs/gestures-doctor.html"]);
}

#[test]
fn training_warns_of_what_the_data_show_and_leaves_a_page() {
    let folder = Folder::new();
    let codes =
        long_csv(&slopes(120, 1)).replace(",fall\n", ",0\n").replace(",flat\n", ",1\n").replace(",rise\n", ",2\n");
    folder.write("train.csv", codes);
    folder.write("gestures.toml", LONG_TOML.replace("target = \"label\"", "target = \"label\"\ntask = \"regression\""));
    let ran = folder.run(&["train", "gestures.toml"]);
    assert_says(&ran.stderr, &["warning: ", "[labels-as-values]", "emberloop doctor gestures.toml"]);
    assert_says(&ran.succeeds(), &["wrote runs/gestures/report.html"]);
    let report = folder.run(&["doctor", "runs/gestures", "--json"]).json();
    assert_eq!(findings(&report)[0].0, "labels-as-values", "{report}");
    assert_eq!(report["report"], "runs/gestures/report.html");
}

#[test]
fn a_run_is_read_while_it_runs_and_after_its_data_moved() {
    let folder = folder(|text| text.replace("epochs = 25", "epochs = 2"));
    folder.run(&["train", "gestures.toml", "--out", "run"]).succeeds();
    // As it is while the third epoch runs: no model yet, and a line half written.
    std::fs::remove_file(folder.file("run/checkpoint.safetensors")).unwrap();
    let log = String::from_utf8(folder.read("run/log.jsonl")).unwrap();
    folder.write("run/log.jsonl", format!("{log}{{\"epoch\":3,\"epo"));
    let report = folder.run(&["doctor", "run", "--json"]).json();
    assert_says(report["notes"][0].as_str().unwrap(), &["ended early, 2 epochs"]);
    assert!(findings(&report).iter().all(|(_, confidence)| confidence != "high"), "nothing was tried: {report}");
    std::fs::rename(folder.file("gestures.toml"), folder.file("moved.toml")).unwrap();
    assert_says(&folder.refuses(&["doctor", "run"]), &["run: its configuration was ", "add --config CONFIG"]);
    let report = folder.run(&["doctor", "run", "--config", "moved.toml", "--json"]).json();
    assert_says(report["notes"][0].as_str().unwrap(), &["ended early, 2 epochs"]);
    folder.write("run/log.jsonl", format!("no epoch\n{log}"));
    assert_says(
        &folder.refuses(&["doctor", "run", "--config", "moved.toml"]),
        &["run/log.jsonl, line 1: expected an epoch"],
    );
}

#[test]
fn a_forecast_of_rounded_values_as_classes_cannot_be_loaded_and_is_explained() {
    let folder = Folder::new();
    folder.write("series.csv", series_csv(400));
    folder.write("gestures.toml", SERIES_TOML.replace("task = \"regression\"\n", ""));
    let report = doctor(&folder, &["--fix"]);
    assert_eq!(findings(&report)[0], ("values-as-labels".into(), "high".into()), "{report}");
    assert_eq!(report["fixed"]["config"], "gestures.fixed.toml");
    folder.run(&["train", "gestures.fixed.toml"]).succeeds();
}

#[test]
fn values_that_are_missing_are_a_finding_and_no_end() {
    let folder = folder(|text| text);
    let csv = String::from_utf8(folder.read("train.csv")).unwrap();
    let (head, rest) = csv.split_once("\ns0,0,").unwrap();
    let (_, rest) = rest.split_once(',').unwrap();
    folder.write("train.csv", format!("{head}\ns0,0,,{rest}"));
    let report = doctor(&folder, &["--fix"]);
    assert_eq!(findings(&report)[0], ("values-missing".into(), "high".into()), "{report}");
    assert_eq!(report["findings"][0]["fix"]["set"]["scaler.missing"], "hold_last");
    folder.run(&["train", "gestures.fixed.toml"]).succeeds();
}

#[test]
fn without_a_validation_split_some_sequences_are_held_out() {
    let folder = folder(|text| text.replace("validation_fraction = 0.2", "validation_fraction = 0.0"));
    let report = doctor(&folder, &[]);
    assert_says(report["notes"][0].as_str().unwrap(), &["a fifth of the training sequences was held out"]);
    assert!(number(&report, "/skill") > 0.8, "{report}");
}

#[test]
fn one_class_alone_is_no_riddle_of_labels() {
    let folder = folder(|text| text);
    let csv = String::from_utf8(folder.read("train.csv")).unwrap();
    folder.write("train.csv", csv.replace(",fall\n", ",rise\n").replace(",flat\n", ",rise\n"));
    let report = doctor(&folder, &[]);
    let ids = findings(&report);
    assert!(ids.iter().all(|(id, _)| id != "labels-unrelated" && id != "no-better-than-baseline"), "{report}");
}

#[test]
fn nothing_is_written_over() {
    let folder = folder(|text| text);
    let line = folder.refuses(&["doctor", "gestures.toml", "--report", "train.csv"]);
    assert_says(&line, &["train.csv: expected no file, or an earlier report"]);
    let said = folder.run(&["doctor", "gestures.toml", "--fix"]).succeeds();
    assert_says(&said, &["no change of the configuration is known to help; nothing was written"]);
    assert!(!folder.exists("gestures.fixed.toml"));
    // A page is replaced by the next one.
    folder.run(&["doctor", "gestures.toml"]).succeeds();
}

#[test]
fn what_is_neither_a_configuration_nor_a_run_is_refused() {
    let folder = folder(|text| text);
    assert_says(&folder.refuses(&["doctor", "nowhere.toml"]), &["nowhere.toml: cannot be read"]);
    std::fs::create_dir(folder.file("empty")).unwrap();
    assert_says(&folder.refuses(&["doctor", "empty"]), &["empty: expected the folder of a run"]);
    assert_says(&folder.refuses(&["doctor", "empty", "--fix"]), &["empty: expected a configuration to --fix"]);
}
