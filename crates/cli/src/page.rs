//! `report.html`: what a training looked like.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use emberloop_core::Config;
use emberloop_report::Report;

use crate::train::write;

/// The page's name in the folder of a run.
pub const PAGE_FILE: &str = "report.html";

/// Refuses to write a page over anything but another page.
pub fn check_free(path: &Path) -> Result<()> {
    let Ok(there) = std::fs::read(path) else { return Ok(()) };
    if !there.starts_with(b"<!DOCTYPE html>") {
        bail!("{}: expected no file, or an earlier report, found another file: it is left alone", path.display());
    }
    Ok(())
}

/// Writes a page, with what the configuration says of the model, and the metrics of the kept weights.
pub fn write_page(
    path: &Path,
    page: Report,
    title: String,
    state: &str,
    config: &Config,
    metrics: Option<&BTreeMap<String, f64>>,
) -> Result<PathBuf> {
    let mut facts = facts(config);
    for (name, value) in metrics.into_iter().flatten() {
        facts.push((name.clone(), format!("{value:.4}")));
    }
    let page = Report { title, state: state.into(), facts, ..page };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    }
    write(path, emberloop_report::html(&page).as_bytes())?;
    Ok(path.to_path_buf())
}

fn facts(config: &Config) -> Vec<(String, String)> {
    let (model, training) = (&config.model, &config.training);
    let units: Vec<String> = model.hidden.iter().map(usize::to_string).collect();
    let direction = if model.bidirectional { ", both directions" } else { "" };
    [
        ("configuration", config.path.display().to_string()),
        ("data", config.data.train.display().to_string()),
        ("cell", format!("{}{direction}", model.cell_kind().name())),
        ("units", units.join(", ")),
        ("dropout", model.dropout.to_string()),
        ("batch", training.batch.to_string()),
        ("learning rate", training.optimizer.learning_rate().to_string()),
        ("seed", training.seed.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_string(), value))
    .collect()
}
