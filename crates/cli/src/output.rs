//! What goes to stdout, and how an error reads.

use std::io::{self, Write};

use anyhow::{Error, Result};
use serde::Serialize;

/// One JSON object on one line.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    print(&line)
}

/// Text as it is.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// A line on stderr, for people. Nobody may be reading any more (`2>&1 | head`): that is no reason to stop, as it would be
/// with `eprintln!`.
pub fn message(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// An error and what led to it, in one line. A cause that the line before it tells already is not told again.
pub fn one_line(error: &Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether an error only says that nobody reads our output any more.
pub fn is_broken_pipe(error: &Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// `12.3 kB`, as people read sizes.
pub fn bytes(count: usize) -> String {
    if count < 10_000 { format!("{count} bytes") } else { format!("{:.1} kB", count as f64 / 1000.0) }
}

/// `96.5 %`, or for a regression the number with a sensible count of digits.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A word as the shell reads it: commands that are printed can be typed as they stand.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// [`quote`] of a path.
pub fn quote_path(path: &std::path::Path) -> String {
    quote(&path.to_string_lossy())
}
