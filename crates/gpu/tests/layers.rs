//! The kernels on a Vulkan device against the reference.
//!
//! Without a device every test is skipped and says so; with EMBERLOOP_REQUIRE_VULKAN=1 it fails instead.
#![cfg(feature = "vulkan")]

mod reference;

use std::num::NonZeroUsize;

use cubecl::{client::ComputeClient, prelude::*, wgpu::WgpuRuntime};
use emberloop_cells::CellKind;
use emberloop_gpu::{
    Handle, Layer, Output, Sequences, StateGradients, Tuning, Wanted, Weights, backward, forward, infer, vulkan,
};
use reference::{Problem, distance};

type Client = ComputeClient<WgpuRuntime>;

/// The device, or `None` with the reason printed.
fn device() -> Option<Client> {
    match vulkan::client(0) {
        Ok(client) => Some(client),
        Err(reason) => {
            assert!(std::env::var_os("EMBERLOOP_REQUIRE_VULKAN").is_none_or(|value| value != "1"), "{reason}");
            eprintln!("skipped: {reason}");
            None
        }
    }
}

fn upload(client: &Client, values: &[f64]) -> Handle {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    client.create_from_slice(f32::as_bytes(&values))
}

fn download(client: &Client, handle: Handle) -> Vec<f32> {
    f32::from_bytes(&client.read_one(handle).expect("the device answers")).to_vec()
}

fn weights(client: &Client, problem: &Problem) -> Weights {
    Weights {
        input: upload(client, &problem.input_weight),
        recurrent: upload(client, &problem.recurrent_weight),
        input_bias: upload(client, &problem.input_bias),
        recurrent_bias: upload(client, &problem.recurrent_bias),
    }
}

fn sequences<'a>(client: &Client, problem: &'a Problem) -> Sequences<'a> {
    Sequences {
        steps: problem.steps,
        batch: problem.batch,
        values: upload(client, &problem.values),
        lengths: problem.lengths.as_deref(),
        reverse: problem.reverse,
        initial: problem.initial.as_ref().map(|initial| upload(client, initial)),
    }
}

/// Runs a problem both ways and compares everything that comes out.
fn check(client: &Client, name: &str, problem: &Problem, tuning: Tuning) {
    let layer = Layer { cell: problem.cell, inputs: problem.inputs, hidden: problem.hidden };
    let (weights, sequences) = (weights(client, problem), sequences(client, problem));
    let output = match (&problem.hidden_gradient, &problem.last_gradient) {
        (Some(_), None) => Output::Every,
        (None, Some(_)) => Output::Last,
        _ => Output::Both,
    };
    let expected = problem.solve();
    let compare = |what: &str, found: Handle, expected: &[f64]| {
        let distance = distance(&download(client, found), expected);
        assert!(distance < 2e-5, "{name}, {what}: {distance:e} from the reference");
    };

    let (states, tape) = forward(client, layer, &weights, &sequences, output, &tuning);
    let inferred = infer(client, layer, &weights, &sequences, output, &tuning);
    assert_eq!(states.hidden.is_some(), output != Output::Last, "{name}");
    assert_eq!(states.last.is_some(), output != Output::Every, "{name}");
    for states in [states, inferred] {
        if let Some(hidden) = states.hidden {
            compare("hidden", hidden, &expected.hidden);
        }
        if let Some(last) = states.last {
            compare("last", last, &expected.last);
        }
    }
    let above = StateGradients {
        hidden: problem.hidden_gradient.as_ref().map(|gradient| upload(client, gradient)),
        last: problem.last_gradient.as_ref().map(|gradient| upload(client, gradient)),
    };
    let truncate = problem.truncate.and_then(NonZeroUsize::new);
    let wanted = Wanted { values: true, initial: problem.initial.is_some(), truncate };
    let gradients = backward(client, layer, &weights, &sequences, &tape, &above, wanted, &tuning);
    compare("gradient of the values", gradients.values.unwrap(), &expected.values);
    compare("gradient of the input weight", gradients.input, &expected.input_weight);
    compare("gradient of the recurrent weight", gradients.recurrent, &expected.recurrent_weight);
    compare("gradient of the input bias", gradients.input_bias, &expected.input_bias);
    compare("gradient of the recurrent bias", gradients.recurrent_bias, &expected.recurrent_bias);
    assert_eq!(gradients.initial.is_some(), wanted.initial, "{name}");
    if let Some(initial) = gradients.initial {
        compare("gradient of the initial state", initial, &expected.initial);
    }
}

#[test]
fn every_cell_of_every_size_agrees_with_the_reference() {
    let Some(client) = device() else { return };
    for cell in CellKind::ALL {
        for (hidden, batch) in [(1, 1), (5, 4), (33, 2), (130, 2), (32, 3), (64, 5)] {
            // A kernel is compiled for each: the powers of two, which leave nothing to pad, for one cell.
            if cell != CellKind::Lstm && hidden.is_power_of_two() && hidden > 1 {
                continue;
            }
            let problem = Problem::new(cell, [3, hidden, 5, batch], 1);
            check(&client, &format!("{cell:?}, {hidden} units"), &problem, Tuning::default());
        }
    }
}

#[test]
fn every_option_agrees_with_the_reference() {
    let Some(client) = device() else { return };
    for cell in CellKind::ALL {
        for reverse in [false, true] {
            let direction = if reverse { "reverse" } else { "forward" };
            let with = |name: &str, mut problem: Problem| {
                problem.reverse = reverse;
                check(&client, &format!("{cell:?}, {direction}, {name}"), &problem, Tuning::default());
            };
            let problem = Problem::new(cell, [2, 6, 9, 5], 2);
            with("padded", problem.clone().with_lengths());
            with("initial", problem.clone().with_initial());
            with("last", Problem { hidden_gradient: None, ..problem.clone().with_lengths().with_last() });
            with("truncated", Problem { truncate: Some(4), ..problem.clone() });
            let both = problem.with_lengths().with_initial().with_last();
            with("everything", Problem { truncate: Some(2), ..both });
        }
    }
}

#[test]
fn every_layout_agrees_with_the_reference() {
    let Some(client) = device() else { return };
    let layouts = [
        ("weights in shared memory", Tuning { registers: Some(0), ..Tuning::default() }),
        ("weights in the cache", Tuning { registers: Some(0), shared: Some(13_000), ..Tuning::default() }),
        ("weights everywhere", Tuning { registers: Some(16), shared: Some(14_500), ..Tuning::default() }),
        ("one row", Tuning { rows: Some(1), ..Tuning::default() }),
        ("three rows", Tuning { rows: Some(3), cubes: Some(1), ..Tuning::default() }),
        ("eight rows", Tuning { rows: Some(8), cubes: Some(5), ..Tuning::default() }),
        ("one output per thread", Tuning { columns: Some(1), threads: Some(128), ..Tuning::default() }),
        ("fewer threads than units", Tuning { threads: Some(32), rows: Some(2), ..Tuning::default() }),
        ("many threads", Tuning { threads: Some(512), columns: Some(3), ..Tuning::default() }),
    ];
    // With one product per step and with two, in turns: a kernel is compiled for each.
    for ((name, tuning), cell) in
        layouts.into_iter().zip([CellKind::GruResetBefore, CellKind::Lstm].into_iter().cycle())
    {
        let problem = Problem::new(cell, [20, 35, 30, 10], 3).with_lengths();
        check(&client, &format!("{cell:?}, {name}"), &problem, tuning);
    }
}

#[test]
fn a_number_that_is_none_is_not_hidden_and_large_ones_saturate() {
    let Some(client) = device() else { return };
    for cell in CellKind::ALL {
        let problem = Problem::new(cell, [2, 3, 4, 2], 1);
        let layer = Layer { cell, inputs: 2, hidden: 3 };
        let weights = weights(&client, &problem);
        let hidden = |values: f32| {
            let values: Vec<f32> = problem.values.iter().map(|value| *value as f32 * values).collect();
            let values = client.create_from_slice(f32::as_bytes(&values));
            let sequences = Sequences { values, ..sequences(&client, &problem) };
            let states = infer(&client, layer, &weights, &sequences, Output::Every, &Tuning::default());
            download(&client, states.hidden.unwrap())
        };
        assert!(hidden(f32::NAN).iter().all(|value| value.is_nan()), "{cell:?}");
        assert!(hidden(1e30).iter().all(|value| value.abs() <= 1.0), "{cell:?}");
    }
}

#[test]
fn a_dense_layer_runs_backwards() {
    let Some(client) = device() else { return };
    let mut numbers = reference::Numbers::new(9);
    for [rows, inputs, outputs] in [[700, 33, 19], [3, 1, 1], [40, 5, 130]] {
        let (values, weight) = (numbers.many(rows * inputs, 1.0), numbers.many(inputs * outputs, 1.0));
        let gradient = numbers.many(rows * outputs, 1.0);
        let (mut of_values, mut of_weight) = (vec![0.0; rows * inputs], vec![0.0; inputs * outputs]);
        let mut of_bias = vec![0.0; outputs];
        for row in 0..rows {
            for output in 0..outputs {
                let above = gradient[row * outputs + output];
                of_bias[output] += above;
                for input in 0..inputs {
                    of_values[row * inputs + input] += above * weight[input * outputs + output];
                    of_weight[input * outputs + output] += above * values[row * inputs + input];
                }
            }
        }
        let [values, weight, gradient] = [values, weight, gradient].map(|numbers| upload(&client, &numbers));
        let found = emberloop_gpu::dense_backward(&client, [rows, inputs, outputs], &values, &weight, &gradient);
        for (found, expected) in found.into_iter().zip([of_values, of_weight, of_bias]) {
            assert!(distance(&download(&client, found), &expected) < 1e-5, "{rows}, {inputs}, {outputs}");
        }
    }
}

#[test]
fn results_are_equal_from_run_to_run() {
    let Some(client) = device() else { return };
    let problem = Problem::new(CellKind::Lstm, [4, 16, 40, 6], 4);
    let layer = Layer { cell: problem.cell, inputs: problem.inputs, hidden: problem.hidden };
    let (weights, sequences) = (weights(&client, &problem), sequences(&client, &problem));
    let run = || {
        let tuning = Tuning { cubes: Some(20), ..Tuning::default() };
        let (states, tape) = forward(&client, layer, &weights, &sequences, Output::Every, &tuning);
        let above = StateGradients { hidden: states.hidden.clone(), last: None };
        let gradients = backward(&client, layer, &weights, &sequences, &tape, &above, Wanted::default(), &tuning);
        [states.hidden.unwrap(), gradients.input, gradients.recurrent, gradients.input_bias]
            .map(|handle| download(&client, handle))
    };
    assert_eq!(run(), run());
}

#[test]
fn a_gradient_that_vanishes_ends_at_zero() {
    let Some(client) = device() else { return };
    const STEPS: usize = 500;
    for cell in CellKind::ALL {
        let mut problem = Problem::new(cell, [1, 1, STEPS, 1], 1);
        let gates = cell.gate_count();
        // Gates half open and tanh without slope: each step leaves about half of the gradient.
        for zeros in
            [&mut problem.values, &mut problem.input_weight, &mut problem.input_bias, &mut problem.recurrent_bias]
        {
            zeros.fill(0.0);
        }
        problem.recurrent_weight.fill(if gates == 1 { 0.6 } else { 0.1 });
        let layer = Layer { cell, inputs: 1, hidden: 1 };
        let (weights, sequences) = (weights(&client, &problem), sequences(&client, &problem));
        let tuning = Tuning::default();
        let (_, tape) = forward(&client, layer, &weights, &sequences, Output::Last, &tuning);
        let above = StateGradients { hidden: None, last: Some(upload(&client, &[1.0, 0.0][..problem.states()])) };
        let wanted = Wanted { initial: true, ..Wanted::default() };
        let gradients = backward(&client, layer, &weights, &sequences, &tape, &above, wanted, &tuning);
        assert_eq!(download(&client, gradients.initial.unwrap()), vec![0.0; problem.states()], "{cell:?}");
        let bias = download(&client, gradients.input_bias);
        assert!(bias.iter().any(|value| *value != 0.0), "{cell:?}: it is there at first");
    }
}

#[test]
#[should_panic(expected = "values: expected 60 numbers, found 40")]
fn a_buffer_of_the_wrong_size_is_named() {
    let Some(client) = device() else { panic!("values: expected 60 numbers, found 40 (skipped)") };
    let problem = Problem::new(CellKind::Rnn, [2, 3, 4, 5], 1);
    let (weights, mut sequences) = (weights(&client, &problem), sequences(&client, &problem));
    sequences.steps = 6;
    let layer = Layer { cell: problem.cell, inputs: 2, hidden: 3 };
    infer(&client, layer, &weights, &sequences, Output::Every, &Tuning::default());
}

#[test]
fn a_device_that_is_not_there_is_one_clear_line() {
    let count = vulkan::devices().len();
    let error = vulkan::device(count).unwrap_err();
    assert_eq!(error.found, count);
    assert!(!error.to_string().contains('\n'));
    assert_eq!(vulkan::NoDevice { found: 1 }.to_string(), "there is 1 Vulkan device, number 0");
}
