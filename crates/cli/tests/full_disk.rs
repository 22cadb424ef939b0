//! A disk that fills up: every command that writes says so in one line, what was there stays, and nothing half-written is
//! left. Limiting the size of files stands for the disk: the write fails, as it does there, in the middle.
#![cfg(unix)]

mod common;

use std::path::Path;

use common::models::{slopes_model, train_and_quantize};
use common::{assert_says, assert_unchanged};

/// Files grow to a kilobyte and no further; a checkpoint takes more, and so does each quantized file.
const SMALL: usize = 1;

#[test]
fn training_keeps_nothing_if_it_cannot_keep_the_first_epoch() {
    let folder = slopes_model();
    let before = folder.snapshot();
    let said = folder.run_on_full_disk(SMALL, &["train", "train.toml"]).fails_at_last();
    assert_says(
        &said,
        &["runs/", "resume.safetensors: cannot be written (what was there is unchanged): File too large"],
    );
    assert_unchanged(&before, &folder.snapshot(), &said);
    // The room is back, and so is the run's name.
    let trained = folder.run(&["train", "train.toml", "--json"]).json();
    assert!(!trained["run"].as_str().unwrap().ends_with("-2"), "{trained}");
}

#[test]
fn a_training_whose_disk_fills_up_later_goes_on() {
    let folder = slopes_model();
    folder.run(&["train", "train.toml", "--out", "whole"]).succeeds();
    // The state grows with each epoch's line in it: there is room for some, not for all.
    let resume = |kilobytes| {
        let arguments = ["train", "train.toml", "--out", "filled", "--save-every", "0", "--resume"];
        folder.run_on_full_disk(kilobytes, &arguments[..if folder.exists("filled") { 7 } else { 6 }])
    };
    let said = resume(12).fails_at_last();
    assert_says(&said, &["filled/resume.safetensors: cannot be written (what was there is unchanged)"]);
    let state = folder.read("filled/resume.safetensors");
    let said = resume(12).fails_at_last();
    assert_says(&said, &["filled/resume.safetensors: cannot be written"]);
    assert!(folder.read("filled/resume.safetensors") == state, "what was kept stays");
    let names: Vec<_> =
        folder.snapshot().into_keys().filter(|name| name.parent() == Some(Path::new("filled"))).collect();
    let expected = ["filled/log.jsonl", "filled/origin", "filled/resume.safetensors", "filled/train.toml"];
    assert!(names.iter().map(|name| name.to_str().unwrap()).eq(expected), "no temporary files: {names:?}");

    folder.run(&["train", "train.toml", "--out", "filled", "--resume"]).succeeds();
    assert!(folder.read("filled/checkpoint.safetensors") == folder.read("whole/checkpoint.safetensors"));
}

#[test]
fn quantize_replaces_both_files_or_none() {
    let folder = slopes_model();
    let arguments = ["quantize", "model/checkpoint.safetensors", "--config", "train.toml", "--name", "another"];
    let sizes = ["model/model.ember", "model/model.q.safetensors"].map(|name| folder.read(name).len());
    // Room for neither, and room for the image alone.
    for bytes in [sizes[0] / 2, sizes[0] + 200] {
        assert!(bytes.div_ceil(1024) * 1024 < sizes[1]);
        let before = folder.snapshot();
        let said = folder.run_on_full_disk(bytes.div_ceil(1024), &arguments).fails();
        assert_says(&said, &["model/model.", "cannot be written (what was there is unchanged): File too large"]);
        assert_unchanged(&before, &folder.snapshot(), &said);
        let said = folder.run_on_full_disk(bytes.div_ceil(1024), &[&arguments[..], &["--out", "new"]].concat()).fails();
        assert_says(&said, &["new."]);
        assert_unchanged(&before, &folder.snapshot(), &said);
    }
    let before = folder.read("model/model.ember");
    folder.run(&arguments).succeeds();
    assert!(folder.read("model/model.ember") != before, "without the limit it is replaced");
}

#[test]
fn a_model_that_is_trained_but_cannot_be_written_is_kept() {
    let folder = slopes_model();
    folder.run(&["train", "train.toml", "--out", "whole"]).succeeds();
    // A folder in the checkpoint's place cannot be replaced: like a full disk, but only for the last file.
    folder.write("run/checkpoint.safetensors/x", "");
    let said = folder.run(&["train", "train.toml", "--out", "run"]).fails_at_last();
    assert_says(&said, &["the training is finished and kept", "emberloop train train.toml --resume --out run"]);
    assert_says(&said, &["run/checkpoint.safetensors: cannot be written"]);
    std::fs::remove_dir_all(folder.file("run/checkpoint.safetensors")).unwrap();
    folder.run(&["train", "train.toml", "--resume", "--out", "run"]).succeeds();
    assert!(folder.read("run/checkpoint.safetensors") == folder.read("whole/checkpoint.safetensors"));
}

#[test]
fn flash_leaves_no_half_of_a_model() {
    let folder = slopes_model();
    folder.write("big.toml", common::data::LONG_TOML.replace("hidden = [8]", "hidden = [24]").replace("= 25", "= 1"));
    std::fs::rename(folder.file("big.toml"), folder.file("train.toml")).unwrap();
    std::fs::remove_dir_all(folder.file("model")).unwrap();
    train_and_quantize(&folder);
    assert!(folder.read("model/model.ember").len() > 2048);
    // A firmware folder of its own, so that the repository's stays out of it.
    let board = "core = \"Cortex-M4F\"\ntarget = \"thumbv7em-none-eabihf\"\n";
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/boards/qemu-m4/board.toml");
    folder.write("firmware/boards/qemu-m4/board.toml", std::fs::read(firmware).unwrap_or(board.into()));
    let script = format!(
        "EMBERLOOP_FIRMWARE=firmware; export EMBERLOOP_FIRMWARE; trap '' XFSZ; ulimit -f {SMALL}; exec \"$0\" \"$@\""
    );
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &script, common::EMBERLOOP, "flash", "model/model.ember", "--board", "qemu-m4"]);
    let ran = common::Ran::new(command.current_dir(folder.path()).output().unwrap());
    let said = ran.fails();
    assert_says(&said, &["model.ember: File too large"]);
    let left = folder.snapshot().into_iter().filter(|(name, _)| name.starts_with("firmware/target"));
    let half: Vec<_> = left.filter(|(name, _)| name.extension().is_some()).collect();
    assert!(half.is_empty(), "{half:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn answers_that_cannot_be_written_are_an_error() {
    let folder = slopes_model();
    for arguments in [
        &["run", "model/model.ember"][..],
        &["inspect", "model/model.ember"],
        &["evaluate", "model/model.ember", "--data", "other.csv", "--json"],
    ] {
        let mut command = folder.command(arguments);
        folder.write("samples", "20,0\n");
        command.stdin(std::fs::File::open(folder.file("samples")).unwrap());
        command.stdout(std::fs::File::create("/dev/full").unwrap());
        let said = common::Ran::new(command.output().unwrap()).fails();
        assert_says(&said, &["No space left on device"]);
    }
}
