//! `runs/NAME`: where a training puts what it makes.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use emberloop_core::RESUME_FILE;

use crate::lock::Lock;
use crate::output;

/// The copy of the configuration.
pub const CONFIG_FILE: &str = "train.toml";
/// Where the configuration was, as an absolute path on a line: data are found beside it.
pub const ORIGIN_FILE: &str = "origin";
/// The trained model.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// One line of JSON per epoch.
pub const LOG_FILE: &str = "log.jsonl";

/// The folder of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The folders that this run made, the innermost first.
    made: Vec<PathBuf>,
    /// Keeps other processes out.
    lock: RefCell<Option<Lock>>,
}

impl RunFolder {
    /// A folder for a new run. Nothing that an earlier run made is overwritten: without `--out` the next free name is
    /// taken, and an `--out` that holds a run, or the configuration of one, is refused.
    pub fn create(config: &Path, out: Option<&Path>) -> Result<Self> {
        let path = match out {
            Some(out) => {
                Self::at(out, Vec::new()).check_free(config)?;
                out.to_path_buf()
            }
            None => return Self::take_free(config)?.locked(),
        };
        let made = missing_folders(&path);
        fs::create_dir_all(&path).with_context(|| format!("{}: cannot create the folder", path.display()))?;
        let folder = Self::at(path, made).locked()?;
        // Another one may have been there in the meantime.
        folder.check_free(config)?;
        Ok(folder)
    }

    fn at(path: impl Into<PathBuf>, made: Vec<PathBuf>) -> Self {
        Self { path: path.into(), made, lock: RefCell::new(None) }
    }

    fn locked(self) -> Result<Self> {
        let path = self.path.display();
        match Lock::take(&self.path).with_context(|| format!("{path}: cannot write"))? {
            Some(lock) => *self.lock.borrow_mut() = Some(lock),
            None => bail!("{path}: another process trains in this folder; wait for it, or give another --out"),
        }
        Ok(self)
    }

    /// The first free name, taken by making its folder: of two runs that start together, one gets the next.
    fn take_free(config: &Path) -> Result<Self> {
        for path in numbered(config) {
            let made = missing_folders(&path);
            let cannot = || format!("{}: cannot create the folder", path.display());
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).with_context(cannot)?;
            }
            match fs::create_dir(&path) {
                Ok(()) => {
                    let first = default_path(config);
                    if path != first {
                        let unfinished = first.join(RESUME_FILE).exists();
                        let state =
                            if unfinished { "is unfinished (--resume goes on with it)" } else { "is there already" };
                        output::message(&format!(
                            "note: {} {state}; this run goes to {}",
                            first.display(),
                            path.display()
                        ));
                    }
                    return Ok(Self::at(path, made));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(cannot),
            }
        }
        unreachable!("the names never end")
    }

    /// Removes what a run that kept nothing leaves, so that the next one has its name. A folder that was there before
    /// the run stays.
    pub fn abandon(&self) {
        if self.made.is_empty() || self.checkpoint().exists() || self.file(RESUME_FILE).exists() {
            return;
        }
        self.lock.take();
        // A failure to clean up is no news beside the one that led here.
        let _ = fs::remove_file(self.file(CONFIG_FILE));
        let _ = fs::remove_file(self.file(ORIGIN_FILE));
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("log") && name.ends_with(".jsonl") {
                let _ = fs::remove_file(entry.path());
            }
        }
        for folder in &self.made {
            let _ = fs::remove_dir(folder);
        }
    }

    /// The folder of an interrupted run: `--out`, or the last one of the configuration's name that did not finish.
    pub fn find(config: &Path, out: Option<&Path>) -> Result<Self> {
        let path = match out {
            Some(out) => out.to_path_buf(),
            None => {
                let runs: Vec<PathBuf> = numbered(config).take_while(|path| path.exists()).collect();
                let open = runs.iter().rev().find(|path| !Self::at(*path, Vec::new()).is_finished());
                match open.or(runs.last()) {
                    Some(path) => path.clone(),
                    None => bail!("{}: no run to resume; start one without --resume", default_path(config).display()),
                }
            }
        };
        if !path.is_dir() {
            bail!("{}: no run to resume: there is no such folder; start one without --resume", path.display());
        }
        let folder = Self::at(path, Vec::new()).locked()?;
        folder.remove_temporary_files();
        if folder.is_finished() {
            bail!("{}: this run is finished; its model is {}", folder.path.display(), folder.checkpoint().display());
        }
        Ok(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The trained model.
    pub fn checkpoint(&self) -> PathBuf {
        self.file(CHECKPOINT_FILE)
    }

    fn is_finished(&self) -> bool {
        self.checkpoint().is_file() && !self.file(RESUME_FILE).exists()
    }

    fn check_free(&self, config: &Path) -> Result<()> {
        let path = self.path.display();
        if self.is_finished() {
            bail!("{path}: holds a finished run; give another --out");
        }
        if self.file(RESUME_FILE).exists() {
            bail!("{path}: holds an interrupted run; go on with it by --resume, or give another --out");
        }
        let copy = self.file(CONFIG_FILE);
        if copy.exists() && fs::read(&copy).ok() != fs::read(config).ok() {
            bail!("{}: would be replaced by {}; give another --out", copy.display(), config.display());
        }
        Ok(())
    }

    /// A kill in the middle of writing leaves the temporary file behind.
    fn remove_temporary_files(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".emberloop-") && name.ends_with(".tmp") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The folders on the way to `path` that are not there yet, the innermost first.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    missing.map(Path::to_path_buf).collect()
}

/// `runs/NAME`, `runs/NAME-2`, ...
fn numbered(config: &Path) -> impl Iterator<Item = PathBuf> {
    let first = default_path(config);
    let stem = first.clone().into_os_string();
    std::iter::once(first).chain((2..).map(move |number: u32| {
        let mut name = stem.clone();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    }))
}

/// `runs/` and the configuration's name; where that says nothing (`train.toml`, `config.toml`), its folder's.
pub fn default_path(config: &Path) -> PathBuf {
    let stem = config.file_stem().unwrap_or_default();
    let folder = config.canonicalize().ok().and_then(|config| config.parent().map(Path::to_path_buf));
    let name = match folder.as_deref().and_then(Path::file_name) {
        Some(folder) if stem == "train" || stem == "config" => folder,
        _ => stem,
    };
    Path::new("runs").join(name)
}
