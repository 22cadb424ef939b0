//! What an image holds, as plain owned data.
//!
//! The writer and the reference's reader both speak of it; neither uses the reader under test (`emberloop-image`).
//! Only [`CellKind`] is shared with the product, so that a new cell is a compile error here until it has a reference.

pub use emberloop_cells::CellKind;

/// The content of an image (FORMAT §3 and §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The model's name.
    pub name: String,
    /// SHA-256 of the float checkpoint, hexadecimal.
    pub checkpoint: String,
    /// How samples become the first layer's input.
    pub input: Input,
    /// The recurrent layers, the one next to the input first.
    pub layers: Vec<Layer>,
    /// The output layer.
    pub head: Head,
    /// Names of the input channels.
    pub channels: Vec<String>,
    /// Labels of the classes, or names of the targets.
    pub labels: Vec<String>,
    /// The golden vectors.
    pub golden: Vec<Golden>,
}

/// How samples become the first layer's input (FORMAT §3, `input`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// One raw number per feature.
    Features {
        /// Fraction bits of the scaled input.
        fraction: u8,
        /// What a missing number becomes.
        missing: Missing,
        /// One scaler per feature.
        scalers: Vec<Scaler>,
    },
    /// One token per sample.
    Tokens {
        /// Fraction bits of the embedded input.
        fraction: u8,
        /// One row per token.
        embedding: Embedding,
    },
}

/// What a missing number becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The step is refused.
    Error,
    /// The value of the step before.
    HoldLast,
    /// The scaler's `fill`.
    Mean,
}

/// One feature's scaler (FORMAT §4, NUMERICS §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaler {
    /// Raw numbers below it are clipped.
    pub min: i32,
    /// Raw numbers above it are clipped.
    pub max: i32,
    /// Subtracted after the pre-shift.
    pub offset: i32,
    /// From the difference to the scaled input.
    pub scale: Scale,
    /// The scaled input of a missing number.
    pub fill: i16,
    /// Left shift before the offset.
    pub pre_shift: u8,
    /// Fraction bits of the raw number.
    pub raw_fraction: i8,
}

/// A requantizer: `a·2^left·multiplier / 2^(16+right)` (NUMERICS §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// 0, or 2^14 ..= 2^15 - 1.
    pub multiplier: u16,
    /// 0 ..= 15.
    pub left: u8,
    /// 1 ..= 30.
    pub right: u8,
}

/// An embedding table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    /// Length of every token's vector.
    pub columns: usize,
    /// The tokens in order.
    pub rows: Vec<Token>,
}

/// One token's vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// From the weights to the scaled input.
    pub scale: Scale,
    /// The weights.
    pub weights: Vec<i8>,
}

/// The weight matrix of a product: `W`, `U` or `V`. Its rows stand in the order of CELLS.md, whatever their order in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Length of every row.
    pub columns: usize,
    /// The rows in order.
    pub rows: Vec<Row>,
}

/// One row of weights and its multiplier (NUMERICS §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// From the accumulator to the format of the row's sum: 0 to 32767.
    pub multiplier: u16,
    /// The weights.
    pub weights: Vec<i8>,
}

/// One recurrent layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its cell.
    pub cell: CellKind,
    /// Its width.
    pub hidden: usize,
    /// LSTM: fraction bits of the cell state; 0 for the others.
    pub cell_fraction: u8,
    /// `k`: a row's sum is in `Q(15+k).(16-k)`.
    pub shift: u8,
    /// `W`, rows stacked by gate.
    pub input: Matrix,
    /// `U`, rows stacked by gate.
    pub recurrent: Matrix,
    /// `b` in the format of the row's sum, stacked by gate.
    pub bias: Vec<i32>,
    /// GRU reset-after: `b'` of the new gate, in the same format; empty for the others.
    pub recurrent_bias: Vec<i32>,
}

/// The output layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the outputs are.
    pub task: Task,
    /// What the head sees.
    pub pooling: Pooling,
    /// Fraction bits of the outputs.
    pub fraction: u8,
    /// `k`: a row's sum has so many fraction bits fewer than the outputs.
    pub shift: u8,
    /// `V`.
    pub weights: Matrix,
    /// `b`, in the format of the row's sum.
    pub bias: Vec<i32>,
}

/// What the outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Logits in Q15.16.
    Classification,
    /// Values in the target's unit.
    Regression,
}

/// What the head sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The hidden state; the last step's output counts.
    Last,
    /// The mean of all hidden states so far.
    Mean,
    /// The hidden state; every step's output counts.
    Every,
}

/// A sequence with its expected outputs (FORMAT §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    /// Raw samples, one after the other.
    pub samples: Vec<Vec<i32>>,
    /// Expected outputs of every step.
    pub outputs: Vec<Vec<i32>>,
}

impl Input {
    /// Length of the first layer's input.
    pub fn width(&self) -> usize {
        match self {
            Input::Features { scalers, .. } => scalers.len(),
            Input::Tokens { embedding, .. } => embedding.columns,
        }
    }

    /// Numbers per raw sample.
    pub fn raw_width(&self) -> usize {
        match self {
            Input::Features { scalers, .. } => scalers.len(),
            Input::Tokens { .. } => 1,
        }
    }
}

impl Head {
    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.weights.rows.len()
    }
}
