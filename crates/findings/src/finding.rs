//! What was found: a cause, how sure, why, and what to change.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Cause;

/// How sure a finding is. The doctor's false alarms are counted at [`Confidence::High`]: see `DOCTOR.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Worth a look; healthy trainings have these, too.
    Low,
    /// Probably a cause, or a cause that costs little.
    Medium,
    /// Mend this first.
    High,
}

/// The change of the configuration that mends a cause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    /// New values by dotted key, as in `"training.optimizer.learning_rate": 0.001`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
    /// Dotted keys to be taken out; before anything is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
    /// What a person has to do or to know beside it; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Fix {
    /// No change of the configuration helps; `advice` says what does.
    pub fn advice(advice: impl Into<String>) -> Fix {
        Fix { advice: advice.into(), ..Fix::default() }
    }

    /// One new value.
    pub fn set(key: &str, value: impl Into<Value>) -> Fix {
        Fix::default().and(key, value)
    }

    /// One key less.
    pub fn unset(key: &str) -> Fix {
        Fix { unset: vec![key.into()], ..Fix::default() }
    }

    /// And another new value.
    #[must_use]
    pub fn and(mut self, key: &str, value: impl Into<Value>) -> Fix {
        self.set.insert(key.into(), value.into());
        self
    }

    /// And one key less.
    #[must_use]
    pub fn with_unset(mut self, key: &str) -> Fix {
        self.unset.push(key.into());
        self
    }

    /// And a word to the person.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Fix {
        self.advice = advice.into();
        self
    }

    /// Whether the configuration changes.
    pub fn changes_configuration(&self) -> bool {
        !self.set.is_empty() || !self.unset.is_empty()
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub id: Cause,
    /// How sure.
    pub confidence: Confidence,
    /// What was seen, in one sentence with its numbers.
    pub summary: String,
    /// The numbers by name.
    pub evidence: Map<String, Value>,
    /// Why that keeps a model from learning, for somebody who has not met it before; a sentence or two.
    pub explanation: String,
    /// What mends it.
    pub fix: Fix,
    /// Among findings of one confidence, the larger goes first: 0 to 1.
    pub score: f64,
}

/// Sorts findings: the most certain first, then by score, then in the order of the causes. Of one cause the first stays.
pub fn rank(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| b.confidence.cmp(&a.confidence).then(b.score.total_cmp(&a.score)).then(a.id.cmp(&b.id)));
    let mut seen = std::collections::BTreeSet::new();
    findings.retain(|finding| seen.insert(finding.id));
}
