//! What was measured, a line a run, so that a suite that was ended goes on where it was.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::Result;

/// The skill of a training on the clean test file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    pub skill: f64,
    /// Why there is no model, if there is none; it then has the skill of one that knows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What the doctor said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Examined {
    /// Ids with confidences, the supposed root cause first.
    pub findings: Vec<(String, String)>,
    pub seconds: f64,
    /// The mended configuration's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// Why it said nothing, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One result; `key` says of what: the digest of everything that it depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Trained(Trained),
    Examined(Examined),
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    /// For who reads the file.
    of: String,
    outcome: Outcome,
}

/// The file of results.
pub struct Record {
    known: Mutex<HashMap<String, Outcome>>,
    file: Mutex<File>,
}

impl Record {
    /// Opens a file of results, or begins one. A line that was cut off is measured again.
    pub fn open(path: &Path) -> Result<Record> {
        let text = if path.is_file() { fs::read_to_string(path)? } else { String::new() };
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let known = lines.map(|line| (line.key, line.outcome)).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(file)?;
        }
        Ok(Record { known: Mutex::new(known), file: Mutex::new(file) })
    }

    /// The result of a key: the one that is there, or a new one, which is kept.
    pub fn get_or(&self, key: &str, of: &str, measure: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
        let known =
            |record: &Record| record.known.lock().expect("no thread panics while it holds this").get(key).cloned();
        if let Some(outcome) = known(self) {
            return Ok(outcome);
        }
        let outcome = measure()?;
        let line = serde_json::to_string(&Line { key: key.into(), of: of.into(), outcome: outcome.clone() })?;
        writeln!(self.file.lock().expect("no thread panics while it holds this"), "{line}")?;
        self.known.lock().expect("no thread panics while it holds this").insert(key.into(), outcome.clone());
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_not_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        let trained = |skill| Ok(Outcome::Trained(Trained { skill, problem: None }));
        Record::open(&path).unwrap().get_or("a", "first", || trained(0.5)).unwrap();
        // Cut off while it was written.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"key\":\"b\",")).unwrap();
        let record = Record::open(&path).unwrap();
        assert_eq!(record.get_or("a", "first", || trained(0.9)).unwrap(), trained(0.5).unwrap());
        assert_eq!(record.get_or("b", "second", || trained(0.7)).unwrap(), trained(0.7).unwrap());
        drop(record);
        let record = Record::open(&path).unwrap();
        assert_eq!(record.get_or("b", "second", || trained(0.1)).unwrap(), trained(0.7).unwrap());
    }
}
