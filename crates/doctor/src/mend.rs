//! A configuration with what was found mended, and what that changes.

use emberloop_core::{Config, TrainError};
use emberloop_data::MissingPolicy;
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
    /// Whether both are of the same task and the same division: then `after` is better.
    pub is_comparable: bool,
}

/// Gain that a change must be worth beside the others.
const WORTH: f64 = 0.02;

/// Puts the fixes of what was found together, and takes what trains best. `None` where no change of the configuration is
/// known to help.
///
/// What the data show for certain is mended in any case, as long as there is still something to validate on: a model that is good
/// on padding, or on copies of what it has learned, is not good. All else must train better than before.
///
/// # Errors
/// If a training was cancelled.
pub fn mend(config: &Config, examination: &Examination, options: &Options) -> Result<Option<Mended>, ExamineError> {
    let fixable = |finding: &&Finding| finding.fix.changes_configuration();
    let certain = |finding: &&Finding| finding.confidence == Confidence::High;
    // Without it no training can begin.
    let refused =
        |finding: &&Finding| finding.id == Cause::ValuesMissing && config.scaler.missing == MissingPolicy::Error;
    let of_data = |finding: &&Finding| certain(finding) && (is_fact(finding.id) || refused(finding));
    let facts: Vec<&Finding> = examination.findings.iter().filter(fixable).filter(of_data).collect();
    let others = examination.findings.iter().filter(fixable).filter(|finding| !of_data(finding));
    // Without anything certain, the likeliest.
    let most = if facts.is_empty() { Confidence::Medium } else { Confidence::High };
    let others: Vec<&Finding> = others.filter(|finding| finding.confidence >= most).take(3).collect();
    let ways: Vec<Vec<&Finding>> = (0..=others.len())
        .map(|count| facts.iter().chain(&others[..count]).copied().collect::<Vec<_>>())
        .filter(|way| !way.is_empty())
        .collect();
    let tried = in_parallel(options.threads, &ways, |way| train(config, &together(way), options));
    let before = &examination.reference.validation;
    let is_comparable = !facts.iter().any(|finding| changes_what_is_judged(finding.id));
    let mut best: Option<(usize, Score)> = None;
    for (place, score) in tried.into_iter().enumerate() {
        let Some(score) = score? else { continue };
        let better = match &best {
            Some((_, best)) => score.skill > best.skill + WORTH,
            // The facts alone come first, and need no proof.
            None if place == 0 && !facts.is_empty() => true,
            None => score.skill > before.skill.max(0.0) + WORTH,
        };
        if better {
            best = Some((place, score));
        }
    }
    Ok(best.map(|(place, after)| Mended {
        fix: together(&ways[place]),
        causes: ways[place].iter().map(|finding| finding.id).collect(),
        before: before.clone(),
        after,
        is_comparable,
    }))
}

/// What is wrong whatever a model makes of it.
fn is_fact(cause: Cause) -> bool {
    changes_what_is_judged(cause) || matches!(cause, Cause::Padding | Cause::LengthsWrong)
}

/// What mends this changes the task, or what is validated on: numbers before and after are of different things.
fn changes_what_is_judged(cause: Cause) -> bool {
    matches!(cause, Cause::LabelsAsValues | Cause::ValuesAsLabels | Cause::SplitLeak | Cause::ScalerLeak)
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
    if study.held_out && config.data.validation_fraction > 0.0 {
        // The division is left with nothing to validate on.
        return Ok(None);
    }
    match trial::run(&study.config, &study.splits, options.cancel.clone()) {
        Ok(trial) => Ok(Some(trial.validation)),
        Err(error @ TrainError::Interrupted { .. }) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finding(fix: Fix) -> Finding {
        Finding {
            id: Cause::Padding,
            confidence: Confidence::High,
            summary: String::new(),
            evidence: Default::default(),
            explanation: String::new(),
            fix,
            score: 1.0,
        }
    }

    #[test]
    fn of_two_fixes_the_first_has_the_key() {
        let first = finding(Fix::set("training.optimizer.learning_rate", 0.001));
        let second = finding(Fix::set("training.optimizer.learning_rate", 0.1).and("model.dropout", 0.2));
        let third = finding(Fix::unset("training.optimizer"));
        let all = together(&[&first, &second, &third]);
        assert_eq!(json!(all.set), json!({ "training.optimizer.learning_rate": 0.001, "model.dropout": 0.2 }));
        assert!(all.unset.is_empty(), "what was set is not taken out again");
    }
}
