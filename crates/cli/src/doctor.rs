//! `emberloop doctor`: why does it not learn?

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use emberloop_core::Config;
use emberloop_doctor::{Examination, Mended, Options};
use emberloop_findings::{Confidence, Finding, Fix};
use serde::Serialize;
use toml_edit::DocumentMut;

use crate::compute::Threads;
use crate::train::write;
use crate::{document, interrupt, output, source};

/// Find out why a model does not learn, and what mends it.
///
/// Looks at the data, trains for a short time under observation, and tries what would mend what it suspects. A finding has
/// evidence, a confidence, and the change of the configuration that mends it.
#[derive(Args)]
pub struct Doctor {
    /// A configuration (TOML).
    config: PathBuf,
    /// Write a mended configuration beside the old one (NAME.fixed.toml), and say what it changes.
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    threads: Threads,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    findings: &'a [Finding],
    skill: f64,
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<Fixed>,
}

/// What mending did.
#[derive(Serialize)]
struct Fixed {
    config: PathBuf,
    mends: Vec<&'static str>,
    metric: &'static str,
    before: f64,
    after: f64,
}

impl Doctor {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let (config, splits) = source::load_config(&self.config)?;
        let threads = self.threads.threads.or(std::thread::available_parallelism().ok());
        let threads = threads.map_or(1, NonZeroUsize::get);
        let options = Options { threads, cancel: Some(interrupt::flag()?) };
        let tell = |what: &str| output::message(&format!("{what} ..."));
        let examination = emberloop_doctor::examine(&config, &splits, &options, &tell)?;
        let fixed = match self.fix {
            true => {
                output::message("training mended ...");
                emberloop_doctor::mend(&config, &examination, &options)?
                    .map(|mended| write_fixed(&self.config, &config, &mended))
                    .transpose()?
            }
            false => None,
        };
        if json {
            let Examination { findings, notes, reference, .. } = &examination;
            return output::print_json(&Report { findings, skill: reference.validation.skill, notes, fixed });
        }
        output::print(&text(&examination, self.fix, fixed.as_ref()))
    }
}

/// Writes the mended configuration: the old one's text with some values replaced.
fn write_fixed(path: &Path, config: &Config, mended: &Mended) -> Result<Fixed> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut document: DocumentMut = text.parse().with_context(|| path.display().to_string())?;
    let defaults = serde_json::to_value(config)?;
    for key in &mended.fix.unset {
        document::unset(&mut document, key);
    }
    for (key, value) in &mended.fix.set {
        let value = toml_value(value).with_context(|| format!("{key}: no TOML value"))?;
        document::set(&mut document, &defaults, key, &value)
            .map_err(|problem| anyhow::anyhow!("{}: {key}: {problem}", path.display()))?;
    }
    let fixed = free_name(path);
    Config::parse(&document.to_string(), &fixed)?;
    write(&fixed, document.to_string().as_bytes())?;
    let metric = if config.data.task == emberloop_data::Task::Regression { "val_r2" } else { "val_accuracy" };
    Ok(Fixed {
        config: fixed,
        mends: mended.causes.iter().map(|cause| cause.id()).collect(),
        metric,
        before: mended.before.headline,
        after: mended.after.headline,
    })
}

/// `NAME.fixed.toml`, or with the first number that is free: nothing is written over.
fn free_name(path: &Path) -> PathBuf {
    let names = (1usize..).map(|number| match number {
        1 => path.with_extension("fixed.toml"),
        number => path.with_extension(format!("fixed-{number}.toml")),
    });
    names.into_iter().find(|path| !path.exists()).unwrap_or_else(|| unreachable!("the numbers never end"))
}

/// A value as TOML writes it.
fn toml_value(value: &serde_json::Value) -> Result<toml_edit::Value> {
    Ok(match value {
        serde_json::Value::Bool(value) => (*value).into(),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().context("a number that TOML has")?.into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => {
            toml_edit::Value::Array(items.iter().map(toml_value).collect::<Result<toml_edit::Array>>()?)
        }
        serde_json::Value::Null | serde_json::Value::Object(_) => bail!("expected a plain value, found {value}"),
    })
}

/// The findings in words.
fn text(examination: &Examination, asked_to_fix: bool, fixed: Option<&Fixed>) -> String {
    let mut text = String::new();
    let shown: Vec<&Finding> = examination.findings.iter().collect();
    if shown.is_empty() {
        text += "nothing found: the data look sound, and no change that was tried trains better\n";
    }
    for (place, finding) in shown.iter().enumerate() {
        let confidence = match finding.confidence {
            Confidence::High => "high confidence",
            Confidence::Medium => "medium confidence",
            Confidence::Low => "low confidence",
        };
        text += &format!("{}. {} [{}, {confidence}]\n", place + 1, finding.id.title(), finding.id);
        text += &format!("   {}\n   {}\n", finding.summary, finding.explanation);
        for line in fix_lines(&finding.fix) {
            text += &format!("   fix: {line}\n");
        }
    }
    for note in &examination.notes {
        text += &format!("note: {note}\n");
    }
    match fixed {
        Some(fixed) => {
            text += &format!(
                "mended ({}): {} {:.4} -> {:.4}\nwrote {}\nnext: emberloop train {}\n",
                fixed.mends.join(", "),
                fixed.metric,
                fixed.before,
                fixed.after,
                fixed.config.display(),
                output::quote_path(&fixed.config)
            );
        }
        None if asked_to_fix => text += "no change of the configuration is known to help; nothing was written\n",
        None => (),
    }
    text
}

/// A fix as lines of a configuration, and words.
fn fix_lines(fix: &Fix) -> Vec<String> {
    let unset = fix.unset.iter().map(|key| format!("take out {key}"));
    let set = fix.set.iter().map(|(key, value)| format!("{key} = {value}"));
    let advice = Some(&fix.advice).filter(|advice| !advice.is_empty()).cloned();
    unset.chain(set).chain(advice).collect()
}
