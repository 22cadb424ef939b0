//! What the engine takes of the flash: the least program around it (`firmware/bare`) less the same program without it.

use emberloop_boards::{Board, EmbeddedModel, Firmware, RunOptions, footprint, run_bare};
use emberloop_cells::CellKind;

use super::bars;
use super::synthetic::CASES;
use crate::Result;

/// Bytes of code and tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// The cells that the engine can run, as the features of `crates/engine` name them.
    pub cells: Vec<&'static str>,
    /// The engine and the image reader.
    pub engine: u64,
    /// The part of it that checks images: what a program without a network has.
    pub reader: u64,
}

/// Builds the programs for a board and these cells; the whole one is also run.
pub fn measure(firmware: &Firmware, board: &Board, cells: &[CellKind]) -> Result<Flash> {
    let mut features: Vec<&str> = cells.iter().map(|&cell| feature(cell)).collect();
    features.sort_unstable();
    features.dedup();
    // What the model is does not matter but for the run.
    let cell = *cells.first().ok_or("a model without layers has no cell")?;
    let case = CASES.iter().find(|case| case.cell == cell && case.hidden == 32).ok_or("no model has this cell")?;
    let (image, _) = case.build()?;
    let bytes = image.len() as u64;
    let folder = firmware.stage(&[EmbeddedModel { name: "model".into(), image, sequences: None }])?;
    let model = folder.join("model.ember");

    let build = |features: &[&str]| -> Result<_> {
        let binary = firmware.build_bare(board, &model, features)?;
        let flash = footprint(&binary.elf, &board.memory)?.flash;
        Ok((binary, flash.saturating_sub(bytes)))
    };
    let (_, frame) = build(&[])?;
    let (_, parse) = build(&["parse"])?;
    let (whole, run) = build(&[&["run"], features.as_slice()].concat())?;
    let status = run_bare(&whole, &RunOptions::default())?;
    if status != 0 {
        return Err(format!("{}: firmware/bare with {} ended with status {status}", board.name, case.name()).into());
    }
    Ok(Flash { cells: features, engine: run.saturating_sub(frame), reader: parse.saturating_sub(frame) })
}

impl Flash {
    /// Whether the engine is as small as it should be; the bar is for one kind of cell on one board.
    pub fn bar(&self, board: &Board) -> Option<u64> {
        (board.name == "qemu-m4" && self.cells.len() == 1).then_some(bars::FLASH)
    }
}

/// The feature of `crates/engine` that a cell needs.
fn feature(cell: CellKind) -> &'static str {
    match cell {
        CellKind::Rnn => "rnn",
        CellKind::Lstm => "lstm",
        CellKind::GruResetAfter | CellKind::GruResetBefore => "gru",
    }
}
