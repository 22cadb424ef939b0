//! The quantized model with everything owned: what becomes an image, and what an image or a quantized safetensors file
//! becomes again. Rows stand in their natural order, stacked by gate as in PyTorch; tiles are the image's affair.

use emberloop_image::{
    Bounds, FeatureScaler, HeadShape, LayerShape, MissingPolicy, Multipliers, Requantizer, accumulator_bound,
    row_bounds,
};

/// A quantized model: the content of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerModel {
    /// The model's name.
    pub name: String,
    /// Hash of the checkpoint it was made from.
    pub checkpoint: String,
    /// Names of the input channels; for tokens, of their column.
    pub channels: Vec<String>,
    /// Labels of the classes, or names of the targets.
    pub labels: Vec<String>,
    /// How a sample becomes the first layer's input.
    pub input: IntegerInput,
    /// The recurrent layers, the one next to the input first.
    pub layers: Vec<IntegerLayer>,
    /// The head.
    pub head: IntegerHead,
    /// Raw inputs with the exact outputs.
    pub golden: Vec<GoldenSequence>,
}

/// How a sample becomes the first layer's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntegerInput {
    /// A scaler per feature.
    Features {
        /// Fraction bits of the scaled input.
        fraction: u8,
        /// What happens where a number is missing.
        missing: MissingPolicy,
        /// One per feature.
        scalers: Vec<FeatureScaler>,
    },
    /// An embedding table.
    Tokens {
        /// Fraction bits of the vectors.
        fraction: u8,
        /// `[vocabulary, dimension]`
        table: IntegerTable,
    },
}

/// An embedding table: int8 rows with one scale each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerTable {
    /// Number of columns.
    pub columns: usize,
    /// One per row.
    pub scales: Vec<Requantizer>,
    /// `[rows, columns]`
    pub weights: Vec<i8>,
}

/// An int8 matrix with one multiplier per row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerMatrix {
    /// Number of columns.
    pub columns: usize,
    /// One per row: a product is `S(weights · x; multiplier)`.
    pub multipliers: Vec<i16>,
    /// `[rows, columns]`
    pub weights: Vec<i8>,
}

/// One recurrent layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerLayer {
    /// Cell, units, formats.
    pub shape: LayerShape,
    /// `[gates * hidden, inputs]`
    pub input: IntegerMatrix,
    /// `[gates * hidden, hidden]`
    pub recurrent: IntegerMatrix,
    /// `[gates * hidden]`, `Q(15+k).(16-k)` with `k` the layer's shift.
    pub bias: Vec<i32>,
    /// GRU with reset-after: `[hidden]`, in the format of `bias`. Other cells: empty.
    pub recurrent_bias: Vec<i32>,
}

/// The dense head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerHead {
    /// Outputs, task, pooling, formats.
    pub shape: HeadShape,
    /// `[outputs, hidden]`
    pub weights: IntegerMatrix,
    /// `[outputs]`, in the outputs' format but for the head's shift.
    pub bias: Vec<i32>,
}

/// One golden vector: raw samples and what they must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldenSequence {
    /// `[steps, width]`
    pub samples: Vec<i32>,
    /// `[steps, outputs]`
    pub outputs: Vec<i32>,
}

impl IntegerModel {
    /// Numbers per raw sample.
    pub fn raw_width(&self) -> usize {
        match &self.input {
            IntegerInput::Features { scalers, .. } => scalers.len(),
            IntegerInput::Tokens { .. } => 1,
        }
    }

    /// Width of the vector that the first layer sees.
    pub fn input_width(&self) -> usize {
        match &self.input {
            IntegerInput::Features { scalers, .. } => scalers.len(),
            IntegerInput::Tokens { table, .. } => table.columns,
        }
    }
}

impl IntegerTable {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.scales.len()
    }
}

impl IntegerMatrix {
    /// Without rows.
    pub(crate) fn empty(columns: usize) -> Self {
        Self { columns, multipliers: Vec::new(), weights: Vec::new() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.multipliers.len()
    }

    /// The weights of a row; empty where there is none.
    pub fn row(&self, row: usize) -> &[i8] {
        let start = row.saturating_mul(self.columns);
        self.weights.get(start..).and_then(|weights| weights.get(..self.columns)).unwrap_or(&[])
    }

    /// By row, the largest magnitude that its accumulator can reach (NUMERICS §4).
    pub fn accumulator_bounds(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.rows()).map(|row| self.accumulator_bound(row))
    }

    fn accumulator_bound(&self, row: usize) -> i64 {
        accumulator_bound(self.row(row).iter().copied())
    }

    pub(crate) fn is(&self, rows: usize, columns: usize) -> bool {
        self.columns == columns && self.rows() == rows && Some(self.weights.len()) == rows.checked_mul(columns)
    }
}

impl IntegerLayer {
    /// The bounds of a row; `None` where it could overflow, or there is no such row.
    pub fn row_bounds(&self, row: usize) -> Option<Bounds> {
        let rows = self.bias.len();
        let unit = (row + self.recurrent_bias.len()).checked_sub(rows);
        let recurrent_bias = unit.and_then(|unit| self.recurrent_bias.get(unit)).copied().unwrap_or(0);
        row_bounds(
            self.input.accumulator_bound(row),
            self.recurrent.accumulator_bound(row),
            Multipliers::new(*self.input.multipliers.get(row)?, *self.recurrent.multipliers.get(row)?),
            *self.bias.get(row)?,
            recurrent_bias,
            self.shape.shift,
        )
    }

    /// The largest bounds of its rows, or the first row that could overflow.
    pub fn bounds(&self) -> Result<Bounds, usize> {
        largest(self.bias.len(), |row| self.row_bounds(row))
    }
}

impl IntegerHead {
    /// The bounds of a row; `None` where it could overflow, or there is no such row.
    pub fn row_bounds(&self, row: usize) -> Option<Bounds> {
        let multipliers = Multipliers::new(*self.weights.multipliers.get(row)?, 0);
        row_bounds(self.weights.accumulator_bound(row), 0, multipliers, *self.bias.get(row)?, 0, self.shape.shift)
    }

    /// The largest bounds of its rows, or the first row that could overflow.
    pub fn bounds(&self) -> Result<Bounds, usize> {
        largest(self.bias.len(), |row| self.row_bounds(row))
    }
}

fn largest(rows: usize, bounds: impl Fn(usize) -> Option<Bounds>) -> Result<Bounds, usize> {
    (0..rows).try_fold(Bounds::default(), |largest, row| Ok(largest.largest(bounds(row).ok_or(row)?)))
}
