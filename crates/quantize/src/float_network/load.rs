//! Float networks of checkpoints, and of images with their integers turned back into floats.

use emberloop_cells::{CellKind, Direction, RecurrentTensor, TensorName};
use emberloop_checkpoint::{Architecture, Checkpoint, Pooling};
use emberloop_image::{Image, Input, InputShape, Layer, Matrix};

use super::layer::FloatLayer;
use super::{Embedding, FloatHead, FloatNetwork};
use crate::QuantizeError;
use crate::dense::Dense;

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
        let mut fraction = input_fraction(image);
        let mut layers = Vec::new();
        for layer in image.layers() {
            layers.push(float_layer(layer, fraction));
            fraction = 15;
        }
        let head = image.head();
        let head_fraction = i32::from(head.shape.fraction);
        let weights = dequantize(head.weights, fraction, head_fraction);
        let bias = head.bias.iter().map(|&bias| f64::from(bias) * exp2(-head_fraction)).collect();
        let pooling = match head.shape.pooling {
            emberloop_image::Pooling::Last => Pooling::Last,
            emberloop_image::Pooling::Mean => Pooling::Mean,
            emberloop_image::Pooling::Every => Pooling::Every,
        };
        Self { embedding: None, layers, head: FloatHead { weights: weights.transposed(), bias }, pooling }
    }
}

/// Fraction bits of the first layer's input.
pub(crate) fn input_fraction(image: &Image<'_>) -> i32 {
    match (image.header().input, image.input()) {
        (InputShape::Features { fraction, .. }, Input::Features { .. } | Input::Tokens { .. })
        | (InputShape::Tokens { fraction, .. }, _) => i32::from(fraction),
    }
}

fn float_layer(layer: &Layer<'_>, fraction: i32) -> FloatLayer {
    let hidden = usize::from(layer.shape.hidden);
    let bias = |values: &[i32]| values.iter().map(|&bias| f64::from(bias) * exp2(-16)).collect::<Vec<_>>();
    let mut recurrent_bias = vec![0.0; layer.bias.len()];
    let separate = match layer.shape.cell {
        CellKind::GruResetAfter => 2 * hidden,
        CellKind::Rnn | CellKind::Lstm | CellKind::GruResetBefore => layer.bias.len(),
    };
    recurrent_bias[separate..].copy_from_slice(&bias(layer.recurrent_bias));
    FloatLayer {
        cell: layer.shape.cell,
        hidden,
        input_weights: dequantize(layer.input, fraction, 16).transposed(),
        recurrent_weights: dequantize(layer.recurrent, 15, 16).transposed(),
        input_bias: bias(layer.bias),
        recurrent_bias,
    }
}

/// `R` brings `2^-from` to `2^-to`: a weight of 1 stands for `factor · 2^(from - to)`.
fn dequantize(matrix: Matrix<'_>, from: i32, to: i32) -> Dense {
    let rows = matrix.rows().flat_map(|(weights, requantizer)| {
        let scale = requantizer.factor() * exp2(from - to);
        weights.iter().map(move |&weight| f64::from(weight) * scale)
    });
    Dense { columns: matrix.columns, values: rows.collect() }
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
