//! `cargo xtask bench-doctor`: faults of a known kind are put into healthy trainings, and the doctor has to find them.
//!
//! Each fault is a healthy training with one stated edit of its configuration or data, in a folder whose name says nothing.
//! This program stays free of burn: the doctor is a child process, as are the trainings that tell what its fixes bring back.

mod case;
mod child;
mod config;
mod cost;
mod faults;
mod harm;
mod page;
mod random;
mod recipe;
mod record;
mod score;
mod series;
mod sources;
mod suite;
mod words;

use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use self::case::{Sources, Trial};
use self::child::Emberloop;
use self::faults::{Fault, Severity};
use self::record::Record;
use self::score::{Score, median};
use self::sources::{Set, Source};
use self::suite::Suite;
use crate::training::machine;
use crate::{Result, process};

#[derive(Args)]
pub struct Options {
    /// A folder that holds `japanese_vowels`, `basic_motions`, `ecg_beats` and `beijing_pm25`
    #[arg(long, required_unless_present = "list")]
    data: Option<PathBuf>,
    /// These data sets alone
    #[arg(long, value_delimiter = ',')]
    sets: Vec<Set>,
    /// These faults alone
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// Thresholds are fixed on one half and reported on the other
    #[arg(long, default_value = "report")]
    half: Half,
    /// So many of the half's three seeds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3))]
    seeds: u64,
    /// So many healthy runs, spread over all; as many as faulty ones by default
    #[arg(long)]
    healthy: Option<usize>,
    /// Runs at once, each on one thread; as many as there are processors by default
    #[arg(long)]
    jobs: Option<usize>,
    /// Ask for no fixes and train nothing that is mended
    #[arg(long)]
    no_fix: bool,
    /// Print one JSON object and write no page
    #[arg(long)]
    json: bool,
    /// A built `emberloop`, in place of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where cases and results go, and what is there already is not measured again [default: a folder of target/]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the stated edits and run nothing
    #[arg(long)]
    list: bool,
    /// Write the cases and, beside them, what they are; run nothing
    #[arg(long, value_name = "FOLDER")]
    write_cases: Option<PathBuf>,
    /// Ask no doctor: train healthy and faulty runs and print what each fault costs
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

    fn name(self) -> &'static str {
        match self {
            Half::Tune => "tune",
            Half::Report => "report",
        }
    }
}

/// How long a child may take: twice what the full doctor may.
const LIMIT: Duration = Duration::from_secs(240);

impl Options {
    /// Whether this is the run whose tables stand in the repository.
    fn is_whole(&self) -> bool {
        let part = self.json || self.no_fix || self.healthy.is_some() || self.seeds < 3;
        self.half == Half::Report && self.sets.is_empty() && self.faults.is_empty() && !part
    }

    fn trials(&self) -> Result<Vec<Trial>> {
        let known = |name: &str| faults::all().any(|fault| fault.name == name);
        if let Some(name) = self.faults.iter().find(|name| !known(name)) {
            let all: Vec<&str> = faults::all().map(|fault| fault.name).collect();
            return Err(format!("--faults: expected some of {}, found {name}", all.join(", ")).into());
        }
        let wanted = |fault: &&Fault| self.faults.is_empty() || self.faults.iter().any(|name| name == fault.name);
        let sets = Set::ALL.into_iter().filter(|set| self.sets.is_empty() || self.sets.contains(set));
        let sets: Vec<Set> = sets.collect();
        let severity = self.half.severity();
        let mut trials = Vec::new();
        for seed in self.half.seeds().take(self.seeds as usize) {
            for fault in faults::all().filter(wanted) {
                for &set in sets.iter().filter(|set| fault.sets.contains(set)) {
                    trials.push(Trial { fault, set, severity, seed });
                }
            }
        }
        if trials.is_empty() {
            return Err("--faults and --sets: expected a fault that goes with one of the data sets, found none".into());
        }
        Ok(trials)
    }
}

/// Runs the command.
pub fn run(options: &Options) -> Result {
    if options.list {
        print!("{}", page::edits());
        return Ok(());
    }
    let trials = options.trials()?;
    let target = process::target_folder()?.join("doctor");
    let sources = read(&trials, options.data.as_deref().ok_or("--data: expected a folder")?, &target.join("words"))?;
    let jobs = options.jobs.unwrap_or_else(machine::cores);
    rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global()?;
    if let Some(folder) = &options.write_cases {
        return write_cases(&trials, &sources, folder);
    }
    let emberloop = match &options.binary {
        Some(binary) => Emberloop { binary: binary.canonicalize()?, limit: LIMIT },
        None => Emberloop::build(LIMIT)?,
    };
    let out = options.out.clone().unwrap_or_else(|| target.join(options.half.name()));
    fs::create_dir_all(&out)?;
    let out = out.canonicalize()?;
    let record = Record::open(&out.join("results.jsonl"))?;
    let suite = Suite {
        sources: &sources,
        emberloop: &emberloop,
        record: &record,
        folder: out.join("cases"),
        fix: !options.no_fix,
        fix_healthy: !options.no_fix && options.half == Half::Report,
        program: suite::digest_of(&emberloop.binary)?,
    };
    if options.harm {
        print!("{}", harm::table(&suite.harm(&trials)?));
        return Ok(());
    }
    let began = Instant::now();
    let twins = spread(&trials, options.healthy.unwrap_or(trials.len()));
    let results = suite.run(&trials, &twins.iter().map(Trial::name).collect())?;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    eprintln!("measured in {minutes:.1} min; cases and results are in {}", out.display());
    let score = Score::of(&results);
    if options.json {
        println!("{}", score.json());
        return Ok(());
    }
    let costs = match options.is_whole() {
        true => cost::measure(&emberloop, options.data.as_deref().unwrap_or(Path::new("")), &out)?,
        false => Vec::new(),
    };
    let seconds: Vec<f64> = results.healthy.iter().map(|checked| checked.examined.seconds).collect();
    let about = page::About {
        command: &process::typed(std::env::args(), &["--out", "--binary"], &["--out", "--binary"]),
        half: options.half.name(),
        severity: options.half.severity(),
        machine: &machine::describe()?,
        program: &format!(
            "{} (SHA-256 {}…{})",
            suite::version_of(&emberloop.binary)?,
            suite.program,
            if options.binary.is_some() { ", a given binary" } else { "" }
        ),
        healthy_seconds: median(&seconds),
        costs: &costs,
    };
    let text = page::markdown(&score, &about);
    print!("{text}");
    if options.is_whole() {
        let folder = process::root().join("crates/doctor");
        fs::create_dir_all(&folder)?;
        let path = folder.join("MEASUREMENTS.md");
        fs::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

fn read(trials: &[Trial], data: &Path, cache: &Path) -> Result<Sources> {
    let mut sources = Sources::new();
    for trial in trials {
        if let Entry::Vacant(place) = sources.entry(trial.set) {
            place.insert(Source::read(trial.set, data, cache)?);
        }
    }
    Ok(sources)
}

/// So many of the trials, from the first to the last.
fn spread(trials: &[Trial], count: usize) -> Vec<Trial> {
    let count = count.min(trials.len());
    (0..count).map(|place| trials[place * trials.len() / count]).collect()
}

/// Writes folders for the doctor into `cases`, and what they are into `truth.json`.
fn write_cases(trials: &[Trial], sources: &Sources, folder: &Path) -> Result {
    let both: Vec<(Trial, bool)> = trials.iter().flat_map(|trial| [(*trial, false), (*trial, true)]).collect();
    let write = |(trial, healthy): &(Trial, bool)| {
        trial.write(sources, &folder.join("cases"), *healthy).map(drop).map_err(|error| error.to_string())
    };
    both.par_iter().map(write).collect::<std::result::Result<(), String>>()?;
    let truth: Vec<_> = both.iter().map(|(trial, healthy)| trial.truth(*healthy)).collect();
    fs::write(folder.join("truth.json"), serde_json::to_string_pretty(&truth)?)?;
    println!("written: {} cases and truth.json in {}", both.len(), folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twins_are_spread_over_all_trials() {
        let fault = faults::all().next().unwrap();
        let trial = |seed| Trial { fault, set: Set::Tokens, severity: Severity::A, seed };
        let trials: Vec<Trial> = (0..10).map(trial).collect();
        let seeds = |count| spread(&trials, count).iter().map(|trial| trial.seed).collect::<Vec<u64>>();
        assert_eq!(seeds(5), [0, 2, 4, 6, 8]);
        assert_eq!(seeds(20).len(), 10);
        assert_eq!(seeds(0).len(), 0);
    }

    #[test]
    fn folders_of_this_machine_stay_out_of_the_command() {
        let words = ["xtask", "bench-doctor", "--data", "a", "--out=b", "--half", "tune"].map(String::from);
        assert_eq!(
            process::typed(words.into_iter(), &["--out", "--binary"], &["--out", "--binary"]),
            "cargo xtask bench-doctor --data FOLDER --half tune"
        );
    }
}
