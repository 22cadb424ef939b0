//! `emberloop flash`: build the firmware around a model, run it on a board, compare every bit.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use emberloop_boards::{BuildOptions, EmbeddedModel, Firmware, Run, RunOptions, Runner};
use emberloop_data::Dataset;
use emberloop_engine::{Image, Network};
use emberloop_image::Sequences;
use emberloop_quantize::AlignedBytes;
use serde::Serialize;

use crate::model::ImageFile;
use crate::output::{self, bytes};
use crate::source::{Reader, Source};

/// Build the firmware around an image, flash it (or start it in QEMU), and compare each of its outputs with the host's.
///
/// The golden vectors run first; then, where --data or --config is given, test sequences.
#[derive(Args)]
pub struct Flash {
    /// The image (.ember).
    model: PathBuf,
    /// The board: a folder of firmware/boards. Without it, the boards are listed.
    #[arg(long)]
    board: Option<String>,
    #[command(flatten)]
    source: Source,
    /// At most so many test sequences.
    #[arg(long, default_value_t = 5, value_name = "N")]
    sequences: usize,
}

#[derive(Serialize)]
struct Report {
    board: String,
    core: String,
    image_bytes: usize,
    ram_bytes: usize,
    sequences: usize,
    steps: usize,
    equal: bool,
}

impl Flash {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let file = ImageFile::read(&self.model)?;
        let image = file.parse()?;
        let firmware = Firmware::locate()?;
        let Some(board) = &self.board else {
            let boards = firmware.boards()?;
            let names: Vec<_> = boards.iter().map(|board| format!("{} ({})", board.name, board.core)).collect();
            bail!("no board: give --board NAME, one of {}", names.join(", "));
        };
        let board = firmware.board(board)?;
        let dataset = match (&self.source.data, &self.source.config) {
            (None, None) => None,
            _ => Some(self.source.load(&Reader::of_image(&file)?)?),
        };
        let vectors = test_vectors(&image, dataset.as_ref(), self.sequences)?;

        let models = firmware.stage(&[EmbeddedModel {
            name: "model".into(),
            image: file.bytes.to_vec(),
            sequences: Some(vectors.to_vec()),
        }])?;
        output::message(&format!("building the firmware for {} ({}) ...", board.name, board.core));
        let binary = firmware.build(&board, &BuildOptions { models: Some(models), measure: false })?;
        // Emulators deliver the log as it is, and decoding it takes a program of the checkout: the first time, building that
        // takes longer than the run.
        let decoder = firmware.target_folder().join("in-use/debug/emberloop-decode");
        if matches!(board.runner, Runner::Qemu(_)) && !decoder.is_file() {
            output::message("running, and building the log decoder ...");
        } else {
            output::message("running ...");
        }
        let run = firmware.run(&binary, &RunOptions::default()).and_then(Run::checked)?;

        let steps = compare(&image, &vectors, &run)?;
        let report = Report {
            board: board.name.clone(),
            core: board.core.clone(),
            image_bytes: image.len_bytes(),
            ram_bytes: image.ram_bytes(),
            sequences: Sequences::parse(&vectors).map(|sequences| sequences.len()).unwrap_or(0),
            steps,
            equal: true,
        };
        if json {
            return output::print_json(&report);
        }
        output::print(&format!(
            "{}: golden vectors passed; {} steps of {} test sequences equal to the host's, bit for bit\n  image {}, RAM {}\n",
            report.board,
            report.steps,
            report.sequences,
            bytes(report.image_bytes),
            bytes(report.ram_bytes),
        ))
    }
}

/// The raw sequences that the board runs, aligned as it will see them.
fn test_vectors(image: &Image<'_>, dataset: Option<&Dataset>, most: usize) -> Result<AlignedBytes> {
    let bytes = match dataset {
        Some(dataset) => emberloop_quantize::write_sequences(image, dataset, most)?,
        None => {
            // No sequences: the golden vectors alone speak.
            let words = [emberloop_image::SEQUENCES_MAGIC, image.header().raw_width() as u32, 0, 0];
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        }
    };
    Ok(AlignedBytes::new(&bytes))
}

/// Compares the board's outputs with the host engine's; returns the number of steps.
fn compare(image: &Image<'_>, vectors: &AlignedBytes, run: &Run) -> Result<usize> {
    let sequences = Sequences::parse(vectors).context("test sequences")?;
    let mut network = Network::new(image, vec![0; image.memory().words()])?;
    let mut outputs = run.outputs.iter();
    let mut steps = 0;
    for (index, sequence) in sequences.iter().enumerate() {
        network.reset();
        for (step, sample) in sequence.samples().enumerate() {
            let expected = network.step(sample)?;
            let Some(found) = outputs.next() else { bail!("the board stopped before sequence {index}, step {step}") };
            if (found.sequence, found.step) != (index, step) || found.values != expected.values() {
                bail!(
                    "sequence {index}, step {step}: the board and the host differ: expected {:?}, found {:?} (sequence {}, step {})",
                    expected.values(),
                    found.values,
                    found.sequence,
                    found.step
                );
            }
            steps += 1;
        }
    }
    Ok(steps)
}
