//! Running a firmware, in QEMU or through a debug probe.

use std::process::Command;
use std::time::Duration;

use crate::child::{self, Finished};
use crate::log::Log;
use crate::{
    Binary, Board, BoardError, Emulator, Firmware, Measurement, ModelFacts, Output, Probe, Runner, Summary, Toolchain,
};

/// How to run a firmware.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// A firmware that has not ended by then is ended.
    pub limit: Duration,
    /// A QEMU plugin: `FILE.so,option=value`.
    pub plugin: Option<String>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { limit: Duration::from_secs(120), plugin: None }
    }
}

/// A firmware that has ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// The board.
    pub board: Board,
    /// The exit status: 0 if every model passed its self-test and every sequence ran.
    pub status: i32,
    /// Every line of the log, `LEVEL message`.
    pub lines: Vec<String>,
    /// The models, in order.
    pub models: Vec<ModelFacts>,
    /// Every output of every step, in order.
    pub outputs: Vec<Output>,
    /// For a build with `measure`, the stack that each model took.
    pub stacks: Vec<Measurement>,
    /// The last line's counts.
    pub summary: Option<Summary>,
}

impl Firmware {
    /// Runs a firmware and reads its log.
    ///
    /// # Errors
    /// [`BoardError::NoProgram`], [`BoardError::Timeout`], or [`BoardError::Log`] if the log cannot be read. A run that
    /// ends with another status than 0 is no error here; see [`Run::checked`].
    pub fn run(&self, binary: &Binary, options: &RunOptions) -> Result<Run, BoardError> {
        let (finished, lines) = match &binary.board.runner {
            Runner::Qemu(emulator) => self.run_emulator(binary, emulator, options)?,
            Runner::Probe(probe) => run_probe(binary, probe, options)?,
        };
        let board = binary.board.clone();
        if finished.timed_out {
            return Err(BoardError::Timeout { board: board.name, limit: options.limit, last: last(&lines) });
        }
        let Some(status) = finished.status else {
            let message = format!("the runner was ended by a signal; it said: {}", finished.stderr.trim());
            return Err(BoardError::Log { board: board.name, message });
        };
        if lines.is_empty() {
            let message = format!("expected lines, found none; the runner said: {}", finished.stderr.trim());
            return Err(BoardError::Log { board: board.name, message });
        }
        let log = Log::parse(&lines).map_err(|message| BoardError::Log { board: board.name.clone(), message })?;
        let Log { models, outputs, stacks, summary } = log;
        Ok(Run { board, status, lines, models, outputs, stacks, summary })
    }

    fn run_emulator(
        &self,
        binary: &Binary,
        emulator: &Emulator,
        options: &RunOptions,
    ) -> Result<(Finished, Vec<String>), BoardError> {
        let finished = emulate(binary, emulator, options)?;
        let decoder = self.build_decoder()?;
        let decoded =
            child::run(Command::new(decoder).arg(&binary.elf), &finished.stdout, options.limit, "build it again")?;
        let lines = lines(&decoded.stdout);
        if decoded.status != Some(0) && !finished.timed_out {
            let message = decoded.stderr.trim().into();
            return Err(BoardError::Log { board: binary.board.name.clone(), message });
        }
        Ok((finished, lines))
    }
}

/// Runs a program that logs nothing ([`Firmware::build_bare`]) in QEMU and returns its status.
///
/// # Errors
/// [`BoardError::NoProgram`], [`BoardError::Timeout`], or [`BoardError::Log`] if a signal ended it or the board is a real
/// one.
pub fn run_bare(binary: &Binary, options: &RunOptions) -> Result<i32, BoardError> {
    let board = binary.board.name.clone();
    let Runner::Qemu(emulator) = &binary.board.runner else {
        return Err(BoardError::Log { board, message: "a program without a log runs in QEMU alone".into() });
    };
    let finished = emulate(binary, emulator, options)?;
    if finished.timed_out {
        return Err(BoardError::Timeout { board, limit: options.limit, last: "none".into() });
    }
    finished.status.ok_or_else(|| BoardError::Log { board, message: finished.stderr.trim().into() })
}

fn emulate(binary: &Binary, emulator: &Emulator, options: &RunOptions) -> Result<Finished, BoardError> {
    let mut command = Command::new(&emulator.emulator);
    command.args(["-M", &emulator.machine]).args(&emulator.arguments);
    command.args(["-display", "none", "-monitor", "none", "-serial", "none"]);
    command.args(["-semihosting-config", "enable=on,target=native"]);
    if let Some(plugin) = &options.plugin {
        command.args(["-plugin", plugin]);
    }
    command.arg("-kernel").arg(&binary.elf);
    child::run(&mut command, b"", options.limit, QEMU_FIX)
}

/// probe-rs flashes, runs, decodes the log itself, and passes on the status that the firmware ends with.
fn run_probe(binary: &Binary, probe: &Probe, options: &RunOptions) -> Result<(Finished, Vec<String>), BoardError> {
    let mut command = Command::new("probe-rs");
    command.args(["run", "--chip", &probe.chip, "--log-format", "{L} {s}"]).arg(&binary.elf);
    let fix = format!("`cargo install probe-rs-tools --locked` installs it; the firmware is {}", binary.elf.display());
    let finished = child::run(&mut command, b"", options.limit, &fix)?;
    let lines = lines(&finished.stdout);
    Ok((finished, lines))
}

impl Run {
    /// The run, if the firmware ended with status 0 and said that it was through.
    ///
    /// # Errors
    /// [`BoardError::Failed`] or [`BoardError::Log`].
    pub fn checked(self) -> Result<Self, BoardError> {
        if self.status != 0 {
            return Err(BoardError::Failed {
                board: self.board.name,
                status: self.status,
                meaning: meaning(self.status),
                last: last(&self.lines),
            });
        }
        if self.summary.is_none() {
            let message = format!("expected a last line `done`, found `{}`", last(&self.lines));
            return Err(BoardError::Log { board: self.board.name, message });
        }
        Ok(self)
    }

    /// The first line that the firmware logged as an error.
    pub fn error_line(&self) -> Option<&str> {
        self.lines.iter().map(|line| line.trim_start()).find(|line| line.starts_with("ERROR"))
    }
}

/// The statuses of `firmware/app/src/failure.rs` and `firmware/qemu/src/lib.rs`.
fn meaning(status: i32) -> &'static str {
    match status {
        1 => "the runner failed",
        10 => "an image was refused",
        11 => "a self-test computed other bits",
        12 => "a test sequence was refused",
        13 => "a step was refused",
        101 => "panic",
        102 => "fault",
        _ => "not one of the firmware's own",
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

fn last(lines: &[String]) -> String {
    lines.last().cloned().unwrap_or_else(|| "none".into())
}

impl Board {
    /// What is not installed here that building this board's firmware, or running it in QEMU, needs: one line with the
    /// fix, for a test that is skipped. A board behind a debug probe needs its compiler alone.
    pub fn missing_tool(&self) -> Option<String> {
        if let Err(error) = Toolchain::for_target(&self.target) {
            return Some(error.to_string());
        }
        let Runner::Qemu(emulator) = &self.runner else { return None };
        let mut version = Command::new(&emulator.emulator);
        child::run(version.arg("--version"), b"", START, QEMU_FIX).err().map(|error| error.to_string())
    }
}

const QEMU_FIX: &str = "`cargo xtask setup` installs it";
/// No program takes this long to state its version.
const START: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn run(status: i32, lines: &[&str]) -> Run {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let Log { models, outputs, stacks, summary } = Log::parse(&lines).unwrap();
        let board = Firmware::locate().unwrap().board("qemu-m0").unwrap();
        Run { board, status, lines, models, outputs, stacks, summary }
    }

    #[test]
    fn a_run_that_failed_says_what_its_status_stands_for() {
        let message = run(11, &["ERROR self-test: sequence 0 step 1"]).checked().unwrap_err().to_string();
        assert!(message.contains("status 11 (a self-test computed other bits)"), "{message}");
        assert!(message.contains("sequence 0 step 1"), "{message}");
    }

    #[test]
    fn a_run_that_stopped_early_is_not_a_success() {
        assert!(run(0, &["INFO model name=a image_bytes=1 ram_bytes=1 sequences=1"]).checked().is_err());
        assert!(run(0, &["INFO done models=1 sequences=1 steps=1"]).checked().is_ok());
    }
}
