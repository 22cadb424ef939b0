//! NUMERICS §8: one step of each cell.

use super::activation::Activation;
use super::arithmetic::{
    at_most, fits_int16, fits_int32, floor_div, multiply_q15, pow2, saturate, scale_by_gate, scale_row, within,
};
use super::proof::{self, LIMIT};
use super::trace::{LayerTrace, Stage, UnitTrace};
use crate::model::{CellKind, Layer, Row};

/// What a layer carries from step to step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerState {
    /// The hidden state `h`, Q0.15.
    pub hidden: Vec<i64>,
    /// `c` of an LSTM or `H` of a GRU; empty for an RNN.
    pub memory: Vec<i64>,
}

impl LayerState {
    /// The state after a reset: all zero.
    pub fn new(layer: &Layer) -> Self {
        let memory = match layer.cell {
            CellKind::Rnn => 0,
            CellKind::Lstm | CellKind::GruResetAfter | CellKind::GruResetBefore => layer.hidden,
        };
        Self { hidden: vec![0; layer.hidden], memory: vec![0; memory] }
    }
}

/// One step: `input` is `x`, `state` becomes the new state.
pub fn step(activation: &Activation, layer: &Layer, input: &[i64], state: &mut LayerState) -> LayerTrace {
    let mut units = Units { layer, activation, input, trace: vec![UnitTrace::default(); layer.hidden] };
    match layer.cell {
        CellKind::Rnn => units.rnn(state),
        CellKind::Lstm => units.lstm(state),
        CellKind::GruResetAfter => units.gru_reset_after(state),
        CellKind::GruResetBefore => units.gru_reset_before(state),
    }
    let mut trace = units.trace;
    for (unit, trace) in trace.iter_mut().enumerate() {
        trace.hidden = fits_int16(state.hidden[unit], "h");
        trace.memory = state.memory.get(unit).copied();
    }
    LayerTrace { units: trace }
}

/// `Σ w·x`, asserting that no partial sum, in either direction, leaves `A` (§4).
pub fn dot(row: &Row, values: &[i64]) -> i64 {
    assert_eq!(row.weights.len(), values.len());
    let bound = within(proof::accumulator(&row.weights), 0, LIMIT, "A");
    let products = || row.weights.iter().zip(values).map(|(&weight, &value)| i64::from(weight) * value);
    let backwards = products().rev().fold(0, |sum, product| at_most(sum + product, bound, "a partial sum"));
    let forwards = products().fold(0, |sum, product| at_most(sum + product, bound, "a partial sum"));
    assert_eq!(forwards, backwards);
    forwards
}

/// `S(a; m)` of a row's accumulator, asserting that it stays within `P` (§4).
pub fn product(row: &Row, accumulator: i64) -> i64 {
    let bound = proof::product(proof::accumulator(&row.weights), row.multiplier);
    at_most(scale_row(accumulator, row.multiplier), bound, "a product")
}

/// The sum of some numbers, asserting that so is every part of it in int32, in any order.
pub fn sum(parts: &[i64]) -> i64 {
    let part = |chosen: usize, (index, &value): (usize, &i64)| if chosen >> index & 1 == 1 { value } else { 0 };
    for chosen in 0..1 << parts.len() {
        fits_int32(parts.iter().enumerate().map(|each| part(chosen, each)).sum(), "a part of a row sum");
    }
    parts.iter().sum()
}

struct Units<'a> {
    layer: &'a Layer,
    activation: &'a Activation,
    input: &'a [i64],
    trace: Vec<UnitTrace>,
}

impl Units<'_> {
    fn row(&self, gate: usize, unit: usize) -> usize {
        gate * self.layer.hidden + unit
    }

    fn name(&self, gate: usize) -> &'static str {
        self.layer.cell.gates()[gate].name()
    }

    fn keep(&mut self, unit: usize, stage: Stage, value: i64) -> i64 {
        self.trace[unit].stages.push((stage, value));
        value
    }

    /// `S(W_g·x)`
    fn input_product(&mut self, gate: usize, unit: usize) -> i64 {
        let row = &self.layer.input.rows[self.row(gate, unit)];
        let accumulator = dot(row, self.input);
        let product = product(row, accumulator);
        self.keep(unit, Stage::Input(self.name(gate)), accumulator);
        product
    }

    /// `S(U_g·h)`, or of whatever stands in the place of `h`.
    fn recurrent_product(&mut self, gate: usize, unit: usize, hidden: &[i64]) -> i64 {
        let row = &self.layer.recurrent.rows[self.row(gate, unit)];
        let accumulator = dot(row, hidden);
        let product = product(row, accumulator);
        self.keep(unit, Stage::Recurrent(self.name(gate)), accumulator);
        product
    }

    fn bias(&self, gate: usize, unit: usize) -> i64 {
        i64::from(self.layer.bias[self.row(gate, unit)])
    }

    /// `t · 2^k` of a row sum `t`.
    fn shifted(&mut self, gate: usize, unit: usize, sum: i64) -> i64 {
        self.keep(unit, Stage::Sum(self.name(gate)), sum);
        let bound = proof::layer_row(self.layer, gate, unit).sum;
        at_most(sum * pow2(self.layer.shift.into()), within(bound, 0, LIMIT, "a bound"), "a shifted row sum")
    }

    /// `p_g = (S(W_g·x) + S(U_g·h) + b_g) · 2^k`
    fn pre_activation(&mut self, gate: usize, unit: usize, hidden: &[i64]) -> i64 {
        let input = self.input_product(gate, unit);
        let recurrent = self.recurrent_product(gate, unit, hidden);
        let p = self.shifted(gate, unit, sum(&[input, recurrent, self.bias(gate, unit)]));
        self.keep(unit, Stage::PreActivation(self.name(gate)), p)
    }

    fn sigmoid(&mut self, gate: usize, unit: usize, hidden: &[i64]) -> i64 {
        let p = self.pre_activation(gate, unit, hidden);
        self.keep(unit, Stage::Sigmoid(self.name(gate)), self.activation.sigmoid(p))
    }

    fn tanh(&mut self, gate: usize, unit: usize, p: i64) -> i64 {
        self.keep(unit, Stage::Tanh(self.name(gate)), self.activation.tanh(p))
    }

    fn rnn(&mut self, state: &mut LayerState) {
        let before = state.hidden.clone();
        for unit in 0..self.layer.hidden {
            let p = self.pre_activation(0, unit, &before);
            state.hidden[unit] = self.tanh(0, unit, p);
        }
    }

    fn lstm(&mut self, state: &mut LayerState) {
        const INPUT: usize = 0;
        const FORGET: usize = 1;
        const CANDIDATE: usize = 2;
        const OUTPUT: usize = 3;
        let before = state.hidden.clone();
        let fraction = u32::from(self.layer.cell_fraction);
        for unit in 0..self.layer.hidden {
            let input = self.sigmoid(INPUT, unit, &before);
            let forget = self.sigmoid(FORGET, unit, &before);
            let p = self.pre_activation(CANDIDATE, unit, &before);
            let candidate = self.tanh(CANDIDATE, unit, p);
            let output = self.sigmoid(OUTPUT, unit, &before);

            let enters = floor_div(input * candidate + pow2(29 - fraction), pow2(30 - fraction));
            let cell = saturate(scale_by_gate(state.memory[unit], forget) + enters);
            let q = floor_div(floor_div(cell, pow2(fraction - 17)) + 1, 2);
            let shows = self.tanh(OUTPUT, unit, q);
            state.memory[unit] = cell;
            state.hidden[unit] = multiply_q15(output, shows);
        }
    }

    fn gru_reset_after(&mut self, state: &mut LayerState) {
        let before = state.hidden.clone();
        for unit in 0..self.layer.hidden {
            let reset = self.sigmoid(RESET, unit, &before);
            let update = self.sigmoid(UPDATE, unit, &before);
            let input = sum(&[self.input_product(NEW, unit), self.bias(NEW, unit)]);
            let input = self.shifted(NEW, unit, input);
            let inner = sum(&[self.recurrent_product(NEW, unit, &before), i64::from(self.layer.recurrent_bias[unit])]);
            let inner = self.shifted(NEW, unit, inner);
            let bound = proof::layer_row(self.layer, NEW, unit).sum;
            let p = at_most(input + scale_by_gate(inner, reset), bound, "a pre-activation");
            self.keep(unit, Stage::PreActivation(self.name(NEW)), p);
            let new = self.tanh(NEW, unit, p);
            remember(state, unit, new, update);
        }
    }

    fn gru_reset_before(&mut self, state: &mut LayerState) {
        let before = state.hidden.clone();
        let mut kept = vec![0; self.layer.hidden];
        for (unit, kept) in kept.iter_mut().enumerate() {
            let reset = self.sigmoid(RESET, unit, &before);
            *kept = fits_int16(multiply_q15(reset, before[unit]), "m");
        }
        for unit in 0..self.layer.hidden {
            let update = self.sigmoid(UPDATE, unit, &before);
            let p = self.pre_activation(NEW, unit, &kept);
            let new = self.tanh(NEW, unit, p);
            remember(state, unit, new, update);
        }
    }
}

const RESET: usize = 0;
const UPDATE: usize = 1;
const NEW: usize = 2;

/// The GRU's last two lines: `H` towards `n`, and `h` from `H`.
fn remember(state: &mut LayerState, unit: usize, new: i64, update: i64) {
    let target = new * pow2(15);
    let difference = fits_int32(state.memory[unit] - target, "the GRU's difference");
    let memory = target + scale_by_gate(difference, update);
    state.memory[unit] = within(memory, -pow2(30), 32767 * pow2(15), "the GRU's memory");
    state.hidden[unit] = floor_div(memory + pow2(14), pow2(15));
}
