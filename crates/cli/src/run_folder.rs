//! `runs/NAME`: where a training puts what it makes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use emberloop_core::RESUME_FILE;

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A folder for a new run. Nothing that an earlier run made is overwritten: without `--out` the next free name is
    /// taken, and an `--out` that holds a run is refused.
    pub fn create(config: &Path, out: Option<&Path>) -> Result<Self> {
        let path = match out {
            Some(out) => {
                let folder = Self { path: out.to_path_buf() };
                if folder.is_taken() {
                    bail!("{}: holds a run already; go on with it by --resume, or give another --out", out.display());
                }
                out.to_path_buf()
            }
            None => numbered(config).find(|path| !path.exists()).expect("the names never end"),
        };
        fs::create_dir_all(&path).with_context(|| format!("{}: cannot create the folder", path.display()))?;
        Ok(Self { path })
    }

    /// The folder of an interrupted run: `--out`, or the last one of the configuration's name.
    pub fn find(config: &Path, out: Option<&Path>) -> Result<Self> {
        let path = match out {
            Some(out) => out.to_path_buf(),
            None => match numbered(config).take_while(|path| path.exists()).last() {
                Some(path) => path,
                None => bail!("{}: no run to resume; start one without --resume", default_path(config).display()),
            },
        };
        if !path.is_dir() {
            bail!("{}: no run to resume: there is no such folder", path.display());
        }
        let folder = Self { path };
        if folder.checkpoint().exists() && !folder.file(RESUME_FILE).exists() {
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
        self.file("checkpoint.safetensors")
    }

    fn is_taken(&self) -> bool {
        self.checkpoint().exists() || self.file(RESUME_FILE).exists()
    }
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
fn default_path(config: &Path) -> PathBuf {
    let stem = config.file_stem().unwrap_or_default();
    let folder = config.parent().and_then(|parent| parent.canonicalize().ok());
    let name = match folder.as_deref().and_then(Path::file_name) {
        Some(folder) if stem == "train" || stem == "config" => folder,
        _ => stem,
    };
    Path::new("runs").join(name)
}
