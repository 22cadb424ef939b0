//! The quantized model with everything owned: what becomes an image, and what an image or a quantized safetensors file
//! becomes again.

use emberloop_image::{
    FeatureScaler, HeadShape, Image, Input, InputShape, LayerShape, Matrix, MissingPolicy, Requantizer,
};

/// A quantized model: the content of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerModel {
    /// The model's name.
    pub name: String,
    /// Hash of the checkpoint it was made from.
    pub checkpoint: String,
    /// Names of the input channels; for tokens, of their column.
    pub channels: Vec<String>,
    /// Labels of the classes, or names of the targets.
    pub labels: Vec<String>,
    /// How a sample becomes the first layer's input.
    pub input: IntegerInput,
    /// The recurrent layers, the one next to the input first.
    pub layers: Vec<IntegerLayer>,
    /// The head.
    pub head: IntegerHead,
    /// Raw inputs with the exact outputs.
    pub golden: Vec<GoldenSequence>,
}

/// How a sample becomes the first layer's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntegerInput {
    /// A scaler per feature.
    Features {
        /// Fraction bits of the scaled input.
        fraction: u8,
        /// What happens where a number is missing.
        missing: MissingPolicy,
        /// One per feature.
        scalers: Vec<FeatureScaler>,
    },
    /// An embedding table.
    Tokens {
        /// Fraction bits of the vectors.
        fraction: u8,
        /// `[vocabulary, dimension]`
        table: IntegerMatrix,
    },
}

/// An int8 matrix with one scale per row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerMatrix {
    /// Number of columns.
    pub columns: usize,
    /// One per row.
    pub scales: Vec<Requantizer>,
    /// `[rows, columns]`
    pub weights: Vec<i8>,
}

/// One recurrent layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerLayer {
    /// Cell, units, formats.
    pub shape: LayerShape,
    /// `[gates * hidden, inputs]`
    pub input: IntegerMatrix,
    /// `[gates * hidden, hidden]`
    pub recurrent: IntegerMatrix,
    /// `[gates * hidden]`, Q15.16.
    pub bias: Vec<i32>,
    /// GRU with reset-after: `[hidden]`, Q15.16. Other cells: empty.
    pub recurrent_bias: Vec<i32>,
}

/// The dense head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerHead {
    /// Outputs, task, pooling, format.
    pub shape: HeadShape,
    /// `[outputs, hidden]`
    pub weights: IntegerMatrix,
    /// `[outputs]`, in the outputs' format.
    pub bias: Vec<i32>,
}

/// One golden vector: raw samples and what they must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldenSequence {
    /// `[steps, width]`
    pub samples: Vec<i32>,
    /// `[steps, outputs]`
    pub outputs: Vec<i32>,
}

impl IntegerModel {
    /// Copies everything out of an image.
    pub fn of_image(image: &Image<'_>) -> Self {
        let header = image.header();
        let names = |text: &str| text.split('\n').map(String::from).collect();
        let input = match (header.input, image.input()) {
            (InputShape::Tokens { fraction, .. }, Input::Tokens { table }) => {
                IntegerInput::Tokens { fraction, table: IntegerMatrix::of_image(table) }
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
        let layers = image.layers().iter().map(|layer| IntegerLayer {
            shape: layer.shape,
            input: IntegerMatrix::of_image(layer.input),
            recurrent: IntegerMatrix::of_image(layer.recurrent),
            bias: layer.bias.to_vec(),
            recurrent_bias: layer.recurrent_bias.to_vec(),
        });
        let head = image.head();
        Self {
            name: header.name.into(),
            checkpoint: header.checkpoint.into(),
            channels: names(header.channels),
            labels: names(header.labels),
            input,
            layers: layers.collect(),
            head: IntegerHead {
                shape: head.shape,
                weights: IntegerMatrix::of_image(head.weights),
                bias: head.bias.to_vec(),
            },
            golden: image
                .golden()
                .iter()
                .map(|sequence| GoldenSequence {
                    samples: sequence.samples().flatten().copied().collect(),
                    outputs: sequence.expected().flatten().copied().collect(),
                })
                .collect(),
        }
    }

    /// Numbers per raw sample.
    pub fn raw_width(&self) -> usize {
        match &self.input {
            IntegerInput::Features { scalers, .. } => scalers.len(),
            IntegerInput::Tokens { .. } => 1,
        }
    }
}

impl IntegerMatrix {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Borrowed, as the image has it.
    pub(crate) fn of_image(matrix: Matrix<'_>) -> Self {
        Self {
            columns: matrix.columns,
            scales: matrix.scales.iter().map(|&word| Requantizer::from_word(word)).collect(),
            weights: matrix.weights.to_vec(),
        }
    }
}
