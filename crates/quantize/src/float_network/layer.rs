//! One step of each cell in f64; the equations stand in CELLS.md.

use emberloop_cells::CellKind;

/// A recurrent layer. Matrices are transposed, `[columns, rows]`, so that a product runs along its rows.
#[derive(Clone, Debug)]
pub(super) struct FloatLayer {
    pub(super) cell: CellKind,
    pub(super) hidden: usize,
    pub(super) input_weights: Vec<f64>,
    pub(super) recurrent_weights: Vec<f64>,
    pub(super) input_bias: Vec<f64>,
    pub(super) recurrent_bias: Vec<f64>,
}

#[derive(Clone, Debug)]
pub(super) struct LayerState {
    pub(super) hidden: Vec<f64>,
    hidden_before: Vec<f64>,
    reset_hidden: Vec<f64>,
    cell: Vec<f64>,
    /// `W x + b`, then the gates themselves.
    gates: Vec<f64>,
    /// `U h + b'`
    recurrent: Vec<f64>,
}

/// What one step of a layer saw and made.
#[derive(Clone, Copy, Debug)]
pub struct LayerStep<'a> {
    /// The layer's input.
    pub input: &'a [f64],
    /// The hidden state before the step.
    pub hidden_before: &'a [f64],
    /// GRU with reset-before: the reset hidden state, which the new gate sees. Other cells: empty.
    pub reset_hidden: &'a [f64],
    /// The gates after their activations, stacked in the order of CELLS.md.
    pub gates: &'a [f64],
    /// The hidden state after the step.
    pub hidden: &'a [f64],
    /// LSTM: the cell state after the step. Other cells: empty.
    pub cell: &'a [f64],
}

/// Whether the new gate sees the hidden state after the reset gate.
pub(crate) fn resets_before(cell: CellKind) -> bool {
    match cell {
        CellKind::GruResetBefore => true,
        CellKind::Rnn | CellKind::Lstm | CellKind::GruResetAfter => false,
    }
}

impl LayerState {
    pub(super) fn observed<'a>(&'a self, input: &'a [f64]) -> LayerStep<'a> {
        LayerStep {
            input,
            hidden_before: &self.hidden_before,
            reset_hidden: &self.reset_hidden,
            gates: &self.gates,
            hidden: &self.hidden,
            cell: &self.cell,
        }
    }
}

impl FloatLayer {
    pub(super) fn state(&self) -> LayerState {
        let only = |needed: bool| vec![0.0; if needed { self.hidden } else { 0 }];
        LayerState {
            hidden: vec![0.0; self.hidden],
            hidden_before: vec![0.0; self.hidden],
            reset_hidden: only(resets_before(self.cell)),
            cell: only(self.cell.has_cell_state()),
            gates: vec![0.0; self.cell.gate_count() * self.hidden],
            recurrent: vec![0.0; self.cell.gate_count() * self.hidden],
        }
    }

    pub(super) fn step(&self, input: &[f64], state: &mut LayerState) {
        let units = self.hidden;
        let LayerState { hidden, hidden_before, reset_hidden, cell, gates, recurrent } = state;
        hidden_before.copy_from_slice(hidden);
        gates.copy_from_slice(&self.input_bias);
        add_product(&self.input_weights, input, gates);
        recurrent.copy_from_slice(&self.recurrent_bias);
        add_product(&self.recurrent_weights, hidden_before, recurrent);
        match self.cell {
            CellKind::Rnn => {
                for ((hidden, gate), recurrent) in hidden.iter_mut().zip(gates).zip(recurrent) {
                    *gate = (*gate + *recurrent).tanh();
                    *hidden = *gate;
                }
            }
            CellKind::Lstm => {
                for unit in 0..units {
                    let [i, f, g, o] = [unit, units + unit, 2 * units + unit, 3 * units + unit];
                    gates[i] = sigmoid(gates[i] + recurrent[i]);
                    gates[f] = sigmoid(gates[f] + recurrent[f]);
                    gates[g] = (gates[g] + recurrent[g]).tanh();
                    gates[o] = sigmoid(gates[o] + recurrent[o]);
                    cell[unit] = gates[f] * cell[unit] + gates[i] * gates[g];
                    hidden[unit] = gates[o] * cell[unit].tanh();
                }
            }
            CellKind::GruResetAfter => {
                for unit in 0..units {
                    let [r, z, n] = [unit, units + unit, 2 * units + unit];
                    gates[r] = sigmoid(gates[r] + recurrent[r]);
                    gates[z] = sigmoid(gates[z] + recurrent[z]);
                    gates[n] = (gates[n] + gates[r] * recurrent[n]).tanh();
                    hidden[unit] = blend(gates[z], gates[n], hidden_before[unit]);
                }
            }
            CellKind::GruResetBefore => {
                for unit in 0..2 * units {
                    gates[unit] = sigmoid(gates[unit] + recurrent[unit]);
                }
                for unit in 0..units {
                    reset_hidden[unit] = gates[unit] * hidden_before[unit];
                }
                // The new gate's rows again, with the reset hidden state.
                recurrent.copy_from_slice(&self.recurrent_bias);
                add_product(&self.recurrent_weights, reset_hidden, recurrent);
                for unit in 0..units {
                    let n = 2 * units + unit;
                    gates[n] = (gates[n] + recurrent[n]).tanh();
                    hidden[unit] = blend(gates[units + unit], gates[n], hidden_before[unit]);
                }
            }
        }
    }
}

fn blend(update: f64, new: f64, before: f64) -> f64 {
    (1.0 - update) * new + update * before
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `out += M·x` for `M` given as `[columns, rows]`; four columns in one pass over `out`.
pub(super) fn add_product(transposed: &[f64], x: &[f64], out: &mut [f64]) {
    let rows = out.len();
    let (fours, rest) = x.as_chunks::<4>();
    let (blocks, last) = transposed.split_at(4 * fours.len() * rows);
    for (block, &[x0, x1, x2, x3]) in blocks.chunks_exact(4 * rows).zip(fours) {
        let (first, second) = block.split_at(2 * rows);
        let ((c0, c1), (c2, c3)) = (first.split_at(rows), second.split_at(rows));
        for ((((out, w0), w1), w2), w3) in out.iter_mut().zip(c0).zip(c1).zip(c2).zip(c3) {
            *out += (w0 * x0 + w1 * x1) + (w2 * x2 + w3 * x3);
        }
    }
    for (column, x) in last.chunks_exact(rows).zip(rest) {
        for (out, weight) in out.iter_mut().zip(column) {
            *out += weight * x;
        }
    }
}
