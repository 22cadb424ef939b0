//! Images of every cell with made-up weights: what a step costs depends on the shapes, hardly on the numbers.

use emberloop_cells::{CellKind, Gate};
use emberloop_image::{FeatureScaler, HeadShape, LayerShape, MissingPolicy, Pooling, Requantizer, Task, WeightFormat};
use emberloop_quantize::{IntegerHead, IntegerInput, IntegerLayer, IntegerMatrix, IntegerModel, sequence_file};

use super::{bars, models};
use crate::Result;

/// The shapes that are measured beside the trained models: every cell in four sizes, with the least head there is, so that
/// nearly all of a step is the layer.
pub const CASES: [Case; 16] = {
    use CellKind::{GruResetAfter, GruResetBefore, Lstm, Rnn};
    const fn case(cell: CellKind, hidden: usize) -> Case {
        Case { cell, inputs: bars::INPUTS, hidden, outputs: 1 }
    }
    [
        case(Rnn, 16),
        case(Rnn, 32),
        case(Rnn, 64),
        case(Rnn, 128),
        case(Lstm, 16),
        case(Lstm, 32),
        case(Lstm, 64),
        case(Lstm, 128),
        case(GruResetAfter, 16),
        case(GruResetAfter, 32),
        case(GruResetAfter, 64),
        case(GruResetAfter, 128),
        case(GruResetBefore, 16),
        case(GruResetBefore, 32),
        case(GruResetBefore, 64),
        case(GruResetBefore, 128),
    ]
};

const SEQUENCES: usize = 2;
const STEPS: usize = 16;

/// Fraction bits of the scaled input, which is the raw one.
const INPUT_FRACTION: u8 = 11;
/// Raw samples lie evenly within ±2 standard deviations of a trained model's.
const SAMPLE_MAX: i32 = 2 << INPUT_FRACTION;
/// Standard deviations of a sample, of a hidden state as trained models have it, of a weight, of a product.
const SAMPLE_DEVIATION: f64 = SAMPLE_MAX as f64 * 0.577;
const STATE_DEVIATION: f64 = 0.4 * 32_768.0;
const WEIGHT_DEVIATION: f64 = 40.0;
const PRODUCT_DEVIATION: f64 = 0.6 * 65_536.0;

/// One shape.
pub struct Case {
    /// The layer's cell.
    pub cell: CellKind,
    /// Features of a sample.
    pub inputs: usize,
    /// Units of the layer.
    pub hidden: usize,
    /// Classes.
    pub outputs: usize,
}

impl Case {
    /// As the table names it.
    pub fn name(&self) -> String {
        format!("{}-{}", models::name(self.cell), self.hidden)
    }

    /// The image, with golden vectors, and a file of test sequences; the same on every machine.
    pub fn build(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut random = Random(2);
        let mut samples = || (0..STEPS * self.inputs).map(|_| random.below(SAMPLE_MAX)).collect();
        let samples: Vec<Vec<i32>> = (0..SEQUENCES).map(|_| samples()).collect();
        let sequences = sequence_file(self.inputs, &samples)?;
        Ok((self.model().with_golden(samples)?.to_image()?, sequences))
    }

    fn model(&self) -> IntegerModel {
        let mut random = Random(1);
        let names = |count: usize| (1..=count).map(|number| number.to_string()).collect();
        // Raw numbers are taken as they are: 2^14 · 2^3 / 2^17 is one.
        let scaler = FeatureScaler {
            min: -32_767,
            max: 32_767,
            offset: 0,
            requantizer: Requantizer::new(1 << 14, 3, 1),
            fill: 0,
            pre_shift: 0,
            raw_fraction: INPUT_FRACTION as i8,
        };
        IntegerModel {
            name: "synthetic".into(),
            checkpoint: String::new(),
            channels: names(self.inputs),
            labels: names(self.outputs),
            input: IntegerInput::Features {
                fraction: INPUT_FRACTION,
                missing: MissingPolicy::Error,
                scalers: vec![scaler; self.inputs],
            },
            layers: vec![self.layer(&mut random)],
            head: self.head(&mut random),
            golden: Vec::new(),
        }
    }

    fn layer(&self, random: &mut Random) -> IntegerLayer {
        let rows = self.cell.gate_count() * self.hidden;
        let separate = if self.cell.has_separate_recurrent_bias() { self.hidden } else { 0 };
        let input = matrix(random, rows, self.inputs, SAMPLE_DEVIATION);
        let recurrent = matrix(random, rows, self.hidden, STATE_DEVIATION);
        // Forget gates half open to begin with, as trained ones are.
        let center = |gate: &Gate| if *gate == Gate::Forget { 1 << 16 } else { 0 };
        let centers = self.cell.gates().iter().flat_map(|gate| std::iter::repeat_n(center(gate), self.hidden));
        let mut bias = |center: i32| center + random.normal(16_384.0, 1 << 16);
        IntegerLayer {
            shape: LayerShape {
                cell: self.cell,
                hidden: self.hidden as u16,
                cell_fraction: if self.cell.has_cell_state() { 24 } else { 0 },
                shift: 0,
                weights: WeightFormat::Int8,
            },
            input,
            recurrent,
            bias: centers.map(&mut bias).collect(),
            recurrent_bias: (0..separate).map(|_| bias(0)).collect(),
        }
    }

    fn head(&self, random: &mut Random) -> IntegerHead {
        IntegerHead {
            shape: HeadShape {
                outputs: self.outputs as u16,
                task: Task::Classification,
                pooling: Pooling::Last,
                fraction: 16,
                shift: 0,
                weights: WeightFormat::Int8,
            },
            weights: matrix(random, self.outputs, self.hidden, STATE_DEVIATION),
            bias: (0..self.outputs).map(|_| random.normal(16_384.0, 1 << 16)).collect(),
        }
    }
}

/// Weights as trained and quantized rows have them, with multipliers that make the products of activations of this
/// deviation about 0.6 in Q15.16, so that gates are neither all open nor all shut.
fn matrix(random: &mut Random, rows: usize, columns: usize, activations: f64) -> IntegerMatrix {
    let accumulator = WEIGHT_DEVIATION * activations * (columns as f64).sqrt();
    let multiplier = PRODUCT_DEVIATION * 65_536.0 / accumulator;
    // Rows differ by a quarter.
    let mut row = || (multiplier * (1.0 + f64::from(random.below(250)) / 1000.0)).min(32_767.0) as i16;
    let multipliers = (0..rows).map(|_| row()).collect();
    let weights = (0..rows * columns).map(|_| random.normal(WEIGHT_DEVIATION, 127) as i8).collect();
    IntegerMatrix { columns, multipliers, weights }
}

/// The bytes in memory that is aligned as an image must be.
pub fn aligned(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|&word| u32::from_ne_bytes(word)).collect()
}

/// A small generator (Numerical Recipes' LCG), so that the images are the same on every machine.
struct Random(u32);

impl Random {
    /// A number from `-limit` to `limit`.
    fn below(&mut self, limit: i32) -> i32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as i32 % (2 * limit + 1) - limit
    }

    /// About normally distributed, of this deviation, within `±limit`: the sum of twelve evenly distributed numbers.
    fn normal(&mut self, deviation: f64, limit: i32) -> i32 {
        // Twelve of variance 1/3, in thousandths.
        let sum: i32 = (0..12).map(|_| self.below(1000)).sum();
        let value = f64::from(sum) / 2000.0 * deviation;
        (value.round() as i32).clamp(-limit, limit)
    }
}

#[cfg(test)]
mod tests {
    use emberloop_engine::Network;
    use emberloop_image::{Image, Sequences};

    use super::*;

    #[test]
    fn every_case_is_an_image_that_passes_its_self_test() {
        let odd = Case { cell: CellKind::Lstm, inputs: 9, hidden: 7, outputs: 3 };
        for case in CASES.iter().chain([&odd]) {
            let (image, sequences) = case.build().unwrap();
            let image = aligned(&image);
            let image = Image::parse(bytemuck::cast_slice(&image)).unwrap();
            assert_eq!(emberloop_engine::self_test(&image, [0; 1024]).unwrap(), SEQUENCES * STEPS, "{}", case.name());
            let sequences = aligned(&sequences);
            let sequences = Sequences::parse(bytemuck::cast_slice(&sequences)).unwrap();
            assert_eq!((sequences.len(), sequences.width()), (SEQUENCES, case.inputs));
        }
    }

    /// What a step costs may depend on the numbers where all of them saturate.
    #[test]
    fn states_are_as_lively_as_those_of_trained_models() {
        for case in &CASES {
            let (image, sequences) = case.build().unwrap();
            let (image, sequences) = (aligned(&image), aligned(&sequences));
            let image = Image::parse(bytemuck::cast_slice(&image)).unwrap();
            let sequences = Sequences::parse(bytemuck::cast_slice(&sequences)).unwrap();
            let mut network = Network::new(&image, [0; 1024]).unwrap();
            let (mut squares, mut saturated, mut count) = (0.0, 0.0, 0.0);
            for sample in sequences.iter().flat_map(|sequence| sequence.samples()) {
                network.step(sample).unwrap();
                let (hidden, _) = network.layer_state(0).unwrap();
                for &state in hidden {
                    squares += (f64::from(state) / 32_768.0).powi(2);
                    saturated += f64::from(u8::from(state.unsigned_abs() > 32_700));
                    count += 1.0;
                }
            }
            let (deviation, saturated) = (f64::sqrt(squares / count), saturated / count);
            assert!((0.2..0.8).contains(&deviation) && saturated < 0.05, "{}: {deviation} {saturated}", case.name());
        }
    }
}
