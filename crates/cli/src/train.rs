//! `emberloop train`: data → scaler → model → checkpoint.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use emberloop_checkpoint::write_atomically;
use emberloop_core::{Config, Options, Outcome, Progress, RESUME_FILE, TrainError};
use emberloop_data::Splits;
use emberloop_findings::{Confidence, Finding};
use serde::Serialize;

use crate::compute::Compute;
use crate::display::{Display, LOG_EVERY};
use crate::run_folder::{CONFIG_FILE, LOG_FILE, ORIGIN_FILE, RunFolder};
use crate::{interrupt, output, page, source};

/// Train a model as a configuration says.
///
/// Writes runs/NAME/checkpoint.safetensors (PyTorch's names and shapes), log.jsonl and a copy of the configuration.
#[derive(Args)]
pub struct Train {
    /// The configuration (TOML).
    config: PathBuf,
    #[command(flatten)]
    how: How,
}

/// How to run, as opposed to what.
#[derive(Args)]
pub struct How {
    #[command(flatten)]
    pub compute: Compute,
    /// The folder of this run [default: runs/NAME, or the next free runs/NAME-2, ...].
    #[arg(long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted run; the result is that of an uninterrupted one, bit for bit.
    #[arg(long)]
    pub resume: bool,
    /// How far the state that --resume goes on from may lag behind, in seconds; 0 writes it after every epoch.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = seconds)]
    pub save_every: f64,
    /// Without a terminal: so many seconds between two lines about the progress; 0 tells every epoch. On a terminal the
    /// display is always live, and log.jsonl always has every epoch.
    #[arg(long, default_value_t = LOG_EVERY.as_secs_f64(), value_name = "SECONDS", value_parser = seconds)]
    pub log_every: f64,
    /// Stop as by Ctrl-C when standard input ends: `sweep` does not leave its trainings behind.
    #[arg(long, hide = true)]
    pub stop_at_end_of_input: bool,
}

/// A number of seconds on the command line.
pub fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..1e9).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds, from 0".into()),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    run: &'a Path,
    checkpoint: &'a Path,
    epochs: usize,
    kept_epoch: usize,
    ended: emberloop_core::Ended,
    metrics: &'a std::collections::BTreeMap<String, f64>,
    /// From reading the data to the report.
    seconds: f64,
    /// Of them for looking at the data beforehand and at the model afterwards; the report is not among them.
    checks_seconds: f64,
}

impl Train {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let run = |config: &Config, splits: &Splits, options: &Options, progress: &mut dyn Progress| {
            emberloop_core::train(config, splits, options, progress)
        };
        train_into_folder("train", &self.config, &self.how, json, run)
    }
}

/// Reads configuration and data, runs `train` on them and writes what it yields. `command` is what the user called, but for
/// the configuration and `how`.
pub fn train_into_folder(
    command: &str,
    config_path: &Path,
    how: &How,
    json: bool,
    train: impl FnOnce(&Config, &Splits, &Options, &mut dyn Progress) -> Result<Outcome, TrainError>,
) -> Result<()> {
    let devices = how.compute.devices()?;
    if how.stop_at_end_of_input {
        interrupt::at_end_of_input()?;
    }
    let (config, splits) = source::load_config(config_path)?;
    let folder = match how.resume {
        true => RunFolder::find(config_path, how.out.as_deref())?,
        false => RunFolder::create(config_path, how.out.as_deref())?,
    };
    let options = Options {
        devices,
        threads: how.compute.threads.threads,
        resume_dir: Some(folder.path().to_path_buf()),
        save_interval: Duration::from_secs_f64(how.save_every),
        resume: how.resume,
        cancel: Some(interrupt::flag()?),
    };
    let began = Instant::now();
    let data = warn(&config, &splits);
    let mut checks = began.elapsed();
    let again = Again { command, config: config_path, how, folder: &folder };
    let outcome = into_log(&folder, config_path, how, |display| train(&config, &splits, &options, display))
        .inspect_err(|_| folder.abandon())
        .map_err(|error| again.explain(error))?;
    // Before the model, so that a kill leaves either a run to resume or all of it. It must not fail the training.
    let reviewed = Instant::now();
    let review = emberloop_doctor::review(&config, &splits, &outcome.history, Some(&outcome.checkpoint), data);
    checks += reviewed.elapsed();
    let page = review.map_err(Into::into).and_then(|review| {
        let title = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let page = review.page(&splits.validation);
        page::write_page(&folder.file(page::PAGE_FILE), page, title, "finished", &config, Some(&outcome.metrics))
    });
    if let Err(error) = &page {
        output::message(&format!("note: no report: {}", output::one_line(error)));
    }
    finish(&folder, &outcome).with_context(|| again.kept())?;
    for note in &outcome.notes {
        output::message(&format!("note: {note}"));
    }
    let checkpoint = folder.checkpoint();
    if json {
        return output::print_json(&Report {
            run: folder.path(),
            checkpoint: &checkpoint,
            epochs: outcome.history.len(),
            kept_epoch: outcome.kept_epoch,
            ended: outcome.ended,
            metrics: &outcome.metrics,
            seconds: began.elapsed().as_secs_f64(),
            checks_seconds: checks.as_secs_f64(),
        });
    }
    output::print(&summary(&outcome))?;
    if let Ok(page) = &page {
        output::print(&format!("wrote {}\n", page.display()))?;
    }
    output::print(&format!(
        "wrote {}\nnext: emberloop quantize {} --config {}\n",
        checkpoint.display(),
        output::quote_path(&checkpoint),
        output::quote_path(config_path),
    ))
}

/// Says what the data show by themselves that no training will mend; returns everything that they show. What cannot be looked
/// at keeps nobody from training.
fn warn(config: &Config, splits: &Splits) -> Vec<Finding> {
    let findings = match emberloop_doctor::data_findings(config, splits) {
        Ok(findings) => findings,
        Err(error) => {
            output::message(&format!("note: the data were not looked at: {error}"));
            return Vec::new();
        }
    };
    for finding in findings.iter().filter(|finding| finding.confidence == Confidence::High) {
        output::message(&format!(
            "warning: {} [{}]: {}; emberloop doctor {} says more",
            finding.id.title(),
            finding.id,
            finding.summary,
            output::quote_path(&config.path),
        ));
    }
    findings
}

/// Writes the model and the log of all epochs, then removes the resume state: in this order, so that a kill at any moment
/// leaves either a model or a run to resume.
pub fn finish(folder: &RunFolder, outcome: &Outcome) -> Result<()> {
    outcome.checkpoint.write(folder.checkpoint())?;
    let lines: Result<Vec<String>, _> = outcome.history.iter().map(serde_json::to_string).collect();
    write(&folder.file(LOG_FILE), format!("{}\n", lines?.join("\n")).as_bytes())?;
    let resume = folder.file(RESUME_FILE);
    if resume.exists() {
        std::fs::remove_file(&resume).with_context(|| format!("{}: cannot remove", resume.display()))?;
    }
    Ok(())
}

/// Writes a file, or leaves it as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes).with_context(|| format!("{}: cannot write", path.display()))
}

/// What came out, for a person.
pub fn summary(outcome: &Outcome) -> String {
    let why = match outcome.ended {
        emberloop_core::Ended::Completed => "all epochs ran",
        emberloop_core::Ended::EarlyStopped => "no further progress",
    };
    let mut text =
        format!("{} epochs ({why}); kept the weights of epoch {}\n", outcome.history.len(), outcome.kept_epoch);
    // The training split's numbers are of weights that still moved, with dropout: not to be held against the others'.
    for (split, prefix) in [("train (while learning)", ""), ("validation", "val_"), ("test", "test_")] {
        let shown = ["loss", "accuracy", "balanced_accuracy", "macro_f1", "rmse", "mae", "r2"]
            .iter()
            .filter_map(|name| Some((name, outcome.metrics.get(&format!("{prefix}{name}"))?)))
            .map(|(name, value)| format!("{name} {value:.4}"));
        let shown: Vec<String> = shown.collect();
        if !shown.is_empty() {
            text += &format!("  {split:<22} {}\n", shown.join("  "));
        }
    }
    text
}

/// Trains under the eyes of a display and a log, beside a copy of the configuration.
fn into_log(
    folder: &RunFolder,
    config: &Path,
    how: &How,
    train: impl FnOnce(&mut dyn Progress) -> Result<Outcome, TrainError>,
) -> Result<Outcome> {
    // A kill may have come before they were there.
    let wants = |name: &str| !how.resume || !folder.file(name).exists();
    if wants(CONFIG_FILE) {
        let copied = std::fs::read(config).with_context(|| format!("{}: cannot read", config.display()))?;
        write(&folder.file(CONFIG_FILE), &copied)?;
    }
    if wants(ORIGIN_FILE) {
        let origin = std::path::absolute(config).with_context(|| config.display().to_string())?;
        write(&folder.file(ORIGIN_FILE), format!("{}\n", origin.display()).as_bytes())?;
    }
    let title = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let log_every = Duration::from_secs_f64(how.log_every);
    let mut display = Display::new(title, &folder.file(LOG_FILE), how.resume, log_every)?;
    Ok(train(&mut display)?)
}

/// The command that goes on, for messages.
struct Again<'a> {
    command: &'a str,
    config: &'a Path,
    how: &'a How,
    folder: &'a RunFolder,
}

impl Again<'_> {
    fn command(&self, resume: bool) -> String {
        let mut line = format!("emberloop {} {}", self.command, output::quote_path(self.config));
        line += &self.how.compute.arguments();
        match resume {
            true => line + &format!(" --resume --out {}", output::quote_path(self.folder.path())),
            false => match &self.how.out {
                Some(out) => line + &format!(" --out {}", output::quote_path(out)),
                None => line,
            },
        }
    }

    /// Says of an interruption what is kept, and how to go on.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast_ref::<TrainError>() {
            Some(TrainError::Interrupted { epoch, resume: Some(_) }) => anyhow::anyhow!(
                "training interrupted in epoch {epoch}; every finished epoch is kept, go on with: {}",
                self.command(true)
            ),
            Some(TrainError::Interrupted { epoch, resume: None }) => anyhow::anyhow!(
                "training interrupted in epoch {epoch}, before there was anything to keep; start again with: {}",
                self.command(false)
            ),
            _ => error,
        }
    }

    /// For a model that is trained but cannot be written.
    fn kept(&self) -> String {
        format!("the training is finished and kept, but not yet its model; write it with: {}", self.command(true))
    }
}
