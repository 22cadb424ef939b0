//! What a recurrent cell *is*: kinds, gate order, tensor names and shapes.
//!
//! The equations stand in `CELLS.md` beside this crate. To add a cell, add a variant to [`CellKind`]: no code of the
//! project matches it with a wildcard, so the compiler then names every file that still has to learn it.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod names;
pub use names::{Direction, RecurrentTensor, TensorName};

/// A recurrent cell.
///
/// The order of the variants is part of the device image's format (FORMAT.md): append, never reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum CellKind {
    /// Elman network with tanh.
    Rnn,
    /// Long short-term memory with forget gate, without peepholes.
    Lstm,
    /// Gated recurrent unit, reset gate applied *after* the recurrent product (PyTorch, cuDNN, Keras 2 and later).
    GruResetAfter,
    /// Gated recurrent unit, reset gate applied *before* the recurrent product (the original paper).
    GruResetBefore,
}

/// One gate of a cell. A gate owns `hidden` rows of each weight matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// The RNN's only row block.
    Hidden,
    /// LSTM: how much of the candidate enters the cell.
    Input,
    /// LSTM: how much of the cell stays.
    Forget,
    /// LSTM: the candidate.
    Candidate,
    /// LSTM: how much of the cell shows.
    Output,
    /// GRU: how much of the past the new value sees.
    Reset,
    /// GRU: how much of the past stays.
    Update,
    /// GRU: the new value.
    New,
}

impl CellKind {
    /// Every cell, in the order of the image format.
    pub const ALL: [CellKind; 4] = [CellKind::Rnn, CellKind::Lstm, CellKind::GruResetAfter, CellKind::GruResetBefore];

    /// The gates in the order in which their rows are stacked: PyTorch's.
    pub const fn gates(self) -> &'static [Gate] {
        match self {
            CellKind::Rnn => &[Gate::Hidden],
            CellKind::Lstm => &[Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output],
            CellKind::GruResetAfter | CellKind::GruResetBefore => &[Gate::Reset, Gate::Update, Gate::New],
        }
    }

    /// Number of gates: the rows of a weight matrix are `gate_count() * hidden`.
    pub const fn gate_count(self) -> usize {
        self.gates().len()
    }

    /// Whether the cell carries a cell state beside its hidden state.
    pub const fn has_cell_state(self) -> bool {
        match self {
            CellKind::Lstm => true,
            CellKind::Rnn | CellKind::GruResetAfter | CellKind::GruResetBefore => false,
        }
    }

    /// Whether the recurrent bias of the new gate must stay apart from its input bias, because the reset gate scales it.
    pub const fn has_separate_recurrent_bias(self) -> bool {
        match self {
            CellKind::GruResetAfter => true,
            CellKind::Rnn | CellKind::Lstm | CellKind::GruResetBefore => false,
        }
    }

    /// The name in configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            CellKind::Rnn => "rnn",
            CellKind::Lstm => "lstm",
            CellKind::GruResetAfter => "gru",
            CellKind::GruResetBefore => "gru (reset before)",
        }
    }
}

impl Gate {
    /// The gate's name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Gate::Hidden => "hidden",
            Gate::Input => "input",
            Gate::Forget => "forget",
            Gate::Candidate => "candidate",
            Gate::Output => "output",
            Gate::Reset => "reset",
            Gate::Update => "update",
            Gate::New => "new",
        }
    }
}
