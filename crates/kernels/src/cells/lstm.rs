//! LSTM. A step keeps i, f, g and o; the cell state is kept beside the hidden state, and its tanh is computed again on the way back.

use super::{Cell, Operands, Step, StepBack, WeightSums, block_of, gradients_of};
use crate::math::{tanh, three_sigmoids_and_tanh};
use crate::pack::Columns;
use crate::plan::split;
use crate::shape::PANEL;
use crate::simd::Simd;
use crate::tile::{Gates, Product, Steps, accumulate, for_rows, load_vectors, rows_of, same_in_rows};

pub(crate) struct Lstm;

const VECTORS: usize = 4;
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
        let one = s.splat(1.0);
        for unit in (0..shape.padded).step_by(S::LANES) {
            for row in 0..step.active {
                let state = row * shape.padded + unit;
                let kept = &mut step.kept[shape.kept(VECTORS, row, unit)..][..3 * PANEL + S::LANES];
                let [i, f, g, o] = load_vectors(s, kept);
                let squashed = tanh(s, s.load(&step.second_after[state..]));
                let hidden = s.load(&step.hidden[state..]);
                let through_output = s.mul(hidden, o);
                // The gradient of the cell state: carried, and through h = o tanh(c).
                let cell = s.load(&step.second[state..]);
                let cell = s.add(cell, s.neg_mul_add(s.mul(through_output, squashed), squashed, through_output));
                let to_output = s.mul(s.mul(through_output, squashed), s.sub(one, o));
                let input = s.mul(cell, i);
                let to_input = s.mul(s.mul(input, g), s.sub(one, i));
                let to_candidate = s.neg_mul_add(s.mul(input, g), g, input);
                let forget = s.mul(cell, f);
                let to_forget = s.mul(s.mul(forget, s.load(&step.second_before[state..])), s.sub(one, f));
                for (vector, gradient) in [to_input, to_forget, to_candidate, to_output].into_iter().enumerate() {
                    s.store(gradient, &mut kept[vector * PANEL..]);
                }
                s.store(forget, &mut step.second[state..]);
            }
        }
        s.run(Product {
            gates: Gates { shape, active: step.active, kept: step.kept, vectors: VECTORS, columns: ALL },
            transposed: &step.weights.recurrent,
            outputs: shape.padded,
            out: step.hidden,
            add: false,
        });
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
    let width = VECTORS * S::LANES;
    let sums = same_in_rows::<S, R, 4>(s, block_of(&step.weights.bias, block, width));
    let recurrent = block_of(&step.weights.recurrent, block, shape.hidden * width);
    let sums = accumulate(s, sums, rows_of(step.before, first, shape.padded, shape.hidden), recurrent);
    let input = block_of(&step.weights.input, block, shape.inputs * width);
    let sums = accumulate(s, sums, rows_of(step.values, first, shape.inputs, shape.inputs), input);
    let unit = block * S::LANES;
    for r in 0..R {
        let [i, f, g, o] = sums[r];
        let [i, f, o, g] = three_sigmoids_and_tanh(s, i, f, o, g);
        let kept = &mut step.kept[shape.kept(VECTORS, first + r, unit)..][..3 * PANEL + S::LANES];
        for (vector, gate) in [i, f, g, o].into_iter().enumerate() {
            s.store(gate, &mut kept[vector * PANEL..]);
        }
        let state = (first + r) * shape.padded + unit;
        let cell = s.mul_add(f, s.load(&step.second_before[state..]), s.mul(i, g));
        s.store(cell, &mut step.second_after[state..]);
        s.store(s.mul(o, tanh(s, cell)), &mut step.after[state..]);
    }
}
