//! A Python with PyTorch, for `cargo xtask bench-training` alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, process};

/// What the workers import; the packages have the same names.
const PACKAGES: [&str; 2] = ["torch", "numpy"];

/// The interpreter at `given`, or that of an environment of its own, which is made where it is not there yet.
pub fn interpreter(given: Option<&Path>, install: bool) -> Result<PathBuf> {
    if let Some(python) = given {
        return if has_packages(python) {
            Ok(python.into())
        } else {
            Err(format!("{}: expected a Python with {}", python.display(), PACKAGES.join(" and ")).into())
        };
    }
    let environment = emberloop_boards::cache_folder().join("pytorch");
    let python = environment.join("bin/python");
    if has_packages(&python) {
        return Ok(python);
    }
    if !install {
        return Err(format!("{} is not there, and --no-install forbids to make it", environment.display()).into());
    }
    let system = process::which("python3").ok_or("python3 is not installed; `--python PATH` names another one")?;
    eprintln!("installing {} into {}: some hundred megabytes, once", PACKAGES.join(" and "), environment.display());
    process::run(Command::new(system).args(["-m", "venv"]).arg(&environment))?;
    process::run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    Ok(python)
}

fn has_packages(python: &Path) -> bool {
    // To import PyTorch takes seconds; to find it does not.
    let find = format!("import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {PACKAGES:?})))");
    python.is_file() && process::output(Command::new(python).args(["-c", &find])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_not_there_is_one_clear_line() {
        let error = interpreter(Some("/nowhere/python".as_ref()), true).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/python: expected a Python with torch and numpy");
    }
}
