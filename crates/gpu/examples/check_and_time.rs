//! Checks and times the kernels on the GPU at hand: every cell, hidden size, batch and number of steps, in one call.
//!
//!     cargo build --release -p emberloop-gpu --features cuda --example check_and_time
//!     target/release/examples/check_and_time [cuda|vulkan] [--json] [--tune] [--quick] [--device N]
//!         [--cell lstm,gru] [--hidden 32,64] [--batch 64] [--steps 100] [--inputs 6]
//!
//! Each size is first held against the f64 reference of the tests (over at most 50 steps; gradients of a few sequences,
//! of which the weights' gradients are the sum): 1e-4 of the largest element, or the program ends with status 1. Then it
//! is timed: `infer`, `forward`, and `forward` + `backward`, with the gradient of every hidden state, without that of the
//! values; synchronized, median of at least five. `--tune` also times other layouts and names the fastest.
//!
//! The program carries everything but the driver; CUDA needs NVRTC and the toolkit's headers (`CUDA_PATH`) to compile
//! kernels when they first run.

#![cfg_attr(not(any(feature = "cuda", feature = "vulkan")), allow(dead_code, unused_imports))]

#[path = "../tests/reference/mod.rs"]
mod reference;

use std::{process::ExitCode, time::Instant};

use cubecl::{client::ComputeClient, future::block_on, prelude::*};
use emberloop_cells::CellKind;
use emberloop_gpu::{
    Handle, Layer, Output, Sequences, StateGradients, Tuning, Wanted, Weights, backward, forward, infer,
};
use reference::{Numbers, Problem, distance};

/// Steps over which the reference is followed.
const CHECKED_STEPS: usize = 50;
/// Largest difference from it.
const ALLOWED: f64 = 1e-4;

struct Arguments {
    runtime: String,
    device: usize,
    json: bool,
    tune: bool,
    cells: Vec<CellKind>,
    hidden: Vec<usize>,
    batch: Vec<usize>,
    steps: Vec<usize>,
    inputs: usize,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| start(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("check_and_time: {error}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Arguments, String> {
    let runtime = if cfg!(feature = "cuda") { "cuda" } else { "vulkan" };
    let mut found = Arguments {
        runtime: runtime.into(),
        device: 0,
        json: false,
        tune: false,
        cells: CellKind::ALL.to_vec(),
        hidden: vec![32, 64, 128, 256],
        batch: vec![64, 512],
        steps: vec![100, 1000],
        inputs: 6,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word}: expected a value behind it, found nothing"));
        match word.as_str() {
            "cuda" | "vulkan" => found.runtime = word,
            "--json" => found.json = true,
            "--tune" => found.tune = true,
            "--quick" => (found.hidden, found.batch, found.steps) = (vec![8, 33], vec![3], vec![20]),
            "--device" => found.device = numbers(&value()?)?[0],
            "--inputs" => found.inputs = numbers(&value()?)?[0],
            "--hidden" => found.hidden = numbers(&value()?)?,
            "--batch" => found.batch = numbers(&value()?)?,
            "--steps" => found.steps = numbers(&value()?)?,
            "--cell" => found.cells = value()?.split(',').map(cell).collect::<Result<_, _>>()?,
            _ => return Err(format!("expected an option, found {word:?}")),
        }
    }
    Ok(found)
}

fn numbers(text: &str) -> Result<Vec<usize>, String> {
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0 || text == "0");
    let all: Option<Vec<usize>> = text.split(',').map(number).collect();
    all.ok_or(format!("expected numbers as in 32,64, found {text:?}"))
}

fn cell(name: &str) -> Result<CellKind, String> {
    CellKind::ALL
        .into_iter()
        .find(|&cell| short(cell) == name)
        .ok_or(format!("expected rnn, lstm, gru or gru-before, found {name:?}"))
}

fn short(cell: CellKind) -> &'static str {
    match cell {
        CellKind::Rnn => "rnn",
        CellKind::Lstm => "lstm",
        CellKind::GruResetAfter => "gru",
        CellKind::GruResetBefore => "gru-before",
    }
}

fn start(arguments: &Arguments) -> Result<bool, String> {
    match arguments.runtime.as_str() {
        #[cfg(feature = "cuda")]
        "cuda" => {
            let device = cubecl::cuda::CudaDevice::new(arguments.device);
            Ok(run(&cubecl::cuda::CudaRuntime::client(&device), arguments))
        }
        #[cfg(feature = "vulkan")]
        "vulkan" => {
            let client = emberloop_gpu::vulkan::client(arguments.device).map_err(|error| error.to_string())?;
            Ok(run(&client, arguments))
        }
        other => Err(format!("built without {other}: add --features {other}")),
    }
}

/// Whether every check passed.
fn run<R: Runtime>(client: &ComputeClient<R>, arguments: &Arguments) -> bool {
    if !arguments.json {
        eprintln!("{}: {:?}", R::name(client), client.properties().hardware);
        println!(
            "{:>10} {:>5} {:>5} {:>5} | {:>9} | {:>9} {:>9} {:>9} | us per step, forward and backward",
            "cell", "H", "B", "T", "error", "infer ms", "fwd ms", "both ms"
        );
    }
    let mut passed = true;
    for &cell in &arguments.cells {
        for &hidden in &arguments.hidden {
            for &batch in &arguments.batch {
                let error = check(client, cell, [arguments.inputs, hidden, CHECKED_STEPS, batch], Tuning::default());
                passed &= error <= ALLOWED;
                for &steps in &arguments.steps {
                    let size = [arguments.inputs, hidden, steps, batch];
                    report(client, cell, size, error, arguments);
                }
            }
        }
    }
    if !passed {
        eprintln!("check_and_time: some results are further than {ALLOWED:e} from the reference");
    }
    passed
}

/// The largest difference from the reference, of states and gradients.
fn check<R: Runtime>(client: &ComputeClient<R>, cell: CellKind, size: [usize; 4], tuning: Tuning) -> f64 {
    let [inputs, hidden, steps, batch] = size;
    let mut problem = Problem::new(cell, size, 11).with_lengths();
    // The first, the last and two between: the others have no gradient and must not disturb.
    let mut chosen = vec![0, batch / 3, batch / 2, batch - 1];
    chosen.dedup();
    let of_chosen = |values: &[f64], width: usize| {
        let rows = values.chunks(width).enumerate();
        rows.filter(|(row, _)| chosen.contains(&(row % batch))).flat_map(|(_, row)| row.to_vec()).collect::<Vec<_>>()
    };
    let above = problem.hidden_gradient.as_mut().expect("a new problem has one");
    for (row, values) in above.chunks_mut(hidden).enumerate() {
        if !chosen.contains(&(row % batch)) {
            values.fill(0.0);
        }
    }
    let expected = problem.solve_of(&chosen);
    let layer = Layer { cell, inputs, hidden };
    let weights = weights(client, &problem);
    let sequences = Sequences {
        steps,
        batch,
        values: upload(client, &problem.values),
        lengths: problem.lengths.as_deref(),
        reverse: false,
        initial: None,
    };
    let (states, tape) = forward(client, layer, &weights, &sequences, Output::Every, &tuning);
    let above = StateGradients { hidden: problem.hidden_gradient.as_ref().map(|of| upload(client, of)), last: None };
    let wanted = Wanted { values: true, ..Wanted::default() };
    let found = backward(client, layer, &weights, &sequences, &tape, &above, wanted, &tuning);
    let states = download(client, states.hidden.expect("it was asked for"));
    let wide: Vec<f64> = states.iter().map(|value| f64::from(*value)).collect();
    let states: Vec<f32> = of_chosen(&wide, hidden).into_iter().map(|value| value as f32).collect();
    let pairs = [
        (found.values.expect("it was asked for"), &expected.values),
        (found.input, &expected.input_weight),
        (found.recurrent, &expected.recurrent_weight),
        (found.input_bias, &expected.input_bias),
        (found.recurrent_bias, &expected.recurrent_bias),
    ];
    let differences = pairs.into_iter().map(|(found, expected)| distance(&download(client, found), expected));
    // Not `f64::max`, which would pass over NaN.
    differences.fold(
        distance(&states, &of_chosen(&expected.hidden, hidden)),
        |worst, next| {
            if next <= worst { worst } else { next }
        },
    )
}

fn report<R: Runtime>(client: &ComputeClient<R>, cell: CellKind, size: [usize; 4], error: f64, arguments: &Arguments) {
    let [inputs, hidden, steps, batch] = size;
    let times = time(client, cell, size, Tuning::default());
    let [infer, forward, both] = times;
    let (forward_step, backward_step) = (1e3 * forward / steps as f64, 1e3 * (both - forward) / steps as f64);
    let name = short(cell);
    let mut fastest = String::new();
    if arguments.tune {
        // The first is the plan's own.
        let mut best = (both, Tuning::default());
        for tuning in layouts() {
            let [_, forward, both] = time(client, cell, size, tuning);
            if arguments.json {
                let layout = format!("{tuning:?}");
                println!(
                    "{{\"cell\":\"{name}\",\"hidden\":{hidden},\"batch\":{batch},\"steps\":{steps},\"layout\":\"{layout}\",\
                     \"forward_ms\":{forward:.4},\"both_ms\":{both:.4}}}"
                );
            } else {
                eprintln!("    {forward:9.3} {both:9.3}  {tuning:?}");
            }
            if both < best.0 {
                best = (both, tuning);
            }
        }
        fastest = format!("  fastest {:.3} ms: {:?}", best.0, best.1);
    }
    if arguments.json {
        println!(
            "{{\"cell\":\"{name}\",\"inputs\":{inputs},\"hidden\":{hidden},\"batch\":{batch},\"steps\":{steps},\
             \"error\":{error:e},\"infer_ms\":{infer:.4},\"forward_ms\":{forward:.4},\"both_ms\":{both:.4}}}"
        );
    } else {
        println!(
            "{name:>10} {hidden:5} {batch:5} {steps:5} | {error:9.1e} | {infer:9.3} {forward:9.3} {both:9.3} | \
             {forward_step:.2} {backward_step:.2}{fastest}"
        );
    }
}

/// Layouts that differ from the plan in one choice.
fn layouts() -> Vec<Tuning> {
    let plan = Tuning::default();
    let rows = [1, 2, 4, 8].map(|rows| Tuning { rows: Some(rows), ..plan });
    let threads = [128, 256, 512, 1024].map(|threads| Tuning { threads: Some(threads), ..plan });
    let columns = [1, 2, 8].map(|columns| Tuning { columns: Some(columns), ..plan });
    let registers = [0, 32, 64, 96, 128, 160].map(|registers| Tuning { registers: Some(registers), ..plan });
    let narrow = Tuning { wide: Some(false), ..plan };
    let cubes = [132, 1056].map(|cubes| Tuning { cubes: Some(cubes), ..plan });
    rows.into_iter().chain(threads).chain(columns).chain(registers).chain([narrow]).chain(cubes).collect()
}

/// Milliseconds of `infer`, `forward`, `forward` + `backward`.
fn time<R: Runtime>(client: &ComputeClient<R>, cell: CellKind, size: [usize; 4], tuning: Tuning) -> [f64; 3] {
    let [inputs, hidden, steps, batch] = size;
    // Only parameters matter here: the sequences' numbers may repeat.
    let problem = Problem::new(cell, [inputs, hidden, 1, 1], 12);
    let layer = Layer { cell, inputs, hidden };
    let weights = weights(client, &problem);
    let values = Numbers::new(13).many(steps * batch * inputs, 1.0);
    let sequences =
        Sequences { steps, batch, values: upload(client, &values), lengths: None, reverse: false, initial: None };
    let row = Numbers::new(14).many(batch * hidden, 1.0);
    let every: Vec<f64> = row.iter().copied().cycle().take(steps * batch * hidden).collect();
    let above = StateGradients { hidden: Some(upload(client, &every)), last: None };
    drop(every);
    let forward = || forward(client, layer, &weights, &sequences, Output::Every, &tuning);
    [
        median(client, || drop(infer(client, layer, &weights, &sequences, Output::Every, &tuning))),
        median(client, || drop(forward())),
        median(client, || {
            let (_, tape) = forward();
            drop(backward(client, layer, &weights, &sequences, &tape, &above, Wanted::default(), &tuning));
        }),
    ]
}

/// Median of at least five runs, of more in half a second, after two.
fn median<R: Runtime>(client: &ComputeClient<R>, run: impl Fn()) -> f64 {
    let once = || {
        let start = Instant::now();
        run();
        block_on(client.sync()).expect("the device answers");
        start.elapsed().as_secs_f64() * 1e3
    };
    (once(), once());
    let mut times = Vec::new();
    while times.len() < 5 || (times.len() < 50 && times.iter().sum::<f64>() < 500.0) {
        times.push(once());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn weights<R: Runtime>(client: &ComputeClient<R>, problem: &Problem) -> Weights {
    Weights {
        input: upload(client, &problem.input_weight),
        recurrent: upload(client, &problem.recurrent_weight),
        input_bias: upload(client, &problem.input_bias),
        recurrent_bias: upload(client, &problem.recurrent_bias),
    }
}

fn upload<R: Runtime>(client: &ComputeClient<R>, values: &[f64]) -> Handle {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    client.create_from_slice(f32::as_bytes(&values))
}

fn download<R: Runtime>(client: &ComputeClient<R>, handle: Handle) -> Vec<f32> {
    f32::from_bytes(&client.read_one(handle).expect("the device answers")).to_vec()
}
