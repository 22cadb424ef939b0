//! GRU, reset before the product: two products per step, the second with `r * h`. A step keeps n, r and z, and `r * h`.

use super::{Cell, Operands, Step, StepBack, WeightSums, block_of, gradients_of, through_recurrent};
use crate::math::{tanh, two_sigmoids};
use crate::pack::Columns;
use crate::plan::split;
use crate::shape::PANEL;
use crate::simd::Simd;
use crate::tile::{Gates, Product, Steps, WeightGradient, accumulate, for_rows, rows_of, same_in_rows, store_vectors};

pub(crate) struct GruBefore;

const VECTORS: usize = 3;
/// n, r, z: the new gate is the third of the weights.
const INPUT: Columns = Columns { gates: &[2, 0, 1], first: 0 };
const RECURRENT: Columns = Columns { gates: &[0, 1], first: 1 };
const SECOND: Columns = Columns { gates: &[2], first: 0 };

impl Cell for GruBefore {
    const VECTORS: usize = VECTORS;
    const INPUT: Columns = INPUT;
    const RECURRENT: Columns = RECURRENT;
    const SECOND: Option<Columns> = Some(SECOND);
    const HAS_SECOND: bool = true;

    #[inline(always)]
    fn step<S: Simd>(s: S, mut step: Step<'_>) {
        let blocks = step.shape.padded / S::LANES;
        for block in 0..blocks {
            let mut first = 0;
            for rows in split(step.active, S::GRU_ROWS) {
                for_rows!(rows, S::GRU_ROWS, R => gates_tile::<S, R>(s, &mut step, block, first));
                first += rows;
            }
        }
        // The product with r * h needs it of all units.
        for block in 0..blocks {
            let mut first = 0;
            for rows in split(step.active, S::ROWS[1]) {
                for_rows!(rows, S::ROWS[1], R => new_tile::<S, R>(s, &mut step, block, first));
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
                let kept = &mut step.kept[shape.kept(VECTORS, row, unit)..][..2 * PANEL + S::LANES];
                let (n, z) = (s.load(kept), s.load(&kept[2 * PANEL..]));
                let hidden = s.load(&step.hidden[state..]);
                let through_update = s.mul(hidden, z);
                let through_new = s.sub(hidden, through_update);
                s.store(s.neg_mul_add(s.mul(through_new, n), n, through_new), kept);
                let change = s.sub(s.load(&step.before[state..]), n);
                s.store(s.mul(s.mul(through_update, change), s.sub(one, z)), &mut kept[2 * PANEL..]);
                s.store(through_update, &mut step.hidden[state..]);
            }
        }
        s.run(Product {
            gates: Gates { shape, active: step.active, kept: step.kept, vectors: VECTORS, columns: SECOND },
            transposed: &step.weights.second,
            outputs: shape.padded,
            stride: shape.padded,
            out: step.second,
            add: false,
        });
        for unit in (0..shape.padded).step_by(S::LANES) {
            for row in 0..step.active {
                let state = row * shape.padded + unit;
                let kept = &mut step.kept[shape.kept(VECTORS, row, unit) + PANEL..];
                let r = s.load(kept);
                let through_reset = s.mul(s.load(&step.second[state..]), r);
                let to_reset = s.mul(s.mul(through_reset, s.load(&step.before[state..])), s.sub(one, r));
                s.store(to_reset, kept);
                s.store(s.add(s.load(&step.hidden[state..]), through_reset), &mut step.hidden[state..]);
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
        gradients_of::<S, Self, 3, 2, 3>(s, steps, operands, sums, from_zero);
        s.run(WeightGradient::<1> {
            steps,
            first: SECOND.first,
            left: operands.second,
            gradient: &mut sums.second,
            from_zero,
        });
    }
}

/// r, z, `r * h`, and the input's part of n, which waits where n will be kept.
#[inline(always)]
fn gates_tile<S: Simd, const R: usize>(s: S, step: &mut Step<'_>, block: usize, first: usize) {
    let shape = step.shape;
    let sums = same_in_rows::<S, R, 3>(s, block_of(&step.weights.bias, block, VECTORS * S::LANES));
    let input = block_of(&step.weights.input, block, shape.inputs * 3 * S::LANES);
    let sums = accumulate(s, sums, rows_of(step.values, first, shape.inputs, shape.inputs), input);
    let mut gates = [[s.splat(0.0); 2]; R];
    for r in 0..R {
        let [new, reset, update] = sums[r];
        s.store(new, &mut step.kept[shape.kept(VECTORS, first + r, block * S::LANES)..]);
        gates[r] = [reset, update];
    }
    let recurrent = block_of(&step.weights.recurrent, block, shape.hidden * 2 * S::LANES);
    let gates = accumulate(s, gates, rows_of(step.before, first, shape.padded, shape.hidden), recurrent);
    let unit = block * S::LANES;
    let (mut resets, mut updates) = ([s.splat(0.0); R], [s.splat(0.0); R]);
    for r in 0..R {
        [resets[r], updates[r]] = gates[r];
    }
    let (resets, updates) = two_sigmoids(s, resets, updates);
    for r in 0..R {
        let kept = &mut step.kept[shape.kept(VECTORS, first + r, unit) + PANEL..];
        store_vectors(s, [resets[r], updates[r]], kept);
        let state = (first + r) * shape.padded + unit;
        s.store(s.mul(resets[r], s.load(&step.before[state..])), &mut step.second_after[state..]);
    }
}

#[inline(always)]
fn new_tile<S: Simd, const R: usize>(s: S, step: &mut Step<'_>, block: usize, first: usize) {
    let shape = step.shape;
    let unit = block * S::LANES;
    let mut sums = [[s.splat(0.0); 1]; R];
    for r in 0..R {
        sums[r] = [s.load(&step.kept[shape.kept(VECTORS, first + r, unit)..])];
    }
    let weights = block_of(&step.weights.second, block, shape.hidden * S::LANES);
    let sums = accumulate(s, sums, rows_of(step.second_after, first, shape.padded, shape.hidden), weights);
    let mut new = [s.splat(0.0); R];
    for r in 0..R {
        new[r] = sums[r][0];
    }
    let new = tanh(s, new);
    for r in 0..R {
        let n = new[r];
        let kept = &mut step.kept[shape.kept(VECTORS, first + r, unit)..][..2 * PANEL + S::LANES];
        s.store(n, kept);
        let update = s.load(&kept[2 * PANEL..]);
        let state = (first + r) * shape.padded + unit;
        let change = s.sub(s.load(&step.before[state..]), n);
        s.store(s.mul_add(update, change, n), &mut step.after[state..]);
    }
}
