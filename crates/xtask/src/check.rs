//! `cargo xtask check`: everything that CI runs.

use std::process::Command;

use clap::Args;
use emberloop_boards::{Board, Firmware, Toolchain};

use crate::process::{cargo, run as run_command, which};
use crate::{Result, bench, setup, test};

#[derive(Args)]
pub struct Options {
    /// Install nothing: what lacks a tool is skipped, with the reason
    #[arg(long)]
    no_install: bool,
    /// Leave the tests out
    #[arg(long)]
    no_tests: bool,
}

/// Runs the command; the first step that fails ends it.
pub fn run(options: &Options) -> Result {
    let firmware = Firmware::locate()?;
    if !options.no_install {
        setup::install_missing(&firmware)?;
    }
    format(&firmware)?;
    run_command(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run_command(cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    // Compiled, not run: it needs no GPU and no CUDA installation to be checked. (`cargo xtask vulkan` runs the kernels.)
    run_command(
        cargo()
            .args([
                "clippy",
                "--package",
                "emberloop-gpu",
                "--package",
                "emberloop-core",
                "--package",
                "emberloop",
                "--all-targets",
            ])
            .args(["--features", "cuda,vulkan", "--", "-D", "warnings"]),
    )?;
    device_crates(&firmware)?;
    firmware_lints(&firmware)?;
    licences()?;
    bench::run(&bench::Options::check(options.no_install))?;
    if options.no_tests {
        return Ok(());
    }
    test::run(&test::Options { no_install: options.no_install })
}

fn format(firmware: &Firmware) -> Result {
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    run_command(cargo().args(["fmt", "--all", "--check"]).current_dir(firmware.folder()))
}

/// What a user's own firmware links, compiled for each target without anything else: a dependency that needs `std` or a
/// feature that only the application switches on shows here.
fn device_crates(firmware: &Firmware) -> Result {
    for target in firmware.targets()? {
        let toolchain = match Toolchain::for_target(&target) {
            Ok(toolchain) => toolchain,
            Err(error) => {
                println!("skipped: engine for {target}: {error}");
                continue;
            }
        };
        for features in [
            &[][..],
            &["--features", "defmt"],
            &["--no-default-features", "--features", "rnn"],
            &["--no-default-features", "--features", "lstm"],
            &["--no-default-features", "--features", "gru"],
        ] {
            let mut command = toolchain.cargo();
            command.current_dir(firmware.folder()).arg("check").arg("--manifest-path");
            command.arg(crate::process::root().join("crates/engine/Cargo.toml")).args(["--target", &target]);
            command.arg("--target-dir").arg(firmware.target_folder().join("check")).args(features);
            run_command(&mut command)?;
        }
    }
    Ok(())
}

/// clippy over each board's program; only the toolchain in use is known to have it.
fn firmware_lints(firmware: &Firmware) -> Result {
    for board in firmware.boards()? {
        if !Toolchain::InUse.has_target(&board.target) {
            println!("skipped: clippy for {}: the toolchain in use has no {}", board.name, board.target);
            continue;
        }
        for features in [&[][..], &["--features", "measure"]] {
            run_command(&mut firmware_clippy(firmware, &board.name, &board, features))?;
        }
        // The least program is every board's; its features are what `cargo xtask bench-engine` builds.
        for features in ["", "parse", "run,lstm", "run,rnn,lstm,gru,panic"] {
            let mut command = firmware_clippy(firmware, "emberloop-bare", &board, &["--features", features]);
            let model = crate::process::root().join("models/japanese-vowels/model.ember");
            run_command(command.env("EMBERLOOP_BOARD", &board.name).env("EMBERLOOP_MODEL", model))?;
        }
    }
    Ok(())
}

fn firmware_clippy(firmware: &Firmware, package: &str, board: &Board, features: &[&str]) -> Command {
    let mut command = Toolchain::InUse.cargo();
    command.current_dir(firmware.folder()).args(["clippy", "--package", package, "--target", &board.target]);
    command.arg("--target-dir").arg(firmware.target_folder().join("check")).args(features);
    command.args(["--", "-D", "warnings"]);
    command
}

/// Licences, duplicate and forbidden crates, sources. The advisories need a database that is fetched; CI has none.
fn licences() -> Result {
    if which("cargo-deny").is_none() {
        println!("skipped: licences: cargo-deny is not installed (`cargo install cargo-deny --locked`)");
        return Ok(());
    }
    let manifests = ["Cargo.toml", "firmware/Cargo.toml"];
    manifests.iter().try_for_each(|manifest| {
        let mut command = Command::new("cargo-deny");
        command.current_dir(crate::process::root());
        command.args(["--manifest-path", manifest, "--config", "deny.toml", "check", "licenses", "bans", "sources"]);
        run_command(&mut command)
    })
}
