//! Back-propagation through time of one chunk of the batch, on one thread.

use std::marker::PhantomData;
use std::num::NonZeroUsize;

use crate::cells::{Cell, Operands, StepBack, Transposed, WeightSums};
use crate::flush::FlushToZero;
use crate::forward::{ChunkTape, matrices};
use crate::isa::Isa;
use crate::layer::{Layer, StateGradients, Wanted, Weights};
use crate::places::Places;
use crate::plan::{CHUNK, Rows};
use crate::pool::Buffer;
use crate::shape::{PANEL, Shape};
use crate::simd::{Operation, Simd};
use crate::tile::{Gates, Left, Product, Steps};

/// Weight gradients are summed over some steps at a time, whose gates and states are still in the second-level cache: about this many rows
/// of all steps together. With one step at a time the sums would be loaded and stored too often.
const GRADIENT_ROWS: usize = 64;

static ONES: [f32; CHUNK] = [1.0; CHUNK];

pub(crate) fn transpose<C: Cell>(isa: Isa, layer: Layer, weights: &Weights<'_>, wanted: Wanted) -> Transposed {
    let (input, recurrent) = matrices(layer);
    let lanes = isa.lanes();
    Transposed {
        input: if wanted.values { input.pack_transposed(weights.input, C::INPUT, lanes) } else { Buffer::new(0) },
        recurrent: recurrent.pack_transposed(weights.recurrent, C::RECURRENT, lanes),
        second: match C::SECOND {
            Some(columns) => recurrent.pack_transposed(weights.recurrent, columns, lanes),
            None => Buffer::new(0),
        },
    }
}

pub(crate) struct BackwardChunk<'a, C> {
    pub(crate) layer: Layer,
    pub(crate) rows: Rows<'a>,
    pub(crate) batch: usize,
    pub(crate) tape: ChunkTape<'a>,
    pub(crate) weights: &'a Transposed,
    pub(crate) gradients: &'a StateGradients<'a>,
    /// `[T * B, I]`
    pub(crate) values: Option<&'a Places<'a>>,
    /// `[S * B, H]`
    pub(crate) initial: Option<&'a Places<'a>>,
    pub(crate) truncate: Option<NonZeroUsize>,
    pub(crate) cell: PhantomData<C>,
}

impl<C: Cell> Operation for BackwardChunk<'_, C> {
    type Output = WeightSums;

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) -> WeightSums {
        let _flush = FlushToZero::new();
        let shape = Shape::new(self.layer, self.rows.len());
        let steps = self.rows.steps();
        let tape = std::mem::take(&mut self.tape);
        let (state, kept_size) = (shape.state(), shape.kept_len(C::VECTORS));
        let mut hidden = Buffer::zeros(state);
        let mut second = Buffer::zeros(if C::HAS_SECOND { state } else { 0 });
        let outputs = self.layer.inputs.next_multiple_of(PANEL);
        let mut values = Buffer::new(if self.values.is_some() { shape.rows * outputs } else { 0 });
        let mut sums = weight_sums::<C>(self.layer);
        let block = (GRADIENT_ROWS / shape.rows).max(1);
        // Rows that steps of the current block have, from the first step of the block.
        let mut active_rows = [0; GRADIENT_ROWS];
        let mut started = 0;
        let mut from_zero = true;
        for step in (0..steps).rev() {
            let active = self.rows.active(step);
            self.start(shape, started..active, &mut hidden, &mut second);
            started = active;
            self.add_hidden(shape, step, active, &mut hidden);
            let kept = &mut tape.kept[step * kept_size..][..kept_size];
            let slot = |buffer: &[f32], slot: usize| -> std::ops::Range<usize> {
                if buffer.is_empty() { 0..0 } else { slot * state..(slot + 1) * state }
            };
            C::step_back(
                s,
                StepBack {
                    shape,
                    active,
                    weights: self.weights,
                    before: &tape.hidden[step * state..][..state],
                    second_before: &tape.second[slot(tape.second, step)],
                    second_after: &tape.second[slot(tape.second, step + 1)],
                    kept,
                    hidden: &mut hidden,
                    second: &mut second,
                },
            );
            if let Some(out) = self.values {
                let gates = Gates { shape, active, kept, vectors: C::VECTORS, columns: C::INPUT };
                let transposed = &self.weights.input;
                s.run(Product { gates, transposed, outputs, stride: outputs, out: &mut values, add: false });
                self.scatter(out, step, active, &values, outputs);
            }
            self.truncate(shape, step, active, &mut hidden, &mut second);
            active_rows[step % block] = active;
            if step % block == 0 {
                let count = block.min(steps - step);
                let steps = Steps {
                    shape,
                    kept: &tape.kept[step * kept_size..],
                    vectors: C::VECTORS,
                    active: &active_rows[..count],
                };
                let left = |values, step, stride, depth| Left { values, step, stride, depth };
                let operands = Operands {
                    values: left(&tape.values[step * shape.values()..], shape.values(), shape.inputs, shape.inputs),
                    hidden: left(&tape.hidden[step * state..], state, shape.padded, shape.hidden),
                    // `r * h` of a step stands in the slot after it.
                    second: match C::SECOND {
                        Some(_) => left(&tape.second[(step + 1) * state..], state, shape.padded, shape.hidden),
                        None => left(&[], 0, 1, 0),
                    },
                    ones: left(&ONES, 0, 1, 1),
                };
                C::weight_gradients(s, steps, operands, &mut sums, from_zero);
                from_zero = false;
            }
        }
        self.finish(shape, &hidden, &second);
        sums
    }
}

fn weight_sums<C: Cell>(layer: Layer) -> WeightSums {
    let (input, recurrent) = matrices(layer);
    WeightSums {
        input: Buffer::new(input.packed_len(C::INPUT)),
        recurrent: Buffer::new(recurrent.packed_len(C::RECURRENT)),
        second: Buffer::new(C::SECOND.map_or(0, |columns| recurrent.packed_len(columns))),
        bias: Buffer::new(input.padded * C::VECTORS),
    }
}

impl<C: Cell> BackwardChunk<'_, C> {
    /// The gradients of the states of rows whose last step this is. (All is zero before, the padding too.)
    #[inline(always)]
    fn start(&self, shape: Shape, rows: std::ops::Range<usize>, hidden: &mut [f32], second: &mut [f32]) {
        let Some(last) = self.gradients.last else { return };
        for row in rows {
            let sequence = self.rows.sequence(row);
            for (state, to) in [&mut *hidden, &mut *second].into_iter().take(self.layer.states()).enumerate() {
                let from = &last[(state * self.batch + sequence) * shape.hidden..][..shape.hidden];
                to[row * shape.padded..][..shape.hidden].copy_from_slice(from);
            }
        }
    }

    /// The gradient that the step's own output has.
    #[inline(always)]
    fn add_hidden(&self, shape: Shape, step: usize, active: usize, hidden: &mut [f32]) {
        let Some(gradient) = self.gradients.hidden else { return };
        for (row, to) in hidden.chunks_exact_mut(shape.padded).enumerate().take(active) {
            let from = &gradient[self.rows.place(row, step) * shape.hidden..][..shape.hidden];
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        }
    }

    /// Gradients of the inputs to where they are wanted.
    #[inline(always)]
    fn scatter(&self, out: &Places<'_>, step: usize, active: usize, values: &[f32], stride: usize) {
        for (row, values) in values.chunks_exact(stride).enumerate().take(active) {
            let place = self.rows.place(row, step);
            // SAFETY: every row of every chunk is another sequence: no other thread writes these places.
            unsafe { out.write(place..place + 1, &values[..self.layer.inputs]) };
        }
    }

    /// Truncated back-propagation: what is not to pass from this step to the one before becomes zero.
    #[inline(always)]
    fn truncate(&self, shape: Shape, step: usize, active: usize, hidden: &mut [f32], second: &mut [f32]) {
        let Some(every) = self.truncate else { return };
        if step == 0 {
            return;
        }
        for row in 0..active {
            if (self.rows.length(row) - step).is_multiple_of(every.get()) {
                for state in [&mut *hidden, &mut *second].into_iter().take(self.layer.states()) {
                    state[row * shape.padded..][..shape.padded].fill(0.0);
                }
            }
        }
    }

    /// The gradients of the states before the first step to where they are wanted.
    #[inline(always)]
    fn finish(&self, shape: Shape, hidden: &[f32], second: &[f32]) {
        let Some(out) = self.initial else { return };
        for row in 0..shape.rows {
            for (state, from) in [hidden, second].into_iter().take(self.layer.states()).enumerate() {
                let place = state * self.batch + self.rows.sequence(row);
                let from = &from[row * shape.padded..][..shape.hidden];
                // SAFETY: every row of every chunk is another sequence: no other thread writes these places.
                unsafe { out.write(place..place + 1, from) };
            }
        }
    }
}
