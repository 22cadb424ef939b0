//! Trained models for tests that begin where training ends. Each test binary trains them once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::Folder;
use super::data::{LONG_TOML, long_csv, slopes};

/// A folder with a finished and quantized run of slopes: `train.csv`, `other.csv` with data of its own, `train.toml`, and
/// in `model/` `checkpoint.safetensors`, `model.ember`, `model.q.safetensors`.
pub fn slopes_model() -> Folder {
    static MADE: OnceLock<BTreeMap<PathBuf, Vec<u8>>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = Folder::new();
        folder.write("train.csv", long_csv(&slopes(60, 1)));
        folder.write("other.csv", long_csv(&slopes(30, 2)));
        folder.write("train.toml", LONG_TOML);
        train_and_quantize(&folder);
        folder.snapshot()
    });
    Folder::of(made)
}

/// `train.toml` to `model/`.
pub fn train_and_quantize(folder: &Folder) {
    folder.run(&["train", "train.toml", "--out", "model"]).succeeds();
    folder.run(&["quantize", "model/checkpoint.safetensors", "--config", "train.toml"]).succeeds();
}
