//! A Python with the stock `safetensors` package, for the tests that open our files with it. Nothing else needs Python.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, process};

const PACKAGES: [&str; 2] = ["safetensors", "numpy"];

/// The interpreter that has the packages: the one in use, or that of the cached environment.
pub fn interpreter() -> Option<PathBuf> {
    let cached = environment().join("bin/python");
    process::which("python3").into_iter().chain([cached]).find(has_packages)
}

/// Makes an environment of its own where no interpreter has the packages; nothing of the system is changed.
pub fn install_missing() -> Result {
    if interpreter().is_some() {
        return Ok(());
    }
    let python = process::which("python3").ok_or_else(how_to_install)?;
    let environment = environment();
    println!("python packages to install: {} (into {})", PACKAGES.join(", "), environment.display());
    process::run(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
    process::run(Command::new(environment.join("bin/python")).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))
}

/// For people.
pub fn how_to_install() -> String {
    format!("a Python 3 with {}: `pip install {}`", PACKAGES.join(" and "), PACKAGES.join(" "))
}

fn environment() -> PathBuf {
    emberloop_boards::cache_folder().join("python")
}

fn has_packages(python: &PathBuf) -> bool {
    let imports = format!("import {}", PACKAGES.join(", "));
    process::output(Command::new(python).args(["-c", &imports])).is_ok()
}
