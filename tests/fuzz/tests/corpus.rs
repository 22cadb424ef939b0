//! The corpus without a fuzzer: what it once reached is still reached without a panic. Also what Miri runs.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of each corpus that Miri takes, evenly chosen: an interpreter is slow.
const UNDER_MIRI: usize = 12;

fn run_corpus(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{}: {} files", folder.display(), files.len());
    let stride = if cfg!(miri) { files.len().div_ceil(UNDER_MIRI) } else { 1 };
    for file in files.iter().step_by(stride) {
        println!("{}", file.display());
        run(&fs::read(file).unwrap());
    }
}

#[test]
fn image_parse() {
    run_corpus("image_parse", emberloop_fuzz::parse);
}

#[test]
fn image_step() {
    run_corpus("image_step", emberloop_fuzz::step);
}
