//! `emberloop doctor`: why does it not learn?

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use emberloop_checkpoint::Checkpoint;
use emberloop_core::{Config, EpochReport};
use emberloop_doctor::{Examination, Mended, Options};
use emberloop_findings::{Cause, Confidence, Finding, Fix};
use serde::Serialize;
use toml_edit::DocumentMut;

use crate::compute::Threads;
use crate::run_folder::{CHECKPOINT_FILE, CONFIG_FILE, LOG_FILE, ORIGIN_FILE, default_path};
use crate::train::write;
use crate::{document, interrupt, lock, output, page, source};

/// Find out why a model does not learn, and what mends it.
///
/// Looks at the data, trains for a short time under observation, and tries what would mend what it suspects. A finding has
/// evidence, a confidence, and the change of the configuration that mends it.
#[derive(Args)]
pub struct Doctor {
    /// A configuration (TOML), or the folder of a run, finished or still running, which is only read.
    #[arg(value_name = "CONFIG|RUN")]
    what: PathBuf,
    /// Write a mended configuration beside the old one (NAME.fixed.toml), and say what it changes.
    #[arg(long)]
    fix: bool,
    /// Where the report goes [default: runs/NAME-doctor.html; of a run report.html in its folder].
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Of a run: the configuration that it was started with, if that is not where it was.
    #[arg(long, value_name = "CONFIG", conflicts_with = "fix")]
    config: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    findings: &'a [Finding],
    skill: Option<f64>,
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<Fixed>,
}

/// What mending did.
#[derive(Clone, Serialize)]
struct Fixed {
    config: PathBuf,
    mends: Vec<&'static str>,
    metric: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<f64>,
    /// Whether both numbers are of the same task and the same division.
    comparable: bool,
}

impl Doctor {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        match self.what.is_dir() {
            true if self.fix => bail!(
                "{}: expected a configuration to --fix, found the folder of a run{}",
                self.what.display(),
                origin(&self.what)
                    .map(|origin| format!(", which was started with {}", origin.display()))
                    .unwrap_or_default()
            ),
            true => self.review(json),
            false => self.examine(json),
        }
    }

    fn examine(self, json: bool) -> Result<()> {
        if let Some(report) = &self.report {
            page::check_free(report)?;
        }
        let (config, splits) = match source::load_config(&self.what) {
            Ok(loaded) => loaded,
            // What cannot be loaded may be telling: labels that are numbers seldom come twice.
            Err(error) => return self.unloadable(error, json),
        };
        let threads = self.threads.threads.or(std::thread::available_parallelism().ok());
        let threads = threads.map_or(1, NonZeroUsize::get);
        let options = Options { threads, cancel: Some(interrupt::flag()?) };
        let tell = |what: &str| output::message(&format!("{what} ..."));
        let examination = emberloop_doctor::examine(&config, &splits, &options, &tell)?;
        let mended = match self.fix {
            true => {
                output::message("training mended ...");
                emberloop_doctor::mend(&config, &examination, &options)?
            }
            false => None,
        };
        let run = default_path(&self.what);
        let title = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = self.report.clone().unwrap_or_else(|| run.with_file_name(format!("{title}-doctor.html")));
        let mut page = examination.page(&splits.validation);
        page.mended = mended.as_ref().map(Mended::page);
        // What was found is worth more than its page or its file: it is said first.
        let page = page::write_page(&path, page, title, "examined", &config, None);
        let fixed = mended.map(|mended| write_fixed(&self.what, &config, &Change::from(&mended))).transpose();
        let Examination { findings, notes, reference, tried, .. } = &examination;
        if json {
            let (skill, report) = (Some(reference.validation.skill), page.as_ref().ok().map(PathBuf::as_path));
            let written = fixed.as_ref().ok().cloned().flatten();
            output::print_json(&Report { findings, skill, notes, report, fixed: written })?;
        } else {
            let tried = match tried.len() {
                0 => String::from(
                    "nothing that the doctor knows was found, and no key stands out that would be worth a training of its own\n",
                ),
                1 => {
                    String::from("nothing that the doctor knows was found; a change was tried, and trains no better\n")
                }
                n => {
                    format!("nothing that the doctor knows was found; {n} changes were tried, and none trains better\n")
                }
            };
            output::print(&text(findings, notes, &tried))?;
            if let (true, Ok(fixed)) = (self.fix, &fixed) {
                output::print(&fixed_text(fixed.as_ref()))?;
            }
            if let Ok(page) = &page {
                output::print(&format!("report: {}\n", page.display()))?;
            }
        }
        fixed?;
        match (page, self.report) {
            // It was asked for.
            (Err(error), Some(_)) => Err(error),
            (Err(error), None) => {
                output::message(&format!("note: no report: {}", output::one_line(&error)));
                Ok(())
            }
            (Ok(_), _) => Ok(()),
        }
    }

    /// A run is read, and nothing is trained.
    fn review(self, json: bool) -> Result<()> {
        let run = &self.what;
        let (config, splits) = source::load_splits(run_config(run, self.config.as_deref())?)?;
        if let Some(report) = &self.report {
            page::check_free(report)?;
        }
        let history = history(&run.join(LOG_FILE))?;
        if history.is_empty() {
            bail!("{}: no epoch is finished yet: there is nothing to read", run.join(LOG_FILE).display());
        }
        let checkpoint = Some(run.join(CHECKPOINT_FILE)).filter(|path| path.exists());
        let checkpoint = checkpoint.map(Checkpoint::read).transpose()?;
        let data = emberloop_doctor::data_findings(&config, &splits)?;
        let review = emberloop_doctor::review(&config, &splits, &history, checkpoint.as_ref(), data)?;
        let state = match (&checkpoint, lock::is_taken(run)) {
            (_, true) => "running",
            (Some(_), false) => "finished",
            (None, false) => "ended early",
        };
        let title = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = self.report.unwrap_or_else(|| run.join(page::PAGE_FILE));
        let metrics = checkpoint.as_ref().map(|checkpoint| &checkpoint.metadata.metrics);
        let notes = vec![format!(
            "{state}, {} epochs; a run is only read: emberloop doctor {} trains to find out more",
            history.len(),
            output::quote_path(&config.path)
        )];
        let mut page = review.page(&splits.validation);
        page.limits.clone_from(&notes);
        page::write_page(&path, page, title, state, &config, metrics)?;
        if json {
            return output::print_json(&Report {
                findings: &review.findings,
                skill: Some(review.reference.validation.skill),
                notes: &notes,
                report: Some(&path),
                fixed: None,
            });
        }
        output::print(&text(&review.findings, &notes, "nothing that shows without training again was found\n"))?;
        output::print(&format!("report: {}\n", path.display()))
    }

    /// The finding that explains why data cannot be loaded, or the error.
    fn unloadable(&self, error: anyhow::Error, json: bool) -> Result<()> {
        let Ok(config) = Config::load(&self.what) else { return Err(error) };
        let Some(finding) = emberloop_findings::data::values_as_labels(&config.data, config.folder()) else {
            return Err(error);
        };
        let notes = [format!("the data cannot be trained on as configured: {}", output::one_line(&error))];
        let change = Change { fix: &finding.fix, causes: vec![finding.id], scores: None };
        let fixed = self.fix.then(|| write_fixed(&self.what, &config, &change)).transpose()?;
        let findings = std::slice::from_ref(&finding);
        if json {
            return output::print_json(&Report { findings, skill: None, notes: &notes, report: None, fixed });
        }
        output::print(&text(findings, &notes, ""))?;
        match self.fix {
            true => output::print(&fixed_text(fixed.as_ref())),
            false => Ok(()),
        }
    }
}

/// What is changed in a configuration, and what that did, if it was tried.
struct Change<'a> {
    fix: &'a Fix,
    causes: Vec<Cause>,
    scores: Option<(f64, f64, bool)>,
}

impl<'a> From<&'a Mended> for Change<'a> {
    fn from(mended: &'a Mended) -> Self {
        let scores = Some((mended.before.skill, mended.after.skill, mended.is_comparable));
        Self { fix: &mended.fix, causes: mended.causes.clone(), scores }
    }
}

/// Where the configuration of a run was when it started.
fn origin(run: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(run.join(ORIGIN_FILE)).ok()?;
    Some(PathBuf::from(text.strip_suffix('\n')?))
}

/// The configuration of a run as it was when it started; its data are looked for where they were then, or beside `--config`.
fn run_config(run: &Path, given: Option<&Path>) -> Result<Config> {
    let copy = run.join(CONFIG_FILE);
    let text = std::fs::read_to_string(&copy)
        .with_context(|| format!("{}: expected the folder of a run, with {CONFIG_FILE}", run.display()))?;
    let origin = match given {
        Some(given) => given.to_path_buf(),
        None => {
            let origin = std::fs::read_to_string(run.join(ORIGIN_FILE)).ok();
            let origin = origin.and_then(|text| Some(PathBuf::from(text.strip_suffix('\n')?)));
            let origin = origin
                .with_context(|| format!("{}: does not say where the data are; add --config CONFIG", run.display()))?;
            if !origin.exists() {
                bail!(
                    "{}: its configuration was {}, which is not there any more; add --config CONFIG",
                    run.display(),
                    origin.display()
                );
            }
            origin
        }
    };
    Ok(Config::parse(&text, &origin)?)
}

/// The epochs of a log. A line that is being written is left for the next time.
fn history(path: &Path) -> Result<Vec<EpochReport>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let lines: Vec<&str> = text.lines().collect();
    let mut history = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(epoch) => history.push(epoch),
            Err(_) if place + 1 == lines.len() => {}
            Err(error) => bail!("{}, line {}: expected an epoch, found {error}", path.display(), place + 1),
        }
    }
    Ok(history)
}

/// Writes the mended configuration: the old one's text with some values replaced.
fn write_fixed(path: &Path, config: &Config, change: &Change<'_>) -> Result<Fixed> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut document: DocumentMut = text.parse().with_context(|| path.display().to_string())?;
    let defaults = serde_json::to_value(config)?;
    for key in &change.fix.unset {
        document::unset(&mut document, key);
    }
    for (key, value) in &change.fix.set {
        let value = toml_value(value).with_context(|| format!("{key}: no TOML value"))?;
        document::set(&mut document, &defaults, key, &value)
            .map_err(|problem| anyhow::anyhow!("{}: {key}: {problem}", path.display()))?;
    }
    let fixed = free_name(path);
    Config::parse(&document.to_string(), &fixed)?;
    write(&fixed, document.to_string().as_bytes())?;
    Ok(Fixed {
        config: fixed,
        mends: change.causes.iter().map(|cause| cause.id()).collect(),
        metric: "val_skill",
        before: change.scores.map(|(before, ..)| before),
        after: change.scores.map(|(_, after, _)| after),
        comparable: change.scores.is_some_and(|(.., comparable)| comparable),
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
fn text(findings: &[Finding], notes: &[String], nothing: &str) -> String {
    let mut text = String::new();
    if findings.is_empty() {
        text += nothing;
    }
    for (place, finding) in findings.iter().enumerate() {
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
    for note in notes {
        text += &format!("note: {note}\n");
    }
    text
}

/// What `--fix` did, in words.
fn fixed_text(fixed: Option<&Fixed>) -> String {
    let Some(fixed) = fixed else {
        return "no change of the configuration is known to help; nothing was written\n".into();
    };
    let effect = match (fixed.before, fixed.after, fixed.comparable) {
        (Some(before), Some(after), true) => format!("validation skill {before:.2} -> {after:.2}"),
        (Some(before), Some(after), false) => format!(
            "validation skill {before:.2} before and {after:.2} after, of another task or division: not to be held against each other"
        ),
        _ => "not tried".into(),
    };
    let config = output::quote_path(&fixed.config);
    format!(
        "changed ({}): {effect}\nwrote {}\nnext: emberloop train {config} (or emberloop doctor {config}, whether there is more)\n",
        fixed.mends.join(", "),
        fixed.config.display(),
    )
}

/// A fix as lines that a person can follow, and words.
fn fix_lines(fix: &Fix) -> Vec<String> {
    let advice = Some(&fix.advice).filter(|advice| !advice.is_empty()).cloned();
    fix.lines().into_iter().chain(advice).collect()
}
