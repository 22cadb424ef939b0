//! A training that is killed, at whatever moment and however often, ends with the file of one that ran through.
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::data::{LONG_TOML, Random, long_csv, slopes};
use common::{Folder, Ran, assert_says};

/// With everything that has a state: two layers, dropout, moments, clipping, a plateau, early stopping.
const EVENTFUL: &str = r#"
[data]
train = "train.csv"
sequence = "sequence"
step = "step"
channels = ["level", "noise"]
test_fraction = 0.1

[model]
cell = "lstm"
hidden = [16, 12]
dropout = 0.3

[training]
epochs = 40
batch = 8
optimizer = { kind = "adamw", learning_rate = 2e-2 }
clip = { norm = 0.5 }
schedule = { kind = "plateau", patience = 1, factor = 0.5, min_delta = 0.02, warmup_epochs = 2 }
early_stopping = { patience = 12 }
"#;

/// A folder whose run `whole` was never interrupted, and how long that took.
fn folder_and_time() -> (Folder, Duration) {
    static MADE: OnceLock<(BTreeMap<PathBuf, Vec<u8>>, Duration)> = OnceLock::new();
    let (made, time) = MADE.get_or_init(|| {
        let folder = Folder::new();
        folder.write("train.csv", long_csv(&slopes(120, 1)));
        folder.write("train.toml", EVENTFUL);
        let started = Instant::now();
        folder.run(&["train", "train.toml", "--out", "whole"]).succeeds();
        (folder.snapshot(), started.elapsed())
    });
    (Folder::of(made), *time)
}

fn folder() -> Folder {
    folder_and_time().0
}

/// When to kill.
#[derive(Clone, Copy, Debug)]
enum When {
    /// So long after the start.
    After(Duration),
    /// When so many epochs are in the log.
    Epochs(usize),
    /// While a file is being written.
    Writing,
    /// When the model is there, and the resume state still is too.
    Written,
}

fn has_come(when: When, started: Instant, run: &Path) -> bool {
    match when {
        When::After(time) => started.elapsed() >= time,
        When::Epochs(epochs) => logged(run) >= epochs,
        When::Writing => std::fs::read_dir(run)
            .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"))),
        When::Written => run.join("checkpoint.safetensors").exists(),
    }
}

/// Whole lines in the log.
fn logged(run: &Path) -> usize {
    std::fs::read(run.join("log.jsonl")).map_or(0, |log| log.iter().filter(|&&byte| byte == b'\n').count())
}

/// So many epochs are in the state of a run that was killed.
fn kept(folder: &Folder, run: &str, save: Save) -> usize {
    let logged = logged(&folder.file(run));
    if save == Save::Each { logged } else { logged.min(1) }
}

/// A training that began anew would end with the same file as well: see that it did go on after `finished` epochs. One
/// that was killed early may not have said so yet.
fn assert_went_on(stderr: &str, finished: usize, killed: bool) {
    let said = stderr.lines().find(|line| line.contains(" parameters, "));
    let Some(said) = said else {
        assert!(killed, "it never said what it does: {stderr}");
        return;
    };
    let after = said.split_once("going on after epoch ").map_or(0, |(_, epoch)| epoch.trim().parse().unwrap());
    assert!(after >= finished, "{finished} epochs were kept, but: {said}");
}

/// How often the state is written.
#[derive(Clone, Copy, PartialEq)]
enum Save {
    /// After each epoch.
    Each,
    /// As by default: after the first, and then not for as long as these trainings take.
    Seldom,
}

/// Starts or goes on with the training in `run`.
fn start(folder: &Folder, run: &str, save: Save) -> Child {
    let resume = if folder.exists(run) { &["--resume"][..] } else { &[] };
    let save = if save == Save::Each { &["--save-every", "0"][..] } else { &[] };
    let mut command = folder.command(&[&["train", "train.toml", "--out", run][..], resume, save].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the moment, or the end of the program, without sleeping through it.
fn wait(child: &mut Child, when: When, run: &Path) {
    let started = Instant::now();
    while !has_come(when, started, run) && child.try_wait().unwrap().is_none() {
        // A temporary file is not there for long.
        if !matches!(when, When::Writing) {
            sleep(Duration::from_micros(50));
        }
    }
}

/// Kills the run at each of the moments; says how many times it was still alive.
fn kill_at(folder: &Folder, run: &str, save: Save, moments: impl IntoIterator<Item = When>) -> usize {
    let mut kills = 0;
    for when in moments {
        let finished = kept(folder, run, save);
        let mut child = start(folder, run, save);
        wait(&mut child, when, &folder.file(run));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let killed = output.status.signal() == Some(9);
        assert!(killed || output.status.success(), "{when:?}: {stderr}");
        assert_went_on(&stderr, finished, killed);
        if !killed {
            break;
        }
        kills += 1;
    }
    kills
}

/// Goes on to the end, if it was not there, and compares.
fn assert_same_as_whole(folder: &Folder, run: &str) {
    if !folder.exists(&format!("{run}/checkpoint.safetensors")) || folder.exists(&format!("{run}/resume.safetensors")) {
        let finished = kept(folder, run, Save::Seldom);
        let ran = Ran::new(start(folder, run, Save::Seldom).wait_with_output().unwrap());
        assert_went_on(&ran.stderr, finished, false);
        ran.succeeds();
    }
    let model = folder.read("whole/checkpoint.safetensors");
    assert!(folder.read(format!("{run}/checkpoint.safetensors")) == model, "{run}: the model differs");
    // Nothing else is left, and the log tells every epoch once.
    let mut names: Vec<_> =
        std::fs::read_dir(folder.file(run)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["checkpoint.safetensors", "log.jsonl", "origin", "report.html", "train.toml"]);
    let epochs = |run: &str| -> Vec<u64> {
        let log = String::from_utf8(folder.read(format!("{run}/log.jsonl"))).unwrap();
        let epoch = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["epoch"].as_u64().unwrap();
        log.lines().map(epoch).collect()
    };
    assert_eq!(epochs(run), epochs("whole"));
}

#[test]
fn the_test_has_something_to_lose() {
    let folder = folder();
    let log = String::from_utf8(folder.read("whole/log.jsonl")).unwrap();
    let epochs: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rates: Vec<f64> = epochs.iter().map(|epoch| epoch["learning_rate"].as_f64().unwrap()).collect();
    assert!(rates.last().unwrap() < &(0.6 * rates[2]), "the plateau lowered the rate: {rates:?}");
    assert!(epochs.len() > 15, "there are epochs to be killed in: {}", epochs.len());
    // Another seed gives another file: equality is no matter of course.
    folder.write("train.toml", EVENTFUL.replace("[training]", "[training]\nseed = 2"));
    folder.run(&["train", "train.toml", "--out", "other"]).succeeds();
    assert!(folder.read("other/checkpoint.safetensors") != folder.read("whole/checkpoint.safetensors"));
}

#[test]
fn killed_between_epochs_again_and_again() {
    let folder = folder();
    let kills = kill_at(&folder, "run", Save::Each, [1, 2, 3, 5, 8, 13].map(When::Epochs));
    assert!(kills >= 2, "{kills} kills came in time");
    assert_same_as_whole(&folder, "run");
}

#[test]
fn killed_while_it_writes() {
    let folder = folder();
    let kills = kill_at(&folder, "run", Save::Each, [When::Writing; 6]);
    assert!(kills >= 2, "{kills} kills came in time");
    assert_same_as_whole(&folder, "run");
}

#[test]
fn killed_before_it_has_begun() {
    let folder = folder();
    let early = (0..8).map(|step| When::After(Duration::from_millis(2 * step)));
    let kills = kill_at(&folder, "run", Save::Each, early);
    assert!(kills >= 2, "{kills} kills came in time");
    assert_same_as_whole(&folder, "run");
}

#[test]
fn killed_when_the_model_is_there_and_the_state_still_is() {
    let folder = folder();
    for run in ["run", "run-2", "run-3"] {
        kill_at(&folder, run, Save::Each, [When::Written]);
        assert_same_as_whole(&folder, run);
    }
}

#[test]
fn killed_at_any_moment() {
    let (folder, whole) = folder_and_time();
    let mut random = Random::new(7);
    let mut kills = 0;
    for (run, save) in [("a", Save::Each), ("b", Save::Seldom), ("c", Save::Seldom)] {
        let moments: Vec<When> = (0..4).map(|_| When::After(whole.mul_f64(0.6 * random.unit()))).collect();
        kills += kill_at(&folder, run, save, moments);
        assert_same_as_whole(&folder, run);
    }
    assert!(kills >= 2, "{kills} kills came in time");
}

/// Interrupts the training in `run` as Ctrl-C does, once it has finished `epochs`; returns what it said last.
fn interrupt(folder: &Folder, mut child: Child, run: &str, epochs: usize) -> String {
    wait(&mut child, When::Epochs(epochs), &folder.file(run));
    // By a call and not by a process of its own, which the training might not wait for.
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    ran.last_error()
}

/// Does what the error advises to do.
fn follow(folder: &Folder, said: &str) -> Ran {
    let command = said.split_once("with: emberloop ").unwrap_or_else(|| panic!("no command in: {said}")).1;
    folder.run(&command.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn interrupted_by_ctrl_c_it_says_how_to_go_on() {
    let folder = folder();
    let said = interrupt(&folder, start(&folder, "run", Save::Seldom), "run", 3);
    assert_says(
        &said,
        &["training interrupted in epoch ", "every finished epoch is kept, go on with: emberloop train"],
    );
    assert_says(&said, &["train.toml --resume --out run"]);
    assert!(!folder.exists("run/checkpoint.safetensors"), "the model is not made yet");
    let said = interrupt(&folder, start(&folder, "run", Save::Seldom), "run", 6);
    let finished = logged(&folder.file("run"));
    let ran = follow(&folder, &said);
    assert_went_on(&ran.stderr, finished, false);
    ran.succeeds();
    assert!(finished >= 6);
    assert_same_as_whole(&folder, "run");
}

#[test]
fn interrupted_in_the_first_epoch_it_leaves_nothing() {
    let folder = Folder::new();
    folder.write("train.csv", long_csv(&slopes(2000, 1)));
    folder.write("train.toml", EVENTFUL.replace("batch = 8", "batch = 1").replace("epochs = 40", "epochs = 3"));
    let before = folder.snapshot();
    let command = &mut folder.command(&["train", "train.toml", "--out", "new/run"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.exists("new/run/log.jsonl") && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_micros(50));
    }
    let said = interrupt(&folder, child, "new/run", 0);
    assert_says(&said, &["training interrupted in epoch 1, before there was anything to keep; start again with: "]);
    common::assert_unchanged(&before, &folder.snapshot(), &said);
    assert!(said.ends_with("emberloop train train.toml --out new/run"), "{said}");
}

#[test]
fn a_fine_tune_goes_on_too() {
    let folder = folder();
    let finetune = ["finetune", "train.toml", "--from", "whole/checkpoint.safetensors", "--freeze", "rnn.l0", "--out"];
    folder.run(&[&finetune[..], &["tuned"]].concat()).succeeds();
    let mut command = folder.command(&[&finetune[..], &["run"]].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = interrupt(&folder, child, "run", 2);
    assert_says(&said, &["emberloop finetune", "--from whole/checkpoint.safetensors", "--freeze rnn.l0"]);
    // As a plain training it would be another one.
    let refused = folder.refuses(&["train", "train.toml", "--resume", "--out", "run"]);
    assert_says(&refused, &["run/resume.safetensors: cannot resume"]);
    follow(&folder, &said).succeeds();
    assert!(folder.read("run/checkpoint.safetensors") == folder.read("tuned/checkpoint.safetensors"));
}

#[test]
fn another_configuration_or_other_data_do_not_go_on() {
    let folder = folder();
    assert_eq!(kill_at(&folder, "run", Save::Each, [When::Epochs(3)]), 1);
    let resume = ["train", "train.toml", "--resume", "--out", "run"];
    // A kill leaves it behind, whoever comes next tidies it away.
    std::fs::remove_file(folder.file("run/.lock")).unwrap();

    folder.write("train.toml", EVENTFUL.replace("batch = 8", "batch = 16"));
    let said = folder.refuses(&resume);
    assert_says(&said, &["run/resume.safetensors: cannot resume: config.training.batch was 8", "is 16 now; undo"]);
    folder.write("train.toml", EVENTFUL);

    folder.write("train.csv", long_csv(&slopes(120, 2)));
    assert_says(
        &folder.refuses(&resume),
        &["run/resume.safetensors: cannot resume: data.train was ", "undo the change"],
    );
    folder.write("train.csv", long_csv(&slopes(120, 1)));

    let state = folder.read("run/resume.safetensors");
    folder.write("run/resume.safetensors", &state[..state.len() / 2]);
    assert_says(&folder.refuses(&resume), &["run/resume.safetensors: truncated"]);
    let mut flipped = state.clone();
    flipped[state.len() / 2] ^= 4;
    folder.write("run/resume.safetensors", flipped);
    assert_says(&folder.refuses(&resume), &["run/resume.safetensors: damaged"]);
    folder.write("run/resume.safetensors", state);
    // A run to resume is not one to train over.
    assert_says(
        &folder.refuses(&["train", "train.toml", "--out", "run"]),
        &["run: holds an interrupted run", "--resume"],
    );

    assert_same_as_whole(&folder, "run");
}

#[test]
fn without_a_name_the_run_that_did_not_finish_goes_on() {
    let folder = Folder::new();
    folder.write("train.csv", long_csv(&slopes(30, 1)));
    folder.write("slopes.toml", LONG_TOML);
    let resume = ["train", "slopes.toml", "--resume"];
    let said = folder.refuses(&resume);
    assert_says(&said, &["runs/slopes: no run to resume; start one without --resume"]);
    let said = folder.refuses(&["train", "slopes.toml", "--resume", "--out", "absent"]);
    assert_says(&said, &["absent: no run to resume: there is no such folder; start one without --resume"]);

    let named = |name: &str| {
        let run = folder.run(&["train", "slopes.toml", "--json"]).json()["run"].as_str().unwrap().to_string();
        assert_eq!(run, name);
    };
    named("runs/slopes");
    named("runs/slopes-2");
    named("runs/slopes-3");
    // As if the second had been killed before its first epoch ended.
    std::fs::remove_file(folder.file("runs/slopes-2/checkpoint.safetensors")).unwrap();
    let resumed = folder.run(&[&resume[..], &["--json"]].concat()).json();
    assert_eq!(resumed["run"], "runs/slopes-2");
    let said = folder.refuses(&resume);
    assert_says(&said, &["runs/slopes-3: this run is finished; its model is runs/slopes-3/checkpoint.safetensors"]);
}
