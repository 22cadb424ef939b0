//! One run as a process: `emberloop train`, or whatever the user's template makes of it.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use emberloop_core::{Device, RESUME_FILE};

use super::plan::Run;
use super::results::{self, FAILED_FILE, Status};
use super::template::Template;
use crate::output::quote;
use crate::train;

/// What a run and its launcher say, of every attempt.
const OUTPUT_FILE: &str = "output.txt";

/// How runs are started.
pub struct Launcher {
    /// This program.
    pub program: PathBuf,
    pub runner: Option<Template>,
    /// Of the CPU, for each run; for a runner of the user's only if the user said so.
    pub threads: Option<usize>,
    pub save_every: Option<f64>,
}

/// A run that was started.
pub struct Running {
    child: Child,
    /// The sweep's own children stop when this ends; a user's runner is a process group, which gets a signal.
    own: bool,
    output: PathBuf,
    /// Where this attempt's output begins.
    begins: u64,
    stopped: bool,
}

impl Launcher {
    /// Writes the run's configuration, and starts it or goes on with it.
    pub fn start(&self, run: &Run, device: Option<Device>) -> Result<Running> {
        let folder = run.folder.display();
        fs::create_dir_all(&run.folder).with_context(|| format!("{folder}: cannot create the folder"))?;
        train::write(&run.config_path(), run.config.as_bytes())?;
        let failed = run.folder.join(FAILED_FILE);
        if failed.exists() {
            fs::remove_file(&failed).with_context(|| format!("{}: cannot remove", failed.display()))?;
        }
        let output = run.folder.join(OUTPUT_FILE);
        let file = File::options().create(true).append(true).open(&output);
        let file = file.with_context(|| format!("{}: cannot write", output.display()))?;
        let begins = file.metadata().map_or(0, |metadata| metadata.len());
        let arguments = self.arguments(run, device);
        let own = self.runner.is_none();
        let mut command = match &self.runner {
            None => {
                let mut command = Command::new(&self.program);
                command.args(&arguments).arg("--stop-at-end-of-input").stdin(Stdio::piped()).stdout(Stdio::null());
                command
            }
            Some(template) => {
                let mut command = shell(&self.fill(template, run, &arguments)?);
                command.stdin(Stdio::null()).stdout(file.try_clone().context("cannot share a file")?);
                command
            }
        };
        let child = command.stderr(file).spawn();
        let child = child.with_context(|| format!("run {}: cannot start {:?}", run.name(), command.get_program()))?;
        Ok(Running { child, own, output, begins, stopped: false })
    }

    /// What follows `emberloop`.
    fn arguments(&self, run: &Run, device: Option<Device>) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut arguments = vec!["train".into(), path(&run.config_path()), "--out".into(), path(&run.folder)];
        // Also before the first epoch has ended: a run that is there and has no model goes on.
        if run.folder.join(RESUME_FILE).exists() || results::state(run) == Status::Interrupted {
            arguments.push("--resume".into());
        }
        arguments.extend(device.into_iter().flat_map(|device| ["--device".into(), device.to_string()]));
        arguments.extend(self.threads.into_iter().flat_map(|threads| ["--threads".into(), threads.to_string()]));
        arguments.extend(self.save_every.into_iter().flat_map(|every| ["--save-every".into(), every.to_string()]));
        arguments
    }

    fn fill(&self, template: &Template, run: &Run, arguments: &[String]) -> Result<String> {
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        let words = std::iter::once(self.program.to_string_lossy().into_owned()).chain(arguments.iter().cloned());
        let command = words.map(|word| quote(&word)).collect::<Vec<_>>().join(" ");
        Ok(template.fill(|place| match place {
            "command" => command.clone(),
            "config" => quote(&run.config_path().to_string_lossy()),
            "out" => quote(&run.folder.to_string_lossy()),
            "index" => run.index.to_string(),
            "name" => run.name(),
            "folder" => quote(&here.to_string_lossy()),
            other => unreachable!("{other} is no place"),
        }))
    }
}

/// A command line of the user's, as a group of processes that a signal reaches together.
#[cfg(unix)]
fn shell(line: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sh");
    command.args(["-c", line]).process_group(0);
    command
}

/// A command line of the user's.
#[cfg(windows)]
fn shell(line: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut command = Command::new("cmd");
    command.raw_arg("/C").raw_arg(line);
    command
}

impl Running {
    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("a run's process cannot be watched")
    }

    /// Asks it to stop with its last epoch on disk; waits for nothing.
    pub fn stop(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        if self.own {
            drop(self.child.stdin.take());
        } else {
            interrupt(&self.child);
        }
    }

    /// Notes down what the end of its process means, and returns the state it leaves.
    pub fn settle(self, run: &Run, status: ExitStatus) -> Result<Status> {
        let state = results::state(run);
        let asked = self.stopped || (self.own && status.code() == Some(INTERRUPTED));
        if matches!(state, Status::Finished | Status::Running) || asked || (!self.own && status.success()) {
            return Ok(state);
        }
        let reason = self.reason(status);
        train::write(&run.folder.join(FAILED_FILE), format!("{reason}\n").as_bytes())?;
        Ok(Status::Failed)
    }

    /// Why it failed, in a line: its error, or the last that it said, or how it ended.
    fn reason(&self, status: ExitStatus) -> String {
        let mut bytes = Vec::new();
        // A reason that cannot be read is still none.
        let _ = File::open(&self.output).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.begins))?;
            file.read_to_end(&mut bytes)
        });
        let said = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if let Some(error) = lines.iter().rev().find_map(|line| line.strip_prefix("error: ")) {
            return error.to_string();
        }
        if let Some(at) = lines.iter().position(|line| line.contains(" panicked at ")) {
            return lines[at..].iter().take(2).copied().collect::<Vec<_>>().join(" ");
        }
        match lines.last().filter(|_| !self.own) {
            Some(line) => format!("{status}: {line}"),
            None => format!("{status}"),
        }
    }
}

/// The status of a training that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

#[cfg(unix)]
fn interrupt(child: &Child) {
    use nix::sys::signal::{Signal, killpg};
    if let Ok(group) = i32::try_from(child.id()) {
        // It may have ended just now.
        let _ = killpg(nix::unistd::Pid::from_raw(group), Signal::SIGINT);
    }
}

#[cfg(not(unix))]
fn interrupt(_: &Child) {
    // Ctrl-C reaches every process of the console by itself.
}
