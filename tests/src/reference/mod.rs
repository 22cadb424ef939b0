//! The reference: NUMERICS.md transcribed a second time, slowly, in 64-bit integers.
//!
//! It was written from the page alone, shares no code with `crates/engine`, and asserts every bound that the page
//! claims. Its steps return all intermediates, so that a difference can name its stage.

pub mod activation;
pub mod arithmetic;
pub mod cells;
pub mod input;
pub mod proof;
pub mod reader;
pub mod trace;

use crate::model::{CellKind, Model, Pooling};
use activation::Activation;
use arithmetic::{at_most, fits_int16, fits_int32, floor_div, pow2, within};
use cells::LayerState;
use input::{Counts, Refusal};
use trace::Trace;

/// A model and its state.
pub struct Reference {
    model: Model,
    activation: Activation,
    state: State,
    counts: Counts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    input: Vec<i64>,
    layers: Vec<LayerState>,
    sums: Vec<i64>,
    count: i64,
}

impl Reference {
    /// The network of an image.
    ///
    /// # Errors
    /// One line that says why the image cannot be read, or what it does not keep to.
    pub fn read(image: &[u8]) -> Result<Self, String> {
        let model = reader::read(image)?;
        proof::check(&model)?;
        Ok(Self::new(model))
    }

    /// The network of a model.
    pub fn new(model: Model) -> Self {
        let state = State::at_rest(&model);
        Self { model, activation: Activation::default(), state, counts: Counts::default() }
    }

    /// What it runs.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What happened to the inputs since the network was made.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Sets all states to 0, and the input to the scalers' `fill`.
    pub fn reset(&mut self) {
        self.state = State::at_rest(&self.model);
    }

    /// One step.
    ///
    /// # Errors
    /// A refused sample; nothing has changed then.
    pub fn step(&mut self, raw: &[i32]) -> Result<Trace, Refusal> {
        let (input, counts) = input::scale(&self.model.input, raw, &self.state.input)?;
        self.counts.clipped += counts.clipped;
        self.counts.missing += counts.missing;
        self.state.input.clone_from(&input);
        let mut layers = Vec::new();
        let mut below = input.clone();
        for (layer, state) in self.model.layers.iter().zip(&mut self.state.layers) {
            layers.push(cells::step(&self.activation, layer, &below, state));
            below.clone_from(&state.hidden);
        }
        let pooled = match self.model.head.pooling {
            Pooling::Last | Pooling::Every => below,
            Pooling::Mean => self.state.pool(&below),
        };
        let head = &self.model.head;
        let outputs = head.weights.rows.iter().zip(&head.bias).enumerate().map(|(output, (row, &bias))| {
            let product = cells::product(row, cells::dot(row, &pooled));
            let sum = cells::sum(&[product, i64::from(bias)]);
            let bound = within(proof::head_row(head, output).sum, 0, proof::LIMIT, "a bound");
            at_most(sum * pow2(head.shift.into()), bound, "an output")
        });
        Ok(Trace { input, layers, outputs: outputs.collect(), pooled })
    }

    /// The input and all states as FORMAT §5 lays them out: everything before the outputs. What lies beyond the units is 0.
    pub fn save(&self) -> Vec<i32> {
        let padded = |values: &[i64]| {
            let mut padded = values.to_vec();
            padded.resize(values.len().next_multiple_of(4), 0);
            padded
        };
        let mut words = int16_words(&self.state.input);
        for layer in &self.state.layers {
            words.extend(padded(&layer.memory).iter().map(|&value| int32(value)));
            words.extend(int16_words(&padded(&layer.hidden)));
        }
        if self.model.head.pooling == Pooling::Mean {
            words.extend(padded(&self.state.sums).iter().map(|&value| int32(value)));
            words.push(int32(self.state.count));
        }
        words
    }

    /// Puts a hidden state into a layer, and into a GRU the memory that rounds to it.
    pub fn set_hidden(&mut self, layer: usize, hidden: &[i64]) {
        let cell = self.model.layers[layer].cell;
        let state = &mut self.state.layers[layer];
        assert_eq!(state.hidden.len(), hidden.len());
        state.hidden = hidden.iter().map(|&value| fits_int16(value, "h")).collect();
        if matches!(cell, CellKind::GruResetAfter | CellKind::GruResetBefore) {
            state.memory = hidden.iter().map(|&value| value * pow2(15)).collect();
        }
    }

    /// The states of the layers.
    pub fn layers(&self) -> &[LayerState] {
        &self.state.layers
    }
}

impl State {
    fn at_rest(model: &Model) -> Self {
        Self {
            input: input::at_rest(&model.input),
            layers: model.layers.iter().map(LayerState::new).collect(),
            sums: vec![0; model.layers.last().map_or(0, |layer| layer.hidden)],
            count: 0,
        }
    }

    /// Mean pooling of NUMERICS §7.
    fn pool(&mut self, hidden: &[i64]) -> Vec<i64> {
        if self.count == pow2(15) {
            self.count = pow2(14);
            self.sums.iter_mut().for_each(|sum| *sum = floor_div(*sum + 1, 2));
        }
        self.count += 1;
        let count = self.count;
        let means = self.sums.iter_mut().zip(hidden).map(|(sum, &value)| {
            *sum = fits_int32(*sum + value, "a pooled sum");
            fits_int16(floor_div(2 * *sum + count, 2 * count), "a mean of hidden states")
        });
        means.collect()
    }
}

fn int32(value: i64) -> i32 {
    i32::try_from(value).expect("the page keeps states in int32")
}

/// Two int16 a word, the first in the low half; a lone last one leaves the high half zero.
fn int16_words(values: &[i64]) -> Vec<i32> {
    let int16 = |value: i64| i16::try_from(value).expect("the page keeps h and x in int16") as u16;
    let word = |pair: &[i64]| i32::from(int16(pair[0])) | (i32::from(int16(*pair.get(1).unwrap_or(&0))) << 16);
    values.chunks(2).map(word).collect()
}
