//! A million steps with forget and update gates near one: the state neither sticks nor drifts.
//!
//! The host engine runs beside a float64 run of the very same network, its weights taken as the real numbers that the integers
//! stand for, on the same samples. Beside the float64 run goes a running error analysis (`streams/bounded.rs`): from the
//! roundings that NUMERICS states, and from nothing measured, it says at every step how far the integers may be away. What is
//! asserted of every state at every step is that bound. It has the form
//!
//!     e ← f·e + |c|·δ_f + δ_ig + rounding            (LSTM; of a GRU: e ← z·e + |H - n|·δ_z + (1 - z)·δ_n + rounding)
//!
//! so it grows no longer than the gate's time constant `1 / (1 - f)`, and then stands still. What limits a gate near one is its
//! own format: 0.9999 is 3.3 units of Q0.15 short of one, and `δ_f` is one unit.
//!
//! `cargo test -p emberloop-tests --test streams -- --nocapture` prints what was measured.

#[path = "streams/bounded.rs"]
mod bounded;
#[path = "streams/networks.rs"]
mod networks;
#[path = "streams/real.rs"]
mod real;

use bounded::{Bounded, UNIT};
use emberloop_engine::Network;
use emberloop_image::Image;
use emberloop_tests::aligned::Aligned;
use emberloop_tests::model::{CellKind, Layer, Model};
use emberloop_tests::random::Random;
use emberloop_tests::writer;
use networks::{FED_BACK, HELD, NAMES, SLOW, SLOWER, UNITS};
use real::RealLayer;

const STEPS: usize = 1_000_000;
/// From here on the input is constant: ten time constants of the slowest gate.
const QUIET: usize = 900_000;
const LEVEL_STEPS: usize = 45_000;
const LEVELS: [i64; 10] = [0, 12_000, -16_000, 5_000, -3_000, 16_000, -9_000, 1_000, -12_000, 8_000];

/// A signal that goes to another level every 45,000 steps, with noise on it, and now and then a pulse. The ten levels come twice,
/// so that the second half is to the bounds what the first was.
fn sample(random: &mut Random, step: usize) -> [i32; 2] {
    if step >= QUIET {
        return [LEVELS[9] as i32, 0];
    }
    let level = LEVELS[step / LEVEL_STEPS % LEVELS.len()];
    let pulse = if random.between(0, 9_999) == 0 { 32_767 } else { 0 };
    [(level + random.between(-8_000, 8_000)) as i32, pulse]
}

/// What was seen of one unit's memory (`c` or `H`).
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The largest error, the sum of its squares, and the largest bound, in each half of the steps with noise.
    error: [f64; 2],
    square: [f64; 2],
    bound: [f64; 2],
    /// The sum of the squares of the float64 run.
    size: f64,
    /// Steps with noise at which the integer changed.
    moves: usize,
    /// At the last step of all.
    last: Bounded,
    last_error: f64,
}

/// Runs both; checks every state at every step against the bound.
fn run(model: &Model) -> Vec<Seen> {
    let layer = &model.layers[0];
    let unit = match layer.cell {
        CellKind::Lstm => (-f64::from(layer.cell_fraction)).exp2(),
        CellKind::GruResetAfter => (-30f64).exp2(),
        CellKind::Rnn | CellKind::GruResetBefore => panic!("no memory, or one like the other GRU's"),
    };
    let bytes = Aligned::new(&writer::image(model));
    let image = Image::parse(&bytes).expect("a valid image");
    let mut network = Network::new(&image, vec![0; image.memory().words()]).expect("enough memory");
    let mut real = RealLayer::new(layer);
    let mut random = Random::named("stream");
    let mut seen = vec![Seen::default(); UNITS];
    let mut before = [0; UNITS];
    for step in 0..STEPS {
        let raw = sample(&mut random, step);
        network.step(&raw).expect("in range");
        real.step(layer, &raw.map(|x| f64::from(x) * UNIT));
        let state = network.save();
        for (number, seen) in seen.iter_mut().enumerate() {
            // FORMAT §5: one word of two inputs, then the memories of eight units, then their hidden states.
            let memory = state[1 + number];
            let hidden = (state[9 + number / 2] >> (16 * (number % 2))) as i16;
            let error = seen.take(step, f64::from(memory) * unit, f64::from(hidden) * UNIT, &real, number);
            assert!(error.is_none(), "{:?}, step {step}, unit {number}: {}", layer.cell, error.unwrap_or_default());
            seen.moves += usize::from(step < QUIET && memory != before[number]);
            assert!(
                number != HELD || memory == before[number] || raw[1] != 0,
                "{:?}, step {step}: a gate of exactly one holds the state, bit for bit",
                layer.cell
            );
            before[number] = memory;
        }
    }
    report(layer, &seen);
    seen
}

impl Seen {
    /// Takes a step's states; says where one is beyond its bound.
    fn take(&mut self, step: usize, memory: f64, hidden: f64, real: &RealLayer, unit: usize) -> Option<String> {
        let (expected, expected_hidden) = (real.memory[unit], real.hidden[unit]);
        let (error, hidden_error) = ((memory - expected.value).abs(), (hidden - expected_hidden.value).abs());
        if step < QUIET {
            let half = 2 * step / QUIET;
            self.error[half] = self.error[half].max(error);
            self.bound[half] = self.bound[half].max(expected.error);
            self.square[half] += error * error;
            self.size += expected.value * expected.value;
        }
        (self.last, self.last_error) = (expected, error);
        let beyond = |error: f64, expected: Bounded| error > expected.error;
        (beyond(error, expected) || beyond(hidden_error, expected_hidden))
            .then(|| format!("memory {memory}, expected {expected:?}; h {hidden}, expected {expected_hidden:?}"))
    }

    /// Of the error, in each half.
    fn root_mean_square(&self) -> [f64; 2] {
        self.square.map(|square| (square / (QUIET / 2) as f64).sqrt())
    }

    /// Root mean square of the state itself.
    fn size(&self) -> f64 {
        (self.size / QUIET as f64).sqrt()
    }
}

fn report(layer: &Layer, seen: &[Seen]) {
    eprintln!(
        "{}: errors of the memory against float64 in {STEPS} steps; two numbers are the two halves",
        layer.cell.name()
    );
    eprintln!(
        "unit              size (rms)  error (rms)        largest error      its bound          at the end, bound"
    );
    for (name, seen) in NAMES.iter().zip(seen) {
        let [rms, error, bound] = [seen.root_mean_square(), seen.error, seen.bound];
        eprintln!(
            "{name:17} {:<11.4} {:.2e} {:.2e}  {:.2e} {:.2e}  {:.2e} {:.2e}  {:.2e} {:.2e}",
            seen.size(),
            rms[0],
            rms[1],
            error[0],
            error[1],
            bound[0],
            bound[1],
            seen.last_error,
            seen.last.error
        );
    }
}

/// What holds of both cells, beyond the bound at every step; `gathers` is the unit whose state is a sum over all pulses.
fn neither_sticks_nor_drifts(seen: &[Seen], gathers: Option<usize>) {
    for (unit, seen) in seen.iter().enumerate() {
        // It moves: the smallest steps that the gate leaves are not lost.
        if unit != HELD {
            assert!(seen.moves > QUIET / 100 * 99, "unit {unit} moved in {} steps of {QUIET}", seen.moves);
        }
        if gathers == Some(unit) {
            continue;
        }
        // The bound is at its height in the first half already.
        assert!(seen.bound[1] <= 1.05 * seen.bound[0], "unit {unit}: the bound grows: {:?}", seen.bound);
        // An error that walks at random is sqrt(3) times as large in the second half as in the first, one that drifts sqrt(7)
        // times. That of the slowest unit forgets in 10,000 steps: 45 independent values a half, a scatter of 15 %.
        let [first, second] = seen.root_mean_square();
        assert!(second < 1.5 * first, "unit {unit}: the error grows from {first:e} to {second:e}");
    }
}

#[test]
fn an_lstm_neither_sticks_nor_drifts() {
    let seen = run(&networks::lstm());
    // Its cell gathers what each pulse lets in; each may be wrong by the candidate's 1.34 units and half a unit of its sum.
    neither_sticks_nor_drifts(&seen, Some(HELD));
    let (pulses, each) = (seen[HELD].moves as f64, 2.0 * UNIT);
    assert!(pulses > 50.0 && seen[HELD].last.error < pulses * each, "{pulses} pulses, {:e}", seen[HELD].last.error);
    // Its gate is exactly one, too, but what is wrong with it comes back through its own hidden state, and goes.
    assert!(seen[FED_BACK].bound[1] < 0.01 * seen[FED_BACK].size(), "{:?}", seen[FED_BACK].bound);
}

#[test]
fn a_gru_neither_sticks_nor_drifts() {
    let seen = run(&networks::gru());
    neither_sticks_nor_drifts(&seen, None);
    // A constant input brings the memory all the way to the new value, whatever the gate: there is nothing left but the error of
    // tanh. A memory of 16 bits would stop where its steps round to nothing, at half a unit times the gate's 10,000: 0.15 away.
    for unit in [SLOW, SLOWER] {
        assert!(seen[unit].last.error < 20.0 * UNIT, "unit {unit}: {:?}", seen[unit].last);
    }
}
