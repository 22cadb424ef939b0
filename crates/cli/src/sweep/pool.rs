//! So many runs at a time, until all have ended or Ctrl-C was pressed.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use emberloop_core::Device;
use indicatif::{ProgressBar, ProgressStyle};

use super::file::Direction;
use super::launch::{Launcher, Running};
use super::plan::{Plan, Run};
use super::results::{self, Row, Status};
use crate::display::{self, number, time};
use crate::{interrupt, output};

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(20);

/// Runs some of a plan's runs.
pub struct Pool<'a> {
    pub plan: &'a Plan,
    pub launcher: &'a Launcher,
    /// Each slot computes on one of them; on the default device if there is none.
    pub devices: &'a [Device],
    /// Runs at a time.
    pub slots: usize,
}

impl Pool<'_> {
    /// Runs all of `queue` (places in the plan's list); `changed` is called after each that ended.
    ///
    /// A run that fails is noted down in its folder and no error here.
    ///
    /// # Errors
    ///
    /// If no process can be started or watched. What was started is stopped before this returns.
    pub fn run(&self, queue: Vec<usize>, changed: impl Fn() -> Result<()>) -> Result<()> {
        let cancel = interrupt::flag()?;
        let mut report = Reporter::new(self.plan, queue.len(), self.slots);
        let mut queue: VecDeque<usize> = queue.into();
        let mut slots: Vec<Option<(usize, Running)>> = (0..self.slots).map(|_| None).collect();
        let mut failure = None;
        loop {
            let stop = cancel.load(Ordering::Relaxed) || failure.is_some();
            for (index, slot) in slots.iter_mut().enumerate() {
                let step = (|| {
                    if let Some((_, running)) = slot {
                        if stop {
                            running.stop();
                        }
                        let Some(status) = running.ended()? else { return Ok(()) };
                        let Some((run, running)) = slot.take() else { return Ok(()) };
                        let state = running.settle(&self.plan.runs[run], status)?;
                        report.ended(run, state)?;
                        changed()?;
                    }
                    if !stop && let Some(run) = queue.pop_front() {
                        let device = (!self.devices.is_empty()).then(|| self.devices[index % self.devices.len()]);
                        *slot = Some((run, self.launcher.start(&self.plan.runs[run], device)?));
                    }
                    Ok(())
                })();
                failure = failure.or(step.err());
            }
            let active = slots.iter().flatten().count();
            if active == 0 && (queue.is_empty() || stop) {
                return failure.map_or(Ok(()), Err);
            }
            report.waiting(active);
            std::thread::sleep(LOOK);
        }
    }
}

/// Tells a person how far the sweep is: a bar on a terminal, and a line for each run that ended.
struct Reporter<'a> {
    plan: &'a Plan,
    keys: Vec<String>,
    bar: Option<ProgressBar>,
    began: Instant,
    done: usize,
    of: usize,
    slots: usize,
    best: Option<(f64, usize)>,
}

impl<'a> Reporter<'a> {
    fn new(plan: &'a Plan, of: usize, slots: usize) -> Self {
        let bar = display::bar().filter(|_| of > 0).inspect(|bar| {
            bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("the template is a constant"));
            bar.enable_steady_tick(Duration::from_millis(100));
            interrupt::clears(bar);
        });
        // What earlier starts of the sweep have found counts.
        let rows = results::collect(plan).unwrap_or_default();
        let best = rows.first().and_then(|row| Some((row.value?, row.run)));
        Self { plan, keys: plan.short_keys(), bar, began: Instant::now(), done: 0, of, slots, best }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => output::message(line),
        }
    }

    fn waiting(&self, active: usize) {
        let Some(bar) = &self.bar else { return };
        let cells = 10;
        let filled = cells * self.done / self.of.max(1);
        let mut line = format!("[{:<cells$}] {}/{} runs, {active} running", "=".repeat(filled), self.done, self.of);
        if let Some((value, run)) = self.best {
            line += &format!("  best {} {} ({run:04})", self.plan.metric, number(value));
        }
        if let Some(left) = self.left() {
            line += &format!("  {} left", time(left));
        }
        bar.set_message(line);
    }

    /// By the runs that have ended. The last ones run with fewer beside them than the first.
    fn left(&self) -> Option<Duration> {
        let rounds = |runs: usize| runs.div_ceil(self.slots).max(1) as u32;
        let each = (self.done > 0).then(|| self.began.elapsed() / rounds(self.done))?;
        Some(each * (self.of - self.done).div_ceil(self.slots) as u32)
    }

    fn ended(&mut self, run: usize, state: Status) -> Result<()> {
        self.done += 1;
        let run = &self.plan.runs[run];
        let row = results::row(self.plan, run)?;
        if let Some(value) = row.value {
            let better = |best: f64| match self.plan.direction {
                Direction::Min => value < best,
                Direction::Max => value > best,
            };
            if self.best.is_none_or(|(best, _)| better(best)) {
                self.best = Some((value, row.run));
            }
        }
        self.say(&format!(
            "run {} ({}/{}): {}; {}",
            run.name(),
            self.done,
            self.of,
            self.what(&row, state),
            self.values(run)
        ));
        Ok(())
    }

    fn values(&self, run: &Run) -> String {
        let value = |(key, value)| format!("{key} {}", results::short(&results::json(value)));
        self.keys.iter().zip(&run.values).map(value).collect::<Vec<_>>().join(", ")
    }

    fn what(&self, row: &Row, state: Status) -> String {
        match state {
            Status::Finished => {
                let value = row.value.map_or_else(|| "-".into(), number);
                let seconds = Duration::from_secs_f64(row.seconds);
                format!("{} {value}, {} epochs in {}", self.plan.metric, row.epochs, time(seconds))
            }
            Status::Failed => format!("failed: {}", row.reason.as_deref().unwrap_or_default()),
            Status::Interrupted => format!("interrupted after epoch {}", row.epochs),
            Status::Running => "left to another process".into(),
            Status::Waiting => "handed over: there is no model yet (--collect makes the table later)".into(),
        }
    }
}

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
