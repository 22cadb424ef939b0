//! The forward pass of one chunk of the batch: all its steps, on one thread.

use std::marker::PhantomData;

use crate::cells::{Cell, Packed, Step};
use crate::flush::FlushToZero;
use crate::isa::Isa;
use crate::layer::{Layer, Sequences, Weights};
use crate::pack::{Matrix, pack_biases};
use crate::places::Places;
use crate::plan::Rows;
use crate::pool::Buffer;
use crate::shape::{PANEL, Shape};
use crate::simd::{Operation, Simd};

/// What a chunk keeps for the backward pass: its part of the tape's memory.
#[derive(Default)]
pub(crate) struct ChunkTape<'a> {
    /// `[step][row][input]`, steps in the order of reading
    pub(crate) values: &'a mut [f32],
    /// `[step + 1][row][padded unit]`: the hidden state before the first step, then after each
    pub(crate) hidden: &'a mut [f32],
    /// The same of what a step leaves beside the hidden state, if anything.
    pub(crate) second: &'a mut [f32],
    /// `[step][panel][row][vector][unit]`
    pub(crate) kept: &'a mut [f32],
}

impl<'a> ChunkTape<'a> {
    /// Numbers of the four arrays.
    fn sizes<C: Cell>(shape: Shape, steps: usize) -> [usize; 4] {
        let states = (steps + 1) * shape.state();
        let second = if C::HAS_SECOND { states } else { 0 };
        [steps * shape.values(), states, second, steps * shape.kept_len(C::VECTORS)]
    }

    /// The parts of chunks with these sizes and numbers of steps, one after the other in one memory.
    pub(crate) fn cut<C: Cell>(mut memory: &'a mut [f32], chunks: &[(Shape, usize)]) -> Vec<Self> {
        let mut take = |size: usize| {
            // On a cache line each.
            let (part, rest) = std::mem::take(&mut memory).split_at_mut(size.next_multiple_of(PANEL));
            memory = rest;
            &mut part[..size]
        };
        let cut = |&(shape, steps): &(Shape, usize)| {
            let [values, hidden, second, kept] = Self::sizes::<C>(shape, steps).map(&mut take);
            Self { values, hidden, second, kept }
        };
        chunks.iter().map(cut).collect()
    }

    /// Numbers that [`ChunkTape::cut`] needs.
    pub(crate) fn len<C: Cell>(chunks: &[(Shape, usize)]) -> usize {
        let of_chunk = |&(shape, steps): &(Shape, usize)| Self::sizes::<C>(shape, steps);
        chunks.iter().flat_map(of_chunk).map(|size| size.next_multiple_of(PANEL)).sum()
    }
}

pub(crate) fn pack<C: Cell>(isa: Isa, layer: Layer, weights: &Weights<'_>) -> Packed {
    let (input, recurrent) = matrices(layer);
    let lanes = isa.lanes();
    let mut biases = vec![(C::INPUT, weights.input_bias), (C::RECURRENT, weights.recurrent_bias)];
    biases.extend(C::SECOND.map(|columns| (columns, weights.recurrent_bias)));
    Packed {
        input: input.pack(weights.input, C::INPUT, lanes),
        recurrent: recurrent.pack(weights.recurrent, C::RECURRENT, lanes),
        second: match C::SECOND {
            Some(columns) => recurrent.pack(weights.recurrent, columns, lanes),
            None => Buffer::new(0),
        },
        bias: pack_biases(C::VECTORS, input, lanes, &biases),
    }
}

/// Input and recurrent weights.
pub(crate) fn matrices(layer: Layer) -> (Matrix, Matrix) {
    let padded = layer.hidden.next_multiple_of(PANEL);
    let recurrent = Matrix { depth: layer.hidden, gates: layer.gates(), hidden: layer.hidden, padded };
    (Matrix { depth: layer.inputs, ..recurrent }, recurrent)
}

pub(crate) struct ForwardChunk<'a, C> {
    pub(crate) layer: Layer,
    pub(crate) rows: Rows<'a>,
    pub(crate) sequences: &'a Sequences<'a>,
    pub(crate) weights: &'a Packed,
    /// `[T * B, H]`
    pub(crate) hidden: Option<&'a Places<'a>>,
    /// `[S * B, H]`
    pub(crate) last: Option<&'a Places<'a>>,
    /// Whether to keep all steps for a backward pass, or only one.
    pub(crate) keep: bool,
    /// Room for all steps, or for one.
    pub(crate) tape: ChunkTape<'a>,
    pub(crate) cell: PhantomData<C>,
}

impl<C: Cell> Operation for ForwardChunk<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let _flush = FlushToZero::new();
        let shape = Shape::new(self.layer, self.rows.len());
        let steps = self.rows.steps();
        let tape = std::mem::take(&mut self.tape);
        self.start::<C>(shape, tape.hidden, tape.second);
        let (state, kept) = (shape.state(), shape.kept_len(C::VECTORS));
        for step in 0..steps {
            let active = self.rows.active(step);
            // Where this step stands, and its states before and after; without a tape two slots take turns.
            let (place, before, after) = if self.keep { (step, step, step + 1) } else { (0, step % 2, (step + 1) % 2) };
            let values = &mut tape.values[place * shape.values()..][..shape.values()];
            self.gather(step, active, values);
            let (hidden_before, hidden_after) = slots(tape.hidden, state, before, after);
            let (second_before, second_after) =
                if C::HAS_SECOND { slots(tape.second, state, before, after) } else { (&[][..], &mut [][..]) };
            let kept = &mut tape.kept[place * kept..][..kept];
            C::step(
                s,
                Step {
                    shape,
                    active,
                    weights: self.weights,
                    values,
                    before: hidden_before,
                    after: hidden_after,
                    second_before,
                    second_after,
                    kept,
                },
            );
            self.scatter(shape, step, active, hidden_after, second_after);
        }
    }
}

/// Two slots of a buffer: one to read, one to write.
#[inline(always)]
fn slots(buffer: &mut [f32], size: usize, read: usize, write: usize) -> (&[f32], &mut [f32]) {
    if read < write {
        let (low, high) = buffer.split_at_mut(write * size);
        (&low[read * size..][..size], &mut high[..size])
    } else {
        let (low, high) = buffer.split_at_mut(read * size);
        (&high[..size], &mut low[write * size..][..size])
    }
}

impl<C> ForwardChunk<'_, C> {
    /// The states before the first step. The units of the padding are zero, and stay so.
    #[inline(always)]
    fn start<D: Cell>(&self, shape: Shape, hidden: &mut [f32], second: &mut [f32]) {
        let hidden = &mut hidden[..shape.state()];
        let second = if D::HAS_SECOND { &mut second[..shape.state()] } else { &mut [] };
        hidden.fill(0.0);
        second.fill(0.0);
        let Some(initial) = self.sequences.initial else { return };
        for row in 0..shape.rows {
            let sequence = self.rows.sequence(row);
            for (state, slot) in
                [hidden as &mut [f32], second as &mut [f32]].into_iter().take(self.layer.states()).enumerate()
            {
                let from = &initial[(state * self.sequences.batch + sequence) * shape.hidden..][..shape.hidden];
                slot[row * shape.padded..][..shape.hidden].copy_from_slice(from);
            }
        }
    }

    /// The inputs of the active rows.
    #[inline(always)]
    fn gather(&self, step: usize, active: usize, to: &mut [f32]) {
        let inputs = self.layer.inputs;
        let from = self.sequences.values;
        if let Some(block) = self.rows.block(step) {
            to.copy_from_slice(&from[block.start * inputs..block.end * inputs]);
            return;
        }
        for (row, to) in to.chunks_exact_mut(inputs).enumerate().take(active) {
            to.copy_from_slice(&from[self.rows.place(row, step) * inputs..][..inputs]);
        }
    }

    /// The states after the step to where they are wanted.
    #[inline(always)]
    fn scatter(&self, shape: Shape, step: usize, active: usize, hidden: &[f32], second: &[f32]) {
        if let Some(out) = self.hidden {
            if let Some(block) = self.rows.block(step).filter(|_| shape.hidden == shape.padded) {
                // SAFETY: every row of every chunk is another sequence: no other thread writes these places.
                unsafe { out.write(block, hidden) };
            } else {
                for (row, hidden) in hidden.chunks_exact(shape.padded).enumerate().take(active) {
                    let place = self.rows.place(row, step);
                    // SAFETY: as above.
                    unsafe { out.write(place..place + 1, &hidden[..shape.hidden]) };
                }
            }
        }
        let Some(out) = self.last else { return };
        // The rows that have no further step.
        for row in self.rows.active(step + 1)..active {
            for (state, from) in [hidden, second].into_iter().take(self.layer.states()).enumerate() {
                let place = state * self.sequences.batch + self.rows.sequence(row);
                let from = &from[row * shape.padded..][..shape.hidden];
                // SAFETY: as above.
                unsafe { out.write(place..place + 1, from) };
            }
        }
    }
}
