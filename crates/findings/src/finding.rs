//! What was found: a cause, how sure, why, and what to change.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml_edit::ser::ValueSerializer;

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

    /// The change, one line for each key, as somebody makes it in an editor: `under [training], in optimizer: learning_rate =
    /// 0.001`. No line is TOML to be pasted: only who sees the file knows whether the table is there already, and where. The
    /// advice is not among the lines.
    pub fn lines(&self) -> Vec<String> {
        let (gone, set): (Vec<_>, Vec<_>) = self.set.iter().partition(|(_, value)| value.is_null());
        let gone = self.unset.iter().chain(gone.into_iter().map(|(key, _)| key)).map(|key| {
            let anew =
                set.iter().any(|(set, _)| set.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.')));
            let (place, name) = place(key);
            format!("{place}take out {name}{}", if anew { " as it is" } else { "" })
        });
        let set = set.iter().map(|(key, value)| {
            let (place, name) = place(key);
            // What TOML cannot say is better shown somehow than left out.
            let value =
                value.serialize(ValueSerializer::new()).map_or_else(|_| value.to_string(), |value| value.to_string());
            format!("{place}{name} = {}", value.trim())
        });
        gone.chain(set).collect()
    }
}

/// Where a dotted key is written, and its name there.
fn place(key: &str) -> (String, &str) {
    let Some((tables, name)) = key.rsplit_once('.') else { return ("at the top: ".into(), key) };
    let place = match tables.split_once('.') {
        Some((section, inner)) => format!("under [{section}], in {inner}: "),
        None => format!("under [{tables}]: "),
    };
    (place, name)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fix_is_lines_that_a_person_can_follow() {
        let fix = Fix::unset("training.schedule")
            .with_unset("training.loss")
            .and("training.optimizer.learning_rate", 0.005)
            .and("training.batch", 64)
            .and("training.loss.kind", "cross_entropy")
            .and("model.hidden", json!([32, 16]))
            .and("data.labels", json!(["a \"b\"", "c"]))
            .and("data.padding", Value::Null)
            .and("scaler", json!({"kind": "standard"}))
            .with_advice("record more");
        let mut lines = fix.lines();
        // What is taken out comes first, or it would take what is new with it.
        assert_eq!(
            lines[..3],
            [
                "under [training]: take out schedule",
                "under [training]: take out loss as it is",
                "under [data]: take out padding"
            ]
        );
        lines.drain(..3);
        lines.sort();
        assert_eq!(
            lines,
            [
                "at the top: scaler = { kind = \"standard\" }",
                "under [data]: labels = ['a \"b\"', \"c\"]",
                "under [model]: hidden = [32, 16]",
                "under [training], in loss: kind = \"cross_entropy\"",
                "under [training], in optimizer: learning_rate = 0.005",
                "under [training]: batch = 64",
            ]
        );
        assert!(Fix::advice("record more").lines().is_empty());
    }
}
