//! `cargo xtask test`: set up what is missing, run every test, end with one line that counts them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use emberloop_boards::Firmware;

use crate::summary::Summary;
use crate::{Result, process, setup};

#[derive(Args, Default)]
pub struct Options {
    /// Install nothing: tests that lack a compiler or an emulator are skipped, with the reason
    #[arg(long)]
    pub no_install: bool,
}

/// Runs the command.
pub fn run(options: &Options) -> Result {
    let mut summary = Summary::default();
    if !options.no_install
        && let Err(error) = set_up()
    {
        summary.fail(format!("setup: {error} (`--no-install` skips what needs it)"));
    }
    cargo_test(&mut summary, options.no_install)?;

    println!("\n{}{summary}", summary.details());
    std::io::stdout().flush()?;
    if summary.is_success() { Ok(()) } else { Err("".into()) }
}

fn set_up() -> Result {
    setup::install_missing(&Firmware::locate()?)
}

/// Runs every test of the workspace, the documentation's among them, and passes its output on.
fn cargo_test(summary: &mut Summary, may_skip: bool) -> Result {
    let mut command = process::cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--color", "never"]);
    if !may_skip {
        // Without its tools a firmware test would be skipped; here that is a failure.
        command.env("EMBERLOOP_REQUIRE_FIRMWARE", "1");
    }
    if let Some(python) = setup::python::interpreter() {
        command.env("EMBERLOOP_PYTHON", python).env("EMBERLOOP_REQUIRE_PYTHON", "1");
    }
    let browser = setup::browser::program();
    // A laptop may do without a browser; CI may not.
    if browser.is_some() || (!may_skip && std::env::var_os("CI").is_some()) {
        command.env("EMBERLOOP_REQUIRE_BROWSER", "1");
    }
    if let Some(browser) = browser {
        command.env("EMBERLOOP_BROWSER", browser);
        match real_pages() {
            Ok(folder) => drop(command.env("EMBERLOOP_REPORTS", folder)),
            Err(error) => summary.fail(format!("pages for the browser: {error}")),
        }
    }
    println!("$ {}", process::shown(&command));
    let known_failures = summary.failed();
    let status = pass_on(&mut command, |line| summary.line(line))?;
    // A test program that does not compile, or one that dies, has no line of its own to count.
    if !status && summary.failed() == known_failures {
        summary.fail("cargo test");
    }
    Ok(())
}

/// A folder with the pages that `train` and `doctor` write of the worked example, for the browser's test.
fn real_pages() -> Result<PathBuf> {
    let folder = process::target_folder()?.join("reports");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let model = "models/japanese-vowels/train.toml";
    let emberloop = |arguments: &[&str], out: &Path| {
        let mut command = process::cargo();
        command.args(["run", "--quiet", "--package", "emberloop", "--"]).args(arguments).arg(out);
        process::run(command.stdout(Stdio::null()))
    };
    let run = folder.join("run");
    emberloop(&["train", model, "--out"], &run)?;
    fs::rename(run.join("report.html"), folder.join("train.html"))?;
    emberloop(&["doctor", model, "--report"], &folder.join("doctor.html"))?;
    Ok(folder)
}

/// Runs a command, shows its standard output as it comes, and hands each line to `line`. Returns whether it succeeded.
fn pass_on(command: &mut Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut output = BufReader::new(child.stdout.take().ok_or("the command has no output")?);
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        print!("{text}");
        line(text.trim_end());
        bytes.clear();
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_handed_on_and_the_status_kept() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        let success = pass_on(command.args(["-c", "echo one; echo two; exit 4"]), |line| lines.push(line.to_owned()));
        assert!(!success.unwrap());
        assert_eq!(lines, ["one", "two"]);
    }
}
