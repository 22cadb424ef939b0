//! Elman's network. A step keeps h, whose place the gradient of its pre-activation takes.

use super::{Cell, Operands, Step, StepBack, WeightSums, block_of, gradients_of};
use crate::math::tanh;
use crate::pack::Columns;
use crate::plan::split;
use crate::simd::Simd;
use crate::tile::{Gates, Product, Steps, accumulate, for_rows, rows_of, same_in_rows};

pub(crate) struct Rnn;

const ALL: Columns = Columns { gates: &[0], first: 0 };

impl Cell for Rnn {
    const VECTORS: usize = 1;
    const INPUT: Columns = ALL;
    const RECURRENT: Columns = ALL;
    const SECOND: Option<Columns> = None;
    const HAS_SECOND: bool = false;

    #[inline(always)]
    fn step<S: Simd>(s: S, mut step: Step<'_>) {
        for block in 0..step.shape.padded / S::LANES {
            let mut first = 0;
            for rows in split(step.active, S::ROWS[1]) {
                for_rows!(rows, S::ROWS[1], R => tile::<S, R>(s, &mut step, block, first));
                first += rows;
            }
        }
    }

    #[inline(always)]
    fn step_back<S: Simd>(s: S, step: StepBack<'_>) {
        let shape = step.shape;
        for unit in (0..shape.padded).step_by(S::LANES) {
            for row in 0..step.active {
                let kept = &mut step.kept[shape.kept(1, row, unit)..];
                let (after, gradient) = (s.load(kept), s.load(&step.hidden[row * shape.padded + unit..]));
                s.store(s.neg_mul_add(s.mul(gradient, after), after, gradient), kept);
            }
        }
        s.run(Product {
            gates: Gates { shape, active: step.active, kept: step.kept, vectors: 1, columns: ALL },
            transposed: &step.weights.recurrent,
            outputs: shape.padded,
            stride: shape.padded,
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
        gradients_of::<S, Self, 1, 1, 1>(s, steps, operands, sums, from_zero);
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize>(s: S, step: &mut Step<'_>, block: usize, first: usize) {
    let shape = step.shape;
    let sums = same_in_rows::<S, R, 1>(s, block_of(&step.weights.bias, block, S::LANES));
    let recurrent = block_of(&step.weights.recurrent, block, shape.hidden * S::LANES);
    let sums = accumulate(s, sums, rows_of(step.before, first, shape.padded, shape.hidden), recurrent);
    let input = block_of(&step.weights.input, block, shape.inputs * S::LANES);
    let sums = accumulate(s, sums, rows_of(step.values, first, shape.inputs, shape.inputs), input);
    let unit = block * S::LANES;
    let mut hidden = [s.splat(0.0); R];
    for r in 0..R {
        hidden[r] = sums[r][0];
    }
    let hidden = tanh(s, hidden);
    for r in 0..R {
        s.store(hidden[r], &mut step.kept[shape.kept(1, first + r, unit)..]);
        s.store(hidden[r], &mut step.after[(first + r) * shape.padded + unit..]);
    }
}
