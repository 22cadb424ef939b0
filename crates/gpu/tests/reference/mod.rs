//! A recurrent layer in f64, one number after the other, straight from CELLS.md: what the kernels are held against. Its
//! gradients are held against finite differences in `finite_differences.rs`.

// Each test program and the example use a part of it.
#![allow(dead_code)]

use emberloop_cells::CellKind;

/// A layer, its parameters, a padded batch, and gradients of its states. Shapes as in `emberloop_gpu`.
#[derive(Clone, Debug)]
pub struct Problem {
    pub cell: CellKind,
    pub inputs: usize,
    pub hidden: usize,
    pub steps: usize,
    pub batch: usize,
    pub lengths: Option<Vec<usize>>,
    pub reverse: bool,
    pub truncate: Option<usize>,
    pub values: Vec<f64>,
    pub input_weight: Vec<f64>,
    pub recurrent_weight: Vec<f64>,
    pub input_bias: Vec<f64>,
    pub recurrent_bias: Vec<f64>,
    pub initial: Option<Vec<f64>>,
    pub hidden_gradient: Option<Vec<f64>>,
    pub last_gradient: Option<Vec<f64>>,
}

/// What comes out, shapes as in `emberloop_gpu`.
#[derive(Clone, Debug)]
pub struct Solution {
    pub hidden: Vec<f64>,
    pub last: Vec<f64>,
    pub values: Vec<f64>,
    pub input_weight: Vec<f64>,
    pub recurrent_weight: Vec<f64>,
    pub input_bias: Vec<f64>,
    pub recurrent_bias: Vec<f64>,
    pub initial: Vec<f64>,
}

/// One step of one sequence: what its backward pass needs.
#[derive(Clone, Debug)]
struct Step {
    hidden_before: Vec<f64>,
    cell_before: Vec<f64>,
    /// Activated, as stacked.
    gates: Vec<f64>,
    /// Reset-after: the new gate's recurrent product with its bias.
    product: Vec<f64>,
    cell: Vec<f64>,
    hidden: Vec<f64>,
}

/// Numbers of a fixed pseudo-random sequence in -1 to 1.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> f64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        // 24 bits: exact in f32, so that both sides compute with the same numbers.
        bits as f64 / (1u64 << 23) as f64 - 1.0
    }

    /// So many, scaled and rounded to f32.
    pub fn many(&mut self, count: usize, scale: f64) -> Vec<f64> {
        (0..count).map(|_| f64::from((self.next() * scale) as f32)).collect()
    }
}

impl Problem {
    /// All steps of all sequences, from zero, gradients of every hidden state.
    pub fn new(cell: CellKind, [inputs, hidden, steps, batch]: [usize; 4], seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let columns = cell.gate_count() * hidden;
        // PyTorch's range, a little wider: gates that are not all half open.
        let scale = 1.5 / (hidden as f64).sqrt();
        Self {
            cell,
            inputs,
            hidden,
            steps,
            batch,
            lengths: None,
            reverse: false,
            truncate: None,
            values: numbers.many(steps * batch * inputs, 1.0),
            input_weight: numbers.many(inputs * columns, 1.5 / (inputs as f64).sqrt()),
            recurrent_weight: numbers.many(hidden * columns, scale),
            input_bias: numbers.many(columns, 0.5),
            recurrent_bias: numbers.many(columns, 0.5),
            initial: None,
            hidden_gradient: Some(numbers.many(steps * batch * hidden, 1.0)),
            last_gradient: None,
        }
    }

    pub fn states(&self) -> usize {
        if self.cell.has_cell_state() { 2 } else { 1 }
    }

    pub fn columns(&self) -> usize {
        self.cell.gate_count() * self.hidden
    }

    /// Lengths from 1 to all steps, the first sequence the longest.
    pub fn with_lengths(mut self) -> Self {
        let steps = self.steps;
        self.lengths = Some((0..self.batch).map(|sequence| steps - (sequence * 3) % steps).collect());
        self
    }

    pub fn with_initial(mut self) -> Self {
        self.initial = Some(Numbers::new(77).many(self.states() * self.batch * self.hidden, 0.8));
        self
    }

    /// A gradient of the last states.
    pub fn with_last(mut self) -> Self {
        self.last_gradient = Some(Numbers::new(78).many(self.states() * self.batch * self.hidden, 1.0));
        self
    }

    fn length(&self, sequence: usize) -> usize {
        self.lengths.as_ref().map_or(self.steps, |lengths| lengths[sequence])
    }

    fn time(&self, sequence: usize, step: usize) -> usize {
        if self.reverse { self.length(sequence) - 1 - step } else { step }
    }

    /// The element of a `[S, B, H]` state.
    fn state(&self, of: &Option<Vec<f64>>, state: usize, sequence: usize) -> Vec<f64> {
        let start = (state * self.batch + sequence) * self.hidden;
        match of {
            Some(values) if state < self.states() => values[start..start + self.hidden].to_vec(),
            _ => vec![0.0; self.hidden],
        }
    }

    /// Whether the gradient stops before this step.
    fn cut(&self, sequence: usize, step: usize) -> bool {
        let length = self.length(sequence);
        step > 0 && step < length && self.truncate.is_some_and(|steps| (length - step) % steps == 0)
    }

    fn run(&self, sequence: usize, frozen: Option<&[Step]>) -> Vec<Step> {
        let (units, columns) = (self.hidden, self.columns());
        let mut hidden = self.state(&self.initial, 0, sequence);
        let mut cell = self.state(&self.initial, 1, sequence);
        let mut steps = Vec::new();
        for step in 0..self.length(sequence) {
            if let Some(frozen) = frozen.filter(|_| self.cut(sequence, step)) {
                (hidden, cell) = (frozen[step].hidden_before.clone(), frozen[step].cell_before.clone());
            }
            let from = (self.time(sequence, step) * self.batch + sequence) * self.inputs;
            let x = &self.values[from..from + self.inputs];
            let input: Vec<f64> =
                (0..columns).map(|c| self.input_bias[c] + product(x, &self.input_weight, columns, c)).collect();
            let recurrent =
                |left: &[f64], c: usize| self.recurrent_bias[c] + product(left, &self.recurrent_weight, columns, c);
            let (before, cell_before) = (hidden.clone(), cell.clone());
            let mut gates = vec![0.0; columns];
            let mut kept = vec![0.0; units];
            match self.cell {
                CellKind::Rnn => {
                    for u in 0..units {
                        gates[u] = (input[u] + recurrent(&before, u)).tanh();
                        hidden[u] = gates[u];
                    }
                }
                CellKind::Lstm => {
                    for u in 0..units {
                        let sum = |gate: usize| input[gate * units + u] + recurrent(&before, gate * units + u);
                        let all = [sigmoid(sum(0)), sigmoid(sum(1)), sum(2).tanh(), sigmoid(sum(3))];
                        cell[u] = all[1] * cell_before[u] + all[0] * all[2];
                        hidden[u] = all[3] * cell[u].tanh();
                        for (gate, value) in all.into_iter().enumerate() {
                            gates[gate * units + u] = value;
                        }
                    }
                }
                CellKind::GruResetAfter => {
                    for u in 0..units {
                        let sum = |gate: usize| input[gate * units + u] + recurrent(&before, gate * units + u);
                        let (reset, update) = (sigmoid(sum(0)), sigmoid(sum(1)));
                        kept[u] = recurrent(&before, 2 * units + u);
                        let new = (input[2 * units + u] + reset * kept[u]).tanh();
                        hidden[u] = (1.0 - update) * new + update * before[u];
                        (gates[u], gates[units + u], gates[2 * units + u]) = (reset, update, new);
                    }
                }
                CellKind::GruResetBefore => {
                    for c in 0..2 * units {
                        gates[c] = sigmoid(input[c] + recurrent(&before, c));
                    }
                    let behind: Vec<f64> = (0..units).map(|u| gates[u] * before[u]).collect();
                    for u in 0..units {
                        let new = (input[2 * units + u] + recurrent(&behind, 2 * units + u)).tanh();
                        gates[2 * units + u] = new;
                        hidden[u] = (1.0 - gates[units + u]) * new + gates[units + u] * before[u];
                    }
                }
            }
            steps.push(Step {
                hidden_before: before,
                cell_before,
                gates,
                product: kept,
                cell: cell.clone(),
                hidden: hidden.clone(),
            });
        }
        steps
    }

    /// The sum of all states, each times its gradient: what the gradients are gradients of. Truncation: states before a
    /// cut count as given.
    pub fn loss(&self, unchanged: &Problem) -> f64 {
        let mut loss = 0.0;
        for sequence in 0..self.batch {
            let frozen = unchanged.run(sequence, None);
            let steps = self.run(sequence, Some(&frozen));
            if let Some(gradient) = &self.hidden_gradient {
                for (step, of) in steps.iter().enumerate() {
                    let from = (self.time(sequence, step) * self.batch + sequence) * self.hidden;
                    loss += dot(&of.hidden, &gradient[from..from + self.hidden]);
                }
            }
            let end = steps.last().expect("at least one step");
            loss += dot(&end.hidden, &self.state(&self.last_gradient, 0, sequence));
            loss += dot(&end.cell, &self.state(&self.last_gradient, 1, sequence));
        }
        loss
    }

    /// States and gradients.
    pub fn solve(&self) -> Solution {
        self.solve_of(&(0..self.batch).collect::<Vec<_>>())
    }

    /// The same from some of the sequences alone; the others' states are 0.
    pub fn solve_of(&self, sequences: &[usize]) -> Solution {
        let (units, columns, batch) = (self.hidden, self.columns(), self.batch);
        let mut solution = Solution {
            hidden: vec![0.0; self.steps * batch * units],
            last: vec![0.0; self.states() * batch * units],
            values: vec![0.0; self.values.len()],
            input_weight: vec![0.0; self.input_weight.len()],
            recurrent_weight: vec![0.0; self.recurrent_weight.len()],
            input_bias: vec![0.0; columns],
            recurrent_bias: vec![0.0; columns],
            initial: vec![0.0; self.states() * batch * units],
        };
        for &sequence in sequences {
            self.solve_one(sequence, &mut solution);
        }
        solution
    }

    fn solve_one(&self, sequence: usize, solution: &mut Solution) {
        let (units, columns, batch, inputs) = (self.hidden, self.columns(), self.batch, self.inputs);
        let steps = self.run(sequence, None);
        let end = steps.last().expect("at least one step");
        for u in 0..units {
            solution.last[sequence * units + u] = end.hidden[u];
            if self.states() == 2 {
                solution.last[(batch + sequence) * units + u] = end.cell[u];
            }
        }
        let mut into_hidden = self.state(&self.last_gradient, 0, sequence);
        let mut into_cell = self.state(&self.last_gradient, 1, sequence);
        for (index, step) in steps.iter().enumerate().rev() {
            let time = self.time(sequence, index) * batch + sequence;
            for u in 0..units {
                solution.hidden[time * units + u] = step.hidden[u];
                if let Some(gradient) = &self.hidden_gradient {
                    into_hidden[u] += gradient[time * units + u];
                }
            }
            // Of the input's side of each gate, of the recurrent side, and the left factor of the recurrent product.
            let mut into_gates = vec![0.0; columns];
            let mut into_product = vec![0.0; columns];
            let mut before = vec![0.0; units];
            let mut behind = step.hidden_before.clone();
            for u in 0..units {
                let gate = |index: usize| step.gates[index * units + u];
                let above = into_hidden[u];
                match self.cell {
                    CellKind::Rnn => into_gates[u] = above * (1.0 - gate(0) * gate(0)),
                    CellKind::Lstm => {
                        let squashed = step.cell[u].tanh();
                        let through = into_cell[u] + above * gate(3) * (1.0 - squashed * squashed);
                        into_gates[u] = through * gate(2) * gate(0) * (1.0 - gate(0));
                        into_gates[units + u] = through * step.cell_before[u] * gate(1) * (1.0 - gate(1));
                        into_gates[2 * units + u] = through * gate(0) * (1.0 - gate(2) * gate(2));
                        into_gates[3 * units + u] = above * squashed * gate(3) * (1.0 - gate(3));
                        into_cell[u] = through * gate(1);
                    }
                    CellKind::GruResetAfter | CellKind::GruResetBefore => {
                        let new = above * (1.0 - gate(1)) * (1.0 - gate(2) * gate(2));
                        into_gates[units + u] = above * (step.hidden_before[u] - gate(2)) * gate(1) * (1.0 - gate(1));
                        into_gates[2 * units + u] = new;
                        before[u] = above * gate(1);
                        if self.cell == CellKind::GruResetAfter {
                            into_gates[u] = new * step.product[u] * gate(0) * (1.0 - gate(0));
                        }
                    }
                }
            }
            into_product.copy_from_slice(&into_gates);
            match self.cell {
                CellKind::Rnn | CellKind::Lstm => {}
                CellKind::GruResetAfter => {
                    for u in 0..units {
                        into_product[2 * units + u] *= step.gates[u];
                    }
                }
                CellKind::GruResetBefore => {
                    for u in 0..units {
                        let row = &self.recurrent_weight[u * columns + 2 * units..(u + 1) * columns];
                        let through = dot(row, &into_gates[2 * units..]);
                        let reset = step.gates[u];
                        into_gates[u] = through * step.hidden_before[u] * reset * (1.0 - reset);
                        into_product[u] = into_gates[u];
                        before[u] += through * reset;
                        behind[u] = reset * step.hidden_before[u];
                    }
                }
            }
            let through = if self.cell == CellKind::GruResetBefore { 2 * units } else { columns };
            for u in 0..units {
                let row = &self.recurrent_weight[u * columns..u * columns + through];
                before[u] += dot(row, &into_product[..through]);
                for c in 0..columns {
                    let left = if c < through { step.hidden_before[u] } else { behind[u] };
                    solution.recurrent_weight[u * columns + c] += left * into_product[c];
                }
            }
            for i in 0..inputs {
                let row = &self.input_weight[i * columns..(i + 1) * columns];
                solution.values[time * inputs + i] += dot(row, &into_gates);
                let x = self.values[time * inputs + i];
                for c in 0..columns {
                    solution.input_weight[i * columns + c] += x * into_gates[c];
                }
            }
            for c in 0..columns {
                solution.input_bias[c] += into_gates[c];
                solution.recurrent_bias[c] += into_product[c];
            }
            into_hidden = before;
            if self.cut(sequence, index) {
                into_hidden.fill(0.0);
                into_cell.fill(0.0);
            }
        }
        for u in 0..units {
            solution.initial[sequence * units + u] = into_hidden[u];
            if self.states() == 2 {
                solution.initial[(batch + sequence) * units + u] = into_cell[u];
            }
        }
    }
}

/// The largest difference, relative to the largest expected element (or to 1e-3, if all are smaller).
pub fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
    // Not `f64::max`, which would pass over NaN.
    differences.fold(0.0, |worst, next| if next <= worst { worst } else { next }) / largest
}

fn product(left: &[f64], matrix: &[f64], columns: usize, column: usize) -> f64 {
    left.iter().enumerate().map(|(row, value)| value * matrix[row * columns + column]).sum()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
