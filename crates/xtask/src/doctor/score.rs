//! The suite's figures: how often the doctor is right, how often it cries wolf, and how much its fixes bring back.

use std::collections::BTreeMap;

pub use crate::training::rounds::median;
use serde_json::{Value, json};

use super::case::Trial;
use super::faults;
use super::record::Trained;
use super::suite::{Checked, Finished, Results};

/// What a run must have lost for its recovery to mean something: points of balanced accuracy, or of R².
pub const CLEAR_LOSS: f64 = 0.1;

/// One fault, or all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub runs: usize,
    pub first: usize,
    pub second: usize,
    /// Skill lost, by run.
    pub lost: Vec<f64>,
    /// Shares of it that came back, of runs that lost clearly.
    pub recovered: Vec<f64>,
    pub seconds: Vec<f64>,
    /// What was named first, and how often.
    pub named: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, finished: &Finished) {
        let expected = |place: usize| {
            let finding = finished.examined.findings.get(place);
            finding.is_some_and(|(id, _)| finished.trial.fault.expected.contains(&id.as_str()))
        };
        self.runs += 1;
        self.first += usize::from(expected(0));
        self.second += usize::from(expected(0) || expected(1));
        self.lost.push(finished.lost());
        self.recovered.extend(recovered(finished));
        self.seconds.push(finished.examined.seconds);
        let named = finished.examined.findings.first().map_or("nothing", |(id, _)| id);
        *self.named.entry(named.to_owned()).or_default() += 1;
    }
}

/// The share of the lost skill that the fix brought back, 0 to 1, if enough was lost.
fn recovered(finished: &Finished) -> Option<f64> {
    let lost = finished.lost();
    let back = finished.fixed.as_ref()?.skill - finished.faulty.skill;
    (lost >= CLEAR_LOSS).then(|| (back / lost).clamp(0.0, 1.0))
}

/// All figures.
pub struct Score {
    pub by_fault: Vec<(&'static str, Tally)>,
    pub total: Tally,
    pub healthy: usize,
    /// Healthy runs with a finding of high confidence, by its id; a run counts once for each.
    pub alarms: BTreeMap<String, usize>,
    /// Healthy runs with any such finding.
    pub false_alarms: usize,
    /// Runs of which the doctor said nothing because it failed.
    pub failed: usize,
    /// Seconds of the doctor, of every run.
    pub seconds: Vec<f64>,
    pub harm: Harm,
    /// Faulty runs whose cause was not among the first two.
    pub misses: Vec<Miss>,
    /// Trainings without a model: whose, and what the program said.
    pub untrained: Vec<String>,
}

/// What fixes do to those that need none, and what they make worse.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Harm {
    /// Whether healthy runs were asked for fixes.
    pub is_asked: bool,
    /// Change of the skill of each healthy run that got a fix.
    pub healthy: Vec<f64>,
    /// Faulty runs that lost less than `CLEAR_LOSS`.
    pub slight: usize,
    /// The change of each of those that got a fix.
    pub slight_changes: Vec<f64>,
    /// Fixes of any run, and those after which the skill was worse by more than `WORSE`.
    pub fixes: usize,
    pub worse: usize,
}

/// From when on a fix did harm, in points of skill.
pub const WORSE: f64 = 0.05;

/// A run that the doctor did not explain.
#[derive(Clone, Debug, PartialEq)]
pub struct Miss {
    pub case: String,
    pub named: Vec<String>,
}

impl Harm {
    fn of(results: &Results) -> Harm {
        let mut harm = Harm { is_asked: results.healthy.iter().any(|checked| checked.is_asked), ..Harm::default() };
        for checked in &results.healthy {
            harm.healthy.extend(checked.fixed.as_ref().map(|fixed| fixed.skill - checked.healthy.skill));
        }
        let mut changes = harm.healthy.clone();
        for finished in &results.faulty {
            let change = finished.change();
            changes.extend(change);
            if finished.lost() < CLEAR_LOSS {
                harm.slight += 1;
                harm.slight_changes.extend(change);
            }
        }
        harm.fixes = changes.len();
        harm.worse = worse(&changes);
        harm
    }
}

/// How many fell by more than `WORSE`.
pub fn worse(changes: &[f64]) -> usize {
    changes.iter().filter(|change| **change < -WORSE).count()
}

impl Miss {
    fn of(finished: &Finished) -> Option<Miss> {
        let two = || finished.examined.findings.iter().take(2).map(|(id, _)| id.clone());
        let is_named = two().any(|id| finished.trial.fault.expected.contains(&id.as_str()));
        (!is_named).then(|| Miss { case: finished.trial.name(), named: two().collect() })
    }
}

fn untrained(results: &Results) -> Vec<String> {
    let mut all = std::collections::BTreeSet::new();
    let mut note = |trial: &Trial, what: &str, trained: Option<&Trained>| {
        let problem = trained.and_then(|trained| trained.problem.as_ref());
        all.extend(problem.map(|problem| format!("{}, {what}: {problem}", trial.name())));
    };
    for Finished { trial, faulty, healthy, fixed, .. } in &results.faulty {
        note(trial, "healthy", Some(healthy));
        note(trial, "faulty", Some(faulty));
        // Without a fix, what is mended is the faulty one once more.
        note(trial, "mended", fixed.as_ref().filter(|fixed| *fixed != faulty));
    }
    for Checked { trial, fixed, .. } in &results.healthy {
        note(trial, "healthy and mended", fixed.as_ref());
    }
    all.into_iter().collect()
}

/// A figure with its bar.
pub struct Bar {
    pub what: &'static str,
    pub value: Option<f64>,
    pub bar: f64,
    pub is_at_least: bool,
}

impl Bar {
    /// Without a value nothing is met.
    pub fn is_met(&self) -> bool {
        self.value.is_some_and(|value| if self.is_at_least { value >= self.bar } else { value <= self.bar })
    }
}

impl Score {
    pub fn of(results: &Results) -> Score {
        let mut by_fault = Vec::new();
        for fault in faults::all() {
            let mut tally = Tally::default();
            results.faulty.iter().filter(|f| f.trial.fault.name == fault.name).for_each(|f| tally.add(f));
            if tally.runs > 0 {
                by_fault.push((fault.name, tally));
            }
        }
        let mut total = Tally::default();
        results.faulty.iter().for_each(|finished| total.add(finished));
        let (mut alarms, mut false_alarms) = (BTreeMap::new(), 0);
        for checked in &results.healthy {
            let high: Vec<&String> =
                checked.examined.findings.iter().filter(|(_, how)| how == "high").map(|(id, _)| id).collect();
            high.iter().for_each(|id| *alarms.entry(id.to_string()).or_default() += 1);
            false_alarms += usize::from(!high.is_empty());
        }
        let examined = results.faulty.iter().map(|finished| &finished.examined);
        let examined = examined.chain(results.healthy.iter().map(|checked| &checked.examined));
        let failed = examined.clone().filter(|examined| examined.problem.is_some()).count();
        Score {
            by_fault,
            total,
            healthy: results.healthy.len(),
            alarms,
            false_alarms,
            failed,
            seconds: examined.map(|examined| examined.seconds).collect(),
            harm: Harm::of(results),
            misses: results.faulty.iter().filter_map(Miss::of).collect(),
            untrained: untrained(results),
        }
    }

    pub fn bars(&self) -> [Bar; 4] {
        let share = |count: usize, of: usize| (of > 0).then(|| count as f64 / of as f64);
        let bar = |what, value, bar, is_at_least| Bar { what, value, bar, is_at_least };
        [
            bar("root cause named first", share(self.total.first, self.total.runs), 0.8, true),
            bar("root cause among the first two", share(self.total.second, self.total.runs), 0.9, true),
            bar("healthy runs with a finding of high confidence", share(self.false_alarms, self.healthy), 0.05, false),
            bar("lost skill that came back after --fix, median", median(&self.total.recovered), 0.8, true),
        ]
    }

    /// The one object of `--json`.
    pub fn json(&self) -> Value {
        let [top1, top2, false_alarms, recovered] = self.bars().map(|bar| bar.value);
        json!({
            "runs": self.total.runs, "top1": top1, "top2": top2, "false_alarms": false_alarms, "recovered": recovered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::faults::Severity;
    use crate::doctor::record::Examined;
    use crate::doctor::sources::Set;

    fn trial() -> Trial {
        let fault = faults::all().find(|fault| fault.name == "outliers").unwrap();
        Trial { fault, set: Set::EcgBeats, severity: Severity::B, seed: 4 }
    }

    fn examined(findings: &[(&str, &str)]) -> Examined {
        let findings = findings.iter().map(|(id, how)| (id.to_string(), how.to_string())).collect();
        Examined { findings, seconds: 5.0, ..Examined::default() }
    }

    fn finished(findings: &[(&str, &str)], faulty: f64, fixed: Option<f64>) -> Finished {
        let mut examined = examined(findings);
        examined.fixed = fixed.map(|_| "[training]\n".to_owned());
        Finished { trial: trial(), examined, faulty: trained(faulty), healthy: trained(0.9), fixed: fixed.map(trained) }
    }

    fn trained(skill: f64) -> Trained {
        Trained { skill, problem: None }
    }

    fn checked(findings: &[(&str, &str)], fixed: Option<f64>) -> Checked {
        Checked {
            trial: trial(),
            examined: examined(findings),
            healthy: trained(0.9),
            is_asked: true,
            fixed: fixed.map(trained),
        }
    }

    #[test]
    fn places_and_recoveries_are_counted() {
        let results = Results {
            faulty: vec![
                finished(&[("outliers", "high"), ("padding", "low")], 0.4, Some(0.9)),
                finished(&[("padding", "high"), ("outliers", "high")], 0.4, Some(0.65)),
                finished(&[("padding", "high"), ("clip-always", "high"), ("outliers", "high")], 0.4, Some(0.3)),
                // It lost next to nothing: what came back says nothing.
                finished(&[], 0.85, Some(0.85)),
            ],
            healthy: vec![
                checked(&[("padding", "high"), ("outliers", "high")], Some(0.8)),
                checked(&[("padding", "medium")], None),
            ],
        };
        let score = Score::of(&results);
        assert_eq!((score.total.runs, score.total.first, score.total.second), (4, 1, 2));
        assert_eq!(score.total.recovered.len(), 3);
        assert_eq!(score.total.named["padding"], 2);
        assert_eq!(score.total.named["nothing"], 1);
        assert_eq!((score.false_alarms, score.alarms["padding"]), (1, 1));
        let json = score.json();
        assert_eq!(
            (json["runs"].as_u64(), json["top1"].as_f64(), json["top2"].as_f64()),
            (Some(4), Some(0.25), Some(0.5))
        );
        assert_eq!(json["false_alarms"].as_f64(), Some(0.5));
        assert!((json["recovered"].as_f64().unwrap() - 0.5).abs() < 1e-12, "{json}");
        assert!(score.bars().iter().all(|bar| !bar.is_met()));
        let cases: Vec<&[String]> = score.misses.iter().map(|miss| miss.named.as_slice()).collect();
        assert_eq!(cases, [&["padding".to_owned(), "clip-always".to_owned()][..], &[]]);
        assert_eq!(score.seconds.len(), 6);
    }

    #[test]
    fn fixes_that_do_harm_are_counted() {
        let results = Results {
            faulty: vec![
                finished(&[], 0.4, Some(0.9)),
                finished(&[], 0.4, Some(0.3)),
                finished(&[], 0.85, Some(0.7)),
                finished(&[], 0.88, None),
            ],
            healthy: vec![checked(&[], Some(0.82)), checked(&[], Some(0.88)), checked(&[], None)],
        };
        let harm = Score::of(&results).harm;
        let rounded = |changes: &[f64]| changes.iter().map(|change| (100.0 * change).round()).collect::<Vec<f64>>();
        assert_eq!(rounded(&harm.healthy), [-8.0, -2.0]);
        assert_eq!((harm.slight, rounded(&harm.slight_changes)), (2, vec![-15.0]));
        assert_eq!((harm.fixes, harm.worse, harm.is_asked), (5, 3, true));
    }

    #[test]
    fn trainings_without_a_model_are_listed_once() {
        let broken = || Trained { skill: 0.33, problem: Some("it ended".into()) };
        let mut faulty = finished(&[], 0.4, None);
        faulty.faulty = broken();
        faulty.fixed = Some(broken());
        let mut healthy = checked(&[], None);
        healthy.fixed = Some(broken());
        let score = Score::of(&Results { faulty: vec![faulty], healthy: vec![healthy] });
        let name = trial().name();
        assert_eq!(
            score.untrained,
            [format!("{name}, faulty: it ended"), format!("{name}, healthy and mended: it ended")]
        );
    }

    #[test]
    fn a_suite_without_fixes_meets_no_bar_of_recovery() {
        let results = Results { faulty: vec![finished(&[("outliers", "high")], 0.4, None)], healthy: Vec::new() };
        let score = Score::of(&results);
        assert_eq!(score.json()["recovered"], Value::Null);
        assert!(score.bars()[0].is_met() && !score.bars()[2].is_met() && !score.bars()[3].is_met());
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!([median(&[]), median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0])], [None, Some(2.0), Some(2.5)]);
    }
}
