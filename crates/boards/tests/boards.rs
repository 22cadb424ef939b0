//! Every board, the real ones too: its firmware links within its memory, what does not fit is refused by the linker, and
//! nothing that the engine brings into a program can panic.
//!
//! What a board computes is the matter of `tests/tests/firmware.rs`; here the models are bytes. Where a board's compiler or
//! emulator is missing, its tests are reported as ignored, with the reason, unless `EMBERLOOP_REQUIRE_FIRMWARE` is 1.

use std::env;
use std::process::ExitCode;

use emberloop_boards::{
    Board, BoardError, BuildOptions, EmbeddedModel, Firmware, RunOptions, Runner, footprint, panic_paths, run_bare,
};
use libtest_mimic::{Arguments, Failed, Trial};

type Check = fn(&Firmware, &Board) -> Result<(), Failed>;

/// Bytes of the model that fits everywhere.
const SMALL: usize = 4096;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let firmware = Firmware::locate().expect("this crate lies in a checkout");
    let boards = firmware.boards().expect("every board.toml parses");
    let trials = boards.iter().flat_map(|board| trials(&firmware, board)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials(firmware: &Firmware, board: &Board) -> Vec<Trial> {
    let required = env::var_os("EMBERLOOP_REQUIRE_FIRMWARE").is_some_and(|value| value == "1");
    let missing = board.missing_tool().filter(|_| !required);
    let mut checks: Vec<(&str, Check)> = vec![
        ("fits_its_memory", fits_its_memory),
        ("the_engine_cannot_panic", the_engine_cannot_panic),
        ("a_panic_is_found", a_panic_is_found),
    ];
    match board.runner {
        Runner::Qemu(_) => {
            checks.push(("refuses_what_is_no_image", refuses_what_is_no_image));
            if board.target.starts_with("thumb") {
                checks.push(("its_kernels_compute_what_the_portable_code_does", kernels_are_exact));
            }
        }
        Runner::Probe(_) => checks.push(("a_model_that_is_too_large_does_not_link", too_large_does_not_link)),
    }
    let trial = |(name, check): (&str, Check)| {
        let (firmware, board) = (firmware.clone(), board.clone());
        let trial = Trial::test(format!("{}::{name}", board.name), move || check(&firmware, &board));
        match &missing {
            Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
            None => trial,
        }
    };
    checks.into_iter().map(trial).collect()
}

/// A model of so many bytes that states, where an image does, that it needs so many words of RAM.
fn model(bytes: usize, ram_words: u32) -> EmbeddedModel {
    let mut image = vec![0; bytes];
    image[20..24].copy_from_slice(&ram_words.to_le_bytes());
    EmbeddedModel { name: "model".into(), image, sequences: None }
}

fn options(firmware: &Firmware, model: EmbeddedModel) -> Result<BuildOptions, BoardError> {
    Ok(BuildOptions { models: Some(firmware.stage(&[model])?), measure: false })
}

fn fits_its_memory(firmware: &Firmware, board: &Board) -> Result<(), Failed> {
    const WORDS: u32 = 512;
    let binary = firmware.build(board, &options(firmware, model(SMALL, WORDS))?)?;
    let found = footprint(&binary.elf, &board.memory)?;
    let fits = (SMALL as u64..board.memory.flash.length).contains(&found.flash)
        && (4 * u64::from(WORDS)..board.memory.ram.length).contains(&found.ram);
    if fits { Ok(()) } else { Err(format!("{found:?} in {:?}", board.memory).into()) }
}

/// With each kind of cell alone: parse, self-test and steps; with all of them, the rest of what a program may call.
fn the_engine_cannot_panic(firmware: &Firmware, board: &Board) -> Result<(), Failed> {
    for cells in [&["rnn"][..], &["lstm"], &["gru"], &["rnn", "lstm", "gru", "api"]] {
        let found = panics(firmware, board, cells)?;
        if !found.is_empty() {
            return Err(format!("with {}: {} is linked", cells.join(", "), found.join(", ")).into());
        }
    }
    Ok(())
}

/// Or the test above would be worth nothing.
fn a_panic_is_found(firmware: &Firmware, board: &Board) -> Result<(), Failed> {
    let found = panics(firmware, board, &["lstm", "panic"])?;
    let expected = ["panic_bounds_check", "rust_begin_unwind"];
    match expected.iter().all(|name| found.iter().any(|found| found.contains(name))) {
        true => Ok(()),
        false => Err(format!("expected {expected:?}, found {found:?}").into()),
    }
}

/// What can panic in the least program around the engine, with these features.
fn panics(firmware: &Firmware, board: &Board, features: &[&str]) -> Result<Vec<String>, BoardError> {
    let folder = firmware.stage(&[model(SMALL, 64)])?;
    let features = [&["run"], features].concat();
    panic_paths(&firmware.build_bare(board, &folder.join("model.ember"), &features)?.elf)
}

/// On the core itself: the host cannot run them.
fn kernels_are_exact(firmware: &Firmware, board: &Board) -> Result<(), Failed> {
    let folder = firmware.stage(&[model(SMALL, 64)])?;
    let binary = firmware.build_bare(board, &folder.join("model.ember"), &["kernels"])?;
    match run_bare(&binary, &RunOptions::default())? {
        0 => Ok(()),
        20 => Err("a kernel's sums are not those of the portable code".into()),
        21 => Err("a kernel's updates are not those of NUMERICS 8".into()),
        status => Err(format!("expected status 0, found {status}").into()),
    }
}

fn refuses_what_is_no_image(firmware: &Firmware, board: &Board) -> Result<(), Failed> {
    let binary = firmware.build(board, &options(firmware, model(SMALL, 0))?)?;
    let run = firmware.run(&binary, &RunOptions::default())?;
    let line = run.error_line().unwrap_or("no line").to_owned();
    match (run.status, run.checked()) {
        (10, Err(BoardError::Failed { .. })) if line.contains("NotAnImage") => Ok(()),
        (status, _) => Err(format!("expected status 10 and an error, found {status} and `{line}`").into()),
    }
}

fn too_large_does_not_link(firmware: &Firmware, board: &Board) -> Result<(), Failed> {
    let flash = model(board.memory.flash.length as usize, 0);
    let ram = model(SMALL, board.memory.ram.length as u32 / 4);
    for (model, expected) in [(flash, "flash"), (ram, "RAM")] {
        match firmware.build(board, &options(firmware, model)?) {
            Err(BoardError::DoesNotFit { region, .. }) if region == expected => {}
            other => return Err(format!("expected the linker's refusal, found {other:?}").into()),
        }
    }
    Ok(())
}
