//! GRU, reset after the product. A step keeps n, r, z and the bracket `U_n h + b'_n`, in this order: so the gates of the input
//! product (n, r, z) stand side by side, and those of the recurrent product (r, z, bracket) too.

use super::{Cell, Operands, Step, StepBack, WeightSums, block_of, gradients_of, through_recurrent};
use crate::math::{tanh, two_sigmoids};
use crate::pack::Columns;
use crate::plan::split;
use crate::simd::Simd;
use crate::tile::{Steps, accumulate, for_rows, load_vectors, rows_of, same_in_rows, store_vectors};

pub(crate) struct GruAfter;

const VECTORS: usize = 4;
/// n, r, z: the new gate is the third of the weights.
const INPUT: Columns = Columns { gates: &[2, 0, 1], first: 0 };
/// r, z, n: from the second vector.
const RECURRENT: Columns = Columns { gates: &[0, 1, 2], first: 1 };

impl Cell for GruAfter {
    const VECTORS: usize = VECTORS;
    const INPUT: Columns = INPUT;
    const RECURRENT: Columns = RECURRENT;
    const SECOND: Option<Columns> = None;
    const HAS_SECOND: bool = false;

    #[inline(always)]
    fn step<S: Simd>(s: S, mut step: Step<'_>) {
        for block in 0..step.shape.padded / S::LANES {
            let mut first = 0;
            for rows in split(step.active, S::GRU_ROWS) {
                for_rows!(rows, S::GRU_ROWS, R => tile::<S, R>(s, &mut step, block, first));
                first += rows;
            }
        }
    }

    #[inline(always)]
    fn step_back<S: Simd>(s: S, mut step: StepBack<'_>) {
        let shape = step.shape;
        let one = s.splat(1.0);
        for unit in (0..shape.padded).step_by(S::LANES) {
            for row in 0..step.active {
                let state = row * shape.padded + unit;
                let kept = &mut step.kept[shape.kept(VECTORS, row, unit)..];
                let [n, r, z, bracket] = load_vectors(s, kept);
                let hidden = s.load(&step.hidden[state..]);
                let through_update = s.mul(hidden, z);
                let through_new = s.sub(hidden, through_update);
                let to_new = s.neg_mul_add(s.mul(through_new, n), n, through_new);
                let to_bracket = s.mul(to_new, r);
                let to_reset = s.mul(s.mul(to_bracket, bracket), s.sub(one, r));
                let change = s.sub(s.load(&step.before[state..]), n);
                let to_update = s.mul(s.mul(through_update, change), s.sub(one, z));
                store_vectors(s, [to_new, to_reset, to_update, to_bracket], kept);
                s.store(through_update, &mut step.hidden[state..]);
            }
        }
        through_recurrent::<S, Self>(s, &mut step, true);
    }

    #[inline(always)]
    fn weight_gradients<S: Simd>(
        s: S,
        steps: Steps<'_>,
        operands: Operands<'_>,
        sums: &mut WeightSums,
        from_zero: bool,
    ) {
        gradients_of::<S, Self, 3, 3, 4>(s, steps, operands, sums, from_zero);
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize>(s: S, step: &mut Step<'_>, block: usize, first: usize) {
    let shape = step.shape;
    let width = 3 * S::LANES;
    let bias = block_of(&step.weights.bias, block, VECTORS * S::LANES);
    // n, r, z: after the input product r and z go on, and n waits.
    let sums = same_in_rows::<S, R, 3>(s, bias);
    let input = block_of(&step.weights.input, block, shape.inputs * width);
    let mut sums = accumulate(s, sums, rows_of(step.values, first, shape.inputs, shape.inputs), input);
    let mut new = [s.splat(0.0); R];
    let bracket = s.load(&bias[3 * S::LANES..]);
    for r in 0..R {
        let [n, reset, update] = sums[r];
        new[r] = n;
        sums[r] = [reset, update, bracket];
    }
    let recurrent = block_of(&step.weights.recurrent, block, shape.hidden * width);
    let sums = accumulate(s, sums, rows_of(step.before, first, shape.padded, shape.hidden), recurrent);
    let unit = block * S::LANES;
    let (mut resets, mut updates) = (new, new);
    for r in 0..R {
        (resets[r], updates[r]) = (sums[r][0], sums[r][1]);
    }
    let (resets, updates) = two_sigmoids(s, resets, updates);
    for r in 0..R {
        new[r] = s.mul_add(resets[r], sums[r][2], new[r]);
    }
    let new = tanh(s, new);
    for r in 0..R {
        let kept = &mut step.kept[shape.kept(VECTORS, first + r, unit)..];
        store_vectors(s, [new[r], resets[r], updates[r], sums[r][2]], kept);
        let state = (first + r) * shape.padded + unit;
        let change = s.sub(s.load(&step.before[state..]), new[r]);
        s.store(s.mul_add(updates[r], change, new[r]), &mut step.after[state..]);
    }
}
