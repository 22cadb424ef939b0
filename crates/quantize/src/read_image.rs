//! An [`IntegerModel`] out of an image: tiles become rows again.

use emberloop_image::{Image, Input, InputShape, Layer, Matrix, MissingPolicy, Multipliers, Requantizer, Tiles};

use crate::integer_model::{
    GoldenSequence, IntegerHead, IntegerInput, IntegerLayer, IntegerMatrix, IntegerModel, IntegerTable,
};

impl IntegerModel {
    /// Copies everything out of an image.
    pub fn of_image(image: &Image<'_>) -> Self {
        let header = image.header();
        let names = |text: &str| text.split('\n').map(String::from).collect();
        let input = match (header.input, image.input()) {
            (InputShape::Tokens { fraction, .. }, Input::Tokens { table }) => {
                IntegerInput::Tokens { fraction, table: IntegerTable::of_image(table) }
            }
            (InputShape::Features { fraction, .. } | InputShape::Tokens { fraction, .. }, input) => {
                let missing = match input {
                    Input::Features { missing, .. } => missing,
                    // `Image::parse` takes the input that the header announces.
                    Input::Tokens { .. } => MissingPolicy::Error,
                };
                IntegerInput::Features { fraction, missing, scalers: input.feature_scalers().collect() }
            }
        };
        let head = image.head();
        let outputs = usize::from(head.shape.outputs);
        let golden = image.golden().iter().map(|sequence| GoldenSequence {
            samples: sequence.samples().flatten().copied().collect(),
            outputs: sequence.expected().flatten().copied().collect(),
        });
        Self {
            name: header.name.into(),
            checkpoint: header.checkpoint.into(),
            channels: names(header.channels),
            labels: names(header.labels),
            input,
            layers: image.layers().map(|layer| IntegerLayer::of_image(&layer)).collect(),
            head: IntegerHead {
                shape: head.shape,
                weights: matrix(head.weights, head.multipliers, 0..outputs, Multipliers::input),
                bias: head.bias.iter().copied().take(outputs).collect(),
            },
            golden: golden.collect(),
        }
    }
}

impl IntegerLayer {
    /// Copies a layer out of an image.
    pub fn of_image(layer: &Layer<'_>) -> Self {
        let hidden = usize::from(layer.shape.hidden);
        let gates = layer.shape.cell.gate_count();
        let rows = (0..gates).flat_map(|gate| (0..hidden).map(move |unit| layer.row(gate, unit)));
        let bias = |row: usize| layer.bias.get(row).copied().unwrap_or(0);
        Self {
            shape: layer.shape,
            input: matrix(layer.input, layer.multipliers, rows.clone(), Multipliers::input),
            recurrent: matrix(layer.recurrent, layer.multipliers, rows.clone(), Multipliers::recurrent),
            bias: rows.map(bias).collect(),
            recurrent_bias: layer.recurrent_bias.iter().copied().take(hidden).collect(),
        }
    }
}

impl IntegerTable {
    fn of_image(matrix: Matrix<'_>) -> Self {
        Self {
            columns: matrix.columns,
            scales: matrix.scales.iter().map(|&word| Requantizer::from_word(word)).collect(),
            weights: matrix.weights.to_vec(),
        }
    }
}

/// These rows of a matrix in tiles.
fn matrix(
    tiles: Tiles<'_>,
    multipliers: &[u32],
    rows: impl Iterator<Item = usize> + Clone,
    multiplier: impl Fn(Multipliers) -> i32,
) -> IntegerMatrix {
    let word = |row: usize| Multipliers::from_word(multipliers.get(row).copied().unwrap_or(0));
    IntegerMatrix {
        columns: tiles.columns,
        multipliers: rows.clone().map(|row| multiplier(word(row)) as i16).collect(),
        weights: rows.flat_map(|row| tiles.row(row)).collect(),
    }
}
