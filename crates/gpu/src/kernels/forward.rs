//! The time loop forward: one launch for all steps, one cube for `rows` sequences.
//!
//! The inputs come projected: `projected[step, sequence, gate * hidden + unit]` holds the input product and every bias but
//! the one that the reset gate scales. With a tape, the activated gates take its place.

use cubecl::prelude::*;
use emberloop_cells::CellKind;

use super::{
    product::{Four, hold, multiply, store, total},
    state::{Loop, Pair, clear, pairs, sigmoid, tanh, time},
};

/// `extra` is the tape's third buffer `[steps, batch, hidden]`: the LSTM's cell state, the reset-after GRU's recurrent
/// product of the new gate, the reset-before GRU's hidden state behind the reset gate.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub(crate) fn forward_loop(
    projected: &mut Array<f32>,
    recurrent_bias: &Array<f32>,
    first: &Array<Four>,
    second: &Array<Four>,
    initial: &Array<f32>,
    lengths: &Array<u32>,
    hidden: &mut Array<f32>,
    extra: &mut Array<f32>,
    last: &mut Array<f32>,
    steps: u32,
    batch: u32,
    #[comptime] plan: Loop,
) {
    let steps = steps as usize;
    let batch = batch as usize;
    let units = comptime!(plan.hidden);
    let rows = comptime!(plan.rows);
    let count = comptime!(plan.pairs());
    let gates = comptime!(plan.gates());

    let mut operand = SharedMemory::<f32>::new_aligned(comptime!(rows * plan.first.operand()), 16usize);
    let mut gated = SharedMemory::<f32>::new_aligned(comptime!(plan.second_operand()), 16usize);
    let mut partials = SharedMemory::<f32>::new(comptime!(plan.partials()));
    let mut stored = SharedMemory::<Four>::new(comptime!(usize::max(plan.first.stored(), 1)));
    let mut stored_second = SharedMemory::<Four>::new(comptime!(usize::max(plan.second.stored(), 1)));

    let held = hold(first, comptime!(plan.first));
    store(first, &mut stored, comptime!(plan.first));
    let held_second = hold(second, comptime!(plan.second));
    store(second, &mut stored_second, comptime!(plan.second));
    clear(&mut operand, comptime!(rows * plan.first.operand()), comptime!(plan.threads));
    clear(&mut gated, comptime!(plan.second_operand()), comptime!(plan.threads));
    sync_cube();

    let all = pairs(lengths, steps, batch, plan);
    let mut state = Array::<f32>::new(count);
    let mut cell = Array::<f32>::new(count);
    let mut bias = Array::<f32>::new(count);
    let mut update = Array::<f32>::new(count);
    let mut now = Array::<f32>::new(comptime!(count * gates));
    let mut next = Array::<f32>::new(comptime!(count * gates));
    #[unroll]
    for index in 0..count {
        let pair = all.index(index);
        state[index] = 0.0;
        cell[index] = 0.0;
        bias[index] = 0.0;
        if comptime!(plan.initial) {
            state[index] = initial[pair.sequence * units + pair.unit];
            if comptime!(plan.cell == CellKind::Lstm) {
                cell[index] = initial[(batch + pair.sequence) * units + pair.unit];
            }
            if pair.real {
                operand[pair.row * comptime!(plan.first.operand()) + pair.unit] = state[index];
            }
        }
        if comptime!(plan.cell == CellKind::GruResetAfter) {
            bias[index] = recurrent_bias[comptime!(2 * units) + pair.unit];
        }
        load(projected, pair, 0, batch, &mut next, index, plan);
    }
    sync_cube();

    for step in 0..steps {
        // The next step's inputs are on their way while this step is computed.
        #[unroll]
        for index in 0..comptime!(count * gates) {
            now[index] = next[index];
        }
        if step + 1 < steps {
            #[unroll]
            for index in 0..count {
                load(projected, all.index(index), step + 1, batch, &mut next, index, plan);
            }
        }
        multiply(&operand, &held, &stored, first, &mut partials, comptime!(plan.first), rows);
        sync_cube();

        if comptime!(plan.has_second()) {
            // Reset and update gate; the new gate has to wait for the product behind the reset gate.
            #[unroll]
            for index in 0..count {
                let pair = all.index(index);
                if pair.real {
                    let reset = sigmoid(
                        now[comptime!(index * gates)]
                            + total(&partials, pair.row, pair.unit, comptime!(plan.first), rows),
                    );
                    update[index] = sigmoid(
                        now[comptime!(index * gates + 1)]
                            + total(&partials, pair.row, units + pair.unit, comptime!(plan.first), rows),
                    );
                    let behind = reset * state[index];
                    gated[pair.row * comptime!(plan.second.operand()) + pair.unit] = behind;
                    if comptime!(plan.tape) {
                        if step < pair.length {
                            let at = time(step, pair.length, comptime!(plan.reverse)) * batch + pair.sequence;
                            let gate = at * comptime!(plan.gate_row()) + pair.unit;
                            projected[gate] = reset;
                            projected[gate + units] = update[index];
                            extra[at * units + pair.unit] = behind;
                        }
                    }
                }
            }
            sync_cube();
            multiply(&gated, &held_second, &stored_second, second, &mut partials, comptime!(plan.second), rows);
            sync_cube();
        }

        #[unroll]
        for index in 0..count {
            let pair = all.index(index);
            if pair.real {
                let at = time(step, pair.length, comptime!(plan.reverse)) * batch + pair.sequence;
                let gate = at * comptime!(plan.gate_row()) + pair.unit;
                let kept = at * units + pair.unit;
                let mut output = 0.0f32;
                if step < pair.length {
                    if comptime!(plan.cell == CellKind::Rnn) {
                        output = tanh(now[index] + total(&partials, pair.row, pair.unit, comptime!(plan.first), rows));
                    } else if comptime!(plan.cell == CellKind::Lstm) {
                        let mut sums = Array::<f32>::new(4usize);
                        #[unroll]
                        for each in 0..4usize {
                            let column = comptime!(each * units) + pair.unit;
                            sums[each] = now[comptime!(index * gates + each)]
                                + total(&partials, pair.row, column, comptime!(plan.first), rows);
                        }
                        let input = sigmoid(sums[0usize]);
                        let forget = sigmoid(sums[1usize]);
                        let candidate = tanh(sums[2usize]);
                        let out = sigmoid(sums[3usize]);
                        cell[index] = forget * cell[index] + input * candidate;
                        output = out * tanh(cell[index]);
                        if comptime!(plan.tape) {
                            projected[gate] = input;
                            projected[gate + units] = forget;
                            projected[gate + comptime!(2 * units)] = candidate;
                            projected[gate + comptime!(3 * units)] = out;
                            extra[kept] = cell[index];
                        }
                    } else if comptime!(plan.cell == CellKind::GruResetAfter) {
                        let reset = sigmoid(
                            now[comptime!(index * gates)]
                                + total(&partials, pair.row, pair.unit, comptime!(plan.first), rows),
                        );
                        let update = sigmoid(
                            now[comptime!(index * gates + 1)]
                                + total(&partials, pair.row, units + pair.unit, comptime!(plan.first), rows),
                        );
                        let product = bias[index]
                            + total(&partials, pair.row, comptime!(2 * units) + pair.unit, comptime!(plan.first), rows);
                        let new = tanh(now[comptime!(index * gates + 2)] + reset * product);
                        output = new + update * (state[index] - new);
                        if comptime!(plan.tape) {
                            projected[gate] = reset;
                            projected[gate + units] = update;
                            projected[gate + comptime!(2 * units)] = new;
                            extra[kept] = product;
                        }
                    } else {
                        let sum = total(&partials, pair.row, pair.unit, comptime!(plan.second), rows);
                        let new = tanh(now[comptime!(index * gates + 2)] + sum);
                        output = new + update[index] * (state[index] - new);
                        if comptime!(plan.tape) {
                            projected[gate + comptime!(2 * units)] = new;
                        }
                    }
                    state[index] = output;
                    operand[pair.row * comptime!(plan.first.operand()) + pair.unit] = output;
                }
                if comptime!(plan.hidden_every) {
                    hidden[kept] = output;
                }
            }
        }
        sync_cube();
    }

    if comptime!(plan.last) {
        #[unroll]
        for index in 0..count {
            let pair = all.index(index);
            if pair.real {
                last[pair.sequence * units + pair.unit] = state[index];
                if comptime!(plan.cell == CellKind::Lstm) {
                    last[(batch + pair.sequence) * units + pair.unit] = cell[index];
                }
            }
        }
    }
}

/// Loads what one pair needs of one step.
#[cube]
fn load(
    projected: &Array<f32>,
    pair: &Pair,
    step: usize,
    batch: usize,
    into: &mut Array<f32>,
    #[comptime] index: usize,
    #[comptime] plan: Loop,
) {
    let at = time(step, pair.length, comptime!(plan.reverse)) * batch + pair.sequence;
    #[unroll]
    for gate in 0..comptime!(plan.gates()) {
        into[comptime!(index * plan.gates() + gate)] =
            projected[at * comptime!(plan.gate_row()) + comptime!(gate * plan.hidden) + pair.unit];
    }
}
