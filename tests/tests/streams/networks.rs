//! The networks of the streams: one unit for each way in which a gate can be near one.

use emberloop_tests::model::{CellKind, Head, Input, Layer, Matrix, Missing, Model, Pooling, Row, Scale, Scaler, Task};

/// The unit whose gate is about 0.999.
pub const SLOW: usize = 0;
/// About 0.9999.
pub const SLOWER: usize = 1;
/// Exactly one, but at a pulse.
pub const HELD: usize = 2;
/// LSTM: exactly one (GRU: about 0.99); its own hidden state draws it back.
pub const FED_BACK: usize = 3;
/// Units; an odd number. The last one's gate is about a half, and it reads all the others.
pub const UNITS: usize = 5;
/// What they are called in the output.
pub const NAMES: [&str; UNITS] = ["0.999", "0.9999", "1, but at pulses", "fed back", "fast"];

const SHIFT: u8 = 1;

/// `ln(0.999 / 0.001)` and `ln(0.9999 / 0.0001)`: what sigmoid makes 0.999 and 0.9999 of.
const LOGIT_3: f64 = 6.9068;
const LOGIT_4: f64 = 9.2102;
/// Sigmoid of it is exactly one in Q0.15, and in float64, too; of its negative, exactly zero and 4e-18.
const SHUT: f64 = 40.0;
/// Brings a gate from one end to the other.
const PULSE: f64 = 60.0;

/// One gate of one unit: its gains from signal and pulse, from the hidden states, and its bias.
type Gate = ([f64; 2], [f64; UNITS], f64);

const NONE: [f64; UNITS] = [0.0; UNITS];

/// Gates input, forget, candidate, output.
pub fn lstm() -> Model {
    let from_fed_back = |gain: f64| [0.0, 0.0, 0.0, gain, 0.0];
    let output = ([0.5, 0.0], NONE, 2.0);
    let units: [[Gate; 4]; UNITS] = [
        [([0.3, 0.0], NONE, -2.2), ([0.3, 0.0], NONE, LOGIT_3), ([0.02, 0.0], from_fed_back(0.005), 0.0), output],
        [([0.3, 0.0], NONE, -3.9), ([0.3, 0.0], NONE, LOGIT_4), ([0.01, 0.0], from_fed_back(0.001), 0.0), output],
        [([0.0, PULSE], NONE, -SHUT), ([0.0, 0.0], NONE, SHUT), ([1.0, 0.0], NONE, 0.0), output],
        [([0.5, 0.0], NONE, -1.0), ([0.0, 0.0], NONE, SHUT), ([0.03, 0.0], from_fed_back(-0.05), 0.0), output],
        [([0.5, 0.0], NONE, 0.0), ([0.5, 0.0], NONE, 0.0), ([1.0, 0.0], [0.5, -0.5, 0.5, -0.5, -0.3], 0.0), output],
    ];
    model(CellKind::Lstm, &units)
}

/// Gates reset, update, new.
pub fn gru() -> Model {
    let from_fed_back = |gain: f64| [0.0, 0.0, 0.0, gain, 0.0];
    let reset = ([0.5, 0.0], NONE, 1.0);
    let units: [[Gate; 3]; UNITS] = [
        [reset, ([0.3, 0.0], NONE, LOGIT_3), ([1.0, 0.0], from_fed_back(0.5), 0.0)],
        [reset, ([0.3, 0.0], NONE, LOGIT_4), ([1.0, 0.0], from_fed_back(0.5), 0.0)],
        [reset, ([0.0, -PULSE], NONE, SHUT), ([1.0, 0.0], NONE, 0.0)],
        [reset, ([0.3, 0.0], NONE, 4.6), ([0.5, 0.0], from_fed_back(-0.5), 0.1)],
        [reset, ([0.5, 0.0], from_fed_back(0.5), -1.0), ([1.0, 0.0], [0.5, -0.5, 0.5, -0.5, -0.3], 0.0)],
    ];
    model(CellKind::GruResetAfter, &units)
}

fn model<const GATES: usize>(cell: CellKind, units: &[[Gate; GATES]; UNITS]) -> Model {
    let mut layer = Layer {
        cell,
        hidden: UNITS,
        cell_fraction: if cell == CellKind::Lstm { 22 } else { 0 },
        shift: SHIFT,
        input: Matrix { columns: 2, rows: Vec::new() },
        recurrent: Matrix { columns: UNITS, rows: Vec::new() },
        bias: Vec::new(),
        recurrent_bias: if cell == CellKind::GruResetAfter { vec![1000; UNITS] } else { Vec::new() },
    };
    for gate in 0..GATES {
        for unit in units {
            let (input, recurrent, bias) = &unit[gate];
            layer.input.rows.push(row(input));
            layer.recurrent.rows.push(row(recurrent));
            layer.bias.push((bias * 65536.0 / f64::from(SHIFT).exp2()).round() as i32);
        }
    }
    let weights = Matrix { columns: UNITS, rows: vec![Row { multiplier: 100, weights: vec![1; UNITS] }] };
    let head = Head { task: Task::Regression, pooling: Pooling::Every, fraction: 16, shift: 0, weights, bias: vec![0] };
    let scale = Scale { multiplier: 1 << 14, left: 3, right: 1 };
    let (min, max) = (-32767, 32767);
    let scaler = Scaler { min, max, offset: 0, scale, fill: 0, pre_shift: 0, raw_fraction: 15 };
    Model {
        name: "stream".to_owned(),
        checkpoint: String::new(),
        input: Input::Features { fraction: 15, missing: Missing::Error, scalers: vec![scaler; 2] },
        layers: vec![layer],
        head,
        channels: vec!["signal".to_owned(), "pulse".to_owned()],
        labels: vec!["mean".to_owned()],
        golden: Vec::new(),
    }
}

/// The row nearest to these gains: `gain = weight · multiplier · 2^(shift - 17)`.
fn row(gains: &[f64]) -> Row {
    let unit = (f64::from(SHIFT) - 17.0).exp2();
    let largest = gains.iter().fold(0.0, |largest: f64, gain| largest.max(gain.abs()));
    let multiplier = (largest / 127.0 / unit).ceil();
    let weight = |gain: &f64| if multiplier > 0.0 { (gain / multiplier / unit).round() as i8 } else { 0 };
    Row { multiplier: multiplier as u16, weights: gains.iter().map(weight).collect() }
}
