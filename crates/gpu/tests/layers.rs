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

/// Runs a problem both ways and compares everything that comes out.
fn check(client: &Client, name: &str, problem: &Problem, tuning: Tuning) {
    let layer = Layer { cell: problem.cell, inputs: problem.inputs, hidden: problem.hidden };
    let weights = Weights {
        input: upload(client, &problem.input_weight),
        recurrent: upload(client, &problem.recurrent_weight),
        input_bias: upload(client, &problem.input_bias),
        recurrent_bias: upload(client, &problem.recurrent_bias),
    };
    let sequences = Sequences {
        steps: problem.steps,
        batch: problem.batch,
        values: upload(client, &problem.values),
        lengths: problem.lengths.as_deref(),
        reverse: problem.reverse,
        initial: problem.initial.as_ref().map(|initial| upload(client, initial)),
    };
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
fn every_cell_agrees_with_the_reference() {
    let Some(client) = device() else { return };
    for cell in CellKind::ALL {
        let problem = Problem::new(cell, [3, 5, 7, 4], 1);
        check(&client, &format!("{cell:?}"), &problem, Tuning::default());
    }
}
