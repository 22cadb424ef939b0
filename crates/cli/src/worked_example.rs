//! `emberloop` alone: the whole pipeline on the embedded Japanese Vowels data.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use emberloop_core::{Config, Options, Outcome};
use emberloop_data::Splits;
use emberloop_quantize::Comparison;
use serde::Serialize;

use crate::display::{Display, LOG_EVERY};
use crate::output::{self, percent};
use crate::run_folder::RunFolder;
use crate::{compare, interrupt, quantize, source, train};

const CONFIG: &str = "models/japanese-vowels/train.toml";

/// What the example needs, in the program itself, so that it runs anywhere.
const FILES: [(&str, &[u8]); 4] = [
    ("train.toml", include_bytes!("../../../models/japanese-vowels/train.toml")),
    ("train.npz", include_bytes!("../../../models/japanese-vowels/train.npz")),
    ("test.npz", include_bytes!("../../../models/japanese-vowels/test.npz")),
    ("LICENSE.md", include_bytes!("../../../models/japanese-vowels/LICENSE.md")),
];

/// So many models are trained, from as many seeds; the best by validation loss is taken to the board.
const SEEDS: u64 = 3;

#[derive(Serialize)]
struct Report<'a> {
    run: &'a Path,
    test_accuracy_by_seed: Vec<f64>,
    median_test_accuracy: f64,
    comparison: &'a Comparison,
}

/// Runs the example.
pub fn run(json: bool) -> Result<()> {
    let config_path = Path::new(CONFIG);
    unpack(config_path)?;
    output::message("Japanese Vowels: nine speakers told apart by how they say one vowel (UCI, CC BY 4.0)");
    let (config, splits) = source::load_config(config_path)?;
    let folder = RunFolder::create(config_path, None)?;
    let outcomes = train_seeds(&config, &splits, &folder).inspect_err(|_| folder.abandon())?;
    let mut accuracies: Vec<f64> = outcomes.iter().map(|outcome| outcome.metrics["test_accuracy"]).collect();
    let by_seed = accuracies.clone();
    accuracies.sort_by(f64::total_cmp);
    let median = accuracies[accuracies.len() / 2];
    let val_loss = |outcome: &&Outcome| outcome.metrics["val_loss"];
    let best = outcomes.iter().min_by(|a, b| val_loss(a).total_cmp(&val_loss(b))).context("no model was trained")?;
    train::finish(&folder, best)?;

    let options = emberloop_quantize::Options { name: "japanese-vowels".into(), ..Default::default() };
    let quantized = emberloop_quantize::quantize(&best.checkpoint, &splits.train, &options)?;
    let files = quantize::write(&folder.file("model"), &quantized, &best.checkpoint)?;
    let test = splits.test.as_ref().context("the example has a test split")?;
    let image = emberloop_image::Image::parse(&quantized.image)?;
    train::write(&folder.file("model.seq"), &emberloop_quantize::write_sequences(&image, test, 3)?)?;
    let comparison = emberloop_quantize::compare(&best.checkpoint, &quantized.image, test, Default::default())?;
    let report = report(best, &by_seed, median, &quantize::summary(&quantized.report), &comparison);
    train::write(&folder.file("report.md"), report.as_bytes())?;

    if json {
        return output::print_json(&Report {
            run: folder.path(),
            test_accuracy_by_seed: by_seed,
            median_test_accuracy: median,
            comparison: &comparison,
        });
    }
    let seeds = by_seed.iter().map(|&accuracy| percent(accuracy)).collect::<Vec<_>>().join(", ");
    output::print(&format!("\ntest accuracy in float: {} (median of {SEEDS} seeds: {seeds})\n\n", percent(median)))?;
    output::print(&format!(
        "float against fixed point, the model with the best validation loss, every test sequence: {}",
        compare::text(&comparison)
    ))?;
    output::print(&format!(
        "\nwrote to {run}/\n  checkpoint.safetensors  float, PyTorch's names\n  model.q.safetensors     integers and scales, for any safetensors reader\n  \
         {image}             for the board\n  report.md\n\n\
         next\n  see it run on a Cortex-M4 in QEMU:  cargo xtask setup && cargo run --release -- flash {run}/model.ember --board qemu-m4 --config {CONFIG}\n  \
         look inside:                        cargo run --release -- inspect {run}/model.ember\n  \
         train on your own data:             copy {CONFIG} and name your CSV or NPZ in it\n",
        run = folder.path().display(),
        image = files.image.file_name().unwrap_or_default().to_string_lossy(),
    ))
}

fn train_seeds(config: &Config, splits: &Splits, folder: &RunFolder) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for seed in (0..SEEDS).map(|offset| config.training.seed + offset) {
        let mut config = config.clone();
        config.training.seed = seed;
        let log = folder.file(&format!("log-seed-{seed}.jsonl"));
        let mut display = Display::new(format!("seed {seed}"), &log, false, LOG_EVERY)?;
        let options = Options { cancel: Some(interrupt::flag()?), ..Options::default() };
        let outcome = emberloop_core::train(&config, splits, &options, &mut display);
        drop(display);
        let outcome = outcome?;
        output::message(&format!("seed {seed}: test accuracy {}", percent(outcome.metrics["test_accuracy"])));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Writes the embedded example where it is not there yet; what is there stays.
fn unpack(config: &Path) -> Result<()> {
    if config.exists() {
        return Ok(());
    }
    let folder = config.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot create the folder", folder.display()))?;
    for (name, bytes) in FILES {
        train::write(&folder.join(name), bytes)?;
    }
    output::message(&format!("unpacked the example to {}", folder.display()));
    Ok(())
}

fn report(best: &Outcome, by_seed: &[f64], median: f64, quantization: &str, comparison: &Comparison) -> String {
    let seeds = by_seed.iter().map(|&accuracy| percent(accuracy)).collect::<Vec<_>>().join(", ");
    let architecture = &best.checkpoint.metadata.architecture;
    format!(
        "# Japanese Vowels\n\n\
         {} {:?}, {} inputs, {} classes, {} parameters; seed {}.\n\n\
         ## Training\n\nTest accuracy in float: {} (median of {} seeds: {seeds}).\n\n```text\n{}```\n\n\
         ## Quantization\n\n```text\n{quantization}```\n\n\
         ## Float against fixed point, test split\n\n```text\n{}```\n",
        architecture.cell.name(),
        architecture.hidden,
        architecture.inputs,
        architecture.outputs,
        architecture.parameters(),
        best.checkpoint.metadata.provenance.seed,
        percent(median),
        by_seed.len(),
        train::summary(best),
        compare::text(comparison),
    )
}
