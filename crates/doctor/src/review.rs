//! A training that is over, or still running: what its log, its model and its data show without training again.

use emberloop_checkpoint::Checkpoint;
use emberloop_core::{Config, EpochReport};
use emberloop_data::Splits;
use emberloop_findings::{Confidence, Finding, rank};

use crate::conclude;
use crate::examine::ExamineError;
use crate::explain::explanation;
use crate::probe::Probe;
use crate::score::Score;
use crate::suspects::{self, Scene, Suspect};
use crate::trial::Trial;
use crate::watch::Watch;

/// What a training shows.
pub struct Review {
    /// The likeliest cause first. Nothing was tried: no cause that only a training can prove is of high confidence.
    pub findings: Vec<Finding>,
    /// The training, as it was logged.
    pub reference: Trial,
    /// What the kept weights show on one batch; `None` without a model.
    pub probe: Option<Probe>,
}

/// Reviews a training by its epochs so far, and by its model where it has one. `data` is what the data show
/// ([`data_findings`](crate::data_findings)).
///
/// # Errors
/// If data cannot be read any more, or do not fit the model.
pub fn review(
    config: &Config,
    splits: &Splits,
    history: &[EpochReport],
    checkpoint: Option<&Checkpoint>,
    data: Vec<Finding>,
) -> Result<Review, ExamineError> {
    let mut findings = data;
    let watch = Watch::of_log(history);
    // What the log says of training data spares a pass over them.
    let train = logged(history, checkpoint.is_some(), "", splits);
    let validation = match checkpoint {
        Some(checkpoint) if !splits.validation.sequences.is_empty() => Score::of(checkpoint, &splits.validation)?,
        _ => logged(history, checkpoint.is_some(), "val_", splits),
    };
    let reference = Trial { watch, checkpoint: checkpoint.cloned(), train, validation, failure: None };
    let scene = Scene {
        config,
        epochs: config.training.epochs,
        sequences: splits.train.sequences.len(),
        batch: config.training.batch,
        splits,
        reference: &reference,
    };
    let probe = checkpoint.map(|checkpoint| Probe::of(checkpoint, &splits.train)).transpose()?;
    if !history.is_empty() {
        findings.extend(suspects::all(&scene).iter().filter_map(suspicion));
        findings.extend(conclude::symptoms(&scene, probe.as_ref(), None));
    }
    rank(&mut findings);
    Ok(Review { findings, reference, probe })
}

/// A suspect whose fix was not tried.
fn suspicion(suspect: &Suspect) -> Option<Finding> {
    let confidence = match suspect.strangeness {
        0.6.. => Confidence::Medium,
        0.4.. => Confidence::Low,
        _ => return None,
    };
    Some(Finding {
        id: suspect.cause,
        confidence,
        summary: suspect.what.clone(),
        evidence: suspect.evidence.clone(),
        explanation: explanation(suspect.cause).into(),
        fix: suspect.fixes.first()?.clone(),
        score: 0.5 * suspect.strangeness,
    })
}

/// The score of the kept epoch, or of the last one so far, as far as the log has it.
fn logged(history: &[EpochReport], kept: bool, prefix: &str, splits: &Splits) -> Score {
    let best = history.iter().rev().find(|epoch| kept && epoch.best);
    let Some(last) = best.or(history.last()) else { return Score::none() };
    let metric = |name: &str| last.metrics.get(&format!("{prefix}{name}")).copied();
    let dataset = if prefix.is_empty() { &splits.train } else { &splits.validation };
    let n = dataset.sequences.len();
    let classes = dataset.class_counts().iter().filter(|count| **count > 0).count() as f64;
    let error = 1.0 / (n.max(1) as f64).sqrt();
    let (skill, headline) = match (metric("balanced_accuracy"), metric("r2")) {
        (Some(balanced), _) if classes > 1.0 => {
            ((balanced - 1.0 / classes) / (1.0 - 1.0 / classes), metric("accuracy").unwrap_or(balanced))
        }
        (_, Some(r2)) => (r2.max(-1.0), r2),
        _ => return Score::none(),
    };
    Score { skill, error, headline, confusion: Vec::new(), n }
}
