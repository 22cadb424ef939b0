//! A configuration with what was found mended, and what that changes.

use emberloop_core::{Config, TrainError};
use emberloop_findings::{Cause, Confidence, Finding, Fix};

use crate::change::apply;
use crate::examine::{Examination, ExamineError, Options};
use crate::score::Score;
use crate::study::Study;
use crate::trial::{self, in_parallel};

/// A mended configuration.
pub struct Mended {
    /// The changes, all together.
    pub fix: Fix,
    /// What they mend.
    pub causes: Vec<Cause>,
    /// On the validation split, as configured.
    pub before: Score,
    /// On the validation split, mended.
    pub after: Score,
}

/// Puts the fixes of what was found together, tries the first alone and all of them, and takes what trains best. `None`
/// where no change of the configuration is known to help.
///
/// # Errors
/// If a training was cancelled.
pub fn mend(config: &Config, examination: &Examination, options: &Options) -> Result<Option<Mended>, ExamineError> {
    let fixable = |least: Confidence| {
        let fixable = examination.findings.iter();
        fixable.filter(|finding| finding.confidence >= least && finding.fix.changes_configuration()).collect::<Vec<_>>()
    };
    let certain = fixable(Confidence::High);
    // Without anything certain, the likeliest.
    let found = if certain.is_empty() { fixable(Confidence::Medium).into_iter().take(1).collect() } else { certain };
    let mut ways: Vec<Vec<&Finding>> = (1..=found.len().min(3)).map(|count| found[..count].to_vec()).collect();
    ways.dedup();
    let tried = in_parallel(options.threads, &ways, |way| train(config, &together(way), options));
    let mut best: Option<(usize, Score)> = None;
    for (place, score) in tried.into_iter().enumerate() {
        let Some(score) = score? else { continue };
        // A further change must be worth it.
        if best.as_ref().is_none_or(|(_, best)| score.skill > best.skill + 0.02) {
            best = Some((place, score));
        }
    }
    Ok(best.map(|(place, after)| Mended {
        fix: together(&ways[place]),
        causes: ways[place].iter().map(|finding| finding.id).collect(),
        before: examination.reference.validation.clone(),
        after,
    }))
}

/// The changes of several findings; where two want the same key, the first has it.
fn together(findings: &[&Finding]) -> Fix {
    let mut all = Fix::default();
    for finding in findings {
        for key in &finding.fix.unset {
            if !all.set.keys().any(|set| set.starts_with(key.as_str())) && !all.unset.contains(key) {
                all.unset.push(key.clone());
            }
        }
        for (key, value) in &finding.fix.set {
            if !all.set.contains_key(key) {
                all.set.insert(key.clone(), value.clone());
            }
        }
        if !finding.fix.advice.is_empty() {
            let space = if all.advice.is_empty() { "" } else { "; " };
            all.advice += &format!("{space}{}", finding.fix.advice);
        }
    }
    all
}

/// The skill of a configuration with a fix, by itself: its data are read again.
fn train(config: &Config, fix: &Fix, options: &Options) -> Result<Option<Score>, ExamineError> {
    let Ok(changed) = apply(config, fix) else { return Ok(None) };
    let Ok(splits) = emberloop_data::load(&changed.data, changed.folder(), changed.training.seed) else {
        return Ok(None);
    };
    let study = Study::new(&changed, &splits)?;
    match trial::run(&study.config, &study.splits, options.cancel.clone()) {
        Ok(trial) => Ok(Some(trial.validation)),
        Err(error @ TrainError::Interrupted { .. }) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
