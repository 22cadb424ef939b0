//! A headless browser, for the test that looks at the report's page. Nothing else needs one.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::process::{as_root, output, run, which};

/// Chromium under the names that distributions give it, the smallest first.
const PROGRAMS: [&str; 5] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser that the test will use: one that runs. (Some distributions' packages are no more than a hint to another.)
pub fn program() -> Option<PathBuf> {
    PROGRAMS.into_iter().filter_map(which).find(|program| output(Command::new(program).arg("--version")).is_ok())
}

/// Installs one where this user may; else the error says how.
pub fn install_missing() -> Result {
    if program().is_some() {
        return Ok(());
    }
    let apt = || as_root("apt-get").filter(|_| which("apt-get").is_some()).ok_or_else(not_there);
    let arguments = ["-qq", "-o", "DPkg::Lock::Timeout=600"];
    println!("to install: {}", PROGRAMS[0]);
    run(apt()?.args(arguments).arg("update").env("DEBIAN_FRONTEND", "noninteractive"))?;
    // Debian has the browser without its windows as a package of its own since version 12.
    let headless = output(Command::new("apt-cache").args(["show", PROGRAMS[0]])).is_ok();
    let package = if headless { PROGRAMS[0] } else { PROGRAMS[1] };
    let install = ["install", "-y", "--no-install-recommends", package];
    run(apt()?.args(arguments).args(install).env("DEBIAN_FRONTEND", "noninteractive"))?;
    program().map(drop).ok_or_else(|| not_there().into())
}

fn not_there() -> String {
    format!("not installed: {}", how_to_install())
}

/// For people.
pub fn how_to_install() -> String {
    format!("`sudo apt-get install {}`, or any Chromium or Chrome in the path", PROGRAMS[0])
}
