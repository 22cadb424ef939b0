//! From text to values, with errors that name file, line and the nearest thing that would have been right.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// What is wrong with a configuration, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The operating system refused.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A key or a name that does not exist.
    #[error("{}, line {line}: unknown {what} {name:?}{}; expected one of: {}", path.display(), hint(nearest), known.join(", "))]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// "key" or "value".
        what: &'static str,
        /// What stands there.
        name: String,
        /// The known name most like it.
        nearest: Option<String>,
        /// Every known name at that place.
        known: Vec<String>,
    },
    /// Not TOML, a missing key, or a value of the wrong type.
    #[error("{}, line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// A value out of its range, or at odds with another one.
    #[error("{}: {key}: expected {expected}, found {found}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Dotted from the top.
        key: String,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
}

/// Parses a TOML document.
pub fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| describe(text, path, &error))
}

/// serde reports unknown names in a fixed form: ``unknown field `a`, expected one of `b`, `c` ``.
fn describe(text: &str, path: &Path, error: &toml::de::Error) -> ConfigError {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let span = error.span().unwrap_or(0..0);
    for (prefix, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        if let Some((name, rest)) = message.strip_prefix(prefix).and_then(|rest| rest.split_once('`')) {
            let known: Vec<String> = rest.split('`').skip(1).step_by(2).map(str::to_string).collect();
            let nearest = nearest(name, &known);
            let line = line_of(text, place(text, &span, name));
            return ConfigError::Unknown { path: path.into(), line, what, name: name.into(), nearest, known };
        }
    }
    // serde's words for what a person wrote.
    let reason = message.replace("expected a sequence", "expected a list, as in [32]").replace(
        "missing field `kind`",
        "expected a `kind` beside the other keys, as in { kind = \"adam\", learning_rate = 1e-3 }",
    );
    ConfigError::Syntax { path: path.into(), line: line_of(text, span.start), reason }
}

/// Where `name` stands. Inside a tagged table serde has lost the exact place, and the span is that of the table or of
/// its header alone: search on to the next header.
fn place(text: &str, span: &std::ops::Range<usize>, name: &str) -> usize {
    let end = text.get(span.end..).and_then(|rest| rest.find("\n[")).map_or(text.len(), |at| span.end + at);
    let within = text.get(span.start..end).unwrap_or("");
    let word = |at: &usize| {
        let letter = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let (before, after) = (within[..*at].chars().next_back(), within[at + name.len()..].chars().next());
        !before.is_some_and(letter) && !after.is_some_and(letter)
    };
    span.start + within.match_indices(name).map(|(at, _)| at).find(word).unwrap_or(0)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

/// The most similar name, if it is similar enough to be what was meant.
pub fn nearest(name: &str, known: &[String]) -> Option<String> {
    let similarity = |candidate: &String| strsim::normalized_damerau_levenshtein(name, candidate);
    let best = known.iter().max_by(|left, right| similarity(left).total_cmp(&similarity(right)))?;
    let meant = similarity(best) >= 0.4 || best.contains(name) || name.contains(best.as_str());
    meant.then(|| best.clone())
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}
