//! `runs/NAME` of a sweep: its own, or nobody's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::plan::{Plan, Run};
use crate::lock::{LOCK_FILE, Lock};
use crate::run_folder::CHECKPOINT_FILE;
use crate::train;

/// The copy of the sweep file, by which the folder is known as a sweep's.
const SWEEP_FILE: &str = "sweep.toml";

/// The folder of a sweep.
pub struct Folder {
    path: PathBuf,
    there: bool,
}

impl Folder {
    /// Checks that what is in the folder is of this very sweep. Writes nothing.
    ///
    /// # Errors
    ///
    /// If it holds anything else, or runs of other values.
    pub fn check(plan: &Plan) -> Result<Self> {
        let path = plan.folder.clone();
        let folder = path.display();
        let there = path.join(SWEEP_FILE).is_file();
        if !there && fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{folder}: expected the folder of a sweep, found one without {SWEEP_FILE}; give another --out");
        }
        for run in &plan.runs {
            check_run(run)?;
        }
        // Of a sweep with more runs, whose values may be others too.
        let more = plan.runs.len() + 1;
        if path.join(format!("{more:04}")).is_dir() {
            bail!(
                "{folder}: holds a run {more:04}, but {} has {}; give another --out",
                plan.path.display(),
                plan.runs.len()
            );
        }
        Ok(Self { path, there })
    }

    /// For messages.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// # Errors
    ///
    /// If no run was ever started.
    pub fn must_exist(&self, plan: &Plan) -> Result<()> {
        if !self.there {
            bail!("{}: no sweep to collect from; start it by: emberloop sweep {}", self.name(), plan.path.display());
        }
        Ok(())
    }

    /// Makes the folder, with a copy of the sweep file in it.
    pub fn make(&self, plan: &Plan) -> Result<()> {
        fs::create_dir_all(&self.path).with_context(|| format!("{}: cannot create the folder", self.name()))?;
        let text = fs::read(&plan.path).with_context(|| format!("{}: cannot be read", plan.path.display()))?;
        let copy = self.path.join(SWEEP_FILE);
        if fs::read(&copy).ok().as_ref() == Some(&text) { Ok(()) } else { train::write(&copy, &text) }
    }

    /// Keeps other sweeps out while this one starts runs.
    pub fn lock(&self, plan: &Plan) -> Result<Lock> {
        let lock = Lock::take(&self.path).with_context(|| format!("{}: cannot write", self.name()))?;
        lock.with_context(|| {
            format!("{}: another process runs {}; wait for it, or stop it", self.name(), plan.path.display())
        })
    }
}

/// That a run that is there is the one that the sweep file describes.
fn check_run(run: &Run) -> Result<()> {
    let path = run.config_path();
    match fs::read_to_string(&path) {
        Ok(found) if found == run.config => Ok(()),
        Ok(found) => {
            let line = |text: &str, at: usize| text.lines().nth(at).unwrap_or_default().trim().to_string();
            let at = run.config.lines().zip(found.lines()).take_while(|(a, b)| a == b).count();
            bail!(
                "{}, line {}: the sweep or its configuration was changed since: expected {:?}, found {:?}; undo the change, or \
                 give another --out",
                path.display(),
                at + 1,
                line(&run.config, at),
                line(&found, at)
            )
        }
        Err(_) if is_empty(&run.folder) => Ok(()),
        Err(error) if run.folder.join(CHECKPOINT_FILE).exists() || !run.folder.is_dir() => {
            bail!(
                "{}: expected a run of this sweep, found something else ({error}); give another --out",
                run.folder.display()
            )
        }
        // A kill between making the folder and writing the configuration.
        Err(_) => Ok(()),
    }
}

fn is_empty(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return !folder.exists() };
    entries.flatten().all(|entry| entry.file_name() == LOCK_FILE)
}
