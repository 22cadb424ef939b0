//! `cargo xtask miri`: the image parser and the engine in Miri, which sees every access and every overflow.

use std::process::Command;

use clap::Args;

use crate::Result;
use crate::process::{output, root, run as run_command};

#[derive(Args)]
pub struct Options {
    /// Install nothing: without Miri nothing is run, and that is said
    #[arg(long)]
    no_install: bool,
}

/// Miri is part of nightly toolchains alone; one of them, so that no change of Miri's is taken for one of ours.
const TOOLCHAIN: &str = "nightly-2026-10-30";

/// Tests over millions of inputs of plain arithmetic: hours in an interpreter.
const SLOW: [&str; 1] = ["for_every_input"];

/// Runs the command.
pub fn run(options: &Options) -> Result {
    if !is_there() {
        if options.no_install {
            println!(
                "skipped: Miri is not installed (`rustup toolchain install {TOOLCHAIN} --component miri,rust-src`)"
            );
            return Ok(());
        }
        if let Err(error) = install() {
            println!("skipped: Miri cannot be installed: {error}");
            return Ok(());
        }
    }
    // The unit tests, and a part of the fuzzers' corpus: images parsed, networks stepped, saved and restored.
    let mut unit_tests = cargo_miri();
    unit_tests.args(["--package", "emberloop-image", "--package", "emberloop-engine", "--lib", "--"]);
    run_command(unit_tests.args(SLOW.iter().flat_map(|name| ["--skip", name])))?;
    run_command(cargo_miri().args(["--manifest-path", "tests/fuzz/Cargo.toml", "--test", "corpus"]))
}

fn cargo_miri() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).arg(format!("+{TOOLCHAIN}")).args(["miri", "test"]);
    // What one toolchain has compiled is of no use to another.
    command.arg("--target-dir").arg(root().join("target/miri").join(TOOLCHAIN));
    // What cargo sets for this program names the toolchain in use.
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    // Tests may read files of the repository; random tests take one case, an interpreter being slow.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "1");
    command
}

fn is_there() -> bool {
    let mut command = Command::new("cargo");
    command.arg(format!("+{TOOLCHAIN}")).args(["miri", "--version"]).env_remove("RUSTUP_TOOLCHAIN");
    output(&mut command).is_ok()
}

fn install() -> Result {
    let mut command = Command::new("rustup");
    run_command(command.args(["toolchain", "install", TOOLCHAIN, "--profile", "minimal"]).args([
        "--component",
        "miri",
        "--component",
        "rust-src",
    ]))
}
