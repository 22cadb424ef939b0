//! A pass over a whole batch: chunks to threads, results together again.

use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Range;

use emberloop_cells::CellKind;
use rayon::prelude::*;

use crate::backward::{BackwardChunk, transpose};
use crate::cells::{Cell, GruAfter, GruBefore, Lstm, Rnn, WeightSums};
use crate::flush::FlushToZero;
use crate::forward::{ChunkTape, ForwardChunk, matrices, pack};
use crate::isa::Isa;
use crate::layer::{Gradients, Layer, Output, Sequences, StateGradients, States, Tape, Wanted, Weights};
use crate::pack::unpack_biases;
use crate::places::Array;
use crate::plan::Plan;
use crate::pool::Buffer;
use crate::shape::Shape;

/// Calls a function that is generic over the cell.
macro_rules! for_cell {
    ($kind:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $kind {
            CellKind::Rnn => $function::<Rnn>($($argument),*),
            CellKind::Lstm => $function::<Lstm>($($argument),*),
            CellKind::GruResetAfter => $function::<GruAfter>($($argument),*),
            CellKind::GruResetBefore => $function::<GruBefore>($($argument),*),
        }
    };
}

pub(crate) fn forward(
    isa: Isa,
    layer: Layer,
    weights: &Weights<'_>,
    sequences: &Sequences<'_>,
    output: Output,
    keep: bool,
) -> (States, Tape) {
    check_isa(isa);
    layer.check_weights(weights);
    layer.check_sequences(sequences);
    for_cell!(layer.cell, forward_of(isa, layer, weights, sequences, output, keep))
}

fn forward_of<C: Cell>(
    isa: Isa,
    layer: Layer,
    weights: &Weights<'_>,
    sequences: &Sequences<'_>,
    output: Output,
    keep: bool,
) -> (States, Tape) {
    let plan = Plan::new(sequences);
    let packed = pack::<C>(isa, layer, weights);
    let every_step = if output.hidden() { sequences.steps * sequences.batch } else { 0 };
    let mut hidden = Array::new(every_step, layer.hidden, !plan.is_whole());
    let last_states = if output.last() { layer.states() * sequences.batch } else { 0 };
    let mut last = Array::new(last_states, layer.hidden, false);
    let (hidden_places, last_places) = (hidden.places(), last.places());
    let chunks = chunks(layer, &plan, keep);
    let mut memory = Buffer::new(ChunkTape::len::<C>(&chunks));
    let tapes = ChunkTape::cut::<C>(&mut memory, &chunks);
    in_parallel(plan.chunks().into_iter().zip(tapes).collect(), |(rows, tape)| {
        isa.run(ForwardChunk::<C> {
            layer,
            rows: plan.rows(rows),
            sequences,
            weights: &packed,
            hidden: output.hidden().then_some(&hidden_places),
            last: output.last().then_some(&last_places),
            keep,
            tape,
            cell: PhantomData,
        });
    });
    // SAFETY: every step of every sequence was written, and what is no step was cleared; every sequence has a last step.
    let states = unsafe { States { hidden: hidden.finish(), last: last.finish() } };
    (states, Tape { layer, plan, memory })
}

/// The chunks of a batch, and the steps for which each has room in the tape.
fn chunks(layer: Layer, plan: &Plan, keep: bool) -> Vec<(Shape, usize)> {
    let chunk = |rows: Range<usize>| {
        let rows = plan.rows(rows);
        (Shape::new(layer, rows.len()), if keep { rows.steps() } else { 1 })
    };
    plan.chunks().into_iter().map(chunk).collect()
}

pub(crate) fn backward(
    isa: Isa,
    tape: Tape,
    weights: &Weights<'_>,
    gradients: &StateGradients<'_>,
    wanted: Wanted,
    truncate: Option<NonZeroUsize>,
) -> Gradients {
    check_isa(isa);
    tape.layer.check_weights(weights);
    tape.check(gradients);
    for_cell!(tape.layer.cell, backward_of(isa, tape, weights, gradients, wanted, truncate))
}

fn backward_of<C: Cell>(
    isa: Isa,
    tape: Tape,
    weights: &Weights<'_>,
    gradients: &StateGradients<'_>,
    wanted: Wanted,
    truncate: Option<NonZeroUsize>,
) -> Gradients {
    let Tape { layer, plan, mut memory } = tape;
    let transposed = transpose::<C>(isa, layer, weights, wanted);
    let every_step = if wanted.values { plan.steps * plan.batch } else { 0 };
    let mut values = Array::new(every_step, layer.inputs, !plan.is_whole());
    let initial_states = if wanted.initial { layer.states() * plan.batch } else { 0 };
    let mut initial = Array::new(initial_states, layer.hidden, false);
    let (value_places, initial_places) = (values.places(), initial.places());
    let tapes = ChunkTape::cut::<C>(&mut memory, &chunks(layer, &plan, true));
    let sums = in_parallel(plan.chunks().into_iter().zip(tapes).collect(), |(rows, tape)| {
        isa.run(BackwardChunk::<C> {
            layer,
            rows: plan.rows(rows),
            batch: plan.batch,
            tape,
            weights: &transposed,
            gradients,
            values: wanted.values.then_some(&value_places),
            initial: wanted.initial.then_some(&initial_places),
            truncate,
            cell: PhantomData,
        })
    });
    // SAFETY: every step of every sequence was written, and what is no step was cleared; every sequence has a first step.
    let (values, initial) = unsafe { (values.finish(), initial.finish()) };
    let columns = layer.gates() * layer.hidden;
    let mut gradients = Gradients {
        input: vec![0.0; layer.inputs * columns],
        recurrent: vec![0.0; layer.hidden * columns],
        input_bias: vec![0.0; columns],
        recurrent_bias: vec![0.0; columns],
        values: wanted.values.then_some(values),
        initial: wanted.initial.then_some(initial),
    };
    unpack::<C>(layer, isa.lanes(), total(sums), &mut gradients);
    gradients
}

/// The chunks' sums, added in the order of the chunks.
fn total(sums: Vec<WeightSums>) -> WeightSums {
    let _flush = FlushToZero::new();
    let mut sums = sums.into_iter();
    let mut total = sums.next().expect("a batch has a chunk");
    for next in sums {
        for (total, next) in [
            (&mut total.input, &next.input),
            (&mut total.recurrent, &next.recurrent),
            (&mut total.second, &next.second),
            (&mut total.bias, &next.bias),
        ] {
            for (total, next) in total.iter_mut().zip(next.iter()) {
                *total += next;
            }
        }
    }
    total
}

fn unpack<C: Cell>(layer: Layer, lanes: usize, sums: WeightSums, gradients: &mut Gradients) {
    let (input, recurrent) = matrices(layer);
    input.unpack(&sums.input, C::INPUT, lanes, &mut gradients.input);
    recurrent.unpack(&sums.recurrent, C::RECURRENT, lanes, &mut gradients.recurrent);
    unpack_biases(&sums.bias, C::VECTORS, input, lanes, C::INPUT, &mut gradients.input_bias);
    unpack_biases(&sums.bias, C::VECTORS, recurrent, lanes, C::RECURRENT, &mut gradients.recurrent_bias);
    if let Some(columns) = C::SECOND {
        recurrent.unpack(&sums.second, columns, lanes, &mut gradients.recurrent);
        unpack_biases(&sums.bias, C::VECTORS, recurrent, lanes, columns, &mut gradients.recurrent_bias);
    }
}

/// One after the other on this thread, if there is but one thread or one task.
fn in_parallel<T: Send, O: Send>(tasks: Vec<T>, work: impl Fn(T) -> O + Send + Sync) -> Vec<O> {
    if tasks.len() == 1 || rayon::current_num_threads() == 1 {
        tasks.into_iter().map(work).collect()
    } else {
        tasks.into_par_iter().with_max_len(1).map(work).collect()
    }
}

/// # Panics
/// If this CPU lacks it.
fn check_isa(isa: Isa) {
    if !isa.is_available() {
        isa.panic_missing();
    }
}
