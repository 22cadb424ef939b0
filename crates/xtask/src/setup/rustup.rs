//! The usual way to a bare-metal target: `rustup target add`.

use std::process::Command;

use crate::process::{output, which};
use crate::{Result, process};

/// Adds the targets to the toolchain in use.
pub fn add(targets: &[String]) -> Result {
    if which("rustup").is_none() {
        return Err("rustup is not installed".into());
    }
    let mut command = Command::new("rustup");
    command.args(["target", "add"]).args(targets);
    // One failed download is enough to look for another way.
    command.env("RUSTUP_MAX_RETRIES", "1");
    println!("$ {}", process::shown(&command));
    output(&mut command).map(drop)
}
