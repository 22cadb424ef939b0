//! `emberloop sweep`: every value tried once, whoever runs it and however often it is stopped, and a table of them.
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use common::data::{LONG_TOML, long_csv, slopes};
use common::{EMBERLOOP, Folder, Ran, assert_says, number};
use serde_json::Value;

const GRID: &str = r#"
config = "base.toml"
metric = "val_accuracy"

[parameters]
model.hidden = { values = [[4], [8]] }
training.optimizer.learning_rate = { min = 1e-3, max = 1e-1, log = true, steps = 3 }
"#;

const RANDOM: &str = r#"
config = "base.toml"
method = "random"
runs = 4

[parameters]
"model.hidden.0" = { min = 4, max = 12, log = true }
"training.optimizer.learning_rate" = { min = 1e-3, max = 1e-1, log = true }
"#;

/// A base configuration and its data, with few epochs.
fn folder(sweep: &str) -> Folder {
    let folder = Folder::new();
    folder.write("train.csv", long_csv(&slopes(60, 1)));
    folder.write("base.toml", LONG_TOML.replace("epochs = 25", "epochs = 3"));
    folder.write("s.toml", sweep);
    folder
}

fn runs(report: &Value) -> &Vec<Value> {
    report["runs"].as_array().unwrap()
}

fn of_run(report: &Value, run: u64) -> &Value {
    runs(report).iter().find(|row| row["run"] == run).unwrap()
}

/// A report without what differs from machine to machine.
fn without_time(mut report: Value) -> Value {
    for row in report["runs"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().remove("seconds");
    }
    report
}

#[test]
fn a_grid_runs_every_combination_and_ranks_them() {
    let folder = folder(GRID);
    let ran = folder.run(&["sweep", "s.toml", "--jobs", "2", "--json"]);
    assert_says(&ran.stderr, &["run 0006 (", "/6): val_accuracy ", "hidden [8], learning_rate 0.1\n"]);
    let report = ran.json();
    assert_eq!((&report["metric"], &report["direction"]), (&"val_accuracy".into(), &"max".into()));
    let rows = runs(&report);
    assert_eq!(rows.len(), 6);
    // Ranks follow the metric, and where it is the same the number of the run.
    let order: Vec<(f64, u64)> =
        rows.iter().map(|row| (-number(row, "/value"), row["run"].as_u64().unwrap())).collect();
    assert!(order.is_sorted_by(|a, b| a.0 < b.0 || (a.0 == b.0 && a.1 < b.1)), "{order:?}");
    assert_eq!(rows.iter().map(|row| row["rank"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let values = |run| of_run(&report, run)["values"].to_string();
    assert_eq!(values(1), r#"{"model.hidden":[4],"training.optimizer.learning_rate":0.001}"#);
    assert_eq!(values(6), r#"{"model.hidden":[8],"training.optimizer.learning_rate":0.1}"#);
    assert!(rows.iter().all(|row| row["status"] == "finished" && row["epochs"] == 3));

    // A run is a training like any other: by hand it gives the same file.
    let config = String::from_utf8(folder.read("runs/s/0006/train.toml")).unwrap();
    assert_says(&config, &["# Run 6 of the sweep s.toml, with\n#   model.hidden = [8]\n"]);
    assert_says(&config, &["train = \"../../../train.csv\"", "learning_rate = 0.1 }", "hidden = [8]"]);
    folder.write("runs/s/by-hand/train.toml", &config);
    folder.run(&["train", "runs/s/by-hand/train.toml", "--out", "by-hand"]).succeeds();
    assert!(folder.read("by-hand/checkpoint.safetensors") == folder.read("runs/s/0006/checkpoint.safetensors"));

    // The files say what the report says.
    let csv = String::from_utf8(folder.read("runs/s/results.csv")).unwrap();
    let head = "rank,run,status,model.hidden,training.optimizer.learning_rate,val_accuracy,epochs,kept_epoch,seconds,";
    assert!(csv.starts_with(head) && csv.lines().count() == 7, "{csv}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    for (record, row) in reader.records().zip(rows) {
        let record = record.unwrap();
        assert_eq!(record[5].parse::<f64>().unwrap(), number(row, "/value"));
        assert_eq!((&record[1], &record[3]), (&*row["run"].to_string(), &*row["values"]["model.hidden"].to_string()));
    }
    // Started again there is nothing to do, and nothing is done.
    let before = folder.snapshot();
    let ran = folder.run(&["sweep", "s.toml"]);
    assert_says(&ran.stderr, &["runs/s: 6 of 6 runs are finished and stay as they are\n"]);
    let table = ran.succeeds();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["rank", "run", "hidden", "learning_rate", "val_accuracy", "epochs", "best", "time"]
    );
    assert_eq!((lines.len(), lines[7]), (8, "wrote runs/s/results.csv"));
    common::assert_unchanged(&before, &folder.snapshot(), "started again");
}

#[test]
fn a_random_search_does_not_depend_on_how_it_is_run() {
    let one = folder(RANDOM);
    let report = without_time(one.run(&["sweep", "s.toml", "--jobs", "1", "--json"]).json());
    assert_eq!((&report["metric"], &report["direction"]), (&"val_loss".into(), &"min".into()));
    let hidden = |row: &Value| row["values"]["model.hidden.0"].as_i64().unwrap();
    assert!(runs(&report).iter().all(|row| (4..=12).contains(&hidden(row))));
    // More at a time, other threads, a runner of one's own, in another order.
    let two = folder(RANDOM);
    let index = ["sweep", "s.toml", "--threads", "2", "--index"];
    two.run(&[&index[..], &["4"]].concat()).succeeds();
    let again = two.run(&["sweep", "s.toml", "--jobs", "3", "--runner", "nice -n 1 {command}", "--json"]).json();
    assert_eq!(without_time(again), report);
    for run in 1..=4 {
        let model = format!("runs/s/{run:04}/checkpoint.safetensors");
        assert!(one.read(&model) == two.read(&model), "{model}");
    }
    // Another key more, or more runs, leave the draws as they were: the runs that are there are kept.
    two.write("s.toml", RANDOM.replace("runs = 4", "runs = 5"));
    let ran = two.run(&["sweep", "s.toml", "--json"]);
    assert_says(&ran.stderr, &["runs/s: 4 of 5 runs are finished and stay as they are\n"]);
    assert_eq!(runs(&ran.json()).len(), 5);
    let drawn = |sweep: &str| {
        let runs = folder(sweep).run(&["sweep", "s.toml", "--dry-run", "--json"]).json();
        runs["runs"].as_array().unwrap().iter().map(|run| run["values"]["model.hidden.0"].clone()).collect::<Vec<_>>()
    };
    let more = format!("{RANDOM}\"training.batch\" = {{ min = 4, max = 8 }}\n");
    assert_eq!(drawn(RANDOM), drawn(&more));
    assert_ne!(drawn(RANDOM), drawn(&RANDOM.replace("runs = 4", "runs = 4\nseed = 2")));
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = folder(GRID);
    let before = folder.snapshot();
    let said = folder.run(&["sweep", "s.toml", "--dry-run"]).succeeds();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[..3],
        [vec!["run", "hidden", "learning_rate"], vec!["0001", "[4]", "0.001"], vec!["0002", "[4]", "0.01"]]
    );
    assert_eq!(said.lines().last(), Some("6 runs, to runs/s, ranked by val_accuracy"));
    common::assert_unchanged(&before, &folder.snapshot(), "dry run");
}

#[test]
fn wrong_keys_and_values_are_refused_before_anything_starts() {
    let folder = folder(GRID);
    let refused = |parameters: &str| {
        folder.write("bad.toml", format!("config = \"base.toml\"\n[parameters]\n{parameters}\n"));
        folder.refuses(&["sweep", "bad.toml"])
    };
    for (parameters, says) in [
        (
            "training.bach = { values = [8] }",
            "parameters.training.bach = 8: unknown key \"bach\" (did you mean \"batch\"?)",
        ),
        (
            "training.batch = { values = [8, 0] }",
            "bad.toml: parameters.training.batch = 0: training.batch: expected at least 1, found 0",
        ),
        (
            "model.cell = { values = [\"gru\", \"lstmm\"] }",
            "parameters.model.cell = \"lstmm\": unknown value \"lstmm\" (did you mean \"lstm\"?)",
        ),
        (
            "model.hidden = { min = 4, max = 8, steps = 2 }",
            "parameters.model.hidden = 4: invalid type: integer `4`, expected a list, as in [32]",
        ),
        (
            "model.hidden.1 = { values = [4] }",
            "parameters.model.hidden.1 = 4: expected a place in a list of 1, counted from 0, found 1",
        ),
        (
            "model.cell = { values = [\"lstm\"] }\nmodel.reset_after = { values = [true, false] }",
            "bad.toml: run 2 (model.cell = \"lstm\", model.reset_after = false): model.reset_after: expected no such key",
        ),
    ] {
        let said = refused(parameters);
        assert_says(&said, &["bad.toml", says]);
    }
    let base = |text: &str, says: &str| {
        folder.write("bad.toml", text);
        assert_says(&folder.refuses(&["sweep", "bad.toml"]), &[says]);
    };
    let parameters = "[parameters]\ntraining.batch = { values = [8] }\n";
    base(&format!("config = \"absent.toml\"\n{parameters}"), "absent.toml: cannot be read: ");
    base(
        &format!("config = \"base.toml\"\nmetric = \"test_accuracy\"\n{parameters}"),
        "bad.toml: metric: expected one of val_loss, val_accuracy, val_balanced_accuracy, val_macro_f1, loss, accuracy, \
         balanced_accuracy, macro_f1, found \"test_accuracy\" (what the test split chooses, it cannot judge)",
    );
    assert_says(
        &folder.refuses(&["sweep", "s.toml", "--index", "7"]),
        &["s.toml: expected a run from 1 to 6, found 7"],
    );
    assert_says(&folder.refuses(&["sweep", "s.toml", "--runner", "ssh {comand}"]), &["--runner: expected {command}"]);
    assert_says(&folder.refuses(&["sweep", "s.toml", "--collect"]), &["runs/s: no sweep to collect from"]);
    assert_says(&folder.refuses(&["sweep", "s.toml", "--devices", "cuda"]), &["device cuda: "]);
}

#[test]
fn a_failed_run_is_a_row() {
    // A rate that no training survives.
    let folder = folder(&GRID.replace("min = 1e-3, max = 1e-1, log = true, steps = 3", "values = [1e-2, 1e39]"));
    let report = folder.run(&["sweep", "s.toml", "--jobs", "2", "--json"]).json();
    let rows = runs(&report);
    let states: Vec<&str> = rows.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["finished", "finished", "failed", "failed"]);
    assert_eq!((&rows[2]["run"], &rows[2]["rank"]), (&2.into(), &Value::Null));
    assert_says(rows[2]["reason"].as_str().unwrap(), &[" is ", " at learning rate 1000000", "set training.clip"]);
    let table = folder.run(&["sweep", "s.toml", "--collect"]).succeeds();
    assert_says(&table, &["  failed: epoch 1"]);
    // It is not run again, unless one asks for it.
    let output = folder.read("runs/s/0002/output.txt");
    let ran = folder.run(&["sweep", "s.toml"]);
    assert_says(&ran.stderr, &["runs/s: 2 of 4 runs are failed and are left so; --retry runs them again"]);
    assert!(folder.read("runs/s/0002/output.txt") == output);
    folder.run(&["sweep", "s.toml", "--retry"]).succeeds();
    assert!(folder.read("runs/s/0002/output.txt").len() > output.len());
    // As one of an array it says why.
    let said = folder.run(&["sweep", "s.toml", "--index", "2"]).fails_at_last();
    assert_says(&said, &["run 0002: epoch 1"]);
    // If none succeeds, the sweep has not either.
    let none = Folder::of(&folder.snapshot());
    none.write("none.toml", GRID.replace("min = 1e-3, max = 1e-1, log = true, steps = 3", "values = [1e39]"));
    assert_says(
        &none.run(&["sweep", "none.toml"]).fails_at_last(),
        &["runs/none: no run has finished; run 0001 failed: "],
    );
}

#[test]
fn a_changed_sweep_and_foreign_folders_are_refused() {
    let folder = folder(GRID);
    folder.run(&["sweep", "s.toml", "--index", "1"]).succeeds();
    folder.write("s.toml", GRID.replace("[[4], [8]]", "[[5], [8]]"));
    let said = folder.refuses(&["sweep", "s.toml"]);
    assert_says(&said, &["runs/s/0001/train.toml, line 2: the sweep or its configuration was changed since: "]);
    assert_says(&said, &["expected \"# model.hidden = [5]\", found \"# model.hidden = [4]\"; undo the change"]);
    folder.write("s.toml", GRID);
    folder.write("base.toml", LONG_TOML.replace("epochs = 25", "epochs = 4"));
    assert_says(&folder.refuses(&["sweep", "s.toml", "--collect"]), &["expected \"epochs = 4\", found \"epochs = 3\""]);
    folder.write("base.toml", LONG_TOML.replace("epochs = 25", "epochs = 3"));
    // What ranks them may change.
    folder.write("s.toml", GRID.replace("val_accuracy", "val_loss"));
    assert_eq!(folder.run(&["sweep", "s.toml", "--collect", "--json"]).json()["direction"], "min");
    // The folder of something else.
    folder.run(&["train", "base.toml"]).succeeds();
    let said = folder.refuses(&["sweep", "s.toml", "--out", "runs/base"]);
    assert_says(
        &said,
        &["runs/base: expected the folder of a sweep, found one without sweep.toml; give another --out"],
    );
    // Fewer runs than are there.
    folder.run(&["sweep", "s.toml", "--index", "3"]).succeeds();
    folder.write(
        "s.toml",
        GRID.replace("val_accuracy", "val_loss").replace("steps = 3", "steps = 2").replace("[[4], [8]]", "[[4]]"),
    );
    assert_says(&folder.refuses(&["sweep", "s.toml"]), &["runs/s: holds a run 0003, but s.toml has 2"]);
}

/// Many epochs: there is time to stop it.
fn long_folder() -> Folder {
    let folder = folder(&RANDOM.replace("runs = 4", "runs = 3"));
    folder.write("base.toml", LONG_TOML.replace("epochs = 25", "epochs = 60"));
    folder
}

fn logged(folder: &Folder, run: u32) -> usize {
    fs::read_to_string(folder.file(format!("runs/s/{run:04}/log.jsonl"))).map_or(0, |log| log.lines().count())
}

/// Waits until somebody trains, or nobody does any more.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(1));
    }
    panic!("{what} never came");
}

#[test]
fn killed_it_leaves_no_training_behind_and_goes_on() {
    let whole = long_folder();
    whole.run(&["sweep", "s.toml", "--jobs", "2"]).succeeds();
    for signal in ["-KILL", "-INT", "-TERM"] {
        let folder = long_folder();
        let mut command = folder.command(&["sweep", "s.toml", "--jobs", "2", "--save-every", "0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("an epoch", || logged(&folder, 1) >= 2 && logged(&folder, 2) >= 2);
        let id = child.id().to_string();
        let kill = |signal: &str| std::process::Command::new("kill").args([signal, &id]).status().unwrap().success();
        if signal == "-INT" {
            // The same folder is nobody else's meanwhile.
            let other = folder.run(&["sweep", "s.toml"]);
            assert_says(&other.fails_at_last(), &["runs/s: another process runs s.toml; wait for it, or stop it"]);
        }
        assert!(kill(signal));
        if signal == "-INT" {
            let ran = Ran::new(child.wait_with_output().unwrap());
            assert_eq!(ran.code, Some(130), "{ran:?}");
            assert_says(
                &ran.last_error(),
                &["sweep interrupted: 0 of 3 runs are finished", "go on with: emberloop sweep s.toml"],
            );
        } else {
            child.wait().unwrap();
        }
        // The trainings end with it, by themselves, and say where they stand.
        let states = || -> Vec<String> {
            let report = folder.run(&["sweep", "s.toml", "--collect", "--json"]).json();
            (1..=3).map(|run| of_run(&report, run)["status"].as_str().unwrap().to_string()).collect()
        };
        wait_until("the end of the trainings", || !states().contains(&"running".to_string()));
        assert_eq!(states(), ["interrupted", "interrupted", "waiting"], "{signal}");
        let ran = folder.run(&["sweep", "s.toml"]);
        assert_says(&ran.stderr, &["runs/s: 2 of 3 runs are interrupted and go on\n"]);
        ran.succeeds();
        assert_says(&String::from_utf8(folder.read("runs/s/0001/output.txt")).unwrap(), &["going on after epoch "]);
        for run in 1..=3 {
            let model = format!("runs/s/{run:04}/checkpoint.safetensors");
            assert!(folder.read(&model) == whole.read(&model), "{model}");
            assert_eq!(logged(&folder, run), 60);
        }
    }
}

#[test]
fn runners_of_ones_own() {
    let folder = folder(GRID);
    let runner = "echo {index} {name} {config} {out} >> told.txt && cd {folder} && {command} --log-every 0 && exit 0";
    let report = folder.run(&["sweep", "s.toml", "--jobs", "1", "--runner", runner, "--json"]).json();
    assert!(runs(&report).iter().all(|row| row["status"] == "finished"));
    let told = String::from_utf8(folder.read("told.txt")).unwrap();
    assert_eq!(told.lines().next(), Some("1 0001 runs/s/0001/train.toml runs/s/0001"));
    assert_eq!(told.lines().count(), 6);
    assert_says(
        &String::from_utf8(folder.read("runs/s/0001/output.txt")).unwrap(),
        &["epoch 1/3", "epoch 2/3", "epoch 3/3"],
    );

    // One that fails, one that only hands over.
    let report = |out: &str, runner: &str| folder.run(&["sweep", "s.toml", "--out", out, "--runner", runner, "--json"]);
    let said = report("runs/broken", "echo starting {index}; no-such-launcher {config}").fails_at_last();
    assert_says(&said, &["runs/broken: no run has finished; run 0001 failed: exit status: 127: ", "no-such-launcher"]);
    let ran = report("runs/later", "echo {command} >> later.sh");
    assert_says(&ran.stderr, &["run 0001 (", "handed over: there is no model yet"]);
    assert!(runs(&ran.json()).iter().all(|row| row["status"] == "waiting"));
    assert!(
        std::process::Command::new("sh")
            .arg("later.sh")
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    let report = folder.run(&["sweep", "s.toml", "--out", "runs/later", "--collect", "--json"]).json();
    assert!(runs(&report).iter().all(|row| row["status"] == "finished"), "{report}");
}

#[test]
fn a_runner_of_ones_own_is_stopped_as_a_whole() {
    let folder = long_folder();
    let mut command =
        folder.command(&["sweep", "s.toml", "--jobs", "1", "--save-every", "0", "--runner", "{command}; exit $?"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("an epoch", || logged(&folder, 1) >= 2);
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_says(&ran.last_error(), &["sweep interrupted: 0 of 3 runs are finished", "--runner '{command}; exit $?'"]);
    let report = folder.run(&["sweep", "s.toml", "--collect", "--json"]).json();
    assert_eq!(of_run(&report, 1)["status"], "interrupted");
}

/// Runs the tasks of a job array here, one after the other, as Slurm does on its nodes.
const SBATCH: &str = r##"#!/bin/sh
set -e
last=$(sed -n 's/^#SBATCH --array=1-\([0-9]*\)%2$/\1/p' "$1")
test -n "$last"
grep -q '^#SBATCH --cpus-per-task=1$' "$1"
for task in $(seq "$last"); do
  SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=1 sh "$1" || echo "task $task failed"
done
"##;

#[test]
fn a_slurm_array_does_what_the_sweep_does() {
    let folder = folder(GRID);
    let said = folder.run(&["sweep", "s.toml", "--write-slurm", "job.sh", "--jobs", "2"]).succeeds();
    assert_says(
        &said,
        &[
            "wrote job.sh, a job array of 6 runs\nnext: sbatch job.sh\nthen: emberloop sweep s.toml --out runs/s --collect\n",
        ],
    );
    assert_says(&folder.refuses(&["sweep", "s.toml", "--write-slurm", "job.sh"]), &["job.sh: is there already"]);
    let waiting = folder.run(&["sweep", "s.toml", "--collect"]).succeeds();
    assert_eq!(waiting.matches("waiting").count(), 6, "{waiting}");
    folder.write("bin/sbatch", SBATCH);
    fs::set_permissions(folder.file("bin/sbatch"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.file("bin").display(), std::env::var("PATH").unwrap());
    let mut sbatch = std::process::Command::new("sbatch");
    let output = sbatch.arg("job.sh").current_dir(folder.path()).env("PATH", path).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let array = without_time(folder.run(&["sweep", "s.toml", "--collect", "--json"]).json());
    let local = without_time(self::folder(GRID).run(&["sweep", "s.toml", "--json"]).json());
    assert_eq!(array, local);
    assert!(
        Path::new(EMBERLOOP).is_absolute(),
        "the script names the program: {}",
        String::from_utf8_lossy(&folder.read("job.sh"))
    );
}

#[test]
fn two_trainings_do_not_share_a_folder() {
    let folder = long_folder();
    let mut command = folder.command(&["train", "base.toml", "--out", "run", "--save-every", "0"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("an epoch", || folder.exists("run/resume.safetensors"));
    let said = folder.run(&["train", "base.toml", "--out", "run", "--resume"]).fails();
    assert_says(&said, &["run: another process trains in this folder; wait for it, or give another --out"]);
    child.kill().unwrap();
    child.wait().unwrap();
    folder.run(&["train", "base.toml", "--out", "run", "--resume"]).succeeds();
    assert!(!folder.exists("run/.lock"));
}
