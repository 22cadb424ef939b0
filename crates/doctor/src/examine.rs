//! The examination: data, a watched training, and a training for every suspicion.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use emberloop_core::{Config, TrainError, config::LossConfig};
use emberloop_data::{DataError, Inputs, MissingPolicy, Splits};
use emberloop_findings::{Cause, Confidence, Finding, Fix, data, rank};

use crate::change::apply;
use crate::conclude;
use crate::linear;
use crate::probe::Probe;
use crate::score::Score;
use crate::study::Study;
use crate::suspects::{self, Scene, Suspect};
use crate::trial::{self, Trial, in_parallel};

/// How to examine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Trainings at once, each on one thread. No result depends on it.
    pub threads: usize,
    /// Set to stop.
    pub cancel: Option<Arc<AtomicBool>>,
}

/// What was found, and what it was found by.
pub struct Examination {
    /// The likeliest cause first.
    pub findings: Vec<Finding>,
    /// The configuration's own training, as far as it could be afforded.
    pub reference: Trial,
    /// What each fix that was tried did.
    pub tried: Vec<Tried>,
    /// What the last weights show on one batch; `None` if there are none.
    pub probe: Option<Probe>,
    /// What a person should know about how it was done.
    pub notes: Vec<String>,
    /// Whether everything was trained on that the configuration names, for as long as it says.
    pub is_whole: bool,
}

/// A training with one thing changed.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What would be mended by it.
    pub cause: Cause,
    /// The change.
    pub fix: Fix,
    /// On the training split.
    pub train: Score,
    /// On the validation split.
    pub validation: Score,
    /// How much skill it gained.
    pub gain: f64,
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamineError {
    /// The data cannot be read any more.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The configuration cannot be trained at all.
    #[error(transparent)]
    Train(TrainError),
    /// Stopped from outside.
    #[error("the examination was interrupted; nothing was written")]
    Interrupted,
    /// The model does not fit its data.
    #[error(transparent)]
    Evaluate(#[from] emberloop_core::EvaluateError),
}

impl From<TrainError> for ExamineError {
    fn from(error: TrainError) -> ExamineError {
        match error {
            TrainError::Interrupted { .. } => ExamineError::Interrupted,
            error => ExamineError::Train(error),
        }
    }
}

/// Examines a configuration on its data. `tell` hears in a few words what is being done.
///
/// # Errors
/// If the configuration cannot be trained at all, or was cancelled.
pub fn examine(
    config: &Config,
    splits: &Splits,
    options: &Options,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Examination, ExamineError> {
    tell("looking at the data");
    let mut found = data_findings(config, splits)?;
    let mut config = config.clone();
    // What would end every training is mended before the first.
    let refused = missing_refused(&config, splits)?;
    if refused.is_some() {
        config.scaler.missing = MissingPolicy::HoldLast;
        found.retain(|finding| finding.id != Cause::ValuesMissing);
    }
    let config = &config;
    let study = Study::new(config, splits)?;
    tell("training as configured");
    let reference = trial::run(&study.config, &study.splits, options.cancel.clone())?;
    let scene = Scene {
        config: &study.config,
        epochs: study.epochs,
        sequences: study.sequences,
        batch: config.training.batch,
        splits: &study.splits,
        reference: &reference,
    };
    let suspects = suspects::all(&scene);
    let mut tasks: Vec<Task> = Vec::new();
    for (place, finding) in found.iter().enumerate().filter(|(_, finding)| can_be_tried(finding)) {
        tasks.push(Task { of: Of::Data(place), cause: finding.id, fix: finding.fix.clone() });
    }
    for (place, suspect) in suspects.iter().enumerate() {
        let fixes = suspect.fixes.iter();
        tasks.extend(fixes.map(|fix| Task { of: Of::Suspect(place), cause: suspect.cause, fix: fix.clone() }));
    }
    let tell_trials = |count: usize| {
        tell(&match count {
            1 => "training with 1 change".into(),
            count => format!("training with {count} changes, one at a time"),
        });
    };
    let attempt = |tasks: &[Task]| -> Result<Vec<Option<Tried>>, ExamineError> {
        if !tasks.is_empty() {
            tell_trials(tasks.len());
        }
        let all = in_parallel(options.threads, tasks, |task| try_fix(&study, config, task, &reference, options));
        all.into_iter().collect()
    };
    let mut tried = attempt(&tasks)?;
    let mut findings = conclude::data(found, &tasks, &tried, &reference);
    findings.extend(conclude::suspects(&suspects, &tasks, &tried, &reference));
    let best = tried.iter().flatten().map(|tried| tried.validation.skill).fold(reference.validation.skill, f64::max);
    // It is a witness where nothing else sees a relation.
    let linear = if best < 0.4 { linear::skill(&study.splits.train)? } else { None };
    let explained = findings.iter().any(|finding| finding.confidence == Confidence::High);
    if !explained && best < 0.6 {
        // Nothing stands out: one step each way.
        let usual = suspects::usual(&scene);
        let more: Vec<Task> = usual
            .iter()
            .enumerate()
            .flat_map(|(place, suspect)| {
                suspect.fixes.iter().map(move |fix| Task {
                    of: Of::Suspect(place),
                    cause: suspect.cause,
                    fix: fix.clone(),
                })
            })
            .collect();
        let outcome = attempt(&more)?;
        findings.extend(conclude::suspects(&usual, &more, &outcome, &reference));
        tried.extend(outcome);
    }
    let tried: Vec<Tried> = tried.into_iter().flatten().collect();
    let probe = match &reference.checkpoint {
        Some(checkpoint) => Some(Probe::of(checkpoint, &study.splits.train)?),
        None => None,
    };
    if let Some(probe) = &probe {
        findings.iter_mut().for_each(|finding| conclude::add_gradient(finding, probe));
    }
    findings.extend(conclude::unrelated(&scene, &tried, linear, &findings));
    findings.extend(conclude::symptoms(&scene, probe.as_ref(), linear));
    if conclude::wants_overfit_test(&scene, &tried, &findings) {
        tell("learning one batch by heart");
        findings.extend(conclude::cannot_overfit(&scene, options)?);
    }
    findings.extend(refused);
    rank(&mut findings);
    let mut notes = Vec::new();
    if study.held_out {
        notes.push("there is no validation split: a fifth of the training sequences was held out to judge by".into());
    } else if study.splits.validation.sequences.is_empty() {
        notes.push("there is no validation split: everything was judged on training data".into());
    } else if !reference.validation.is_known() && reference.failure.is_none() {
        notes.push("the validation split has targets of one class alone: it tells nothing".into());
    }
    if !study.is_whole() {
        notes.push(format!(
            "examined on {:.0} % of the training sequences and {} of {} epochs, to be done in time",
            100.0 * study.share,
            study.config.training.epochs,
            study.epochs
        ));
    }
    if let Some(failure) = &reference.failure {
        notes.push(failure.clone());
    }
    Ok(Examination { findings, reference, tried, probe, notes, is_whole: study.is_whole() })
}

/// What the data show by themselves, in the light of the configuration.
///
/// # Errors
/// If streamed data cannot be read any more.
pub fn data_findings(config: &Config, splits: &Splits) -> Result<Vec<Finding>, DataError> {
    let class_weights = matches!(config.training.loss, Some(LossConfig::CrossEntropy { class_weights: Some(_), .. }));
    let training = data::Training { class_weights, early_stopping: config.training.early_stopping.is_some() };
    data::examine(&config.data, &config.scaler, splits, training)
}

/// Values that are missing where none may be.
fn missing_refused(config: &Config, splits: &Splits) -> Result<Option<Finding>, DataError> {
    if config.scaler.missing != MissingPolicy::Error || !matches!(splits.train.inputs, Inputs::Channels(_)) {
        return Ok(None);
    }
    let (mut missing, mut all, mut first) = (0usize, 0usize, None);
    for dataset in [&splits.train, &splits.validation] {
        dataset.each(|sequence, values| {
            let own = values.iter().filter(|value| value.is_nan()).count();
            if own > 0 && first.is_none() {
                first = Some(sequence.name.clone());
            }
            missing += own;
            all += values.len();
            Ok::<(), DataError>(())
        })?;
    }
    Ok(first.map(|first| Finding {
        id: Cause::ValuesMissing,
        confidence: Confidence::High,
        summary: format!("{missing} of {all} input values are missing, the first in sequence {first}, and [scaler] refuses them: no training can begin"),
        evidence: [("missing".to_string(), missing.into()), ("values".to_string(), all.into())].into_iter().collect(),
        explanation: "A missing value must become a number before a network reads it. The last value held is what a device can do, too.".into(),
        fix: Fix::set("scaler.missing", "hold_last"),
        score: 0.95,
    }))
}

/// A fix to be tried, and what it belongs to.
pub struct Task {
    /// Its place among the findings of the data, or among the suspects.
    pub of: Of,
    /// What would be mended.
    pub cause: Cause,
    /// How.
    pub fix: Fix,
}

/// What a fix belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A finding of the data, by place.
    Data(usize),
    /// A suspect, by place.
    Suspect(usize),
}

/// Whether a training can show that a finding of the data matters. What changes the task or the division changes what skill
/// means.
fn can_be_tried(finding: &Finding) -> bool {
    finding.fix.changes_configuration()
        && !matches!(
            finding.id,
            Cause::LabelsAsValues
                | Cause::ValuesAsLabels
                | Cause::SplitLeak
                | Cause::ScalerLeak
                | Cause::FeatureDuplicate
                | Cause::FeatureConstant
        )
}

fn try_fix(
    study: &Study,
    whole: &Config,
    task: &Task,
    reference: &Trial,
    options: &Options,
) -> Result<Option<Tried>, ExamineError> {
    let Ok(mut changed) = apply(&study.config, &task.fix) else { return Ok(None) };
    let outcome = if changed.data == whole.data {
        // More epochs are tried only as far as they can be afforded.
        if changed.training.epochs > study.config.training.epochs {
            changed.training.epochs = changed.training.epochs.min(study.affordable_epochs());
        }
        trial::run(&changed, &study.splits, options.cancel.clone())
    } else {
        let Ok(splits) = emberloop_data::load(&changed.data, changed.folder(), changed.training.seed) else {
            return Ok(None);
        };
        let study = Study::new(&changed, &splits)?;
        trial::run(&study.config, &study.splits, options.cancel.clone())
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error @ TrainError::Interrupted { .. }) => return Err(error.into()),
        // What cannot be trained is no fix.
        Err(_) => return Ok(None),
    };
    let gain = outcome.validation.skill - reference.validation.skill.max(0.0);
    let (train, validation) = (outcome.train, outcome.validation);
    Ok(Some(Tried { cause: task.cause, fix: task.fix.clone(), train, validation, gain }))
}

impl Suspect {
    /// The fixes of `tasks` that belong to the suspect at `place`, with what they did.
    pub fn outcomes<'a>(place: usize, tasks: &[Task], tried: &'a [Option<Tried>]) -> Vec<&'a Tried> {
        tasks
            .iter()
            .zip(tried)
            .filter(|(task, _)| task.of == Of::Suspect(place))
            .filter_map(|(_, tried)| tried.as_ref())
            .collect()
    }
}
