//! The time loop backward: from the gradients of the states to those of the gates before their activation.

use cubecl::prelude::*;
use emberloop_cells::CellKind;

use super::{
    product::{Four, hold, multiply, store, total},
    state::{Loop, Pair, clear, faded, pairs, tanh, time},
};

/// Numbers per pair and step that are loaded ahead: up to four gates, then two of the tape, then the gradient from above.
const LOADED: usize = 7;

/// Writes `gradient[step, sequence, gate * hidden + unit]`, 0 in padding, and for the reset-after GRU `product_gradient`
/// `[steps, batch, hidden]`: the gradient of the new gate's recurrent product.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward_loop(
    gates: &Array<f32>,
    extra: &Array<f32>,
    hidden: &Array<f32>,
    initial: &Array<f32>,
    lengths: &Array<u32>,
    first: &Array<Four>,
    second: &Array<Four>,
    hidden_gradient: &Array<f32>,
    last_gradient: &Array<f32>,
    gradient: &mut Array<f32>,
    product_gradient: &mut Array<f32>,
    initial_gradient: &mut Array<f32>,
    steps: u32,
    batch: u32,
    #[comptime] plan: Loop,
    #[comptime] has_initial: bool,
) {
    let steps = steps as usize;
    let batch = batch as usize;
    let units = comptime!(plan.hidden);
    let rows = comptime!(plan.rows);
    let count = comptime!(plan.pairs());

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
    // Before the first step read here there is no product yet.
    clear(&mut partials, comptime!(plan.partials()), comptime!(plan.threads));
    sync_cube();

    let all = pairs(lengths, steps, batch, plan);
    // The part of the hidden state's gradient that goes around the recurrent product, and the cell state's.
    let mut direct = Array::<f32>::new(count);
    let mut cell = Array::<f32>::new(count);
    let mut now = Array::<f32>::new(comptime!(count * LOADED));
    let mut next = Array::<f32>::new(comptime!(count * LOADED));
    #[unroll]
    for index in 0..count {
        let pair = all.index(index);
        direct[index] = 0.0;
        cell[index] = 0.0;
        if comptime!(plan.last) {
            direct[index] = last_gradient[pair.sequence * units + pair.unit];
            if comptime!(plan.cell == CellKind::Lstm) {
                cell[index] = last_gradient[(batch + pair.sequence) * units + pair.unit];
            }
        }
        load(
            gates,
            extra,
            hidden,
            initial,
            hidden_gradient,
            pair,
            steps - 1,
            batch,
            &mut next,
            index,
            plan,
            has_initial,
        );
    }

    for back in 0..steps {
        let step = steps - 1 - back;
        #[unroll]
        for index in 0..comptime!(count * LOADED) {
            now[index] = next[index];
        }
        if step > 0 {
            #[unroll]
            for index in 0..count {
                load(
                    gates,
                    extra,
                    hidden,
                    initial,
                    hidden_gradient,
                    all.index(index),
                    step - 1,
                    batch,
                    &mut next,
                    index,
                    plan,
                    has_initial,
                );
            }
        }

        #[unroll]
        for index in 0..count {
            let pair = all.index(index);
            if pair.real {
                let base = comptime!(index * LOADED);
                let active = step < pair.length;
                let row = pair.row * comptime!(plan.first.operand()) + pair.unit;
                let mut carried = direct[index] + total(&partials, pair.row, pair.unit, comptime!(plan.first), rows);
                if comptime!(plan.truncate > 0) {
                    // Between this step and the one read after it.
                    if step + 1 < pair.length && (pair.length - 1 - step) % comptime!(plan.truncate) == 0 {
                        carried = 0.0;
                        cell[index] = 0.0;
                    }
                }
                if active {
                    if comptime!(plan.hidden_every) {
                        carried += now[comptime!(base + 6)];
                    }
                    carried = faded(carried);
                    cell[index] = faded(cell[index]);
                }
                direct[index] = carried;
                let at = time(step, pair.length, comptime!(plan.reverse)) * batch + pair.sequence;
                let gate = at * comptime!(plan.gate_row()) + pair.unit;
                let kept = at * units + pair.unit;
                if comptime!(plan.cell == CellKind::Rnn) {
                    let mut sum = 0.0f32;
                    if active {
                        let output = now[comptime!(base + 4)];
                        sum = carried * (1.0 - output * output);
                        direct[index] = 0.0;
                    }
                    operand[row] = sum;
                    gradient[gate] = sum;
                } else if comptime!(plan.cell == CellKind::Lstm) {
                    let mut into = Array::<f32>::new(4usize);
                    #[unroll]
                    for each in 0..4usize {
                        into[each] = 0.0;
                    }
                    if active {
                        let input = now[base];
                        let forget = now[comptime!(base + 1)];
                        let candidate = now[comptime!(base + 2)];
                        let output = now[comptime!(base + 3)];
                        let squashed = tanh(now[comptime!(base + 4)]);
                        let through = cell[index] + carried * output * (1.0 - squashed * squashed);
                        into[0usize] = through * candidate * input * (1.0 - input);
                        into[1usize] = through * now[comptime!(base + 5)] * forget * (1.0 - forget);
                        into[2usize] = through * input * (1.0 - candidate * candidate);
                        into[3usize] = carried * squashed * output * (1.0 - output);
                        cell[index] = through * forget;
                        direct[index] = 0.0;
                    }
                    #[unroll]
                    for each in 0..4usize {
                        operand[row + comptime!(each * units)] = into[each];
                        gradient[gate + comptime!(each * units)] = into[each];
                    }
                } else {
                    let mut into_reset = 0.0f32;
                    let mut into_update = 0.0f32;
                    let mut into_new = 0.0f32;
                    let mut into_product = 0.0f32;
                    if active {
                        let reset = now[base];
                        let update = now[comptime!(base + 1)];
                        let new = now[comptime!(base + 2)];
                        into_new = carried * (1.0 - update) * (1.0 - new * new);
                        into_update = carried * (now[comptime!(base + 5)] - new) * update * (1.0 - update);
                        direct[index] = carried * update;
                        if comptime!(plan.cell == CellKind::GruResetAfter) {
                            into_reset = into_new * now[comptime!(base + 4)] * reset * (1.0 - reset);
                            into_product = into_new * reset;
                        }
                    }
                    operand[row + units] = into_update;
                    gradient[gate + units] = into_update;
                    gradient[gate + comptime!(2 * units)] = into_new;
                    if comptime!(plan.cell == CellKind::GruResetAfter) {
                        operand[row] = into_reset;
                        operand[row + comptime!(2 * units)] = into_product;
                        gradient[gate] = into_reset;
                        product_gradient[kept] = into_product;
                    } else {
                        gated[pair.row * comptime!(plan.second.operand()) + pair.unit] = into_new;
                    }
                }
            }
        }
        sync_cube();

        if comptime!(plan.has_second()) {
            // Through the new gate's product to the reset gate, then through the product of reset and update gate.
            multiply(&gated, &held_second, &stored_second, second, &mut partials, comptime!(plan.second), rows);
            sync_cube();
            #[unroll]
            for index in 0..count {
                let pair = all.index(index);
                if pair.real {
                    let base = comptime!(index * LOADED);
                    let mut into_reset = 0.0f32;
                    if step < pair.length {
                        let reset = now[base];
                        let behind = total(&partials, pair.row, pair.unit, comptime!(plan.second), rows);
                        into_reset = behind * now[comptime!(base + 5)] * reset * (1.0 - reset);
                        direct[index] += behind * reset;
                    }
                    let at = time(step, pair.length, comptime!(plan.reverse)) * batch + pair.sequence;
                    operand[pair.row * comptime!(plan.first.operand()) + pair.unit] = into_reset;
                    gradient[at * comptime!(plan.gate_row()) + pair.unit] = into_reset;
                }
            }
            sync_cube();
        }
        multiply(&operand, &held, &stored, first, &mut partials, comptime!(plan.first), rows);
        sync_cube();
    }

    if comptime!(plan.initial) {
        #[unroll]
        for index in 0..count {
            let pair = all.index(index);
            if pair.real {
                initial_gradient[pair.sequence * units + pair.unit] =
                    direct[index] + total(&partials, pair.row, pair.unit, comptime!(plan.first), rows);
                if comptime!(plan.cell == CellKind::Lstm) {
                    initial_gradient[(batch + pair.sequence) * units + pair.unit] = cell[index];
                }
            }
        }
    }
}

/// Loads what one pair needs of one step: the gates; at 4 the cell state, the new gate's recurrent product, or the RNN's
/// output; at 5 the state before the step (LSTM: cell, GRU: hidden); at 6 the gradient from above.
#[cube]
#[allow(clippy::too_many_arguments)]
fn load(
    gates: &Array<f32>,
    extra: &Array<f32>,
    hidden: &Array<f32>,
    initial: &Array<f32>,
    hidden_gradient: &Array<f32>,
    pair: &Pair,
    step: usize,
    batch: usize,
    into: &mut Array<f32>,
    #[comptime] index: usize,
    #[comptime] plan: Loop,
    #[comptime] has_initial: bool,
) {
    let units = comptime!(plan.hidden);
    let base = comptime!(index * LOADED);
    let at = time(step, pair.length, comptime!(plan.reverse)) * batch + pair.sequence;
    let kept = at * units + pair.unit;
    if comptime!(plan.hidden_every) {
        into[comptime!(base + 6)] = hidden_gradient[kept];
    }
    if comptime!(plan.cell == CellKind::Rnn) {
        into[comptime!(base + 4)] = hidden[kept];
    } else {
        #[unroll]
        for gate in 0..comptime!(plan.gates()) {
            into[comptime!(base + gate)] = gates[at * comptime!(plan.gate_row()) + comptime!(gate * units) + pair.unit];
        }
        if comptime!(plan.cell != CellKind::GruResetBefore) {
            into[comptime!(base + 4)] = extra[kept];
        }
        let mut before = 0.0f32;
        if step > 0 {
            let earlier = time(step - 1, pair.length, comptime!(plan.reverse)) * batch + pair.sequence;
            if comptime!(plan.cell == CellKind::Lstm) {
                before = extra[earlier * units + pair.unit];
            } else {
                before = hidden[earlier * units + pair.unit];
            }
        } else if comptime!(has_initial) {
            if comptime!(plan.cell == CellKind::Lstm) {
                before = initial[(batch + pair.sequence) * units + pair.unit];
            } else {
                before = initial[pair.sequence * units + pair.unit];
            }
        }
        into[comptime!(base + 5)] = before;
    }
}
