//! One run of the suite: a healthy training, or the same with a fault, in a folder that does not say which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::faults::{Case, Fault, Severity};
use super::random::{Random, digest};
use super::recipe;
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
        let config = recipe::draw(self.set, &mut Random::of(&["recipe", &name]));
        let random = Random::of(&["fault", &name]);
        let mut splits = source.divide(self.seed);
        let part = self.fault.thinning(self.set);
        for side in [&mut splits.train, &mut splits.validation, &mut splits.test] {
            side.truncate(side.len() / part);
        }
        let mut case = Case { set: self.set, splits, config, random };
        if !healthy {
            (self.fault.inject)(&mut case, self.severity);
        }
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
