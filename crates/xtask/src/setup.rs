//! `cargo xtask setup`: compilers for the boards' targets, QEMU, a Python with safetensors and a headless browser. It says
//! what it does; what is there already is left alone.

pub mod browser;
mod debian;
pub mod python;
pub mod pytorch;
mod qemu;
mod rustup;

use std::time::Instant;

use clap::{Args, ValueEnum};
use emberloop_boards::{Firmware, Toolchain};

use crate::Result;

#[derive(Args, Default)]
pub struct Options {
    /// Install nothing: print what is there and what is missing
    #[arg(long, visible_alias = "no-install")]
    check: bool,
    /// How to get the compilers
    #[arg(long, value_enum, default_value_t)]
    route: Route,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Route {
    /// rustup where it works, else Debian's packages
    #[default]
    Auto,
    /// `rustup target add`
    Rustup,
    /// Debian's rustc-web, and `core` built from its source
    Debian,
}

/// Runs the command.
pub fn run(options: &Options) -> Result {
    let firmware = Firmware::locate()?;
    if !options.check {
        install(&firmware, options.route)?;
    }
    let missing = report(&firmware)?;
    match missing {
        0 => Ok(()),
        _ => Err(format!("{missing} missing; `cargo xtask setup` installs what it can").into()),
    }
}

/// Installs what is missing and nothing else.
pub fn install_missing(firmware: &Firmware) -> Result {
    install(firmware, Route::Auto)
}

fn install(firmware: &Firmware, route: Route) -> Result {
    let begin = Instant::now();
    let targets = firmware.targets()?;
    let missing = missing_targets(&targets, route);
    if !missing.is_empty() {
        println!("targets to install: {}", missing.join(", "));
        install_targets(&missing, route)?;
    }
    // A cached toolchain borrows the linker of the one in use, which may have been updated since.
    debian::refresh_links()?;
    qemu::install_missing()?;
    // Two tests open our files from Python; without it they are skipped, and nothing else is missed.
    if let Err(error) = python::install_missing() {
        println!("python: {error}; the tests that need it will be skipped");
    }
    // The same of the report's page.
    if let Err(error) = browser::install_missing() {
        println!("browser: {error}; the test that needs it will be skipped");
    }
    if begin.elapsed().as_secs() > 0 {
        println!("set up in {} s", begin.elapsed().as_secs());
    }
    Ok(())
}

/// The targets that this route has not provided.
fn missing_targets(targets: &[String], route: Route) -> Vec<String> {
    let cached = Toolchain::Folder(Toolchain::cached_folder());
    let there = |target: &String| match route {
        Route::Auto => Toolchain::for_target(target).is_ok(),
        Route::Rustup => Toolchain::InUse.has_target(target),
        Route::Debian => cached.has_target(target),
    };
    targets.iter().filter(|target| !there(target)).cloned().collect()
}

fn install_targets(targets: &[String], route: Route) -> Result {
    match route {
        Route::Rustup => rustup::add(targets),
        Route::Debian => debian::install(targets),
        Route::Auto => match rustup::add(targets) {
            Ok(()) => Ok(()),
            Err(error) => {
                println!("{error}");
                debian::install(targets)
            }
        },
    }
}

/// Prints what is there, line by line, and returns how many things are missing.
fn report(firmware: &Firmware) -> Result<usize> {
    let mut missing = 0;
    let mut line = |what: &str, state: std::result::Result<String, String>| {
        let (mark, text) = match state {
            Ok(text) => ("ok     ", text),
            Err(text) => {
                missing += 1;
                ("missing", text)
            }
        };
        println!("{mark}  {what:<28} {text}");
    };
    for target in firmware.targets()? {
        let state = Toolchain::for_target(&target);
        line(&target, state.map(|toolchain| toolchain.describe()).map_err(|error| error.to_string()));
    }
    for program in qemu::PROGRAMS {
        line(program, qemu::version(program).map(|version| version.to_string()).ok_or_else(qemu::how_to_install));
    }
    let python = python::interpreter().map(|path| path.display().to_string());
    line("python with safetensors", python.ok_or_else(python::how_to_install));
    let browser = browser::program().map(|path| path.display().to_string());
    line("headless browser", browser.ok_or_else(browser::how_to_install));
    Ok(missing)
}
