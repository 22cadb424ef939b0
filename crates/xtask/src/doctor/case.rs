//! One run of the suite: a healthy training, or the same with a fault, in a folder that does not say which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::faults::{Case, Fault, Severity};
use super::random::{Random, digest};
use super::recipe::{self, Recipe};
use super::sources::{Set, Source};
use crate::Result;

/// A fault on a data set with a seed.
#[derive(Clone, Copy)]
pub struct Trial {
    pub fault: &'static Fault,
    pub set: Set,
    pub severity: Severity,
    pub seed: u64,
}

/// The data sets that were read.
pub type Sources = BTreeMap<Set, Source>;

/// The file that the doctor gets, beside the data.
pub const CONFIG: &str = "config.toml";

impl Trial {
    fn words(&self) -> [String; 4] {
        let severity = self.severity.of("a", "b");
        [self.fault.name, self.set.name(), severity, &self.seed.to_string()].map(String::from)
    }

    /// How results name it.
    pub fn name(&self) -> String {
        self.words().join("/")
    }

    /// The folder's name: digits that say nothing to who did not make it.
    pub fn folder(&self, root: &Path, healthy: bool) -> PathBuf {
        let name = format!("{} {healthy}", self.name());
        root.join(format!("{:016x}", digest(&["folder", &name])))
    }

    /// The healthy training, and what a fault makes of it.
    pub fn case(&self, sources: &Sources, healthy: bool) -> Result<Case> {
        let name = self.name();
        let source = sources.get(&self.set).ok_or_else(|| format!("{} was not read", self.set.name()))?;
        let part = self.fault.thinning(self.set);
        let recipe = recipe::draw(self.set, part, &mut Random::of(&["recipe", &name]));
        let random = Random::of(&["fault", &name]);
        let mut splits = source.divide(self.seed);
        for side in [&mut splits.train, &mut splits.validation, &mut splits.test] {
            side.truncate(side.len() / part);
        }
        if recipe.is_standardised {
            let scale = splits.scale();
            splits.standardise(&scale);
        }
        let Recipe { config, own_validation, .. } = recipe;
        let mut case = Case { set: self.set, splits, config, own_validation, random };
        if !healthy {
            (self.fault.inject)(&mut case, self.severity);
        }
        case.name_validation();
        Ok(case)
    }

    /// Writes the case's folder anew: nothing in it is of an earlier run.
    pub fn write(&self, sources: &Sources, root: &Path, healthy: bool) -> Result<PathBuf> {
        let folder = self.folder(root, healthy);
        let case = self.case(sources, healthy)?;
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        case.splits.write(&folder)?;
        fs::write(folder.join(CONFIG), case.config.text())?;
        Ok(folder)
    }

    /// What the doctor does not see.
    pub fn truth(&self, healthy: bool) -> Value {
        let folder = self.folder(Path::new(""), healthy);
        let edit = self.fault.edit[self.severity.of(0, 1)];
        let mut truth = json!({
            "folder": folder, "set": self.set.name(), "seed": self.seed, "healthy": healthy, "twin_of": self.name(),
        });
        if !healthy {
            truth["fault"] = self.fault.name.into();
            truth["expected"] = self.fault.expected.into();
            truth["edit"] = edit.into();
        }
        truth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::faults;
    use crate::doctor::series::Sequence;

    /// Data of the shapes of the real ones.
    fn sources() -> Sources {
        let mut random = Random::of(&["made up"]);
        let mut sequences = |count: usize, classes: usize, numbers: usize| -> Vec<Sequence> {
            let values = |random: &mut Random| (0..numbers).map(|_| random.normal() as f32).collect();
            (0..count).map(|index| Sequence::new(values(&mut random), (index % classes) as f32)).collect()
        };
        let pool = |channels, classes, sequences| Source::Pool { channels, classes, sequences };
        let vowels = pool(12, 9, sequences(270, 9, 12 * 11));
        let motions = pool(6, 4, sequences(80, 4, 6 * 20));
        let beats = sequences(3000, 3, 50).into_iter().enumerate();
        let records = beats.map(|(index, beat)| (beat, format!("{}", index / 300))).collect();
        let rows = (0..5 * 12_000).map(|_| 80.0 + 40.0 * random.normal() as f32).collect();
        let mut word = |_| (0..4 + random.below(6)).map(|_| (b'a' + random.below(26) as u8) as char).collect();
        let words = (0..5).map(|_| (0..600).map(&mut word).collect()).collect();
        Sources::from([
            (Set::JapaneseVowels, vowels),
            (Set::BasicMotions, motions),
            (Set::EcgBeats, Source::Records { sequences: records }),
            (Set::BeijingPm25, Source::Rows { channels: 5, rows }),
            (Set::Tokens, Source::Words(words)),
        ])
    }

    #[test]
    fn every_case_is_data_that_can_be_loaded_and_no_twin_is_its_fault() {
        let (sources, folder) = (sources(), tempfile::tempdir().unwrap());
        for fault in faults::all() {
            for (&set, severity) in fault.sets.iter().flat_map(|set| [(set, Severity::A), (set, Severity::B)]) {
                let trial = Trial { fault, set, severity, seed: 1 };
                let written = [false, true].map(|healthy| {
                    let own = trial.write(&sources, folder.path(), healthy).unwrap();
                    let text = fs::read_to_string(own.join(CONFIG)).unwrap();
                    let config: toml_edit::DocumentMut = text.parse().unwrap();
                    let data: emberloop_data::DataConfig =
                        toml_edit::de::from_str(&config["data"].to_string()).unwrap();
                    let splits =
                        emberloop_data::load(&data, &own, 1).unwrap_or_else(|e| panic!("{}: {e}", trial.name()));
                    assert!(!splits.validation.sequences.is_empty() && splits.test.is_some());
                    let files = ["train.npz", "validation.npz", "test.npz"].map(|name| fs::read(own.join(name)).ok());
                    fs::remove_dir_all(own).unwrap();
                    (text, files)
                });
                assert_ne!(written[0], written[1], "{}", trial.name());
            }
        }
    }

    #[test]
    fn a_case_is_the_same_twice_and_its_folder_says_nothing() {
        let (sources, folder) = (sources(), tempfile::tempdir().unwrap());
        let fault = faults::all().find(|fault| fault.name == "outliers").unwrap();
        let trial = Trial { fault, set: Set::EcgBeats, severity: Severity::B, seed: 4 };
        let write = |healthy| trial.write(&sources, folder.path(), healthy).unwrap();
        let read = |own: &Path| fs::read(own.join("train.npz")).unwrap();
        let first = write(false);
        let before = read(&first);
        assert_eq!(read(&write(false)), before);
        assert_ne!(first, write(true));
        let name = first.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.len() == 16 && name.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
    }
}
