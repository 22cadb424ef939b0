//! Float networks of checkpoints, and of images with their integers turned back into floats.

use emberloop_cells::{Direction, RecurrentTensor, TensorName};
use emberloop_checkpoint::{Architecture, Checkpoint, Pooling};
use emberloop_image::{Image, Input, InputShape, limits};

use super::layer::FloatLayer;
use super::{Embedding, FloatHead, FloatNetwork};
use crate::QuantizeError;
use crate::dense::Dense;
use crate::integer_model::{IntegerLayer, IntegerMatrix, IntegerModel};

impl FloatNetwork {
    /// The model of a checkpoint. A regression's target scaler is folded into the head: outputs are in raw units.
    ///
    /// # Errors
    /// If the checkpoint is not valid, or bidirectional: an image runs sample by sample.
    pub fn new(checkpoint: &Checkpoint) -> Result<Self, QuantizeError> {
        checkpoint.validate()?;
        let architecture = &checkpoint.metadata.architecture;
        if architecture.bidirectional {
            return Err(QuantizeError::Unsupported {
                what: "architecture".into(),
                expected: "layers that read forwards".into(),
                found: "bidirectional layers, which need the whole window; an image runs sample by sample".into(),
            });
        }
        let embedding = architecture.embedding.map(|shape| Embedding {
            dimension: shape.dimension,
            table: values(checkpoint, Architecture::EMBEDDING_WEIGHT),
        });
        let layers = architecture.hidden.iter().enumerate().map(|(layer, &hidden)| FloatLayer {
            cell: architecture.cell,
            hidden,
            input_weights: recurrent(checkpoint, layer, RecurrentTensor::InputWeight).transposed(),
            recurrent_weights: recurrent(checkpoint, layer, RecurrentTensor::RecurrentWeight).transposed(),
            input_bias: recurrent(checkpoint, layer, RecurrentTensor::InputBias).values,
            recurrent_bias: recurrent(checkpoint, layer, RecurrentTensor::RecurrentBias).values,
        });
        let (weights, bias) = head(checkpoint);
        Ok(Self {
            embedding,
            layers: layers.collect(),
            head: FloatHead { weights: weights.transposed(), bias },
            pooling: architecture.pooling,
        })
    }

    /// What an image's integers stand for, in float: only the weights are rounded. Its input is the *scaled* input of
    /// the device, `x · 2^-n`; tokens have been looked up, so that its first layer reads their vectors.
    pub(crate) fn of_image(image: &Image<'_>) -> Self {
        let model = IntegerModel::of_image(image);
        let mut fraction = input_fraction(image);
        let mut layers = Vec::new();
        for layer in &model.layers {
            layers.push(float_layer(layer, fraction));
            fraction = 15;
        }
        let head = model.head;
        let to = i32::from(head.shape.fraction) - i32::from(head.shape.shift);
        let weights = dequantize(&head.weights, fraction, to);
        let bias = head.bias.iter().zip(&head.weights.multipliers);
        let bias = bias.map(|(&bias, &multiplier)| dequantize_bias(bias, to, &[multiplier]));
        let pooling = match head.shape.pooling {
            emberloop_image::Pooling::Last => Pooling::Last,
            emberloop_image::Pooling::Mean => Pooling::Mean,
            emberloop_image::Pooling::Every => Pooling::Every,
        };
        let head = FloatHead { weights: weights.transposed(), bias: bias.collect() };
        Self { embedding: None, layers, head, pooling }
    }
}

/// Fraction bits of the first layer's input.
pub(crate) fn input_fraction(image: &Image<'_>) -> i32 {
    match (image.header().input, image.input()) {
        (InputShape::Features { fraction, .. }, Input::Features { .. } | Input::Tokens { .. })
        | (InputShape::Tokens { fraction, .. }, _) => i32::from(fraction),
    }
}

fn float_layer(layer: &IntegerLayer, fraction: i32) -> FloatLayer {
    let to = i32::from(limits::PREACTIVATION_FRACTION) - i32::from(layer.shape.shift);
    let rows = layer.bias.len();
    let first_separate = rows - layer.recurrent_bias.len();
    let (mut input_bias, mut recurrent_bias) = (Vec::new(), Vec::new());
    for (row, &bias) in layer.bias.iter().enumerate() {
        let (input, recurrent) = (layer.input.multipliers[row], layer.recurrent.multipliers[row]);
        if let Some(unit) = row.checked_sub(first_separate) {
            input_bias.push(dequantize_bias(bias, to, &[input]));
            recurrent_bias.push(dequantize_bias(layer.recurrent_bias[unit], to, &[recurrent]));
        } else {
            input_bias.push(dequantize_bias(bias, to, &[input, recurrent]));
            recurrent_bias.push(0.0);
        }
    }
    FloatLayer {
        cell: layer.shape.cell,
        hidden: usize::from(layer.shape.hidden),
        input_weights: dequantize(&layer.input, fraction, to).transposed(),
        recurrent_weights: dequantize(&layer.recurrent, 15, to).transposed(),
        input_bias,
        recurrent_bias,
    }
}

/// `S` brings `2^-from` to `2^-to`: a weight of 1 stands for `m · 2^(from - to - 16)`.
fn dequantize(matrix: &IntegerMatrix, from: i32, to: i32) -> Dense {
    let rows = matrix.multipliers.iter().enumerate().flat_map(|(row, &multiplier)| {
        let scale = f64::from(multiplier) * exp2(from - to - 16);
        matrix.row(row).iter().map(move |&weight| f64::from(weight) * scale)
    });
    Dense { columns: matrix.columns, values: rows.collect() }
}

/// A bias without the halves that make up for the products' rounding down.
fn dequantize_bias(bias: i32, to: i32, multipliers: &[i16]) -> f64 {
    let halves = multipliers.iter().filter(|&&multiplier| multiplier != 0).count();
    (f64::from(bias) - 0.5 * halves as f64) * exp2(-to)
}

fn values(checkpoint: &Checkpoint, name: &str) -> Vec<f64> {
    // `validate` has seen every tensor.
    checkpoint.tensors[name].values.iter().map(|&value| f64::from(value)).collect()
}

/// A recurrent tensor of a valid checkpoint; a bias is one column.
pub(crate) fn recurrent(checkpoint: &Checkpoint, layer: usize, tensor: RecurrentTensor) -> Dense {
    let name = TensorName { layer, direction: Direction::Forward, tensor }.to_string();
    let columns = checkpoint.tensors[&name].shape.get(1).copied().unwrap_or(1);
    Dense { columns, values: values(checkpoint, &name) }
}

/// The head of a valid checkpoint, with a regression's target scaler folded in.
pub(crate) fn head(checkpoint: &Checkpoint) -> (Dense, Vec<f64>) {
    let mut weights = Dense {
        columns: checkpoint.metadata.architecture.head_inputs(),
        values: values(checkpoint, Architecture::HEAD_WEIGHT),
    };
    let mut bias = values(checkpoint, Architecture::HEAD_BIAS);
    if let Some(scaler) = &checkpoint.metadata.target_scaler {
        let columns = weights.columns;
        let rows = weights.values.chunks_exact_mut(columns).zip(&mut bias).zip(&scaler.features);
        for ((row, bias), feature) in rows {
            row.iter_mut().for_each(|weight| *weight *= feature.scale);
            *bias = *bias * feature.scale + feature.offset;
        }
    }
    (weights, bias)
}

/// The embedding table of a valid checkpoint.
pub(crate) fn embedding(checkpoint: &Checkpoint) -> Option<Dense> {
    let shape = checkpoint.metadata.architecture.embedding?;
    Some(Dense { columns: shape.dimension, values: values(checkpoint, Architecture::EMBEDDING_WEIGHT) })
}

/// `2^exponent`, exact.
pub(crate) fn exp2(exponent: i32) -> f64 {
    f64::from(exponent).exp2()
}
