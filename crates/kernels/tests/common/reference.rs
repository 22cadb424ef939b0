//! The equations of CELLS.md in f64, one sequence, one step, one unit at a time, and their derivatives by hand: nothing in
//! common with the kernels. Its own gradients are checked by finite differences (`tests/reference.rs`).

#![allow(clippy::needless_range_loop)] // Written as the equations are, with indices.

use emberloop_cells::CellKind;

use super::Case;

/// All results in f64, in the layouts of the crate.
pub struct Results {
    /// `[T, B, H]`
    pub hidden: Vec<f64>,
    /// `[S, B, H]`
    pub last: Vec<f64>,
    pub input: Vec<f64>,
    pub recurrent: Vec<f64>,
    pub input_bias: Vec<f64>,
    pub recurrent_bias: Vec<f64>,
    /// `[T, B, I]`
    pub values: Vec<f64>,
    /// `[S, B, H]`
    pub initial: Vec<f64>,
}

/// The case's numbers in f64, so that finite differences can move them.
#[derive(Clone)]
pub struct Numbers {
    pub input: Vec<f64>,
    pub recurrent: Vec<f64>,
    pub input_bias: Vec<f64>,
    pub recurrent_bias: Vec<f64>,
    pub values: Vec<f64>,
    pub initial: Vec<f64>,
}

impl Numbers {
    pub fn of(case: &Case) -> Self {
        let wide = |narrow: &[f32]| narrow.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        Self {
            input: wide(&case.input),
            recurrent: wide(&case.recurrent),
            input_bias: wide(&case.input_bias),
            recurrent_bias: wide(&case.recurrent_bias),
            values: wide(&case.values),
            initial: case.initial.as_ref().map_or(vec![0.0; case.last_gradient.len()], |initial| wide(initial)),
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// What one step of one sequence computed.
struct Step {
    x: Vec<f64>,
    h: Vec<f64>,
    c: Vec<f64>,
    /// After activation, by gate then unit.
    gates: Vec<f64>,
    /// `U h + b'` by gate then unit; in the new gate of the GRU reset-before `U (r h) + b'`.
    right: Vec<f64>,
    new_h: Vec<f64>,
    new_c: Vec<f64>,
}

/// Sums of a gate's unit: `W x + b` (`weight` is the input weight) or `U h + b'`.
fn affine(weight: &[f64], bias: &[f64], x: &[f64], columns: usize, column: usize) -> f64 {
    bias[column] + x.iter().enumerate().map(|(k, x)| x * weight[k * columns + column]).sum::<f64>()
}

fn step(cell: CellKind, n: &Numbers, x: &[f64], h: &[f64], c: &[f64]) -> Step {
    let units = h.len();
    let columns = cell.gate_count() * units;
    let left: Vec<f64> = (0..columns).map(|column| affine(&n.input, &n.input_bias, x, columns, column)).collect();
    let mut right: Vec<f64> =
        (0..columns).map(|column| affine(&n.recurrent, &n.recurrent_bias, h, columns, column)).collect();
    let mut gates = vec![0.0; columns];
    let (mut new_h, mut new_c) = (vec![0.0; units], vec![0.0; c.len()]);
    match cell {
        CellKind::Rnn => {
            for u in 0..units {
                gates[u] = (left[u] + right[u]).tanh();
                new_h[u] = gates[u];
            }
        }
        CellKind::Lstm => {
            for u in 0..units {
                let p = |gate: usize| left[gate * units + u] + right[gate * units + u];
                let (i, f, g, o) = (sigmoid(p(0)), sigmoid(p(1)), p(2).tanh(), sigmoid(p(3)));
                new_c[u] = f * c[u] + i * g;
                new_h[u] = o * new_c[u].tanh();
                for (gate, value) in [i, f, g, o].into_iter().enumerate() {
                    gates[gate * units + u] = value;
                }
            }
        }
        CellKind::GruResetAfter | CellKind::GruResetBefore => {
            for j in 0..2 * units {
                gates[j] = sigmoid(left[j] + right[j]);
            }
            if cell == CellKind::GruResetBefore {
                let reset: Vec<f64> = (0..units).map(|u| gates[u] * h[u]).collect();
                for j in 2 * units..columns {
                    right[j] = affine(&n.recurrent, &n.recurrent_bias, &reset, columns, j);
                }
            }
            for u in 0..units {
                let j = 2 * units + u;
                let scale = if cell == CellKind::GruResetAfter { gates[u] } else { 1.0 };
                gates[j] = (left[j] + scale * right[j]).tanh();
                let z = gates[units + u];
                new_h[u] = (1.0 - z) * gates[j] + z * h[u];
            }
        }
    }
    Step { x: x.to_vec(), h: h.to_vec(), c: c.to_vec(), gates, right, new_h, new_c }
}

/// The place in time of a sequence's step in the order of reading.
fn time(case: &Case, length: usize, k: usize) -> usize {
    if case.reverse { length - 1 - k } else { k }
}

fn length(case: &Case, b: usize) -> usize {
    case.lengths.as_ref().map_or(case.steps, |lengths| lengths[b])
}

fn unroll(case: &Case, n: &Numbers, b: usize) -> Vec<Step> {
    let (inputs, units, batch) = (case.layer.inputs, case.layer.hidden, case.batch);
    let state = |s: usize| n.initial[(s * batch + b) * units..][..units].to_vec();
    let mut h = state(0);
    let mut c = if case.layer.cell.has_cell_state() { state(1) } else { Vec::new() };
    let mut steps = Vec::new();
    for k in 0..length(case, b) {
        let x = &n.values[(time(case, length(case, b), k) * batch + b) * inputs..][..inputs];
        let done = step(case.layer.cell, n, x, &h, &c);
        (h, c) = (done.new_h.clone(), done.new_c.clone());
        steps.push(done);
    }
    steps
}

/// The states, and the loss: their product with the gradients that the case asks for.
pub fn forward(case: &Case, n: &Numbers) -> (Vec<f64>, Vec<f64>, f64) {
    let (units, batch) = (case.layer.hidden, case.batch);
    let mut hidden = vec![0.0; case.steps * batch * units];
    let mut last = vec![0.0; case.states() * batch * units];
    for b in 0..batch {
        let steps = unroll(case, n, b);
        for (k, step) in steps.iter().enumerate() {
            hidden[(time(case, steps.len(), k) * batch + b) * units..][..units].copy_from_slice(&step.new_h);
        }
        let end = steps.last().unwrap();
        last[b * units..][..units].copy_from_slice(&end.new_h);
        if !end.new_c.is_empty() {
            last[(batch + b) * units..][..units].copy_from_slice(&end.new_c);
        }
    }
    let dot = |a: &[f64], b: Option<&[f32]>| -> f64 {
        b.map_or(0.0, |b| a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum())
    };
    let gradients = case.gradients();
    let loss = dot(&hidden, gradients.hidden) + dot(&last, gradients.last);
    (hidden, last, loss)
}

/// Forward and backward.
pub fn run(case: &Case, n: &Numbers) -> Results {
    let (inputs, units, batch) = (case.layer.inputs, case.layer.hidden, case.batch);
    let cell = case.layer.cell;
    let columns = cell.gate_count() * units;
    let (hidden, last, _) = forward(case, n);
    let mut out = Results {
        hidden,
        last,
        input: vec![0.0; n.input.len()],
        recurrent: vec![0.0; n.recurrent.len()],
        input_bias: vec![0.0; columns],
        recurrent_bias: vec![0.0; columns],
        values: vec![0.0; n.values.len()],
        initial: vec![0.0; n.initial.len()],
    };
    let gradients = case.gradients();
    for b in 0..batch {
        let steps = unroll(case, n, b);
        let count = steps.len();
        let of_last = |s: usize| -> Vec<f64> {
            let slice = |last: &[f32]| last[(s * batch + b) * units..][..units].iter().map(|&x| f64::from(x)).collect();
            gradients.last.map_or(vec![0.0; units], slice)
        };
        let mut dh = of_last(0);
        let mut dc = if cell.has_cell_state() { of_last(1) } else { Vec::new() };
        for k in (0..count).rev() {
            let step = &steps[k];
            let t = time(case, count, k);
            if let Some(own) = gradients.hidden {
                for u in 0..units {
                    dh[u] += f64::from(own[(t * batch + b) * units + u]);
                }
            }
            // Gradients of `W x + b` and of `U h + b'`, and of h beside the recurrent product.
            let (mut left, mut right) = (vec![0.0; columns], vec![0.0; columns]);
            let mut beside = vec![0.0; units];
            let gate = |gate: usize, u: usize| step.gates[gate * units + u];
            for u in 0..units {
                match cell {
                    CellKind::Rnn => left[u] = dh[u] * (1.0 - gate(0, u).powi(2)),
                    CellKind::Lstm => {
                        let (i, f, g, o) = (gate(0, u), gate(1, u), gate(2, u), gate(3, u));
                        let squashed = step.new_c[u].tanh();
                        let d = dc[u] + dh[u] * o * (1.0 - squashed * squashed);
                        left[u] = d * g * i * (1.0 - i);
                        left[units + u] = d * step.c[u] * f * (1.0 - f);
                        left[2 * units + u] = d * i * (1.0 - g * g);
                        left[3 * units + u] = dh[u] * squashed * o * (1.0 - o);
                        dc[u] = d * f;
                    }
                    CellKind::GruResetAfter | CellKind::GruResetBefore => {
                        let (z, new) = (gate(1, u), gate(2, u));
                        left[2 * units + u] = dh[u] * (1.0 - z) * (1.0 - new * new);
                        left[units + u] = dh[u] * (step.h[u] - new) * z * (1.0 - z);
                        beside[u] = dh[u] * z;
                    }
                }
            }
            // The new gate's right side, and through it the reset gate. `second`: what it was multiplied with, if not h.
            let mut second = step.h.clone();
            if cell == CellKind::GruResetAfter {
                for u in 0..units {
                    let (r, d) = (gate(0, u), left[2 * units + u]);
                    right[2 * units + u] = d * r;
                    left[u] = d * step.right[2 * units + u] * r * (1.0 - r);
                }
            } else if cell == CellKind::GruResetBefore {
                for u in 0..units {
                    right[2 * units + u] = left[2 * units + u];
                }
                for u in 0..units {
                    let through: f64 =
                        (0..units).map(|v| right[2 * units + v] * n.recurrent[u * columns + 2 * units + v]).sum();
                    let r = gate(0, u);
                    left[u] = through * step.h[u] * r * (1.0 - r);
                    beside[u] += through * r;
                    second[u] = step.h[u] * r;
                }
            }
            for j in 0..columns {
                if j < 2 * units || !matches!(cell, CellKind::GruResetAfter | CellKind::GruResetBefore) {
                    right[j] = left[j];
                }
                out.input_bias[j] += left[j];
                out.recurrent_bias[j] += right[j];
                for i in 0..inputs {
                    out.input[i * columns + j] += step.x[i] * left[j];
                    out.values[(t * batch + b) * inputs + i] += n.input[i * columns + j] * left[j];
                }
                let is_second = cell == CellKind::GruResetBefore && j >= 2 * units;
                for u in 0..units {
                    let operand = if is_second { second[u] } else { step.h[u] };
                    out.recurrent[u * columns + j] += operand * right[j];
                    if !is_second {
                        beside[u] += n.recurrent[u * columns + j] * right[j];
                    }
                }
            }
            dh = beside;
            if k > 0 && case.truncate.is_some_and(|every| (count - k).is_multiple_of(every.get())) {
                dh.fill(0.0);
                dc.fill(0.0);
            }
        }
        out.initial[b * units..][..units].copy_from_slice(&dh);
        if !dc.is_empty() {
            out.initial[(batch + b) * units..][..units].copy_from_slice(&dc);
        }
    }
    out
}
