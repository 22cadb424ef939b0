//! A recipe: the shape of a model in a few words, from which a seed makes all numbers.

use crate::model::{CellKind, Head, Input, Layer, Missing, Model, Pooling, Task};
use crate::random::{self, Random, Rows, Weights};
use crate::reference::input::MISSING;

/// The shape of a model. Starts small and plain; the methods change one thing each.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The case's name, and the file's stem on a board.
    pub name: String,
    /// What it reads.
    pub input: InputRecipe,
    /// The layers' cells and widths.
    pub layers: Vec<(CellKind, usize)>,
    /// Fraction bits of every LSTM's cell state.
    pub cell_fraction: u8,
    /// The layers' shifts; where there is none, it is random.
    pub shifts: Vec<u8>,
    /// The head's shift; random if `None`.
    pub head_shift: Option<u8>,
    /// What the head sees.
    pub pooling: Pooling,
    /// What the outputs are.
    pub task: Task,
    /// How many.
    pub outputs: usize,
    /// Fraction bits of a regression.
    pub output_fraction: u8,
    /// How the rows are made.
    pub weights: Weights,
    /// The number of steps of every sequence.
    pub steps: Vec<usize>,
}

/// What a model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputRecipe {
    /// So many features, with this policy; raw numbers span up to 2^`raw_bits`.
    Features {
        /// How many.
        features: usize,
        /// What a missing number becomes.
        missing: Missing,
        /// How wide the raw numbers range.
        raw_bits: u32,
    },
    /// Tokens.
    Tokens {
        /// How many there are.
        vocabulary: usize,
        /// Width of the embedding.
        dimension: usize,
    },
}

impl Recipe {
    /// Three features, one layer, three classes.
    pub fn new(name: &str, cell: CellKind) -> Self {
        Self {
            name: name.to_owned(),
            input: InputRecipe::Features { features: 3, missing: Missing::Error, raw_bits: 12 },
            layers: vec![(cell, 5)],
            cell_fraction: 21,
            shifts: Vec::new(),
            head_shift: None,
            pooling: Pooling::Last,
            task: Task::Classification,
            outputs: 3,
            output_fraction: 16,
            weights: Weights::Plain,
            steps: vec![1, 7, 2, 40],
        }
    }

    /// So many features, with this policy.
    pub fn features(self, features: usize, missing: Missing) -> Self {
        Self { input: InputRecipe::Features { features, missing, raw_bits: 12 }, ..self }
    }

    /// Features whose raw numbers use all of int32.
    pub fn wide_features(self, features: usize, missing: Missing) -> Self {
        Self { input: InputRecipe::Features { features, missing, raw_bits: 31 }, ..self }
    }

    /// So many tokens, embedded in so many dimensions.
    pub fn tokens(self, vocabulary: usize, dimension: usize) -> Self {
        Self { input: InputRecipe::Tokens { vocabulary, dimension }, ..self }
    }

    /// Layers of these widths, of the cell given at first.
    pub fn hidden(self, widths: &[usize]) -> Self {
        let cell = self.layers[0].0;
        Self { layers: widths.iter().map(|&width| (cell, width)).collect(), ..self }
    }

    /// Fraction bits of the LSTM's cell.
    pub fn cell_fraction(self, cell_fraction: u8) -> Self {
        Self { cell_fraction, ..self }
    }

    /// The layers' shifts, from the first on.
    pub fn shifts(self, shifts: &[u8]) -> Self {
        Self { shifts: shifts.to_vec(), ..self }
    }

    /// The head's shift.
    pub fn head_shift(self, head_shift: u8) -> Self {
        Self { head_shift: Some(head_shift), ..self }
    }

    /// What the head sees.
    pub fn pooling(self, pooling: Pooling) -> Self {
        Self { pooling, ..self }
    }

    /// So many values with so many fraction bits.
    pub fn regression(self, outputs: usize, output_fraction: u8) -> Self {
        Self { task: Task::Regression, outputs, output_fraction, ..self }
    }

    /// How the rows are made.
    pub fn weights(self, weights: Weights) -> Self {
        Self { weights, ..self }
    }

    /// Sequences of these lengths.
    pub fn steps(self, steps: &[usize]) -> Self {
        Self { steps: steps.to_vec(), ..self }
    }

    /// The model, without golden vectors.
    pub fn model(&self, random: &mut Random) -> Model {
        let input = match self.input {
            InputRecipe::Features { features, missing, raw_bits } => Input::Features {
                fraction: random.between(0, 15) as u8,
                missing,
                scalers: (0..features).map(|_| random::scaler(random, raw_bits)).collect(),
            },
            InputRecipe::Tokens { vocabulary, dimension } => Input::Tokens {
                fraction: random.between(0, 15) as u8,
                embedding: random::embedding(random, self.weights, vocabulary, dimension),
            },
        };
        let mut width = input.width();
        let mut layers = Vec::new();
        for (index, &(_, hidden)) in self.layers.iter().enumerate() {
            layers.push(self.layer(random, index, width));
            width = hidden;
        }
        let shift = self.head_shift.unwrap_or_else(|| self.weights.shift(random));
        let (weights, bias) = random::head_rows(random, self.weights, (width, self.outputs), shift);
        let fraction = if self.task == Task::Classification { 16 } else { self.output_fraction };
        let head = Head { task: self.task, pooling: self.pooling, fraction, shift, weights, bias };
        let numbered = |what: &str, count: usize| (0..count).map(|index| format!("{what} {index}")).collect();
        let channels = match &input {
            Input::Features { scalers, .. } => numbered("channel", scalers.len()),
            Input::Tokens { embedding, .. } => numbered("token", embedding.rows.len()),
        };
        let labels = numbered("label", self.outputs);
        let (name, checkpoint) = (self.name.clone(), "0".repeat(64));
        Model { name, checkpoint, input, layers, head, channels, labels, golden: Vec::new() }
    }

    fn layer(&self, random: &mut Random, index: usize, width: usize) -> Layer {
        let (cell, hidden) = self.layers[index];
        let shift = self.shifts.get(index).copied().unwrap_or_else(|| self.weights.shift(random));
        let Rows { input, recurrent, bias, recurrent_bias } =
            random::rows(random, self.weights, (width, hidden), cell, shift);
        let cell_fraction = if cell == CellKind::Lstm { self.cell_fraction } else { 0 };
        Layer { cell, hidden, cell_fraction, shift, input, recurrent, bias, recurrent_bias }
    }
}

/// A raw sequence for a model: mostly within the scaler's range, sometimes at or beyond its ends, sometimes missing
/// (unless the model refuses that).
pub fn samples(random: &mut Random, model: &Model, steps: usize) -> Vec<Vec<i32>> {
    (0..steps).map(|_| sample(random, &model.input)).collect()
}

fn sample(random: &mut Random, input: &Input) -> Vec<i32> {
    match input {
        Input::Tokens { embedding, .. } => vec![random.between(0, embedding.rows.len() as i64 - 1) as i32],
        Input::Features { missing, scalers, .. } => scalers
            .iter()
            .map(|scaler| match random.between(0, 99) {
                0..=9 if *missing != Missing::Error => MISSING,
                10..=11 => scaler.min,
                12..=13 => scaler.max,
                14 => i32::MAX,
                15 => i32::MIN + 1,
                16 => scaler.min.saturating_sub(1).max(i32::MIN + 1),
                17 => scaler.max.saturating_add(1),
                _ => random.between(scaler.min.into(), scaler.max.into()) as i32,
            })
            .collect(),
    }
}
