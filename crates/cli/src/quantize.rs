//! `emberloop quantize`: checkpoint and calibration data → integers → quantized safetensors and device image.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use emberloop_checkpoint::{Checkpoint, StagedFile};
use emberloop_quantize::{Options, QuantizationReport, Quantized, QuantizedFile, Rounding};
use serde::Serialize;

use crate::model;
use crate::output;
use crate::source::{self, Reader, Source, SplitName};

/// Turn a checkpoint into integers: MODEL.ember for the board, MODEL.q.safetensors for people and tools.
///
/// Ranges and rounding are chosen by calibration data: give the training data, by --calibrate or --config.
#[derive(Args)]
pub struct Quantize {
    /// The float checkpoint.
    model: PathBuf,
    /// Calibration data: a file like the one the model was trained on.
    #[arg(long, value_name = "FILE")]
    calibrate: Option<PathBuf>,
    /// A training configuration; its training split calibrates, unless --calibrate says otherwise.
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// Where to write: OUT.ember and OUT.q.safetensors, or model.* in the folder OUT [default: beside the checkpoint].
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// The model's name in the image [default: the checkpoint's folder].
    #[arg(long)]
    name: Option<String>,
    /// How weights become integers.
    #[arg(long, value_enum, default_value_t = RoundingChoice::Compensated)]
    rounding: RoundingChoice,
}

/// `--rounding`
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoundingChoice {
    /// Each rounding error made up for by the weights that follow, by the calibration data.
    Compensated,
    /// Each weight by itself.
    Nearest,
}

/// The files of a quantized model.
#[derive(Clone, Debug, Serialize)]
pub struct Files {
    /// The device image.
    pub image: PathBuf,
    /// The same content for people and tools.
    pub quantized: PathBuf,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    files: &'a Files,
    report: &'a QuantizationReport,
}

impl Quantize {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let checkpoint = model::read_checkpoint(&self.model)?;
        if self.calibrate.is_none() && self.config.is_none() {
            bail!("no calibration data: give --calibrate FILE (the training data), or --config TOML");
        }
        let reader = Reader::of_checkpoint(&checkpoint);
        let source = Source { data: self.calibrate, config: self.config, split: SplitName::Train };
        let calibration = source.load(&reader)?;
        if model::refuses_missing(&checkpoint) {
            source::refuse_missing(&calibration)?;
        }
        let rounding = match self.rounding {
            RoundingChoice::Compensated => Rounding::Compensated,
            RoundingChoice::Nearest => Rounding::Nearest,
        };
        let folder = self.model.canonicalize()?.parent().map(Path::to_path_buf).unwrap_or_default();
        let default_name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let options = Options { name: self.name.unwrap_or(default_name), rounding, ..Options::default() };
        let quantized = emberloop_quantize::quantize(&checkpoint, &calibration, &options)?;
        let stem = match self.out {
            Some(out) if out.is_dir() => out.join("model"),
            Some(out) => out,
            None => self.model.with_file_name("model"),
        };
        let files = write(&stem, &quantized, &checkpoint)?;
        if json {
            return output::print_json(&Report { files: &files, report: &quantized.report });
        }
        output::print(&summary(&quantized.report))?;
        output::print(&format!(
            "wrote {image} and {quantized}\nnext: emberloop compare {model} {image} {data}\n",
            image = files.image.display(),
            quantized = files.quantized.display(),
            model = self.model.display(),
            data = match &source.config {
                Some(config) => format!("--config {}", config.display()),
                None => "--data TEST_DATA".into(),
            },
        ))
    }
}

/// Writes both files, or leaves both as they were: one describes the other.
pub fn write(stem: &Path, quantized: &Quantized, checkpoint: &Checkpoint) -> Result<Files> {
    let with = |extension: &str| {
        let mut name = stem.file_name().unwrap_or_default().to_os_string();
        name.push(extension);
        stem.with_file_name(name)
    };
    let files = Files { image: with(".ember"), quantized: with(".q.safetensors") };
    let bytes = QuantizedFile::new(quantized, checkpoint).to_bytes()?;
    let staged = [(&files.quantized, bytes.as_slice()), (&files.image, &quantized.image)].map(|(path, bytes)| {
        StagedFile::new(path, bytes)
            .with_context(|| format!("{}: cannot be written (what was there is unchanged)", path.display()))
    });
    for file in staged.into_iter().collect::<Result<Vec<_>>>()? {
        file.commit().with_context(|| format!("{}: cannot be written", stem.display()))?;
    }
    Ok(files)
}

/// What quantization did, for a person.
pub fn summary(report: &QuantizationReport) -> String {
    let mut text = format!(
        "calibrated by {} steps of {} sequences: image {}, RAM {}, {} golden steps\n",
        report.calibration_steps,
        report.calibration_sequences,
        output::bytes(report.image_bytes),
        output::bytes(report.ram_bytes),
        report.golden_steps,
    );
    let shifted: Vec<String> = report
        .scalers
        .iter()
        .filter(|scaler| scaler.raw_fraction != 0)
        .map(|scaler| format!("{} · 2^{}", scaler.channel, scaler.raw_fraction))
        .collect();
    if !shifted.is_empty() {
        text += &format!("  a board's driver hands over integers: {}\n", shifted.join(", "));
    }
    text += "  product                    rounding error (plain rounding)\n";
    for weights in &report.weights {
        text += &format!("  {:<26} {:>8.4}        ({:.4})\n", weights.place, weights.error, weights.nearest_error);
    }
    text
}
