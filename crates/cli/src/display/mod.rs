//! What a person sees while a model trains. It watches; it cannot change a result.

mod bars;
mod lines;
mod numbers;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use emberloop_core::{BatchReport, EpochReport, Progress, Start};
use indicatif::ProgressBar;

use crate::{interrupt, output};
pub use bars::bar;
use lines::Lines;
use numbers::Numbers;

/// A live display on a terminal, plain lines elsewhere; both on stderr. Also writes `log.jsonl`, one line per epoch.
pub struct Display {
    screen: Screen,
    numbers: Arc<Mutex<Option<Numbers>>>,
    title: String,
    log: File,
    path: PathBuf,
}

/// Where it is shown.
enum Screen {
    Bars(ProgressBar),
    Lines(Lines),
}

/// How often there is a plain line, unless the user says otherwise.
pub const LOG_EVERY: Duration = Duration::from_secs(1);

impl Display {
    /// Opens `log`, going on with it if the training does. `log_every`: see [`Lines`].
    pub fn new(title: impl Into<String>, log: &Path, resume: bool, log_every: Duration) -> Result<Self> {
        let path = log.to_path_buf();
        let log = File::options()
            .create(true)
            .write(true)
            .append(resume)
            .truncate(!resume)
            .open(log)
            .with_context(|| format!("{}: cannot write the log", log.display()))?;
        let title = title.into();
        let numbers = Arc::new(Mutex::new(None));
        let screen = match bars::draw(&numbers) {
            Some(bar) => {
                interrupt::clears(&bar);
                Screen::Bars(bar)
            }
            None => Screen::Lines(Lines::new(title.clone(), log_every)),
        };
        Ok(Self { screen, numbers, title, log, path })
    }

    fn numbers(&self) -> MutexGuard<'_, Option<Numbers>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts off the epochs that were logged but not kept: they come again. Also a line that a kill cut short. Yields those
    /// that stay.
    fn forget_after(&self, finished: usize) -> std::io::Result<Vec<EpochReport>> {
        let log = std::fs::read(&self.path)?;
        let (mut kept, mut length) = (Vec::new(), 0);
        for line in log.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            match serde_json::from_slice::<EpochReport>(line) {
                Ok(report) if report.epoch <= finished => kept.push(report),
                _ => break,
            }
            length += line.len() as u64;
        }
        self.log.set_len(length)?;
        Ok(kept)
    }

    fn say(&self, line: &str) {
        match &self.screen {
            Screen::Bars(bar) => bar.println(line),
            Screen::Lines(_) => output::message(line),
        }
    }
}

impl Progress for Display {
    fn on_start(&mut self, start: &Start) {
        let kept = self.forget_after(start.finished).unwrap_or_else(|error| {
            self.say(&format!("warning: {}: {error}", self.path.display()));
            Vec::new()
        });
        let now = Instant::now();
        let mut numbers = Numbers::new(start.clone(), now);
        kept.iter().for_each(|report| numbers.logged(report));
        *self.numbers() = Some(numbers);
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
        match &mut self.screen {
            Screen::Bars(bar) => bars::start(bar),
            Screen::Lines(lines) => lines.started(now),
        }
    }

    // Comes after every batch, which may be every fraction of a millisecond: additions, and without a terminal a look at
    // the clock.
    fn on_batch(&mut self, batch: &BatchReport) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(numbers) = numbers.as_mut() else { return };
        numbers.batch_ended(batch);
        if let Screen::Lines(lines) = &mut self.screen {
            let now = Instant::now();
            if lines.due(now)
                && let Some(line) = lines.batch_ended(numbers, now)
            {
                output::message(&line);
            }
        }
    }

    fn on_epoch(&mut self, epoch: &EpochReport) {
        let now = Instant::now();
        if let Some(numbers) = self.numbers.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            numbers.epoch_ended(epoch, now);
            if let Screen::Lines(lines) = &mut self.screen
                && let Some(line) = lines.epoch_ended(epoch, numbers, now)
            {
                output::message(&line);
            }
        }
        // The log is a convenience: a full disk must not end a training that still has its resume state.
        if let Ok(json) = serde_json::to_string(epoch)
            && let Err(error) = writeln!(self.log, "{json}")
        {
            self.say(&format!("warning: log.jsonl: {error}"));
        }
    }
}

/// Whatever ends the training, the terminal is clean, and the last epoch has its line.
impl Drop for Display {
    fn drop(&mut self) {
        match &mut self.screen {
            Screen::Bars(bar) => bar.finish_and_clear(),
            Screen::Lines(lines) => lines.finish().iter().for_each(|line| output::message(line)),
        }
    }
}

/// The metrics worth a place in one line, losses first.
pub fn metrics_line(metrics: &BTreeMap<String, f64>) -> String {
    let order = ["loss", "val_loss", "val_accuracy", "val_rmse"];
    let named = order.iter().filter_map(|&name| metrics.get(name).map(|value| format!("{name} {value:.4}")));
    named.collect::<Vec<_>>().join("  ")
}

/// A number in as few places as tell it apart: `0.1432`, `12.46`, `1.2e-5`.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size if size < 1.0 => format!("{value:.4}"),
        size if size < 100.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

/// A number whose size is all that matters: `0.52`, `13.40`, `3e-5`.
pub fn rough(value: f64) -> String {
    if value == 0.0 || (0.01..1e3).contains(&value.abs()) { format!("{value:.2}") } else { format!("{value:.0e}") }
}

/// `0:07`, `12:42`, `3:12:42`, `2 d 03:12:42`
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days} d {hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_short() {
        let times = [0, 7, 762, 11_562, 184_362].map(|seconds| time(Duration::from_secs(seconds)));
        assert_eq!(times, ["0:00", "0:07", "12:42", "3:12:42", "2 d 03:12:42"]);
        let numbers = [0.0, 0.14321, -0.5, 12.456, 4321.06, 1.2e-5, -3e7].map(number);
        assert_eq!(numbers, ["0", "0.1432", "-0.5000", "12.456", "4321.1", "1.2e-5", "-3.0e7"]);
        assert_eq!([0.0, 0.517, 13.4, 3e-5, 12_345.0].map(rough), ["0.00", "0.52", "13.40", "3e-5", "1e4"]);
    }
}
