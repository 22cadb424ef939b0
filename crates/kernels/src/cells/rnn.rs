//! Elman's network. A step keeps h, whose place the gradient of its pre-activation takes.

use super::{Cell, Operands, Step, StepBack, WeightSums, gradients_of, pre_activations, through_recurrent};
use crate::math::tanh;
use crate::pack::Columns;
use crate::plan::split;
use crate::simd::Simd;
use crate::tile::{Steps, for_rows};

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
    fn step_back<S: Simd>(s: S, mut step: StepBack<'_>) {
        let shape = step.shape;
        for unit in (0..shape.padded).step_by(S::LANES) {
            for row in 0..step.active {
                let kept = &mut step.kept[shape.kept(1, row, unit)..];
                let (after, gradient) = (s.load(kept), s.load(&step.hidden[row * shape.padded + unit..]));
                s.store(s.neg_mul_add(s.mul(gradient, after), after, gradient), kept);
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
        gradients_of::<S, Self, 1, 1, 1>(s, steps, operands, sums, from_zero);
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize>(s: S, step: &mut Step<'_>, block: usize, first: usize) {
    let shape = step.shape;
    let sums = pre_activations::<S, R, 1>(s, step, block, first);
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
