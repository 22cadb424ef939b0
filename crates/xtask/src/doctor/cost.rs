//! What the checks cost beside a training, and how long an examination takes: on whole data sets, as `models/` has them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::child::Emberloop;
use super::score::median;
use crate::{Result, process};

/// Trainings of each data set; the median counts.
const ROUNDS: usize = 5;

/// One data set's figures.
pub struct Cost {
    name: &'static str,
    /// Seconds of a training.
    train: f64,
    /// The share of them that checks take.
    checks: f64,
    /// Seconds of an examination on two threads.
    doctor: f64,
}

/// The configurations under `models/`, with the folder of `--data` that each takes its files from.
const MODELS: [(&str, &str); 4] = [
    ("japanese-vowels", ""),
    ("basic-motions", "basic_motions"),
    ("ecg-beats", "ecg_beats"),
    ("beijing-pm25", "beijing_pm25"),
];

/// Trains and examines each, in folders under `out`.
pub fn measure(emberloop: &Emberloop, data: &Path, out: &Path) -> Result<Vec<Cost>> {
    MODELS.iter().map(|&(name, source)| one(emberloop, name, source, data, out)).collect()
}

fn one(emberloop: &Emberloop, name: &'static str, source: &str, data: &Path, out: &Path) -> Result<Cost> {
    let folder = out.join("cost").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let model = process::root().join("models").join(name);
    fs::copy(model.join("train.toml"), folder.join("train.toml"))?;
    match source {
        // Its data are in the repository.
        "" => copy_files(&model, &folder, ".npz")?,
        source => {
            fs::create_dir(folder.join("data"))?;
            copy_files(&data.join(source), &folder.join("data"), "")?;
        }
    }
    let mut trainings = Vec::new();
    for _ in 0..ROUNDS {
        let json = emberloop.train(&folder, "train.toml", "trained")?.json;
        let number =
            |key: &str| json[key].as_f64().ok_or_else(|| format!("{name}: expected {key} in what train prints"));
        trainings.push((number("seconds")?, number("checks_seconds")?));
    }
    let middle = |of: &dyn Fn(&(f64, f64)) -> f64| median(&trainings.iter().map(of).collect::<Vec<_>>()).unwrap_or(0.0);
    let doctor = emberloop.ask(&folder, "doctor", &["doctor", "train.toml", "--json", "--threads", "2"])?.seconds;
    Ok(Cost {
        name,
        train: middle(&|(seconds, _)| *seconds),
        checks: middle(&|(seconds, checks)| checks / seconds),
        doctor,
    })
}

fn copy_files(from: &Path, to: &Path, end: &str) -> Result {
    for entry in fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(end) {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// A row for each data set.
pub fn table(costs: &[Cost]) -> String {
    let mut text = String::from(
        "| data set | training, s | checks in it (at most 3 %) | `emberloop doctor`, s (at most 120) |\n|---|--:|--:|--:|\n",
    );
    for Cost { name, train, checks, doctor } in costs {
        let _ = writeln!(text, "| {name} | {train:.2} | {:.1} % | {doctor:.1} |", 100.0 * checks);
    }
    text
}
