//! Weights in the order in which the tiles read them, and gradients back out of it.

use crate::pool::Buffer;
use crate::shape::PANEL;

/// Some gates' columns of a weight matrix `[depth, gates * hidden]`, and the vectors that stand for them in what a step keeps.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    /// Gates by their place in `CellKind::gates`.
    pub(crate) gates: &'static [usize],
    /// The vector of the first of them; the others follow.
    pub(crate) first: usize,
}

/// Sizes of a weight matrix.
#[derive(Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) depth: usize,
    /// All gates of the cell, not only those of the [`Columns`].
    pub(crate) gates: usize,
    pub(crate) hidden: usize,
    pub(crate) padded: usize,
}

impl Matrix {
    /// Calls `f(packed index, matrix index, units)` for every run of units that stand side by side in both orders:
    /// `[block of lanes][depth][gate][lane]` and `[depth][gate][unit]`.
    fn for_each_run(self, columns: Columns, lanes: usize, mut f: impl FnMut(usize, usize, usize)) {
        for block in 0..self.padded / lanes {
            let unit = block * lanes;
            let units = lanes.min(self.hidden.saturating_sub(unit));
            for row in 0..self.depth {
                for (place, &gate) in columns.gates.iter().enumerate() {
                    let packed = ((block * self.depth + row) * columns.gates.len() + place) * lanes;
                    f(packed, (row * self.gates + gate) * self.hidden + unit.min(self.hidden), units);
                }
            }
        }
    }

    /// For the product of the forward pass: `[block of lanes][depth][gate][lane]`.
    pub(crate) fn pack(self, weight: &[f32], columns: Columns, lanes: usize) -> Buffer {
        let mut packed = Buffer::new(self.packed_len(columns));
        self.for_each_run(columns, lanes, |to, from, units| {
            packed[to..to + units].copy_from_slice(&weight[from..from + units]);
            packed[to + units..to + lanes].fill(0.0);
        });
        packed
    }

    pub(crate) fn packed_len(self, columns: Columns) -> usize {
        self.padded * self.depth * columns.gates.len()
    }

    /// Gradients of the weights, packed like the weights, into the matrix.
    pub(crate) fn unpack(self, packed: &[f32], columns: Columns, lanes: usize, gradient: &mut [f32]) {
        self.for_each_run(columns, lanes, |from, to, units| {
            gradient[to..to + units].copy_from_slice(&packed[from..from + units]);
        });
    }

    /// For the product of the backward pass, from gates to `depth` outputs:
    /// `[group of outputs][panel][gate][unit of the panel][output of the group]`, outputs padded to whole panels.
    pub(crate) fn pack_transposed(self, weight: &[f32], columns: Columns, lanes: usize) -> Buffer {
        let gates = columns.gates.len();
        let outputs = self.depth.next_multiple_of(PANEL);
        let mut packed = Buffer::zeros(outputs * self.padded * gates);
        let mut start = 0;
        for vectors in groups(outputs, lanes) {
            let width = vectors * lanes;
            let group = &mut packed[start * self.padded * gates..][..width * self.padded * gates];
            for output in start..self.depth.min(start + width) {
                for (place, &gate) in columns.gates.iter().enumerate() {
                    let from = &weight[(output * self.gates + gate) * self.hidden..][..self.hidden];
                    for (unit, &value) in from.iter().enumerate() {
                        let (panel, lane) = (unit / PANEL, unit % PANEL);
                        group[((panel * gates + place) * PANEL + lane) * width + output - start] = value;
                    }
                }
            }
            start += width;
        }
        packed
    }
}

/// The outputs of a backward product, in groups of at most four vectors.
#[inline(always)]
pub(crate) fn groups(outputs: usize, lanes: usize) -> impl Iterator<Item = usize> {
    crate::plan::split(outputs / lanes, 4)
}

/// `[block of lanes][vector][lane]`: to each vector the input biases of its gate, the recurrent ones, or their sum.
pub(crate) fn pack_biases(vectors: usize, matrix: Matrix, lanes: usize, parts: &[(Columns, &[f32])]) -> Buffer {
    let mut packed = Buffer::zeros(matrix.padded * vectors);
    for &(columns, bias) in parts {
        for (place, &gate) in columns.gates.iter().enumerate() {
            for (unit, &value) in bias[gate * matrix.hidden..][..matrix.hidden].iter().enumerate() {
                packed[((unit / lanes) * vectors + columns.first + place) * lanes + unit % lanes] += value;
            }
        }
    }
    packed
}

/// One set of columns' gradient out of the biases' packed sums.
pub(crate) fn unpack_biases(
    packed: &[f32],
    vectors: usize,
    matrix: Matrix,
    lanes: usize,
    columns: Columns,
    gradient: &mut [f32],
) {
    for (place, &gate) in columns.gates.iter().enumerate() {
        for (unit, value) in gradient[gate * matrix.hidden..][..matrix.hidden].iter_mut().enumerate() {
            *value = packed[((unit / lanes) * vectors + columns.first + place) * lanes + unit % lanes];
        }
    }
}
