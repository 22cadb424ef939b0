//! Images of every cell with made-up weights: what a step costs depends on the shapes, hardly on the numbers.

use emberloop_cells::CellKind;
use emberloop_engine::Network;
use emberloop_image::{
    FeatureScaler, HeadShape, Header, Image, InputShape, LayerShape, MissingPolicy, PREAMBLE_BYTES, Pooling, Preamble,
    Requantizer, SEQUENCES_MAGIC, Task, WeightFormat, checksum,
};

use crate::Result;

/// The shapes that are measured: 12 features, one layer, 9 classes.
pub const CASES: [Case; 5] = [
    Case { cell: CellKind::Rnn, hidden: 32 },
    Case { cell: CellKind::GruResetAfter, hidden: 32 },
    Case { cell: CellKind::GruResetBefore, hidden: 32 },
    Case { cell: CellKind::Lstm, hidden: 32 },
    Case { cell: CellKind::Lstm, hidden: 64 },
];

const FEATURES: usize = 12;
const CLASSES: usize = 9;
const SEQUENCES: usize = 2;
const STEPS: usize = 16;

/// One shape.
pub struct Case {
    cell: CellKind,
    hidden: usize,
}

impl Case {
    /// As the table names it.
    pub fn name(&self) -> String {
        let cell = match self.cell {
            CellKind::Rnn => "rnn",
            CellKind::Lstm => "lstm",
            CellKind::GruResetAfter => "gru",
            CellKind::GruResetBefore => "gru-reset-before",
        };
        format!("{cell}-{}", self.hidden)
    }

    /// The image, with golden vectors, and a file of test sequences.
    pub fn build(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let samples = samples();
        let silent = golden(&samples, &vec![vec![0; CLASSES]; SEQUENCES * STEPS]);
        let image = aligned(&self.image(&silent)?);
        // Its own golden vectors are what the engine computes here.
        let outputs = self.outputs(bytemuck::cast_slice(&image), &samples)?;
        let image = self.image(&golden(&samples, &outputs))?;
        Ok((image, sequences(&samples)))
    }

    fn outputs(&self, image: &[u8], samples: &[Vec<i32>]) -> Result<Vec<Vec<i32>>> {
        let image = Image::parse(image).map_err(|error| error.to_string())?;
        let mut network = Network::new(&image, vec![0; image.memory().words()]).map_err(|error| error.to_string())?;
        let mut outputs = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            if index % STEPS == 0 {
                network.reset();
            }
            outputs.push(network.step(sample).map_err(|error| error.to_string())?.values().to_vec());
        }
        Ok(outputs)
    }

    /// Preamble, header and payload, with these golden vectors at the end.
    fn image(&self, golden: &[i32]) -> Result<Vec<u8>> {
        let header = self.header();
        let mut buffer = [0; 1024];
        let header = postcard::to_slice(&header, &mut buffer)?;
        let payload_offset = (PREAMBLE_BYTES + header.len()).next_multiple_of(16);
        let mut image = vec![0; PREAMBLE_BYTES];
        image.extend_from_slice(header);
        image.resize(payload_offset, 0);
        self.weights(&mut image);
        golden.iter().for_each(|word| image.extend_from_slice(&word.to_le_bytes()));

        let memory = emberloop_image::MemoryPlan::new(&self.header());
        let mut preamble = Preamble {
            layout: 0,
            image_bytes: image.len() as u32,
            header_bytes: header.len() as u32,
            payload_offset: payload_offset as u32,
            ram_words: memory.words() as u32,
            checksum: 0,
        };
        image[..PREAMBLE_BYTES].copy_from_slice(&preamble.to_bytes());
        preamble.checksum = checksum(&image);
        image[..PREAMBLE_BYTES].copy_from_slice(&preamble.to_bytes());
        Ok(image)
    }

    fn header(&self) -> Header<'static> {
        let layer = LayerShape {
            cell: self.cell,
            hidden: self.hidden as u16,
            cell_fraction: if self.cell.has_cell_state() { 24 } else { 0 },
            weights: WeightFormat::Int8,
        };
        Header {
            name: "synthetic",
            checkpoint: "",
            input: InputShape::Features { features: FEATURES as u16, fraction: 11, missing: MissingPolicy::Error },
            layers: heapless::Vec::from_iter([layer]),
            head: HeadShape {
                outputs: CLASSES as u16,
                task: Task::Classification,
                pooling: Pooling::Last,
                fraction: 16,
                weights: WeightFormat::Int8,
            },
            channels: "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl",
            labels: "1\n2\n3\n4\n5\n6\n7\n8\n9",
        }
    }

    /// The payload without golden vectors: scaler, layer, head.
    fn weights(&self, image: &mut Vec<u8>) {
        let mut random = Random(1);
        // Raw numbers are taken as they are: 2^14 · 2^3 / 2^17 is one.
        let scaler = FeatureScaler {
            min: -32_767,
            max: 32_767,
            offset: 0,
            requantizer: Requantizer::new(1 << 14, 3, 1),
            fill: 0,
            pre_shift: 0,
            raw_fraction: 11,
        };
        for _ in 0..FEATURES {
            scaler.to_words().iter().for_each(|word| image.extend_from_slice(&word.to_le_bytes()));
        }
        let rows = self.cell.gate_count() * self.hidden;
        // Weights in steps of 1/127: an accumulator of Q.11 inputs, or of Q0.15 states, becomes Q15.16.
        matrix(image, &mut random, rows, FEATURES, Requantizer::new(16_513, 1, 1));
        matrix(image, &mut random, rows, self.hidden, Requantizer::new(16_513, 0, 4));
        bias(image, &mut random, rows);
        bias(image, &mut random, if self.cell.has_separate_recurrent_bias() { self.hidden } else { 0 });
        matrix(image, &mut random, CLASSES, self.hidden, Requantizer::new(16_513, 0, 4));
        bias(image, &mut random, CLASSES);
    }
}

/// Scales, then weights, padded to whole words.
fn matrix(image: &mut Vec<u8>, random: &mut Random, rows: usize, columns: usize, scale: Requantizer) {
    for _ in 0..rows {
        image.extend_from_slice(&scale.word().to_le_bytes());
    }
    image.extend((0..rows * columns).map(|_| random.below(127) as i8 as u8));
    image.resize(image.len().next_multiple_of(4), 0);
}

fn bias(image: &mut Vec<u8>, random: &mut Random, count: usize) {
    (0..count).for_each(|_| image.extend_from_slice(&random.below(1 << 16).to_le_bytes()));
}

/// The same samples for every case.
fn samples() -> Vec<Vec<i32>> {
    let mut random = Random(2);
    (0..SEQUENCES * STEPS).map(|_| (0..FEATURES).map(|_| random.below(4096)).collect()).collect()
}

/// The sequences with the outputs of every step.
fn golden(samples: &[Vec<i32>], outputs: &[Vec<i32>]) -> Vec<i32> {
    let mut words = vec![SEQUENCES_MAGIC as i32, FEATURES as i32, CLASSES as i32, SEQUENCES as i32];
    for (samples, outputs) in samples.chunks(STEPS).zip(outputs.chunks(STEPS)) {
        words.push(STEPS as i32);
        words.extend(samples.iter().chain(outputs).flatten());
    }
    words
}

/// The sequences alone.
fn sequences(samples: &[Vec<i32>]) -> Vec<u8> {
    let mut words = vec![SEQUENCES_MAGIC as i32, FEATURES as i32, 0, SEQUENCES as i32];
    for samples in samples.chunks(STEPS) {
        words.push(STEPS as i32);
        words.extend(samples.iter().flatten());
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_an_image_that_passes_its_self_test() {
        for case in CASES {
            let (image, sequences) = case.build().unwrap();
            let image = aligned(&image);
            let image = Image::parse(bytemuck::cast_slice(&image)).unwrap();
            assert_eq!(emberloop_engine::self_test(&image, [0; 1024]).unwrap(), SEQUENCES * STEPS, "{}", case.name());
            let sequences = aligned(&sequences);
            let sequences = emberloop_image::Sequences::parse(bytemuck::cast_slice(&sequences)).unwrap();
            assert_eq!((sequences.len(), sequences.width()), (SEQUENCES, FEATURES));
        }
    }
}
