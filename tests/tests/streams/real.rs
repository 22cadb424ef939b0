//! The float64 run of an image's layer, with its weights as real numbers, and beside each value how far the integers may be
//! away from it.

use emberloop_tests::model::{CellKind, Layer, Row};

use crate::bounded::{Bounded, UNIT, tanh_slope};

/// One layer of an LSTM or a GRU with reset-after, and its state.
pub struct RealLayer {
    gates: Vec<Vec<RealRow>>,
    /// GRU: `b'`.
    recurrent_bias: Vec<f64>,
    /// Half a unit of a row's sum: what a product's rounding leaves, once its mean is in the bias.
    half: f64,
    cell_fraction: u8,
    pub memory: Vec<Bounded>,
    pub hidden: Vec<Bounded>,
    /// LSTM: how `h` of each unit depends on an error of its own `c`, from - to, and its error from all else.
    own: Vec<Own>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Own {
    slope: [f64; 2],
    rest: f64,
}

/// One row, as the real numbers that its integers stand for.
struct RealRow {
    input: Vec<f64>,
    recurrent: Vec<f64>,
    bias: f64,
    products: [bool; 2],
}

impl RealLayer {
    pub fn new(layer: &Layer) -> Self {
        // A sum is in units of 2^(k - 16); a weight's is its multiplier's share of them.
        let unit = f64::from(layer.shift).exp2() / 65536.0;
        let weights = |row: &Row| -> Vec<f64> {
            // An activation of one is 2^15; S divides by 2^16.
            let scale = f64::from(row.multiplier) / 2.0 * unit;
            row.weights.iter().map(|&weight| f64::from(weight) * scale).collect()
        };
        let separate = layer.cell == CellKind::GruResetAfter;
        let row = |gate: usize, unit_number: usize| {
            let at = gate * layer.hidden + unit_number;
            let (input, recurrent) = (&layer.input.rows[at], &layer.recurrent.rows[at]);
            let products = [input, recurrent].map(|row| row.multiplier > 0);
            // S rounds down: half a unit on average, which stands in the bias (NUMERICS §3.1).
            let with_bias = if separate && gate == 2 { &products[..1] } else { &products[..] };
            let halves = with_bias.iter().filter(|&&is_there| is_there).count() as f64 / 2.0;
            let bias = (f64::from(layer.bias[at]) - halves) * unit;
            RealRow { input: weights(input), recurrent: weights(recurrent), bias, products }
        };
        let gates: Vec<Vec<RealRow>> = (0..layer.cell.gate_count())
            .map(|gate| (0..layer.hidden).map(|unit_number| row(gate, unit_number)).collect())
            .collect();
        let recurrent_bias = layer.recurrent_bias.iter().enumerate().map(|(unit_number, &bias)| {
            (f64::from(bias) - if gates[2][unit_number].products[1] { 0.5 } else { 0.0 }) * unit
        });
        Self {
            recurrent_bias: recurrent_bias.collect(),
            gates,
            half: unit / 2.0,
            cell_fraction: layer.cell_fraction,
            memory: vec![Bounded::default(); layer.hidden],
            hidden: vec![Bounded::default(); layer.hidden],
            own: vec![Own::default(); layer.hidden],
        }
    }

    /// `W·x + b`: the inputs are the same numbers on both sides.
    fn input_part(&self, gate: usize, unit: usize, input: &[f64]) -> Bounded {
        let row = &self.gates[gate][unit];
        let value = row.bias + row.input.iter().zip(input).map(|(w, x)| w * x).sum::<f64>();
        Bounded { value, error: if row.products[0] { self.half } else { 0.0 } }
    }

    /// `U·h`, with a unit's own part left out of the error where `skip` names it.
    fn recurrent_part(&self, gate: usize, unit: usize, skip: Option<usize>) -> Bounded {
        let row = &self.gates[gate][unit];
        let parts = row.recurrent.iter().zip(&self.hidden).enumerate().map(|(from, (&weight, &hidden))| {
            let error = if skip == Some(from) { self.own[from].rest } else { hidden.error };
            Bounded { error, ..hidden }.scaled(weight)
        });
        let rounding = Bounded { value: 0.0, error: if row.products[1] { self.half } else { 0.0 } };
        parts.fold(rounding, Bounded::plus)
    }

    fn pre_activation(&self, gate: usize, unit: usize, input: &[f64]) -> Bounded {
        self.input_part(gate, unit, input).plus(self.recurrent_part(gate, unit, None))
    }

    /// One step.
    pub fn step(&mut self, layer: &Layer, input: &[f64]) {
        match layer.cell {
            CellKind::Lstm => self.lstm_step(input),
            CellKind::GruResetAfter => self.gru_step(input),
            CellKind::Rnn | CellKind::GruResetBefore => panic!("the streams have no such cell"),
        }
    }

    /// One step of an LSTM (CELLS.md; the roundings of NUMERICS §8).
    fn lstm_step(&mut self, input: &[f64]) {
        let half_cell = (-f64::from(self.cell_fraction) - 1.0).exp2();
        let mut next = Vec::new();
        for unit in 0..self.memory.len() {
            let [i, f, o] = [0, 1, 3].map(|gate| {
                assert_eq!(self.gates[gate][unit].recurrent[unit], 0.0, "only the candidate feeds back on itself");
                self.pre_activation(gate, unit, input).sigmoid()
            });
            // An error of the unit's own cell comes back through the candidate, and may come back as its opposite: it is kept
            // apart from the other errors, which are only ever added up.
            let whole = self.pre_activation(2, unit, input);
            let others = self.input_part(2, unit, input).plus(self.recurrent_part(2, unit, Some(unit)));
            let candidate = others.tanh_between(whole);
            let entering = candidate.times(i);
            // Exactly zero or one leaves nothing to round.
            let inexact = |gate: Bounded| gate.error > 1e-6 * UNIT;
            let roundings = (f64::from(inexact(f)) + f64::from(inexact(i))) * half_cell;

            let weight = self.gates[2][unit].recurrent[unit];
            let slopes = [whole.flattest(tanh_slope), whole.steepest(tanh_slope)];
            let kept = own_factor(f.gate_ends(), i.gate_ends(), weight, slopes, self.own[unit].slope);
            let cell = self.memory[unit];
            let value = cell.value * f.value + entering.value;
            let error = cell.error * kept + cell.value.abs() * f.error + entering.error + roundings;
            let cell = Bounded { value, error };

            // The cell in Q15.16, tanh, and the product with the output gate, each rounded.
            let narrowed = cell.rounded(0.5 / 65536.0);
            let shown = narrowed.tanh().times(o).rounded(0.5 * UNIT);
            let [low, high] = o.gate_ends();
            let slope = [low * narrowed.flattest(tanh_slope), high * narrowed.steepest(tanh_slope)];
            let rest = (shown.error - slope[1] * cell.error).max(0.0);
            next.push((cell, shown, Own { slope, rest }));
        }
        for (unit, (cell, hidden, own)) in next.into_iter().enumerate() {
            (self.memory[unit], self.hidden[unit], self.own[unit]) = (cell, hidden, own);
        }
    }

    /// One step of a GRU with reset-after (CELLS.md; the roundings of NUMERICS §8).
    fn gru_step(&mut self, input: &[f64]) {
        let half_memory = (-31f64).exp2();
        let mut next = Vec::new();
        for unit in 0..self.memory.len() {
            let [r, z] = [0, 1].map(|gate| self.pre_activation(gate, unit, input).sigmoid());
            let bias = Bounded { value: self.recurrent_bias[unit], error: 0.0 };
            let inner = self.recurrent_part(2, unit, None).plus(bias).times(r).rounded(0.5 / 65536.0);
            let new = self.input_part(2, unit, input).plus(inner).tanh();
            // H' - n' of both runs: z·e + (z' - z)·(H - n) + (1 - z')·e_n, and the rounding.
            let memory = self.memory[unit];
            let [z_low, z_high] = z.gate_ends();
            let difference = memory.value - new.value;
            let error = z_high * memory.error + z.error * difference.abs() + (1.0 - z_low) * new.error;
            let rounding = if z.error > 1e-6 * UNIT { half_memory } else { 0.0 };
            let memory = Bounded { value: new.value + z.value * difference, error: error + rounding };
            next.push((memory, memory.rounded(0.5 * UNIT)));
        }
        for (unit, (memory, hidden)) in next.into_iter().enumerate() {
            (self.memory[unit], self.hidden[unit]) = (memory, hidden);
        }
    }
}

/// The most that an error of a cell is multiplied with in a step: `f + i·tanh'·u·(∂h/∂c)`, over all that these may be.
fn own_factor(f: [f64; 2], i: [f64; 2], weight: f64, tanh: [f64; 2], hidden: [f64; 2]) -> f64 {
    let loops = [i[0] * tanh[0] * hidden[0], i[1] * tanh[1] * hidden[1]].map(|size| size * weight);
    let ends = [f[0] + loops[0].min(loops[1]), f[1] + loops[0].max(loops[1])];
    ends[0].abs().max(ends[1].abs())
}
