//! What the figures are held against.

use emberloop_cells::CellKind;

/// Features of the models that the bars are for.
pub const INPUTS: usize = 9;
/// Flash of the engine with one cell kind and one head, on `qemu-m4`.
pub const FLASH: u64 = 8 * 1024;
/// RAM of the LSTM with 32 units.
pub const RAM: u64 = 600;
/// Stack of a step.
pub const STACK: u64 = 512;

/// Of an LSTM with [`INPUTS`] features and `hidden` units on a board: at most so many instructions per step, and those of
/// CMSIS-NN.
struct Lstm {
    board: &'static str,
    hidden: usize,
    bar: u64,
    cmsis_nn: u64,
}

/// CMSIS-NN of July 2026, `arm_lstm_unidirectional_s8`, gcc -O3: the bare layer, without a scaler or a head. Counted with
/// `tools/icount.c` in QEMU 10; its source is not in this repository.
#[rustfmt::skip]
const LSTM: [Lstm; 12] = [
    Lstm { board: "qemu-m0", hidden: 16, bar: 13_000, cmsis_nn: 33_147 },
    Lstm { board: "qemu-m0", hidden: 32, bar: 31_000, cmsis_nn: 75_281 },
    Lstm { board: "qemu-m0", hidden: 64, bar: 97_000, cmsis_nn: 193_867 },
    Lstm { board: "qemu-m0", hidden: 128, bar: 335_000, cmsis_nn: 570_826 },
    Lstm { board: "qemu-m4", hidden: 16, bar: 4_500, cmsis_nn: 13_602 },
    Lstm { board: "qemu-m4", hidden: 32, bar: 10_000, cmsis_nn: 29_440 },
    Lstm { board: "qemu-m4", hidden: 64, bar: 29_000, cmsis_nn: 72_636 },
    Lstm { board: "qemu-m4", hidden: 128, bar: 97_000, cmsis_nn: 205_043 },
    Lstm { board: "qemu-m55", hidden: 16, bar: 2_200, cmsis_nn: 6_465 },
    Lstm { board: "qemu-m55", hidden: 32, bar: 4_200, cmsis_nn: 12_159 },
    Lstm { board: "qemu-m55", hidden: 64, bar: 9_800, cmsis_nn: 26_392 },
    Lstm { board: "qemu-m55", hidden: 128, bar: 30_000, cmsis_nn: 66_353 },
];

/// The most instructions that a step should take; a GRU has 0.85 of the LSTM's.
pub fn instructions(board: &str, cell: CellKind, hidden: usize) -> Option<u64> {
    let lstm = LSTM.iter().find(|lstm| lstm.board == board && lstm.hidden == hidden)?.bar;
    match cell {
        CellKind::Lstm => Some(lstm),
        CellKind::GruResetAfter | CellKind::GruResetBefore => Some(lstm * 85 / 100),
        CellKind::Rnn => None,
    }
}

/// Instructions per step of CMSIS-NN, which has no other cell.
pub fn cmsis_nn(board: &str, cell: CellKind, hidden: usize) -> Option<u64> {
    let lstm = LSTM.iter().find(|lstm| lstm.board == board && lstm.hidden == hidden)?;
    (cell == CellKind::Lstm).then_some(lstm.cmsis_nn)
}
