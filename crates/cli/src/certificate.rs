//! What is proved of an image's arithmetic (NUMERICS §4, FORMAT §4.2), and what follows from it for states and gates.

use emberloop_cells::{CellKind, Gate};
use emberloop_engine::activation::{sigmoid, tanh};
use emberloop_image::{Bounds, Head, Image, Layer, limits};
use serde::Serialize;

/// The proof obligations of an image: `Image::parse` has met them all, or there were no image.
#[derive(Serialize)]
pub struct Certificate {
    /// Largest magnitude that an accumulator or a sum may have.
    limit: u32,
    sigmoid: Saturation,
    tanh: Saturation,
    layers: Vec<LayerCertificate>,
    head: HeadCertificate,
}

/// From which pre-activations on a function gives its smallest and its largest value.
#[derive(Serialize)]
struct Saturation {
    smallest_value: f64,
    largest_value: f64,
    /// Of this pre-activation and all below it.
    smallest_at: f64,
    /// Of this pre-activation and all above it.
    largest_at: f64,
}

#[derive(Serialize)]
struct LayerCertificate {
    layer: usize,
    cell: &'static str,
    shift: u8,
    #[serde(flatten)]
    bounds: Proofs,
    states: Vec<StateRange>,
    gates: Vec<GateReach>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<RowCertificate>>,
}

#[derive(Serialize)]
struct HeadCertificate {
    shift: u8,
    #[serde(flatten)]
    bounds: Proofs,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<RowCertificate>>,
}

/// Bounds as the image states them, or those of one row.
#[derive(Serialize)]
struct Proofs {
    /// Accumulators of `W·x`; of the head, of `V·h`.
    input: Proof,
    /// Accumulators of `U·h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrent: Option<Proof>,
    /// Pre-activations; of the head, outputs.
    sum: Proof,
}

#[derive(Serialize)]
struct Proof {
    bound: u32,
    /// How many times it could double before it passed the limit; none for a bound of 0.
    headroom_bits: Option<f64>,
}

/// Which values a state can have.
#[derive(Serialize)]
struct StateRange {
    state: &'static str,
    format: String,
    smallest: f64,
    largest: f64,
    /// Whether it is held there; else the arithmetic itself keeps it within.
    saturates: bool,
}

/// How far the pre-activations of a gate can go.
#[derive(Serialize)]
struct GateReach {
    gate: &'static str,
    activation: &'static str,
    /// Largest magnitude of a pre-activation, over the gate's rows.
    preactivation: f64,
    rows: usize,
    /// Rows whose bound allows the function's smallest value.
    rows_reaching_smallest: usize,
    /// Rows whose bound allows the function's largest value.
    rows_reaching_largest: usize,
}

#[derive(Serialize)]
struct RowCertificate {
    row: String,
    #[serde(flatten)]
    bounds: Proofs,
    /// The least of the row's.
    headroom_bits: Option<f64>,
}

impl Certificate {
    /// Of an image; with `rows` also of every single row.
    pub fn new(image: &Image<'_>, rows: bool) -> Self {
        let layers = image.layers().enumerate().map(|(index, layer)| LayerCertificate::new(index, &layer, rows));
        Self {
            limit: LIMIT,
            sigmoid: Saturation::sigmoid(),
            tanh: Saturation::tanh(),
            layers: layers.collect(),
            head: HeadCertificate::new(image, &image.head(), rows),
        }
    }

    /// As tables.
    pub fn text(&self) -> String {
        let mut out = format!("certificate: largest magnitudes, and bits left to {} (NUMERICS 4)\n", self.limit);
        out += &line("", "W·x", "U·h", "sum");
        for layer in &self.layers {
            let name = format!("layer {}, {}, shift {}", layer.layer, layer.cell, layer.shift);
            out += &layer.bounds.line(&name);
        }
        out += &self.head.bounds.line(&format!("head, shift {}", self.head.shift));
        out += "states:\n";
        for layer in &self.layers {
            for state in &layer.states {
                out += &format!("  layer {}, {}\n", layer.layer, state.line());
            }
        }
        out += &format!("gates: {}; {}\n", self.sigmoid.line("sigmoid"), self.tanh.line("tanh"));
        for layer in &self.layers {
            for gate in &layer.gates {
                out += &format!("  layer {}, {}\n", layer.layer, gate.line());
            }
        }
        for layer in &self.layers {
            out += &rows_text(&format!("rows of layer {}", layer.layer), layer.rows.as_deref());
        }
        out + &rows_text("rows of the head", self.head.rows.as_deref())
    }
}

/// Whatever is kept in 32 bits.
const LIMIT: u32 = i32::MAX as u32;

impl Saturation {
    fn sigmoid() -> Self {
        Self::of(sigmoid, 0, 1 << 15)
    }

    fn tanh() -> Self {
        Self::of(tanh, -(1 << 15), (1 << 15) - 1)
    }

    /// Of a function that never falls.
    fn of(function: fn(i32) -> i32, smallest: i32, largest: i32) -> Self {
        Self {
            smallest_value: q15(smallest),
            largest_value: q15(largest),
            smallest_at: preactivation(i64::from(first(|p| function(p) > smallest)) - 1),
            largest_at: preactivation(i64::from(first(|p| function(p) >= largest))),
        }
    }

    fn line(&self, name: &str) -> String {
        let Self { smallest_value, largest_value, smallest_at, largest_at } = self;
        format!("{name} is {smallest_value} up to {smallest_at:.4} and {largest_value:.5} from {largest_at:.4}")
    }

    /// Whether a pre-activation within ± this can reach the smallest and the largest value.
    fn reached(&self, bound: f64) -> (bool, bool) {
        (-bound <= self.smallest_at, bound >= self.largest_at)
    }
}

/// The first pre-activation of which `holds` is true; it is of all behind it.
fn first(holds: impl Fn(i32) -> bool) -> i32 {
    let (mut low, mut high) = (i64::from(i32::MIN), i64::from(i32::MAX));
    while low < high {
        let middle = (low + high).div_euclid(2);
        if holds(middle as i32) { high = middle } else { low = middle + 1 }
    }
    low as i32
}

fn q15(value: i32) -> f64 {
    f64::from(value) / 32_768.0
}

fn preactivation(value: i64) -> f64 {
    value as f64 / f64::from(limits::PREACTIVATION_FRACTION).exp2()
}

impl LayerCertificate {
    fn new(index: usize, layer: &Layer<'_>, rows: bool) -> Self {
        let gates = layer.shape.cell.gates();
        let units = usize::from(layer.shape.hidden);
        let rows = rows.then(|| {
            let places = (0..gates.len()).flat_map(|gate| (0..units).map(move |unit| (gate, unit)));
            let row = |(gate, unit): (usize, usize)| {
                let bounds = layer.row_bounds(gate, unit)?;
                Some(RowCertificate::new(format!("{} {unit}", gates[gate].name()), Proofs::of_layer(bounds)))
            };
            places.filter_map(row).collect()
        });
        Self {
            layer: index,
            cell: layer.shape.cell.name(),
            shift: layer.shape.shift,
            bounds: Proofs::of_layer(layer.bounds),
            states: states(layer),
            gates: gates.iter().enumerate().map(|(at, &gate)| GateReach::new(layer, at, gate)).collect(),
            rows,
        }
    }
}

impl HeadCertificate {
    fn new(image: &Image<'_>, head: &Head<'_>, rows: bool) -> Self {
        let outputs = usize::from(head.shape.outputs);
        let row = |output: usize| {
            let name = format!("output {output} ({})", image.label(output).unwrap_or_default());
            Some(RowCertificate::new(name, Proofs::of_head(head.row_bounds(output)?)))
        };
        let rows = rows.then(|| (0..outputs).filter_map(row).collect());
        Self { shift: head.shape.shift, bounds: Proofs::of_head(head.bounds), rows }
    }
}

/// Ranges that follow from the arithmetic of NUMERICS §8 alone, for any number of steps.
fn states(layer: &Layer<'_>) -> Vec<StateRange> {
    // A value of tanh, or one between two of them: nothing needs to be held.
    let within_one = |state, format: &str| StateRange {
        state,
        format: format.into(),
        smallest: -1.0,
        largest: q15(i32::from(i16::MAX)),
        saturates: false,
    };
    let hidden = within_one("hidden", "Q0.15");
    match layer.shape.cell {
        CellKind::Rnn => vec![hidden],
        CellKind::Lstm => {
            let fraction = layer.shape.cell_fraction;
            let unit = (-f64::from(fraction)).exp2();
            let cell = StateRange {
                state: "cell",
                format: format!("Q{}.{fraction}", 31 - fraction),
                smallest: f64::from(i32::MIN) * unit,
                largest: f64::from(i32::MAX) * unit,
                saturates: true,
            };
            vec![cell, hidden]
        }
        CellKind::GruResetAfter | CellKind::GruResetBefore => vec![within_one("memory", "Q1.30"), hidden],
    }
}

impl StateRange {
    fn line(&self) -> String {
        let Self { state, format, smallest, largest, saturates } = self;
        let kept = if *saturates { "saturated" } else { "by construction" };
        format!("{state}: {format}, {smallest} to {largest:.6}, {kept}")
    }
}

impl GateReach {
    fn new(layer: &Layer<'_>, at: usize, gate: Gate) -> Self {
        let (activation, saturation) = match gate {
            Gate::Input | Gate::Forget | Gate::Output | Gate::Reset | Gate::Update => {
                ("sigmoid", Saturation::sigmoid())
            }
            Gate::Hidden | Gate::Candidate | Gate::New => ("tanh", Saturation::tanh()),
        };
        let units = usize::from(layer.shape.hidden);
        let mut reach = Self {
            gate: gate.name(),
            activation,
            preactivation: 0.0,
            rows: units,
            rows_reaching_smallest: 0,
            rows_reaching_largest: 0,
        };
        for bounds in (0..units).filter_map(|unit| layer.row_bounds(at, unit)) {
            let bound = preactivation(bounds.sum.into());
            let (smallest, largest) = saturation.reached(bound);
            reach.preactivation = reach.preactivation.max(bound);
            reach.rows_reaching_smallest += usize::from(smallest);
            reach.rows_reaching_largest += usize::from(largest);
        }
        reach
    }

    fn line(&self) -> String {
        format!(
            "{}: within ±{:.3}; {} may reach its smallest value in {} of {} rows, its largest in {}",
            self.gate,
            self.preactivation,
            self.activation,
            self.rows_reaching_smallest,
            self.rows,
            self.rows_reaching_largest
        )
    }
}

impl RowCertificate {
    fn new(row: String, bounds: Proofs) -> Self {
        let headroom_bits = bounds.least();
        Self { row, bounds, headroom_bits }
    }
}

fn rows_text(title: &str, rows: Option<&[RowCertificate]>) -> String {
    let Some(rows) = rows else { return String::new() };
    rows.iter().fold(format!("{title}:\n"), |text, row| text + &row.bounds.line(&row.row))
}

impl Proofs {
    fn of_layer(Bounds { input, recurrent, sum }: Bounds) -> Self {
        Self { input: Proof::new(input), recurrent: Some(Proof::new(recurrent)), sum: Proof::new(sum) }
    }

    fn of_head(Bounds { input, recurrent: _, sum }: Bounds) -> Self {
        Self { input: Proof::new(input), recurrent: None, sum: Proof::new(sum) }
    }

    fn least(&self) -> Option<f64> {
        let all = [Some(&self.input), self.recurrent.as_ref(), Some(&self.sum)];
        all.into_iter().flatten().filter_map(|proof| proof.headroom_bits).reduce(f64::min)
    }

    fn line(&self, name: &str) -> String {
        let recurrent = self.recurrent.as_ref().map_or(String::new(), Proof::cell);
        line(name, &self.input.cell(), &recurrent, &self.sum.cell())
    }
}

impl Proof {
    fn new(bound: u32) -> Self {
        let headroom_bits = (bound > 0).then(|| (f64::from(LIMIT) / f64::from(bound)).log2());
        Self { bound, headroom_bits }
    }

    fn cell(&self) -> String {
        let bits = self.headroom_bits.map_or("-".into(), |bits| format!("{bits:.2}"));
        format!("{} {bits:>5}", self.bound)
    }
}

/// One line of a table: a name and three bounds.
fn line(name: &str, input: &str, recurrent: &str, sum: &str) -> String {
    format!("  {:<32} {:>16} {:>16} {:>16}\n", name, input, recurrent, sum).trim_end().to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_saturated_from_its_point_on_and_not_before() {
        let unit = preactivation(1);
        for (name, function, saturation) in
            [("sigmoid", sigmoid as fn(i32) -> i32, Saturation::sigmoid()), ("tanh", tanh, Saturation::tanh())]
        {
            let at = |p: f64| q15(function((p / unit) as i32));
            let Saturation { smallest_value, largest_value, smallest_at, largest_at } = saturation;
            assert_eq!((at(smallest_at), at(largest_at)), (smallest_value, largest_value), "{name}");
            assert!(at(smallest_at + unit) > smallest_value, "{name}");
            assert!(at(largest_at - unit) < largest_value, "{name}");
            assert_eq!(q15(function(i32::MIN)), smallest_value, "{name}");
            assert_eq!(q15(function(i32::MAX)), largest_value, "{name}");
            assert_eq!(saturation.reached(largest_at), (largest_at >= -smallest_at, true), "{name}");
            assert_eq!(saturation.reached(largest_at - unit), (false, false), "{name}");
            assert_eq!(saturation.reached(-smallest_at), (true, true), "{name}");
        }
    }

    #[test]
    fn headroom_counts_doublings() {
        assert_eq!(Proof::new(LIMIT).headroom_bits, Some(0.0));
        assert_eq!(Proof::new(0).headroom_bits, None);
        let bits = Proof::new(1 << 20).headroom_bits.unwrap();
        assert!((bits - 11.0).abs() < 1e-8, "{bits}");
    }
}
