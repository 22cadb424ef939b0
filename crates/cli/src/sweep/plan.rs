//! The runs of a sweep: values, configurations and folders, all known and checked before anything starts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use emberloop_core::Config;
use emberloop_core::monitor::{Better, Monitor};
use toml_edit::{DocumentMut, Value};

use super::file::{Direction, MOST_RUNS, Method, SweepFile};
use super::sample;
use crate::document;
use crate::run_folder::CONFIG_FILE;

/// A sweep, ready to run.
pub struct Plan {
    /// The sweep file.
    pub path: PathBuf,
    /// Where its runs are.
    pub folder: PathBuf,
    /// What the runs are ranked by.
    pub metric: String,
    pub direction: Direction,
    /// Dotted, in the order of the sweep file.
    pub keys: Vec<String>,
    pub runs: Vec<Run>,
}

/// One training.
pub struct Run {
    /// Counted from 1.
    pub index: usize,
    /// For each key.
    pub values: Vec<Value>,
    /// Its configuration.
    pub config: String,
    pub folder: PathBuf,
}

impl Run {
    /// The name of its folder.
    pub fn name(&self) -> String {
        format!("{:04}", self.index)
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.join(CONFIG_FILE)
    }
}

impl Plan {
    /// Reads a sweep file and its base configuration, and checks every run's.
    pub fn load(path: &Path, out: Option<&Path>) -> Result<Self> {
        let file = SweepFile::load(path)?;
        let base_path = path.parent().unwrap_or(Path::new("")).join(&file.config);
        let base = Config::load(&base_path)?;
        let text =
            std::fs::read_to_string(&base_path).with_context(|| format!("{}: cannot be read", base_path.display()))?;
        let folder = out.map_or_else(|| default_folder(path), Path::to_path_buf);
        let (metric, direction) = ranking(path, &file, &base)?;
        let values = match file.method {
            Method::Grid => sample::grid(&file.parameters, MOST_RUNS).with_context(|| {
                format!("{}: parameters: expected at most {MOST_RUNS} combinations, found more", path.display())
            })?,
            Method::Random => (1..=file.runs).map(|run| sample::random(&file.parameters, file.seed, run)).collect(),
        };
        let keys: Vec<String> = file.parameters.into_iter().map(|parameter| parameter.key).collect();
        let writer = Writer {
            path,
            base_path: &base_path,
            text: &text,
            defaults: serde_json::to_value(&base)?,
            keys: &keys,
            folder: &folder,
        };
        let run = |(index, values): (usize, Vec<Value>)| writer.run(index + 1, values);
        let runs = values.into_iter().enumerate().map(run).collect::<Result<_>>()?;
        Ok(Self { path: path.to_path_buf(), folder, metric, direction, keys, runs })
    }

    /// A run by its number.
    pub fn run(&self, index: usize) -> Result<&Run> {
        let run = index.checked_sub(1).and_then(|index| self.runs.get(index));
        run.with_context(|| {
            format!("{}: expected a run from 1 to {}, found {index}", self.path.display(), self.runs.len())
        })
    }

    /// The last parts of the keys, or more of them where that tells them apart.
    pub fn short_keys(&self) -> Vec<String> {
        let last = |key: &str, parts: usize| {
            let all: Vec<&str> = key.split('.').collect();
            // A number says nothing without its list.
            let parts = parts + usize::from(all.last().is_some_and(|part| part.parse::<usize>().is_ok()));
            all[all.len().saturating_sub(parts)..].join(".")
        };
        let short = |key: &String| {
            let alone =
                |parts: &usize| self.keys.iter().filter(|other| last(other, *parts) == last(key, *parts)).count() == 1;
            last(key, (1..10).find(alone).unwrap_or(10))
        };
        self.keys.iter().map(short).collect()
    }
}

/// `batch = 16, hidden = [8]`
fn assignments(keys: &[String], values: &[Value]) -> String {
    let one = |(key, value): (&String, &Value)| format!("{key} = {value}");
    keys.iter().zip(values).map(one).collect::<Vec<_>>().join(", ")
}

/// What to rank by: what the file says, or what the base watches.
fn ranking(path: &Path, file: &SweepFile, base: &Config) -> Result<(String, Direction)> {
    let known = Monitor::names(base.data.task);
    let metric = match &file.metric {
        Some(metric) => metric.clone(),
        None => {
            let stopping = base.training.early_stopping.as_ref().and_then(|stopping| stopping.monitor);
            stopping.unwrap_or_else(|| Monitor::default_for(true)).to_string()
        }
    };
    if !known.contains(&metric) {
        let why = if metric.starts_with("test_") { " (what the test split chooses, it cannot judge)" } else { "" };
        bail!("{}: metric: expected one of {}, found {metric:?}{why}", path.display(), known.join(", "));
    }
    let natural = match metric.parse::<Monitor>().map_err(|error| anyhow!(error))?.metric.direction() {
        Better::Lower => Direction::Min,
        Better::Higher => Direction::Max,
    };
    Ok((metric, file.direction.unwrap_or(natural)))
}

/// Writes configurations.
struct Writer<'a> {
    path: &'a Path,
    base_path: &'a Path,
    text: &'a str,
    /// All of the base, with what it leaves out.
    defaults: serde_json::Value,
    keys: &'a [String],
    folder: &'a Path,
}

impl Writer<'_> {
    fn run(&self, index: usize, values: Vec<Value>) -> Result<Run> {
        let mut run = Run { index, values, config: String::new(), folder: PathBuf::new() };
        run.folder = self.folder.join(run.name());
        let document = self.checked(&run)?;
        run.config = self.write(&run, document)?;
        Ok(run)
    }

    /// The base with all values of a run, which it must like.
    fn checked(&self, run: &Run) -> Result<DocumentMut> {
        let all: Vec<usize> = (0..self.keys.len()).collect();
        self.with(&run.values, &all).map_err(|reason| {
            // Whose fault it is, if one value alone is wrong.
            let alone = all.iter().find_map(|&at| Some((at, self.with(&run.values, &[at]).err()?)));
            match alone {
                Some((at, reason)) => {
                    let (file, key, value) = (self.path.display(), &self.keys[at], &run.values[at]);
                    anyhow!("{file}: parameters.{key} = {value}: {reason}")
                }
                None => {
                    let values = assignments(self.keys, &run.values);
                    anyhow!("{}: run {} ({values}): {reason}", self.path.display(), run.index)
                }
            }
        })
    }

    /// The base with some of the values, or why that is no configuration.
    fn with(&self, values: &[Value], which: &[usize]) -> Result<DocumentMut, String> {
        let mut document: DocumentMut = self.text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
        for &at in which {
            document::set(&mut document, &self.defaults, &self.keys[at], &values[at])?;
        }
        match Config::parse(&document.to_string(), self.base_path) {
            Ok(_) => Ok(document),
            // The lines of a text that nobody sees say nothing.
            Err(error) => {
                let error = error.to_string();
                let reason = error.strip_prefix(&self.base_path.display().to_string()).unwrap_or(&error);
                let reason =
                    reason.trim_start_matches(|c: char| c != ':' && (c.is_ascii_digit() || ", line".contains(c)));
                Err(reason.trim_start_matches(": ").to_string())
            }
        }
    }

    fn write(&self, run: &Run, mut document: DocumentMut) -> Result<String> {
        let from = self.base_path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        document::move_paths(&mut document, &real(from)?, &real(&run.folder)?);
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut text = format!("# Run {} of the sweep {name}, with\n", run.index);
        for (key, value) in self.keys.iter().zip(&run.values) {
            text += &format!("#   {key} = {value}\n");
        }
        text += "# Starting the sweep again goes on only while this file is as it was written.\n\n";
        Ok(text + &document.to_string())
    }
}

/// An absolute path without links, also of a folder that is still to be made.
fn real(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).with_context(|| format!("{}: no such path", path.display()))?;
    let there = absolute.ancestors().find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
    let (folder, there) = there.with_context(|| format!("{}: no such path", path.display()))?;
    Ok(there.join(absolute.strip_prefix(folder).unwrap_or(Path::new(""))))
}

/// `runs/` and the sweep file's name; where that is only `sweep`, with its folder's before it.
fn default_folder(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.canonicalize().ok().and_then(|path| path.parent()?.file_name().map(|name| name.to_owned()));
    let name = match folder {
        Some(folder) if stem == "sweep" => format!("{}-sweep", folder.to_string_lossy()),
        _ => stem,
    };
    Path::new("runs").join(name)
}
