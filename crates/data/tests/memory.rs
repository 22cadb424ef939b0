//! Streamed data take no memory worth mentioning: a child process goes through 256 MiB, and its peak is looked at.
//!
//! Linux alone tells a process its peak (`VmHWM`); elsewhere the test does nothing.
#![cfg(target_os = "linux")]

mod common;

use common::{config, npy};
use emberloop_data::{MissingPolicy, Prepared, Scaler, ScalerKind, batches, load};

const FOLDER: &str = "EMBERLOOP_TEST_MEMORY_FOLDER";
const SEQUENCES: u64 = 2048;
/// Numbers of a sequence, float32: 128 KiB.
const NUMBERS: u64 = 8192 * 4;

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// What the child does: everything that training does with data but the arithmetic.
fn go_through(folder: &str) {
    let table = "train='x.npy'\ntarget='y.npy'\nmemory='stream'\nvalidation_fraction=0.25\nshuffle_block=4";
    let splits = load(&config(table), folder.as_ref(), 1).unwrap();
    let scaler = Scaler::fit(&splits.train, ScalerKind::Robust, MissingPolicy::Error).unwrap();
    let mut seen = 0;
    for split in [&splits.train, &splits.validation] {
        let prepared = Prepared::new(split, &scaler, None).unwrap();
        let order = prepared.by_length();
        seen += batches(&prepared, &order, 16).map(|batch| batch.unwrap().batch).sum::<usize>();
    }
    assert_eq!(seen, SEQUENCES as usize);
    println!("peak {}", peak());
}

#[test]
fn a_quarter_of_a_gibibyte_goes_through_a_third_of_it() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return go_through(&folder);
    }
    let folder = tempfile::tempdir().unwrap();
    // A hole of zeros takes neither time nor room.
    let header = npy::<f32>(&[0, 8192, 4], &[]);
    let header = String::from_utf8_lossy(&header[10..]).replace("(0, ", &format!("({SEQUENCES}, "));
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    let path = folder.path().join("x.npy");
    std::fs::write(&path, &bytes).unwrap();
    let size = bytes.len() as u64 + SEQUENCES * NUMBERS * 4;
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
    std::fs::write(folder.path().join("y.npy"), npy(&[SEQUENCES], &vec![0u8; SEQUENCES as usize])).unwrap();

    let test = "a_quarter_of_a_gibibyte_goes_through_a_third_of_it";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    let peak: u64 = said.lines().find_map(|line| line.split_once("peak ")).unwrap().1.parse().unwrap();
    // 64 blocks of 512 KiB are 32 MiB, and the counters of the quartiles 14 MiB.
    assert!(peak < 80 << 20, "{} MiB of {} MiB", peak >> 20, size >> 20);
}
