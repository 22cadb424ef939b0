//! Each trial measured: the doctor asked, the mended configuration trained in full, beside the faulty and the healthy one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::case::{CONFIG, Sources, Trial};
use super::child::Emberloop;
use super::record::{Examined, Outcome, Record, Trained};
use super::series::Kind;
use crate::Result;

/// What a trial came to.
pub struct Finished {
    pub trial: Trial,
    pub examined: Examined,
    pub faulty: Trained,
    pub healthy: Trained,
    /// The training of the doctor's fix; the faulty training, if there is no fix.
    pub fixed: Option<Trained>,
}

impl Finished {
    /// Skill that the fault cost.
    pub fn lost(&self) -> f64 {
        self.healthy.skill - self.faulty.skill
    }

    /// What the fix did to the skill, if there is one.
    pub fn change(&self) -> Option<f64> {
        self.examined.fixed.as_ref()?;
        self.fixed.as_ref().map(|fixed| fixed.skill - self.faulty.skill)
    }
}

/// What the doctor said of a healthy training.
pub struct Checked {
    pub trial: Trial,
    pub examined: Examined,
    pub healthy: Trained,
    /// Whether a fix was asked for.
    pub is_asked: bool,
    /// The training of the doctor's fix, if it wrote one: there was nothing to mend.
    pub fixed: Option<Trained>,
}

/// Both halves of the evidence.
#[derive(Default)]
pub struct Results {
    pub faulty: Vec<Finished>,
    pub healthy: Vec<Checked>,
}

/// What runs a suite.
pub struct Suite<'a> {
    pub sources: &'a Sources,
    pub emberloop: &'a Emberloop,
    pub record: &'a Record,
    pub folder: PathBuf,
    /// Whether mended configurations are asked for and trained.
    pub fix: bool,
    /// Whether they are of healthy runs, too.
    pub fix_healthy: bool,
    /// A digest of the program: what another one said or learned does not count.
    pub program: String,
}

/// A case's folder with what its results depend on.
pub(super) struct Written {
    folder: PathBuf,
    config: String,
    digest: String,
    chance: f64,
}

impl Suite<'_> {
    /// Measures faulty trials, and the healthy twins of some.
    pub fn run(&self, trials: &[Trial], twins: &BTreeSet<String>) -> Result<Results> {
        let done = AtomicUsize::new(0);
        let measure = |trial: &Trial| -> std::result::Result<Results, String> {
            let with_twin = twins.contains(&trial.name());
            let result = self.trial(*trial, with_twin).map_err(|error| format!("{}: {error}", trial.name()))?;
            let place = done.fetch_add(1, Ordering::Relaxed) + 1;
            let [faulty, healthy] = [
                result.faulty.first().map(|finished| first_two(&finished.examined)),
                result.healthy.first().map(|checked| format!("; healthy: {}", first_two(&checked.examined))),
            ]
            .map(Option::unwrap_or_default);
            eprintln!("{place}/{}  {}: {faulty}{healthy}", trials.len(), trial.name());
            Ok(result)
        };
        let merge = |mut all: Results, more: Results| {
            all.faulty.extend(more.faulty);
            all.healthy.extend(more.healthy);
            Ok(all)
        };
        // One at a time to each thread: they take seconds, and of very different number.
        Ok(trials.par_iter().with_max_len(1).map(measure).try_reduce(Results::default, merge)?)
    }

    /// One after the other: the twins share a folder with nobody else.
    fn trial(&self, trial: Trial, with_twin: bool) -> Result<Results> {
        let mut results = Results::default();
        let twin = self.write(trial, true)?;
        let healthy = self.train(trial, &twin, "trained")?;
        if with_twin {
            let examined = self.examine(trial, &twin, self.fix_healthy)?;
            let fixed = examined.fixed.as_ref().map(|text| self.train_mended(trial, twin, text)).transpose()?;
            results.healthy.push(Checked {
                trial,
                examined,
                healthy: healthy.clone(),
                is_asked: self.fix_healthy,
                fixed,
            });
        }
        let written = self.write(trial, false)?;
        let faulty = self.train(trial, &written, "trained")?;
        let examined = self.examine(trial, &written, self.fix)?;
        let fixed = match (&examined.fixed, self.fix) {
            (Some(text), true) => Some(self.train_mended(trial, written, text)?),
            (None, true) => Some(faulty.clone()),
            (_, false) => None,
        };
        results.faulty.push(Finished { trial, examined, faulty, healthy, fixed });
        Ok(results)
    }

    fn train_mended(&self, trial: Trial, written: Written, text: &str) -> Result<Trained> {
        let mended = Written { config: "mended.toml".into(), ..written };
        fs::write(mended.folder.join(&mended.config), text)?;
        self.train(trial, &mended, "mended")
    }

    pub(super) fn write(&self, trial: Trial, healthy: bool) -> Result<Written> {
        let case = trial.case(self.sources, true)?;
        // The task as it should be: a model of another one knows nothing of it.
        let chance = match case.splits.kind {
            Kind::Classes(classes) => 1.0 / classes as f64,
            Kind::Values => 0.0,
        };
        let folder = trial.write(self.sources, &self.folder, healthy)?;
        let mut hash = Sha256::new();
        for name in ["train.npz", "validation.npz", "test.npz", CONFIG] {
            match fs::read(folder.join(name)) {
                Ok(bytes) => hash.update(bytes),
                // The validation side may be a fraction of the training file.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => hash.update(name),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Written { folder, config: CONFIG.into(), digest: hex(&hash.finalize()), chance })
    }

    fn examine(&self, trial: Trial, written: &Written, fix: bool) -> Result<Examined> {
        let key = format!("examined {} {} fix {fix}", written.digest, self.program);
        let measure = || {
            let mut arguments = vec!["doctor", CONFIG, "--json"];
            if fix {
                arguments.push("--fix");
            }
            Ok(Outcome::Examined(match self.emberloop.ask(&written.folder, "doctor", &arguments) {
                Ok(answer) => examined(&answer.json, answer.seconds, &written.folder)?,
                Err(error) => Examined { problem: Some(error.to_string()), ..Examined::default() },
            }))
        };
        match self.record.get_or(&key, &trial.name(), measure)? {
            Outcome::Examined(examined) => Ok(examined),
            Outcome::Trained(_) => Err(format!("the results hold a training under {key:?}").into()),
        }
    }

    /// A case's configuration, trained in full; `name` is that of the run.
    pub(super) fn train(&self, trial: Trial, written: &Written, name: &str) -> Result<Trained> {
        let text = fs::read(written.folder.join(&written.config))?;
        let key = format!("trained {} {} {}", written.digest, hex(&Sha256::digest(&text)), self.program);
        let measure = || {
            Ok(Outcome::Trained(match self.emberloop.train(&written.folder, &written.config, name) {
                Ok(answer) => Trained { skill: skill(&answer.json, trial, written.chance), problem: None },
                Err(error) => Trained { skill: written.chance, problem: Some(error.to_string()) },
            }))
        };
        match self.record.get_or(&key, &trial.name(), measure)? {
            Outcome::Trained(trained) => Ok(trained),
            Outcome::Examined(_) => Err(format!("the results hold an examination under {key:?}").into()),
        }
    }
}

fn first_two(examined: &Examined) -> String {
    let two: Vec<String> = examined.findings.iter().take(2).map(|(id, how)| format!("{id} ({how})")).collect();
    match &examined.problem {
        Some(problem) => problem.clone(),
        None if two.is_empty() => "nothing".into(),
        None => two.join(", "),
    }
}

/// A digest of a program.
pub fn digest_of(program: &Path) -> Result<String> {
    let bytes = fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(hex(&Sha256::digest(bytes))[..16].to_owned())
}

/// What a program says of itself.
pub fn version_of(program: &Path) -> Result<String> {
    Ok(crate::process::output(std::process::Command::new(program).arg("--version"))?.trim().to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Balanced accuracy or R², as the data set asks; never below that of a model that knows nothing.
fn skill(answer: &Value, trial: Trial, chance: f64) -> f64 {
    let name = if trial.set.is_classes() { "test_balanced_accuracy" } else { "test_r2" };
    answer["metrics"][name].as_f64().filter(|skill| skill.is_finite()).map_or(chance, |skill| skill.max(chance))
}

/// What the doctor printed, and what it wrote.
fn examined(answer: &Value, seconds: f64, folder: &Path) -> Result<Examined> {
    let findings = answer["findings"].as_array().ok_or("the doctor's JSON has no list of findings")?;
    let finding = |finding: &Value| {
        let text = |name: &str| finding[name].as_str().map(String::from);
        text("id").zip(text("confidence")).ok_or_else(|| format!("expected id and confidence, found {finding}"))
    };
    let findings = findings.iter().map(finding).collect::<std::result::Result<Vec<_>, String>>()?;
    let fixed = match answer["fixed"]["config"].as_str() {
        Some(path) => Some(fs::read_to_string(folder.join(path)).map_err(|error| format!("{path}: {error}"))?),
        None => None,
    };
    Ok(Examined { findings, seconds, fixed, problem: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::faults::Severity;
    use crate::doctor::sources::Set;

    #[test]
    fn the_doctors_answer_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.fixed.toml"), "[training]\n").unwrap();
        let answer = json!({
            "findings": [{"id": "outliers", "confidence": "high", "score": 0.9}],
            "fixed": {"config": "config.fixed.toml", "metric": "val_r2", "before": 0.1, "after": 0.8},
        });
        let read = examined(&answer, 2.5, folder.path()).unwrap();
        assert_eq!(read.findings, [("outliers".to_owned(), "high".to_owned())]);
        assert_eq!(read.fixed.as_deref(), Some("[training]\n"));
        let wrong = |answer: Value| examined(&answer, 0.0, folder.path()).is_err();
        assert!(wrong(json!({"findings": [{"id": "outliers"}]})));
        assert!(wrong(json!({})));
        assert!(wrong(json!({"findings": [], "fixed": {"config": "elsewhere.toml"}})));
    }

    #[test]
    fn a_model_of_another_task_knows_nothing() {
        let fault = super::super::faults::all().next().unwrap();
        let trial = |set| Trial { fault, set, severity: Severity::A, seed: 1 };
        let answer = json!({"metrics": {"test_r2": 0.6, "loss": 0.1}});
        assert_eq!(skill(&answer, trial(Set::Tokens), 0.2), 0.2);
        assert_eq!(skill(&answer, trial(Set::BeijingPm25), 0.0), 0.6);
        assert_eq!(skill(&json!({"metrics": {"test_r2": -3.0}}), trial(Set::BeijingPm25), 0.0), 0.0);
    }
}
