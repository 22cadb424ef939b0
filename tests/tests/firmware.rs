//! Every case on every board that QEMU emulates: each output is, to the last bit, that of the host engine and that of
//! the reference.
//!
//! The boards are those of `firmware/boards`; each is a few tests, so that they run side by side. Where the compiler
//! for a board or its emulator is missing, its tests are reported as ignored, with the reason (`cargo xtask test` counts
//! them as skipped), unless `EMBERLOOP_REQUIRE_FIRMWARE` is 1: then that is a failure.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use emberloop_boards::{Board, BoardError, BuildOptions, Firmware, Run, RunOptions};
use emberloop_engine::Network;
use emberloop_image::Image;
use emberloop_tests::aligned::Aligned;
use emberloop_tests::cases::{self, Case};
use emberloop_tests::writer;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials()).exit_code()
}

type Check = fn(&Firmware, &Board) -> Result<(), Failed>;

const CHECKS: [(&str, Check); 2] = [
    ("every_step_is_bit_exact", every_step_is_bit_exact),
    ("wrong_golden_vectors_are_found", wrong_golden_vectors_are_found),
];

/// The checks of every emulated board.
fn trials() -> Vec<Trial> {
    let found = Firmware::locate().and_then(|firmware| Ok((firmware.emulated_boards()?, firmware)));
    let (boards, firmware) = match found {
        Ok((boards, firmware)) if !boards.is_empty() => (boards, firmware),
        Ok(_) => {
            return vec![Trial::test("boards", || Err("firmware/boards holds no board that QEMU emulates".into()))];
        }
        Err(error) => return vec![Trial::test("boards", move || Err(error.to_string().into()))],
    };
    boards.iter().flat_map(|board| trials_of(&firmware, board)).collect()
}

fn trials_of(firmware: &Firmware, board: &Board) -> Vec<Trial> {
    let missing =
        board.missing_tool().filter(|_| env::var_os("EMBERLOOP_REQUIRE_FIRMWARE").is_none_or(|value| value != "1"));
    let trial = |(name, check): (&str, Check)| {
        let (firmware, board) = (firmware.clone(), board.clone());
        let trial = Trial::test(format!("{}::{name}", board.name), move || check(&firmware, &board));
        match &missing {
            Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
            None => trial,
        }
    };
    CHECKS.into_iter().map(trial).collect()
}

/// The cases that the board's flash has room for beside the program, for which 64 KiB are set aside.
fn fitting(board: &Board) -> Vec<Case> {
    let mut room = board.memory.flash.length.saturating_sub(64 << 10);
    let mut fitting = cases::all();
    fitting.retain(|case| {
        let bytes = (case.image.len() + inputs(case).len()) as u64;
        let fits = bytes <= room;
        room -= if fits { bytes } else { 0 };
        fits
    });
    fitting.sort_by(|a, b| a.name.cmp(&b.name));
    fitting
}

/// The `.seq` file of a case: inputs alone, so that the board has nothing to copy its answers from.
fn inputs(case: &Case) -> Vec<u8> {
    writer::sequences(case.model.input.raw_width(), 0, &case.sequences)
}

/// Writes models into a folder that is the board's own, and that stays: unchanged files need no new build.
fn pack(folder: &str, cases: &[Case]) -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("firmware").join(folder);
    fs::create_dir_all(&folder)?;
    let files = cases.iter().flat_map(|case| {
        [(format!("{}.ember", case.name), case.image.clone()), (format!("{}.seq", case.name), inputs(case))]
    });
    let files: Vec<(String, Vec<u8>)> = files.collect();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if !files.iter().any(|(name, _)| path.ends_with(name)) {
            fs::remove_file(path)?;
        }
    }
    for (name, bytes) in files {
        let path = folder.join(name);
        if fs::read(&path).ok().as_ref() != Some(&bytes) {
            let temporary = tempfile::NamedTempFile::new_in(folder.parent().expect("a folder of a folder"))?;
            fs::write(temporary.path(), bytes)?;
            temporary.persist(path)?;
        }
    }
    Ok(folder)
}

fn build_and_run(firmware: &Firmware, board: &Board, folder: &str, cases: &[Case]) -> Result<Run, Failed> {
    let options = BuildOptions { models: Some(pack(folder, cases)?), measure: false };
    let binary = firmware.build(board, &options)?;
    Ok(firmware.run(&binary, &RunOptions::default())?)
}

/// What the host engine says of every step: class and outputs.
fn on_the_host(case: &Case) -> Vec<Vec<(Option<usize>, Vec<i32>)>> {
    let bytes = Aligned::new(&case.image);
    let image = Image::parse(&bytes).expect("a valid image");
    let mut network = Network::new(&image, vec![0; image.memory().words()]).expect("enough memory");
    let mut run = |samples: &Vec<Vec<i32>>| {
        network.reset();
        let mut step = |sample: &Vec<i32>| {
            let output = network.step(sample).expect("a step that the case says is taken");
            (output.class(), output.values().to_vec())
        };
        samples.iter().map(&mut step).collect()
    };
    case.sequences.iter().map(|sequence| run(&sequence.samples)).collect()
}

fn every_step_is_bit_exact(firmware: &Firmware, board: &Board) -> Result<(), Failed> {
    let cases = fitting(board);
    let run = build_and_run(firmware, board, &format!("{}-cases", board.name), &cases)?.checked()?;
    let names: Vec<&str> = run.models.iter().map(|model| model.name.as_str()).collect();
    let expected: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    equal("models", &names, &expected)?;

    let mut outputs = run.outputs.iter();
    for (model, case) in cases.iter().enumerate() {
        for (sequence, (host, reference)) in on_the_host(case).iter().zip(&case.sequences).enumerate() {
            for (step, ((class, values), reference)) in host.iter().zip(&reference.outputs).enumerate() {
                let place = format!("{}, sequence {sequence}, step {step}", case.name);
                let output = outputs.next().ok_or_else(|| format!("{place}: no output"))?;
                equal(&place, &(output.model, output.sequence, output.step), &(model, sequence, step))?;
                equal(&format!("{place}: board and reference"), &output.values, reference)?;
                equal(&format!("{place}: board and host engine"), &output.values, values)?;
                equal(&format!("{place}: class"), &output.class, class)?;
            }
        }
    }
    equal("outputs left over", &outputs.count(), &0)
}

/// A board whose self-test cannot fail would prove nothing.
fn wrong_golden_vectors_are_found(firmware: &Firmware, board: &Board) -> Result<(), Failed> {
    /// The firmware's status for a self-test that computed other bits.
    const SELF_TEST: i32 = 11;
    let mut case = cases::named("gru");
    let last = case.image.len() - 4;
    case.image[last] ^= 1;
    writer::fix_checksum(&mut case.image);
    let run = build_and_run(firmware, board, &format!("{}-wrong-golden", board.name), &[case])?;
    equal("status", &run.status, &SELF_TEST)?;
    equal("outputs", &run.outputs.len(), &0)?;
    match run.checked() {
        Err(BoardError::Failed { .. }) => Ok(()),
        other => Err(format!("expected a failed run, found {other:?}").into()),
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}").into()) }
}
