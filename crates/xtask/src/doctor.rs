//! `cargo xtask bench-doctor`: faults of a known kind are put into healthy trainings, and the doctor has to find them.

mod case;
mod child;
mod config;
mod faults;
mod random;
mod recipe;
mod series;
mod sources;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use self::case::{CONFIG, Sources, Trial};
use self::child::Emberloop;
use self::faults::{Fault, Severity};
use self::sources::{Set, Source};
use crate::{Result, process};

#[derive(Args)]
pub struct Options {
    /// A folder that holds `japanese_vowels`, `basic_motions`, `ecg_beats` and `beijing_pm25`
    #[arg(long)]
    data: PathBuf,
    /// These data sets alone
    #[arg(long, value_delimiter = ',')]
    sets: Vec<Set>,
    /// These faults alone
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// Which half: thresholds are fixed on one and reported on the other
    #[arg(long, default_value = "report")]
    half: Half,
    /// So many seeds of the half's three
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Processes at once, of one thread each
    #[arg(long)]
    jobs: Option<usize>,
    /// A built `emberloop`, in place of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the cases go
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write the cases and their truth, and run nothing
    #[arg(long, value_name = "FOLDER")]
    write_cases: Option<PathBuf>,
    /// Train healthy and faulty without asking the doctor: what a fault costs
    #[arg(long)]
    harm: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Half {
    /// Severity A, seeds 1 to 3
    Tune,
    /// Severity B, seeds 4 to 6
    Report,
}

impl Half {
    fn severity(self) -> Severity {
        match self {
            Half::Tune => Severity::A,
            Half::Report => Severity::B,
        }
    }

    fn seeds(self) -> std::ops::RangeInclusive<u64> {
        match self {
            Half::Tune => 1..=3,
            Half::Report => 4..=6,
        }
    }
}

impl Options {
    fn trials(&self) -> Result<Vec<Trial>> {
        let known = |name: &str| faults::all().any(|fault| fault.name == name);
        if let Some(name) = self.faults.iter().find(|name| !known(name)) {
            let all: Vec<&str> = faults::all().map(|fault| fault.name).collect();
            return Err(format!("--faults: expected some of {}, found {name}", all.join(", ")).into());
        }
        let wanted = |fault: &&Fault| self.faults.is_empty() || self.faults.iter().any(|name| name == fault.name);
        let sets: Vec<Set> =
            Set::ALL.into_iter().filter(|set| self.sets.is_empty() || self.sets.contains(set)).collect();
        let severity = self.half.severity();
        let mut trials = Vec::new();
        for seed in self.half.seeds().take(self.seeds as usize) {
            for fault in faults::all().filter(wanted) {
                for &set in sets.iter().filter(|set| fault.sets.contains(set)) {
                    trials.push(Trial { fault, set, severity, seed });
                }
            }
        }
        Ok(trials)
    }
}

/// Runs the command.
pub fn run(options: &Options) -> Result {
    let trials = options.trials()?;
    let cache = process::target_folder()?.join("doctor");
    let mut sources = Sources::new();
    for trial in &trials {
        if !sources.contains_key(&trial.set) {
            sources.insert(trial.set, Source::read(trial.set, &options.data, &cache.join("words"))?);
        }
    }
    if let Some(folder) = &options.write_cases {
        return write_cases(&trials, &sources, folder);
    }
    let jobs = options.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global()?;
    let out = options.out.clone().unwrap_or_else(|| cache.join("cases"));
    let limit = Duration::from_secs(120);
    let emberloop = match &options.binary {
        Some(binary) => Emberloop { binary: binary.canonicalize()?, limit },
        None => Emberloop::build(limit)?,
    };
    if options.harm {
        return harm(&trials, &sources, &emberloop, &out);
    }
    Ok(())
}

/// Writes folders for the doctor, and `truth.json` beside the folder that holds them.
fn write_cases(trials: &[Trial], sources: &Sources, folder: &Path) -> Result {
    let both: Vec<(&Trial, bool)> = trials.iter().flat_map(|trial| [(trial, false), (trial, true)]).collect();
    let write = |&(trial, healthy): &(&Trial, bool)| {
        trial.write(sources, &folder.join("cases"), healthy).map(drop).map_err(|error| error.to_string())
    };
    both.par_iter().map(write).collect::<std::result::Result<(), String>>()?;
    let truth: Vec<_> = both.iter().map(|(trial, healthy)| trial.truth(*healthy)).collect();
    fs::write(folder.join("truth.json"), serde_json::to_string_pretty(&truth)?)?;
    println!("written: {} cases in {}", both.len(), folder.display());
    Ok(())
}

fn harm(trials: &[Trial], sources: &Sources, emberloop: &Emberloop, out: &Path) -> Result {
    let both: Vec<(&Trial, bool)> = trials.iter().flat_map(|trial| [(trial, false), (trial, true)]).collect();
    let train = |&(trial, healthy): &(&Trial, bool)| {
        let answer = trial
            .write(sources, out, healthy)
            .and_then(|folder| emberloop.train(&folder, CONFIG, "trained"))
            .map_err(|error| error.to_string());
        let line = match answer {
            Ok(answer) => {
                serde_json::json!({"trial": trial.name(), "healthy": healthy, "seconds": answer.seconds, "epochs": answer.json["epochs"], "kept": answer.json["kept_epoch"], "metrics": answer.json["metrics"], "folder": trial.folder(out, healthy)})
            }
            Err(error) => serde_json::json!({"trial": trial.name(), "healthy": healthy, "error": error}),
        };
        println!("{line}");
    };
    both.par_iter().for_each(train);
    Ok(())
}
