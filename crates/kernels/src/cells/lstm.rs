//! LSTM. A step keeps i, f, g and o; the cell state is kept beside the hidden state, and its tanh is computed again on the way back.

use super::{Cell, Operands, Step, StepBack, WeightSums, gradients_of, pre_activations, through_recurrent};
use crate::math::{lstm_gates, tanh};
use crate::pack::Columns;
use crate::plan::split;
use crate::simd::Simd;
use crate::tile::{Steps, for_rows, load_vectors, store_vectors};

pub(crate) struct Lstm;

const VECTORS: usize = 4;
/// Rows whose gates go back in step.
const GROUP: usize = 4;
const ALL: Columns = Columns { gates: &[0, 1, 2, 3], first: 0 };

impl Cell for Lstm {
    const VECTORS: usize = VECTORS;
    const INPUT: Columns = ALL;
    const RECURRENT: Columns = ALL;
    const SECOND: Option<Columns> = None;
    const HAS_SECOND: bool = true;

    #[inline(always)]
    fn step<S: Simd>(s: S, mut step: Step<'_>) {
        for block in 0..step.shape.padded / S::LANES {
            let mut first = 0;
            for rows in split(step.active, S::ROWS[VECTORS]) {
                for_rows!(rows, S::ROWS[VECTORS], R => tile::<S, R>(s, &mut step, block, first));
                first += rows;
            }
        }
    }

    #[inline(always)]
    fn step_back<S: Simd>(s: S, step: StepBack<'_>) {
        let shape = step.shape;
        let mut step = step;
        for unit in (0..shape.padded).step_by(S::LANES) {
            let mut row = 0;
            while row + GROUP <= step.active {
                rows_back::<S, GROUP>(s, &mut step, row, unit);
                row += GROUP;
            }
            for row in row..step.active {
                rows_back::<S, 1>(s, &mut step, row, unit);
            }
        }
        through_recurrent::<S, Self>(s, &mut step, false);
    }

    #[inline(always)]
    fn weight_gradients<S: Simd>(
        s: S,
        steps: Steps<'_>,
        operands: Operands<'_>,
        sums: &mut WeightSums,
        from_zero: bool,
    ) {
        gradients_of::<S, Self, 4, 4, 4>(s, steps, operands, sums, from_zero);
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize>(s: S, step: &mut Step<'_>, block: usize, first: usize) {
    let shape = step.shape;
    let sums = pre_activations::<S, R, VECTORS>(s, step, block, first);
    let unit = block * S::LANES;
    let (mut cells, mut outputs) = ([s.splat(0.0); R], [s.splat(0.0); R]);
    let mut r = 0;
    while r + 2 <= R {
        let rows = lstm_gates(s, [sums[r], sums[r + 1]]);
        for (row, gates) in rows.into_iter().enumerate() {
            (cells[r + row], outputs[r + row]) = keep(s, step, gates, first + r + row, unit);
        }
        r += 2;
    }
    if r < R {
        let [gates] = lstm_gates(s, [sums[r]]);
        (cells[r], outputs[r]) = keep(s, step, gates, first + r, unit);
    }
    let squashed = tanh(s, cells);
    for r in 0..R {
        s.store(s.mul(outputs[r], squashed[r]), &mut step.after[(first + r) * shape.padded + unit..]);
    }
}

/// Keeps the gates, and gives the cell state after the step and the output gate.
#[inline(always)]
fn keep<S: Simd>(
    s: S,
    step: &mut Step<'_>,
    gates: [S::Vector; VECTORS],
    row: usize,
    unit: usize,
) -> (S::Vector, S::Vector) {
    store_vectors(s, gates, &mut step.kept[step.shape.kept(VECTORS, row, unit)..]);
    let [i, f, g, o] = gates;
    let state = row * step.shape.padded + unit;
    let cell = s.mul_add(f, s.load(&step.second_before[state..]), s.mul(i, g));
    s.store(cell, &mut step.second_after[state..]);
    (cell, o)
}

/// `M` rows' gates to gradients of their pre-activations, and the gradient of the cell state to that before the step.
#[inline(always)]
fn rows_back<S: Simd, const M: usize>(s: S, step: &mut StepBack<'_>, row: usize, unit: usize) {
    let shape = step.shape;
    let one = s.splat(1.0);
    let mut cells = [s.splat(0.0); M];
    for m in 0..M {
        cells[m] = s.load(&step.second_after[(row + m) * shape.padded + unit..]);
    }
    let squashed = tanh(s, cells);
    for m in 0..M {
        let state = (row + m) * shape.padded + unit;
        // The weight gradients will read it, in an order that no CPU foresees.
        s.prefetch(&step.before[state..]);
        let kept = &mut step.kept[shape.kept(VECTORS, row + m, unit)..];
        let [i, f, g, o] = load_vectors(s, kept);
        let hidden = s.load(&step.hidden[state..]);
        let through_output = s.mul(hidden, o);
        // The gradient of the cell state: carried, and through h = o tanh(c).
        let cell = s.load(&step.second[state..]);
        let shown = s.mul(through_output, squashed[m]);
        let cell = s.add(cell, s.neg_mul_add(shown, squashed[m], through_output));
        let input = s.mul(cell, i);
        let forget = s.mul(cell, f);
        let gradients = [
            s.mul(s.mul(input, g), s.sub(one, i)),
            s.mul(s.mul(forget, s.load(&step.second_before[state..])), s.sub(one, f)),
            s.neg_mul_add(s.mul(input, g), g, input),
            s.mul(shown, s.sub(one, o)),
        ];
        store_vectors(s, gradients, kept);
        s.store(forget, &mut step.second[state..]);
    }
}
