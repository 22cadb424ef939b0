//! The faults: one stated edit each, in two severities.

mod data;
mod model;
mod targets;
mod training;

use super::config::Config;
use super::random::Random;
use super::series::Splits;
use super::sources::Set;

/// A healthy training, to be spoiled.
pub struct Case {
    pub set: Set,
    pub splits: Splits,
    pub config: Config,
    /// Whether the validation side is a file; it is a fraction of the training file otherwise. Faults that are about its size
    /// or its content set this.
    pub own_validation: bool,
    /// For what a fault draws.
    pub random: Random,
}

impl Case {
    /// Names the file of the validation side; or puts that side at the end of the training file, with its share.
    pub fn name_validation(&mut self) {
        if self.own_validation {
            self.config.set("data.validation", "validation.npz");
            return;
        }
        let Splits { train, validation, .. } = &mut self.splits;
        let share = validation.len() as f64 / (train.len() + validation.len()) as f64;
        train.append(validation);
        self.config.set("data.validation_fraction", (100.0 * share).round() / 100.0);
    }
}

/// How much of a fault: thresholds are fixed on the first, the table reports the second, the milder one of most faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    A,
    B,
}

impl Severity {
    /// What belongs to it.
    pub fn of<T>(self, a: T, b: T) -> T {
        match self {
            Severity::A => a,
            Severity::B => b,
        }
    }
}

/// A fault of the suite.
pub struct Fault {
    pub name: &'static str,
    /// The findings that name it; one nearly always.
    pub expected: &'static [&'static str],
    /// The edit as one would say it, of each severity.
    pub edit: [&'static str; 2],
    /// Where it is injected.
    pub sets: &'static [Set],
    /// Why it is not elsewhere; empty if it is everywhere.
    pub left_out: &'static str,
    /// Whether sequences become so long that fewer of them are taken, for the healthy twin as well.
    pub is_long: bool,
    pub inject: fn(&mut Case, Severity),
}

impl Fault {
    /// One of how many sequences is taken.
    pub fn thinning(&self, set: Set) -> usize {
        match set {
            Set::Tokens if self.is_long => 3,
            Set::EcgBeats | Set::BeijingPm25 if self.is_long => 2,
            _ => 1,
        }
    }
}

const JV: Set = Set::JapaneseVowels;
const BM: Set = Set::BasicMotions;
const ECG: Set = Set::EcgBeats;
const PM25: Set = Set::BeijingPm25;
const TOKENS: Set = Set::Tokens;

const ALL: &[Set] = &Set::ALL;
const CLASSES: &[Set] = &[JV, BM, ECG, TOKENS];
const CHANNELS: &[Set] = &[JV, BM, ECG, PM25];
const NO_CLASSES: &str = "beijing_pm25 has no classes";
const NO_CHANNELS: &str = "tokens have no channels";

/// Every fault, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    [training::FAULTS, model::FAULTS, data::FAULTS, targets::FAULTS].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_names_findings_that_exist() {
        let mut names = std::collections::BTreeSet::new();
        for fault in all() {
            assert!(names.insert(fault.name), "{} is there twice", fault.name);
            assert!(!fault.sets.is_empty() && !fault.expected.is_empty(), "{}", fault.name);
            assert_eq!(fault.sets.len() == Set::ALL.len(), fault.left_out.is_empty(), "{}", fault.name);
            for id in fault.expected {
                let cause = emberloop_findings::Cause::try_from(id.to_string()).unwrap();
                assert_ne!(cause.kind(), emberloop_findings::Kind::Symptom, "{id}");
            }
        }
        assert!(names.len() >= 18);
    }
}
