//! Milliseconds per pass over one layer: `cargo run --release -p emberloop-kernels --example speed -- [cell] [hidden] [batch] [steps] [inputs]`.
//!
//! Threads: `RAYON_NUM_THREADS`. Instructions: `EMBERLOOP_ISA`. The least of many runs, by the wall clock.

use std::time::Instant;

use emberloop_cells::CellKind;
use emberloop_kernels::{Isa, Layer, Output, Sequences, StateGradients, Wanted, Weights, backward, forward, infer};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let cell = match arguments.next().as_deref() {
        Some("rnn") => CellKind::Rnn,
        Some("gru") => CellKind::GruResetAfter,
        Some("gru-before") => CellKind::GruResetBefore,
        Some("lstm") | None => CellKind::Lstm,
        Some(other) => panic!("cell: expected rnn, lstm, gru or gru-before, found {other}"),
    };
    let mut number = |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (hidden, batch, steps, inputs, runs) = (number(64), number(64), number(100), number(6), number(100));
    let layer = Layer { cell, inputs, hidden };
    let columns = cell.gate_count() * hidden;
    let bound = 1.0 / (hidden as f32).sqrt();
    let (input, recurrent) = (noise(1, inputs * columns, bound), noise(2, hidden * columns, bound));
    let (input_bias, recurrent_bias) = (noise(3, columns, bound), noise(4, columns, bound));
    let weights =
        Weights { input: &input, recurrent: &recurrent, input_bias: &input_bias, recurrent_bias: &recurrent_bias };
    let values = noise(5, steps * batch * inputs, 1.7);
    let sequences = Sequences { steps, batch, values: &values, lengths: None, reverse: false, initial: None };
    let every = noise(6, steps * batch * hidden, 1.0);
    let last = noise(7, 2 * batch * hidden, 1.0);
    let last = &last[..if cell.has_cell_state() { 2 } else { 1 } * batch * hidden];

    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    pool.install(|| {
        let kinds = [
            ("every", Output::Every, StateGradients { hidden: Some(&every), last: None }),
            ("last", Output::Last, StateGradients { hidden: None, last: Some(last) }),
        ];
        for (name, output, gradients) in kinds {
            let mut least = [f64::INFINITY; 4];
            for _ in 0..runs {
                let start = Instant::now();
                std::hint::black_box(infer(layer, &weights, &sequences, output));
                let middle = Instant::now();
                let (states, tape) = forward(layer, &weights, &sequences, output);
                let after = Instant::now();
                let gradients = backward(tape, &weights, &gradients, Wanted::default(), None);
                let end = Instant::now();
                std::hint::black_box((states, gradients));
                let times = [middle - start, after - middle, end - after, end - middle];
                for (least, time) in least.iter_mut().zip(times) {
                    *least = least.min(time.as_secs_f64() * 1e3);
                }
            }
            let isa = Isa::chosen().expect("instructions");
            let threads = rayon::current_num_threads();
            let [infer, forward, backward, both] = least;
            println!(
                "{} H={hidden} B={batch} T={steps} I={inputs} {isa} {threads} threads, {name}: infer {infer:.3} | forward {forward:.3} \
                 backward {backward:.3} = {both:.3} ms",
                cell.name()
            );
        }
    });
}

/// Uniform in `-bound..bound`.
fn noise(seed: u64, count: usize, bound: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * bound
    };
    std::iter::repeat_with(next).take(count).collect()
}
