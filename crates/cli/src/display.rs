//! What a person sees while a model trains. It watches; it cannot change a result.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use emberloop_core::{EpochReport, Progress, Start};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

/// A progress bar on a terminal, plain lines elsewhere; both on stderr. Also writes `log.jsonl`, one line per epoch.
pub struct Display {
    bar: ProgressBar,
    title: String,
    log: File,
    path: PathBuf,
    best: Option<usize>,
    last_line: Option<Instant>,
}

/// Without a terminal, short epochs share a line.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

impl Display {
    /// Opens `log`, going on with it if the training does.
    pub fn new(title: impl Into<String>, log: &Path, resume: bool) -> Result<Self> {
        let path = log.to_path_buf();
        let log = File::options()
            .create(true)
            .write(true)
            .append(resume)
            .truncate(!resume)
            .open(log)
            .with_context(|| format!("{}: cannot write the log", log.display()))?;
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(
            ProgressStyle::with_template("{prefix} [{bar:24}] epoch {pos}/{len}  {msg}  {eta} left")
                .expect("the template is a constant")
                .progress_chars("=> "),
        );
        Ok(Self { bar, title: title.into(), log, path, best: None, last_line: None })
    }

    /// Removes the bar and hands the last word back.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Cuts off the epochs that were logged but not kept: they come again. Also a line that a kill cut short.
    fn forget_after(&self, finished: usize) -> std::io::Result<()> {
        let log = std::fs::read(&self.path)?;
        let kept = log.split_inclusive(|&byte| byte == b'\n').take_while(|line| {
            let epoch = serde_json::from_slice::<EpochReport>(line).map(|report| report.epoch);
            line.ends_with(b"\n") && epoch.is_ok_and(|epoch| epoch <= finished)
        });
        self.log.set_len(kept.map(|line| line.len() as u64).sum())
    }

    fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            output::message(line);
        } else {
            self.bar.println(line);
        }
    }
}

impl Progress for Display {
    fn on_start(&mut self, start: &Start) {
        if let Err(error) = self.forget_after(start.finished) {
            self.say(&format!("warning: {}: {error}", self.path.display()));
        }
        self.bar.set_length(start.epochs as u64);
        self.bar.set_position(start.finished as u64);
        self.bar.reset_eta();
        self.bar.set_prefix(self.title.clone());
        self.bar.enable_steady_tick(Duration::from_millis(250));
        let resumed =
            if start.finished > 0 { format!(", going on after epoch {}", start.finished) } else { String::new() };
        self.say(&format!(
            "{}: {} parameters, {} training and {} validation sequences, up to {} epochs of {} batches on {}{resumed}",
            self.title,
            start.parameters,
            start.sequences,
            start.validation_sequences,
            start.epochs,
            start.batches,
            start.device,
        ));
    }

    fn on_epoch(&mut self, epoch: &EpochReport) {
        if epoch.best {
            self.best = Some(epoch.epoch);
        }
        let best = self.best.map_or(String::new(), |best| format!("  best {best}"));
        let line = format!(
            "{}  lr {:.1e}  {:.0} seq/s{best}",
            metrics_line(&epoch.metrics),
            epoch.learning_rate,
            epoch.sequences_per_second,
        );
        if self.bar.is_hidden() {
            let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
            if due || epoch.epoch == epoch.epochs {
                output::message(&format!("{}: epoch {}/{}  {line}", self.title, epoch.epoch, epoch.epochs));
                self.last_line = Some(Instant::now());
            }
        } else {
            self.bar.set_message(line);
            self.bar.set_position(epoch.epoch as u64);
        }
        // The log is a convenience: a full disk must not end a training that still has its resume state.
        if let Ok(json) = serde_json::to_string(epoch)
            && let Err(error) = writeln!(self.log, "{json}")
        {
            self.say(&format!("warning: log.jsonl: {error}"));
        }
    }
}

/// The metrics worth a place in one line, losses first.
pub fn metrics_line(metrics: &BTreeMap<String, f64>) -> String {
    let order = ["loss", "val_loss", "val_accuracy", "val_rmse"];
    let named = order.iter().filter_map(|&name| metrics.get(name).map(|value| format!("{name} {value:.4}")));
    named.collect::<Vec<_>>().join("  ")
}
