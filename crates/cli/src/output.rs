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

/// An error and what led to it, in one line.
pub fn one_line(error: &Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
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
