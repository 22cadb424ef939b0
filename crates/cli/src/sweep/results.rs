//! What a sweep's folder holds: the state of each run, and the table of all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use emberloop_checkpoint::Checkpoint;
use emberloop_core::{EpochReport, RESUME_FILE};
use serde::Serialize;

use super::file::Direction;
use super::plan::{Plan, Run};
use crate::display::{number, time};
use crate::lock::Lock;
use crate::run_folder::{CHECKPOINT_FILE, LOG_FILE};

/// Why a run has no model, in a line.
pub const FAILED_FILE: &str = "failed.txt";
/// The table, for other programs.
pub const RESULTS_FILE: &str = "results.csv";

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has a model.
    Finished,
    /// It ended without one.
    Failed,
    /// A process trains it now.
    Running,
    /// It was stopped, and goes on from its last epoch.
    Interrupted,
    /// Not yet begun.
    Waiting,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Finished => "finished",
            Status::Failed => "failed",
            Status::Running => "running",
            Status::Interrupted => "interrupted",
            Status::Waiting => "waiting",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// From 1; none without a model.
    pub rank: Option<usize>,
    /// The run's number.
    pub run: usize,
    pub folder: PathBuf,
    pub status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By key.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// What it is ranked by.
    pub value: Option<f64>,
    /// All that the model knows of itself.
    pub metrics: BTreeMap<String, f64>,
    /// Finished epochs.
    pub epochs: usize,
    /// The one whose weights were kept.
    pub kept_epoch: Option<u64>,
    /// Of all epochs together.
    pub seconds: f64,
    #[serde(skip)]
    data_hash: Option<String>,
}

/// The state of a run, from its folder alone: whoever ran it, and wherever.
pub fn state(run: &Run) -> Status {
    let file = |name: &str| run.folder.join(name);
    if !file(CHECKPOINT_FILE).is_file() || file(RESUME_FILE).exists() {
        // Who finishes writes the model first and removes the resume state last.
        if run.folder.is_dir() && matches!(Lock::take(&run.folder), Ok(None)) {
            return Status::Running;
        }
        let begun = file(RESUME_FILE).exists() || std::fs::metadata(file(LOG_FILE)).is_ok_and(|log| log.len() > 0);
        return match (file(FAILED_FILE).exists(), begun) {
            (true, _) => Status::Failed,
            (false, true) => Status::Interrupted,
            (false, false) => Status::Waiting,
        };
    }
    Status::Finished
}

/// The rows of all runs, the best first; those without a model last, in their order.
pub fn collect(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = plan.runs.iter().map(|run| row(plan, run)).collect::<Result<_>>()?;
    let key = |row: &Row| {
        let value = row.value.map(|value| if plan.direction == Direction::Max { -value } else { value });
        (row.status != Status::Finished, value.is_none(), value.unwrap_or(0.0), row.run)
    };
    rows.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3))
    });
    let ranked = rows.iter_mut().filter(|row| row.value.is_some());
    ranked.enumerate().for_each(|(index, row)| row.rank = Some(index + 1));
    Ok(rows)
}

/// The row of one run, without its rank.
pub fn row(plan: &Plan, run: &Run) -> Result<Row> {
    let status = state(run);
    let values = plan.keys.iter().cloned().zip(run.values.iter().map(json)).collect();
    let (epochs, seconds) = logged(&run.folder.join(LOG_FILE));
    let mut row = Row {
        rank: None,
        run: run.index,
        folder: run.folder.clone(),
        status,
        reason: None,
        values,
        value: None,
        metrics: BTreeMap::new(),
        epochs,
        kept_epoch: None,
        seconds,
        data_hash: None,
    };
    match status {
        Status::Finished => {
            let metadata = Checkpoint::read(run.folder.join(CHECKPOINT_FILE))?.metadata;
            row.value = metadata.metrics.get(&plan.metric).copied();
            row.kept_epoch = Some(metadata.provenance.epochs);
            row.data_hash = Some(metadata.provenance.data_hash);
            row.metrics = metadata.metrics;
        }
        Status::Failed => {
            let reason = std::fs::read_to_string(run.folder.join(FAILED_FILE)).unwrap_or_default();
            row.reason = Some(reason.trim().to_string());
        }
        Status::Running | Status::Interrupted | Status::Waiting => {}
    }
    Ok(row)
}

/// Epochs in a log, and their seconds.
fn logged(log: &Path) -> (usize, f64) {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let seconds: Vec<f64> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<EpochReport>(line).ok())
        .map(|report| report.seconds)
        .collect();
    (seconds.len(), seconds.iter().sum())
}

/// What a person should know about the table.
pub fn notes(plan: &Plan, rows: &[Row]) -> Vec<String> {
    let mut notes = Vec::new();
    let finished = || rows.iter().filter(|row| row.status == Status::Finished);
    if finished().count() > 0 && finished().all(|row| row.value.is_none()) {
        notes.push(format!("no run has the metric {}; name one that they have: metric = ...", plan.metric));
    }
    let mut hashes: Vec<&String> = finished().filter_map(|row| row.data_hash.as_ref()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let data_is_a_value = plan.keys.iter().any(|key| key.starts_with("data.") || key == "training.seed");
    if hashes.len() > 1 && !data_is_a_value {
        notes.push("not all runs learned from the same data: a file was changed between them".into());
    }
    notes
}

/// `results.csv`: all keys, all metrics, all digits.
pub fn csv(plan: &Plan, rows: &[Row]) -> Result<Vec<u8>> {
    let mut names: Vec<&String> = rows.iter().flat_map(|row| row.metrics.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| **name != plan.metric);
    let mut csv = csv::Writer::from_writer(Vec::new());
    let head = ["rank", "run", "status"].map(String::from).into_iter().chain(plan.keys.iter().cloned());
    let head = head.chain([plan.metric.clone()]);
    let head = head.chain(["epochs", "kept_epoch", "seconds"].map(String::from));
    csv.write_record(head.chain(names.iter().map(|name| name.to_string())).chain(["reason".to_string()]))?;
    let optional = |value: Option<String>| value.unwrap_or_default();
    for row in rows {
        let mut record =
            vec![optional(row.rank.map(|rank| rank.to_string())), row.run.to_string(), row.status.name().into()];
        record.extend(plan.keys.iter().map(|key| plain(&row.values[key])));
        record.push(optional(row.value.map(|value| value.to_string())));
        record.push(row.epochs.to_string());
        record.push(optional(row.kept_epoch.map(|epoch| epoch.to_string())));
        record.push(format!("{:.3}", row.seconds));
        record.extend(names.iter().map(|name| optional(row.metrics.get(*name).map(f64::to_string))));
        record.push(row.reason.clone().unwrap_or_default());
        csv.write_record(record)?;
    }
    csv.into_inner().context("the table cannot be written")
}

/// The table for a person.
pub fn table(plan: &Plan, rows: &[Row]) -> String {
    // The state is worth a column where it differs.
    let states = rows.iter().any(|row| row.status != Status::Finished);
    let mut cells = vec![vec!["rank".to_string(), "run".into()]];
    cells[0].extend(plan.short_keys());
    cells[0].extend([plan.metric.clone(), "epochs".into(), "best".into(), "time".into()]);
    cells[0].extend(states.then(|| "status".to_string()));
    let dash = || "-".to_string();
    for row in rows {
        let mut line = vec![row.rank.map_or_else(dash, |rank| rank.to_string()), format!("{:04}", row.run)];
        line.extend(plan.keys.iter().map(|key| short(&row.values[key])));
        line.push(row.value.map_or_else(dash, number));
        line.push(row.epochs.to_string());
        line.push(row.kept_epoch.map_or_else(dash, |epoch| epoch.to_string()));
        line.push(time(std::time::Duration::from_secs_f64(row.seconds)));
        line.extend(states.then(|| match &row.reason {
            Some(reason) => format!("{}: {reason}", row.status.name()),
            None => row.status.name().into(),
        }));
        cells.push(line);
    }
    aligned(&cells)
}

/// Columns under their heads, to the right; of the last one only as much as there is.
pub fn aligned(cells: &[Vec<String>]) -> String {
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in cells {
        let (last, others) = line.split_last().expect("a line has cells");
        for (cell, width) in others.iter().zip(&widths) {
            text += &format!("{cell:>width$}  ");
        }
        text += last;
        text.push('\n');
    }
    text
}

/// As JSON has it.
pub fn json(value: &toml_edit::Value) -> serde_json::Value {
    use toml_edit::Value::{Array, Boolean, Datetime, Float, InlineTable, Integer, String};
    match value {
        String(text) => text.value().as_str().into(),
        Integer(number) => (*number.value()).into(),
        Float(number) => (*number.value()).into(),
        Boolean(truth) => (*truth.value()).into(),
        Datetime(time) => time.value().to_string().into(),
        Array(values) => values.iter().map(json).collect(),
        InlineTable(table) => {
            serde_json::Value::Object(table.iter().map(|(key, value)| (key.to_string(), json(value))).collect())
        }
    }
}

/// A string without its quotes, anything else as JSON has it.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

/// Four digits.
pub fn short(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Number(float) if float.is_f64() => significant(float.as_f64().unwrap_or(f64::NAN)),
        other => plain(other),
    }
}

fn significant(value: f64) -> String {
    let exact = value.to_string();
    if exact.len() <= 6 {
        return exact;
    }
    let exponent = value.abs().log10().floor();
    if !(-4.0..5.0).contains(&exponent) {
        return format!("{value:.3e}");
    }
    format!("{value:.*}", (3.0 - exponent).max(0.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_tell_values_apart() {
        let values = [0.001, 0.001_023_433_699, 0.024_664_278, 12.345_678, 123_456.789, 1.234_567e-6, 0.5, 1e-5];
        let expected = ["0.001", "0.001023", "0.02466", "12.35", "1.235e5", "1.235e-6", "0.5", "1.000e-5"];
        assert_eq!(values.map(significant), expected);
        assert_eq!(short(&serde_json::json!([16, 8])), "[16,8]");
        assert_eq!(short(&serde_json::json!("gru")), "gru");
    }
}
