//! `emberloop sweep`: one configuration, many values, a table of what came of them.

mod file;
mod folder;
mod launch;
mod plan;
mod pool;
mod results;
mod sample;
mod slurm;
mod template;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use emberloop_core::Device;
use serde::Serialize;

use crate::train::seconds;
use crate::{interrupt, output, train};
use folder::Folder;
use launch::Launcher;
use plan::Plan;
use pool::Pool;
use results::{Row, Status};
use template::Template;

/// Train a configuration with many values, several at a time, and rank the results.
///
/// The sweep file names the configuration, the keys and their values; each run is a training of its own in
/// runs/NAME/0001, 0002, ... Started again it goes on: finished runs stay, interrupted ones resume.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Sweep {
    /// The sweep file (TOML).
    file: PathBuf,
    /// The folder of the runs [default: runs/NAME].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// So many runs at a time [default: one for each core, or each of --devices].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Threads of the CPU for each run [default: its share of the cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Where the runs compute: each on one of these, in turn [default: cpu].
    #[arg(long, visible_alias = "device", value_delimiter = ',', value_name = "DEVICE,...")]
    devices: Vec<Device>,
    /// As of train: how far the state that a run goes on from may lag behind.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    save_every: Option<f64>,
    /// Run the failed ones again.
    #[arg(long)]
    retry: bool,
    /// Start each run by this command line instead, as in 'srun -n1 {command}' or 'ssh host "cd {folder} && {command}"'.
    /// It is the shell's; {config}, {out}, {index} and {name} stand for the run's.
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["write_slurm", "index", "collect"])]
    runner: Option<String>,
    /// Print the runs and start none.
    #[arg(long, conflicts_with_all = ["write_slurm", "index", "collect"])]
    dry_run: bool,
    /// Write a Slurm job array of all runs to this script and start none (--jobs limits how many run at a time).
    #[arg(long, value_name = "SCRIPT", conflicts_with_all = ["index", "collect"])]
    write_slurm: Option<PathBuf>,
    /// Run only this one, counted from 1.
    #[arg(long, value_name = "I", conflicts_with = "collect")]
    index: Option<usize>,
    /// Start nothing, and make the table of what is there.
    #[arg(long)]
    collect: bool,
}

const EXAMPLE: &str = "\
A sweep file:
  config = \"gestures.toml\"
  method = \"random\"                    # or \"grid\" (default): every combination
  runs = 20                            # random only, as seed = 1
  metric = \"val_accuracy\"              # ranks; default: what early stopping watches, or val_loss

  [parameters]
  model.hidden = { values = [[16], [32], [16, 16]] }
  training.batch = { min = 8, max = 64 }                                # integers
  training.optimizer.learning_rate = { min = 1e-4, max = 1e-1, log = true }
  # in a grid a range has steps: { min = 1e-4, max = 1e-1, log = true, steps = 4 }";

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    sweep: &'a std::path::Path,
    folder: &'a std::path::Path,
    metric: &'a str,
    direction: file::Direction,
    runs: &'a [Row],
}

impl Sweep {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        if let Some(&device) = self.devices.first() {
            self.devices.iter().try_for_each(|&device| emberloop_core::check_device(device))?;
            if (self.index.is_some() || self.write_slurm.is_some()) && self.devices.len() > 1 {
                bail!(
                    "--devices: expected one, as --index and --write-slurm run one at a time, found {device} and others"
                );
            }
        }
        let runner = self.runner.as_deref().map(Template::parse).transpose()?;
        let plan = Plan::load(&self.file, self.out.as_deref())?;
        let folder = Folder::check(&plan)?;
        if self.dry_run {
            return print_runs(&plan, json);
        }
        if self.collect {
            folder.must_exist(&plan)?;
            return print_results(&plan, json);
        }
        let program = std::env::current_exe().context("this program's own path cannot be read")?;
        if let Some(script) = &self.write_slurm {
            return self.write_slurm(&plan, &folder, &program, script, json);
        }
        let launcher =
            Launcher { program, threads: self.threads.map(NonZeroUsize::get), save_every: self.save_every, runner };
        match self.index {
            Some(index) => self.run_one(&plan, &folder, launcher, index, json),
            None => self.run_all(&plan, &folder, launcher, json),
        }
    }

    fn run_all(&self, plan: &Plan, folder: &Folder, mut launcher: Launcher, json: bool) -> Result<()> {
        folder.make(plan)?;
        let _lock = folder.lock(plan)?;
        let states: Vec<Status> = plan.runs.iter().map(results::state).collect();
        let due = |status: &Status| match status {
            Status::Waiting | Status::Interrupted => true,
            Status::Failed => self.retry,
            Status::Finished | Status::Running => false,
        };
        let queue: Vec<usize> = (0..plan.runs.len()).filter(|&run| due(&states[run])).collect();
        let count = |wanted: Status| states.iter().filter(|&&status| status == wanted).count();
        for (status, what) in [
            (Status::Finished, "finished and stay as they are"),
            (Status::Interrupted, "interrupted and go on"),
            (Status::Running, "being trained by another process, and left to it"),
            (
                Status::Failed,
                if self.retry { "failed and run again" } else { "failed and are left so; --retry runs them again" },
            ),
        ] {
            if count(status) > 0 {
                output::message(&format!("{}: {} of {} runs are {what}", folder.name(), count(status), states.len()));
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let slots = self
            .jobs
            .map_or_else(|| if self.devices.is_empty() { cores } else { self.devices.len() }, NonZeroUsize::get);
        let slots = slots.min(queue.len().max(1));
        if launcher.runner.is_none() {
            launcher.threads.get_or_insert((cores / slots).max(1));
        }
        let pool = Pool { plan, launcher: &launcher, devices: &self.devices, slots };
        pool.run(queue, || write_results(plan, &results::collect(plan)?))?;
        let rows = results::collect(plan)?;
        write_results(plan, &rows)?;
        let finished = rows.iter().filter(|row| row.status == Status::Finished).count();
        if interrupt::happened() {
            bail!(
                "sweep interrupted: {finished} of {} runs are finished, every finished epoch of the others is kept; go on with: {}",
                rows.len(),
                self.again()
            );
        }
        if let (0, Some(failed)) = (finished, rows.iter().find(|row| row.status == Status::Failed)) {
            let reason = failed.reason.as_deref().unwrap_or_default();
            bail!("{}: no run has finished; run {:04} failed: {reason}", folder.name(), failed.run);
        }
        print_results(plan, json)
    }

    /// What to type to go on.
    fn again(&self) -> String {
        let mut line = format!("emberloop sweep {}", output::quote(&self.file.to_string_lossy()));
        if let Some(out) = &self.out {
            line += &format!(" --out {}", output::quote(&out.to_string_lossy()));
        }
        if !self.devices.is_empty() {
            let names: Vec<String> = self.devices.iter().map(ToString::to_string).collect();
            line += &format!(" --devices {}", names.join(","));
        }
        for (flag, number) in [("--jobs", self.jobs), ("--threads", self.threads)] {
            if let Some(number) = number {
                line += &format!(" {flag} {number}");
            }
        }
        if let Some(runner) = &self.runner {
            line += &format!(" --runner {}", output::quote(runner));
        }
        line
    }

    fn run_one(&self, plan: &Plan, folder: &Folder, launcher: Launcher, index: usize, json: bool) -> Result<()> {
        let run = plan.run(index)?;
        folder.make(plan)?;
        match results::state(run) {
            Status::Finished => output::message(&format!("run {}: finished already", run.name())),
            Status::Running => bail!("{}: another process trains in this folder", run.folder.display()),
            Status::Waiting | Status::Interrupted | Status::Failed => {
                let pool = Pool { plan, launcher: &launcher, devices: &self.devices, slots: 1 };
                pool.run(vec![index - 1], || Ok(()))?;
            }
        }
        let row = results::row(plan, run)?;
        match row.status {
            Status::Finished if json => output::print_json(&row),
            Status::Finished => Ok(()),
            Status::Failed => bail!("run {}: {}", run.name(), row.reason.unwrap_or_default()),
            Status::Interrupted | Status::Waiting | Status::Running => {
                bail!(
                    "run {} interrupted after epoch {}; go on with: {} --index {index}",
                    run.name(),
                    row.epochs,
                    self.again()
                )
            }
        }
    }

    fn write_slurm(
        &self,
        plan: &Plan,
        folder: &Folder,
        program: &std::path::Path,
        script: &std::path::Path,
        json: bool,
    ) -> Result<()> {
        if script.exists() {
            bail!("{}: is there already; give another name", script.display());
        }
        folder.make(plan)?;
        let mut arguments = String::new();
        if let Some(device) = self.devices.first() {
            arguments += &format!(" --device {device}");
        }
        if let Some(every) = self.save_every {
            arguments += &format!(" --save-every {every}");
        }
        let threads = self.threads.map_or(1, NonZeroUsize::get);
        let text = slurm::script(plan, program, self.jobs.map(NonZeroUsize::get), threads, &arguments);
        train::write(script, text.as_bytes())?;
        if json {
            return output::print_json(&serde_json::json!({ "script": script, "runs": plan.runs.len() }));
        }
        output::print(&format!(
            "wrote {}, a job array of {runs} runs\nnext: sbatch {script}\nthen: emberloop sweep {sweep} --out {out} --collect\n",
            script.display(),
            script = output::quote_path(script),
            runs = plan.runs.len(),
            sweep = output::quote_path(&self.file),
            out = output::quote_path(&plan.folder),
        ))
    }
}

/// Writes the table beside the runs.
fn write_results(plan: &Plan, rows: &[Row]) -> Result<()> {
    train::write(&plan.folder.join(results::RESULTS_FILE), &results::csv(plan, rows)?)
}

fn print_results(plan: &Plan, json: bool) -> Result<()> {
    let rows = results::collect(plan)?;
    write_results(plan, &rows)?;
    for note in results::notes(plan, &rows) {
        output::message(&format!("note: {note}"));
    }
    if json {
        return output::print_json(&Report {
            sweep: &plan.path,
            folder: &plan.folder,
            metric: &plan.metric,
            direction: plan.direction,
            runs: &rows,
        });
    }
    output::print(&results::table(plan, &rows))?;
    output::print(&format!("wrote {}\n", plan.folder.join(results::RESULTS_FILE).display()))
}

fn print_runs(plan: &Plan, json: bool) -> Result<()> {
    if json {
        let run = |run: &plan::Run| {
            let values = plan.keys.iter().cloned().zip(run.values.iter().map(results::json));
            let values: serde_json::Map<String, serde_json::Value> = values.collect();
            serde_json::json!({ "run": run.index, "folder": run.folder, "values": values })
        };
        let runs: Vec<_> = plan.runs.iter().map(run).collect();
        return output::print_json(&serde_json::json!({ "sweep": plan.path, "folder": plan.folder, "runs": runs }));
    }
    let mut cells = vec![vec!["run".to_string()]];
    cells[0].extend(plan.short_keys());
    for run in &plan.runs {
        let values = run.values.iter().map(|value| results::short(&results::json(value)));
        cells.push(std::iter::once(run.name()).chain(values).collect());
    }
    output::print(&results::aligned(&cells))?;
    output::print(&format!("{} runs, to {}, ranked by {}\n", plan.runs.len(), plan.folder.display(), plan.metric))
}
