//! The passes over a layer: checks of what comes in, then launches in their order.

use cubecl::{Runtime, client::ComputeClient, prelude::*, server::Handle};
use emberloop_cells::CellKind;

use crate::{
    kernels::{
        backward::backward_loop,
        forward::forward_loop,
        matrix::{Left, Right},
        state::Loop,
    },
    launch::{Launcher, Matrix, argument, whole},
    layer::{Gradients, Layer, Output, Sequences, StateGradients, States, Tape, Wanted, Weights},
    plan::{Direction, Tuning, plan},
};

/// Runs a layer and keeps nothing for a backward pass.
///
/// # Panics
/// If a buffer is shorter than its shape, a length is not 1 to T, or the layer is beyond the device (one line says why).
pub fn infer<R: Runtime>(
    client: &ComputeClient<R>,
    layer: Layer,
    weights: &Weights,
    sequences: &Sequences<'_>,
    output: Output,
    tuning: &Tuning,
) -> States {
    run(client, layer, weights, sequences, output, tuning, false).0
}

/// Runs a layer, and keeps what [`backward`] needs.
///
/// # Panics
/// As [`infer`].
pub fn forward<R: Runtime>(
    client: &ComputeClient<R>,
    layer: Layer,
    weights: &Weights,
    sequences: &Sequences<'_>,
    output: Output,
    tuning: &Tuning,
) -> (States, Tape) {
    let (states, tape) = run(client, layer, weights, sequences, output, tuning, true);
    (states, tape.expect("it was asked for"))
}

fn run<R: Runtime>(
    client: &ComputeClient<R>,
    layer: Layer,
    weights: &Weights,
    sequences: &Sequences<'_>,
    output: Output,
    tuning: &Tuning,
    keep: bool,
) -> (States, Option<Tape>) {
    check(layer, weights, sequences);
    let launcher = Launcher::new(client, *tuning);
    let (steps, batch, units, columns) = (sequences.steps, sequences.batch, layer.hidden, layer.columns());
    let cells = steps * batch * units;
    let merged = if layer.cell.has_separate_recurrent_bias() { 2 * units } else { columns };
    let projected = launcher.product_with_bias(
        &sequences.values,
        &weights.input,
        Some((&weights.input_bias, &weights.recurrent_bias, merged)),
        Right::Rows,
        Matrix {
            m: steps * batch,
            n: columns,
            k: layer.inputs,
            left_stride: layer.inputs,
            right_stride: columns,
            right_start: 0,
        },
    );
    let plan = Loop {
        padded: sequences.lengths.is_some(),
        reverse: sequences.reverse,
        initial: sequences.initial.is_some(),
        hidden_every: keep || output.every(),
        last: output.last(),
        tape: keep,
        ..plan(layer, batch, Direction::Forward, &launcher.limits, tuning)
    };
    let strides = [1, columns];
    let (first, second) = pack(&launcher, weights, layer, plan, strides);
    let nothing = &launcher.nothing;
    let hidden = if plan.hidden_every { launcher.floats(cells) } else { nothing.clone() };
    let extra = if keep && layer.cell != CellKind::Rnn { launcher.floats(cells) } else { nothing.clone() };
    let last = if plan.last { launcher.floats(layer.states() * batch * units) } else { nothing.clone() };
    // SAFETY: every buffer has the shape that the kernel's documentation names: made here, or checked above.
    unsafe {
        forward_loop::launch_unchecked::<R>(
            client,
            CubeCount::new_1d(batch.div_ceil(plan.rows) as u32),
            CubeDim::new_1d(plan.threads as u32),
            whole(&projected),
            whole(&weights.recurrent_bias),
            argument(&first, plan.first.weights()),
            argument(&second, plan.second.weights()),
            whole(sequences.initial.as_ref().unwrap_or(nothing)),
            whole(&launcher.lengths(sequences.lengths)),
            whole(&hidden),
            whole(&extra),
            whole(&last),
            steps as u32,
            batch as u32,
            plan,
        );
    }
    let states = States { hidden: output.every().then(|| hidden.clone()), last: output.last().then_some(last) };
    (states, keep.then_some(Tape { gates: projected, extra, hidden }))
}

/// The gradients of a layer, from what [`forward`] was given and kept.
///
/// # Panics
/// As [`infer`].
#[allow(clippy::too_many_arguments)]
pub fn backward<R: Runtime>(
    client: &ComputeClient<R>,
    layer: Layer,
    weights: &Weights,
    sequences: &Sequences<'_>,
    tape: &Tape,
    gradients: &StateGradients,
    wanted: Wanted,
    tuning: &Tuning,
) -> Gradients {
    check(layer, weights, sequences);
    let launcher = Launcher::new(client, *tuning);
    let (steps, batch, units, columns) = (sequences.steps, sequences.batch, layer.hidden, layer.columns());
    let (cells, states) = (steps * batch * units, layer.states() * batch * units);
    for (name, gradient, length) in [("hidden", &gradients.hidden, cells), ("last", &gradients.last, states)] {
        if let Some(gradient) = gradient {
            check_length(name, gradient, length);
        }
    }
    let plan = Loop {
        padded: sequences.lengths.is_some(),
        reverse: sequences.reverse,
        initial: wanted.initial,
        hidden_every: gradients.hidden.is_some(),
        last: gradients.last.is_some(),
        // No more than the steps there are, so that a new number does not mean a new kernel where it makes no difference.
        truncate: wanted.truncate.map_or(0, |steps| steps.get()),
        ..plan(layer, batch, Direction::Backward, &launcher.limits, tuning)
    };
    let strides = [columns, 1];
    let (first, second) = pack(&launcher, weights, layer, plan, strides);
    let nothing = &launcher.nothing;
    let gate_gradient = launcher.floats(cells * layer.cell.gate_count());
    let after = layer.cell == CellKind::GruResetAfter;
    let product_gradient = if after { launcher.floats(cells) } else { nothing.clone() };
    let initial_gradient = if wanted.initial { launcher.floats(states) } else { nothing.clone() };
    let lengths = launcher.lengths(sequences.lengths);
    // SAFETY: as in `run`.
    unsafe {
        backward_loop::launch_unchecked::<R>(
            client,
            CubeCount::new_1d(batch.div_ceil(plan.rows) as u32),
            CubeDim::new_1d(plan.threads as u32),
            whole(&tape.gates),
            whole(&tape.extra),
            whole(&tape.hidden),
            whole(sequences.initial.as_ref().unwrap_or(nothing)),
            whole(&lengths),
            argument(&first, plan.first.weights()),
            argument(&second, plan.second.weights()),
            whole(gradients.hidden.as_ref().unwrap_or(nothing)),
            whole(gradients.last.as_ref().unwrap_or(nothing)),
            whole(&gate_gradient),
            whole(&product_gradient),
            whole(&initial_gradient),
            steps as u32,
            batch as u32,
            plan,
            sequences.initial.is_some(),
        );
    }

    let input = launcher.floats(layer.inputs * columns);
    let input_bias = launcher.floats(columns);
    let recurrent = launcher.floats(units * columns);
    let recurrent_bias = launcher.floats(columns);
    let rows = steps * batch;
    let extent = [steps, batch];
    let all = Matrix {
        m: layer.inputs + 1,
        n: columns,
        k: rows,
        left_stride: layer.inputs,
        right_stride: columns,
        right_start: 0,
    };
    launcher.gradient(
        &sequences.values,
        &gate_gradient,
        None,
        None,
        Left::ColumnsAndOne,
        extent,
        all,
        (&input, &input_bias, columns, 0),
    );
    let previous = Left::PreviousAndOne {
        reverse: sequences.reverse,
        padded: sequences.lengths.is_some(),
        initial: sequences.initial.is_some(),
    };
    // The GRUs' new gate has another factor than the other two: reset-after on the right, reset-before on the left.
    let apart = matches!(layer.cell, CellKind::GruResetAfter | CellKind::GruResetBefore);
    let together = Matrix { m: units + 1, n: if apart { 2 * units } else { columns }, left_stride: units, ..all };
    launcher.gradient(
        &tape.hidden,
        &gate_gradient,
        sequences.initial.as_ref(),
        Some(&lengths),
        previous,
        extent,
        together,
        (&recurrent, &recurrent_bias, columns, 0),
    );
    let new = Matrix { n: units, ..together };
    match layer.cell {
        CellKind::GruResetAfter => launcher.gradient(
            &tape.hidden,
            &product_gradient,
            sequences.initial.as_ref(),
            Some(&lengths),
            previous,
            extent,
            Matrix { right_stride: units, ..new },
            (&recurrent, &recurrent_bias, columns, 2 * units),
        ),
        CellKind::GruResetBefore => launcher.gradient(
            &tape.extra,
            &gate_gradient,
            None,
            None,
            Left::ColumnsAndOne,
            extent,
            Matrix { right_start: 2 * units, ..new },
            (&recurrent, &recurrent_bias, columns, 2 * units),
        ),
        CellKind::Rnn | CellKind::Lstm => {}
    }
    let values = wanted.values.then(|| {
        let sizes = Matrix {
            m: rows,
            n: layer.inputs,
            k: columns,
            left_stride: columns,
            right_stride: columns,
            right_start: 0,
        };
        launcher.product_with_bias(&gate_gradient, &weights.input, None, Right::Columns, sizes)
    });
    Gradients {
        input,
        recurrent,
        input_bias,
        recurrent_bias,
        values,
        initial: wanted.initial.then_some(initial_gradient),
    }
}

/// The gradients of a dense layer `values [N, I] weight [I, O] + bias [O]`, from the gradient `[N, O]` of its result: of
/// values, weight and bias. `sizes`: N, I, O.
///
/// # Panics
/// If a buffer is shorter than its shape, or the layer is beyond the device.
pub fn dense_backward<R: Runtime>(
    client: &ComputeClient<R>,
    [rows, inputs, outputs]: [usize; 3],
    values: &Handle,
    weight: &Handle,
    gradient: &Handle,
) -> [Handle; 3] {
    check_length("values", values, rows * inputs);
    check_length("weight", weight, inputs * outputs);
    check_length("gradient", gradient, rows * outputs);
    let launcher = Launcher::new(client, Tuning::default());
    let (of_weight, of_bias) = (launcher.floats(inputs * outputs), launcher.floats(outputs));
    let sizes =
        Matrix { m: inputs + 1, n: outputs, k: rows, left_stride: inputs, right_stride: outputs, right_start: 0 };
    launcher.gradient(
        values,
        gradient,
        None,
        None,
        Left::ColumnsAndOne,
        [1, rows],
        sizes,
        (&of_weight, &of_bias, outputs, 0),
    );
    let sizes = Matrix { m: rows, n: inputs, k: outputs, left_stride: outputs, right_stride: outputs, right_start: 0 };
    [launcher.product_with_bias(gradient, weight, None, Right::Columns, sizes), of_weight, of_bias]
}

/// The recurrent weights in the order of the loop's threads. `strides`: of outputs and of elements of the sum, in
/// `[H, G * H]`.
fn pack<R: Runtime>(
    launcher: &Launcher<'_, R>,
    weights: &Weights,
    layer: Layer,
    plan: Loop,
    strides: [usize; 2],
) -> (Handle, Handle) {
    let length = layer.hidden * layer.columns();
    let first = launcher.pack(&weights.recurrent, length, 0, strides, plan.first);
    let second = match layer.cell {
        CellKind::GruResetBefore => launcher.pack(&weights.recurrent, length, 2 * layer.hidden, strides, plan.second),
        // Read into a register and never used.
        CellKind::Rnn | CellKind::Lstm | CellKind::GruResetAfter => launcher.nothing.clone(),
    };
    (first, second)
}

fn check(layer: Layer, weights: &Weights, sequences: &Sequences<'_>) {
    let Sequences { steps, batch, values, lengths, initial, .. } = sequences;
    assert!(
        layer.inputs > 0 && layer.hidden > 0 && *steps > 0 && *batch > 0,
        "expected at least one input, unit, step and sequence, found {} inputs, {} units, {steps} steps, {batch} sequences",
        layer.inputs,
        layer.hidden
    );
    check_length("values", values, steps * batch * layer.inputs);
    check_length("input weight", &weights.input, layer.inputs * layer.columns());
    check_length("recurrent weight", &weights.recurrent, layer.hidden * layer.columns());
    check_length("input bias", &weights.input_bias, layer.columns());
    check_length("recurrent bias", &weights.recurrent_bias, layer.columns());
    if let Some(initial) = initial {
        check_length("initial state", initial, layer.states() * batch * layer.hidden);
    }
    if let Some(lengths) = lengths {
        assert!(lengths.len() == *batch, "expected {batch} lengths, one per sequence, found {}", lengths.len());
        if let Some(wrong) = lengths.iter().find(|length| !(1..=*steps).contains(*length)) {
            panic!("expected lengths of 1 to {steps} steps, found {wrong}");
        }
    }
}

fn check_length(name: &str, handle: &Handle, expected: usize) {
    let found = handle.size_in_used() / 4;
    assert!(found >= expected as u64, "{name}: expected {expected} numbers, found {found}");
}
