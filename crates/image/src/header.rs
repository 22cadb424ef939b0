//! The postcard header: shapes and names.

use emberloop_cells::CellKind;
use serde::{Deserialize, Serialize};

use crate::error::Part;
use crate::{ImageError, limits};

/// Most recurrent layers of one image.
pub const MAX_LAYERS: usize = 8;

/// The header of an image (FORMAT §3), decoded with names borrowed from flash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Hash of the checkpoint this image was made of.
    pub checkpoint: &'a str,
    /// What a sample is.
    pub input: InputShape,
    /// The recurrent layers, the one next to the input first.
    pub layers: heapless::Vec<LayerShape, MAX_LAYERS>,
    /// The dense head.
    pub head: HeadShape,
    /// Names of the input channels, one a line.
    pub channels: &'a str,
    /// Classification: the labels in the order of the outputs, one a line. Regression: the targets' names.
    pub labels: &'a str,
}

/// What a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputShape {
    /// A vector of raw numbers, scaled on the device.
    Features {
        /// Numbers per sample.
        features: u16,
        /// Fraction bits of the scaled input (`n` of `Q(15-n).n`).
        fraction: u8,
        /// What happens where a number is missing.
        missing: MissingPolicy,
    },
    /// One token id, looked up in an embedding table.
    Tokens {
        /// Number of tokens; ids run from 0.
        vocabulary: u32,
        /// Length of a token's vector.
        dimension: u16,
        /// Fraction bits of the vectors.
        fraction: u8,
    },
}

/// What happens where a raw number is missing (NUMERICS §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissingPolicy {
    /// The step is refused and changes nothing.
    Error,
    /// The last valid number of that feature since the reset; before the first, the training mean.
    HoldLast,
    /// The training mean.
    Mean,
}

/// One recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerShape {
    /// Which cell.
    pub cell: CellKind,
    /// Number of units.
    pub hidden: u16,
    /// LSTM: fraction bits of the cell state, 18 to 24. Other cells: 0.
    pub cell_fraction: u8,
    /// `k`: a row's sum is in `Q(15+k).(16-k)`, and shifted left by `k` before the activation (NUMERICS §8).
    pub shift: u8,
    /// How the weights are stored.
    pub weights: WeightFormat,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightFormat {
    /// 8 bits, from -127 to 127, one scale per row.
    Int8,
}

/// The dense head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadShape {
    /// Number of outputs.
    pub outputs: u16,
    /// What the outputs mean.
    pub task: Task,
    /// What of the last layer's hidden states the head sees.
    pub pooling: Pooling,
    /// Fraction bits of the outputs; 16 for classification.
    pub fraction: u8,
    /// `k`: a row's sum is shifted left by so many bits to become the output (NUMERICS §7).
    pub shift: u8,
    /// How the weights are stored.
    pub weights: WeightFormat,
}

/// What the outputs mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// One logit per class.
    Classification,
    /// Values in the target's own unit.
    Regression,
}

/// What of the last layer's hidden states the head sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pooling {
    /// The current step; trained on the last step of each sequence.
    Last,
    /// The mean over the steps since the reset (NUMERICS §7).
    Mean,
    /// The current step; trained on every step.
    Every,
}

impl<'a> Header<'a> {
    /// Width of the vector that the first layer sees.
    pub fn input_width(&self) -> usize {
        match self.input {
            InputShape::Features { features, .. } => usize::from(features),
            InputShape::Tokens { dimension, .. } => usize::from(dimension),
        }
    }

    /// The label of an output, or the name of a regression target.
    pub fn label(&self, output: usize) -> Option<&'a str> {
        names(self.labels).nth(output)
    }

    /// Numbers per raw sample: the features, or one token.
    pub fn raw_width(&self) -> usize {
        match self.input {
            InputShape::Features { features, .. } => usize::from(features),
            InputShape::Tokens { .. } => 1,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ImageError> {
        let shape = |ok: bool, what: Part| if ok { Ok(()) } else { Err(ImageError::Shape { what }) };
        match self.input {
            InputShape::Features { features, fraction, missing: _ } => {
                shape(features > 0 && fraction <= 15 && lines(self.channels) == usize::from(features), Part::Input)?;
            }
            InputShape::Tokens { vocabulary, dimension, fraction } => {
                let fits = i32::try_from(vocabulary).is_ok();
                shape(vocabulary > 0 && fits && dimension > 0 && fraction <= 15, Part::Input)?;
            }
        }
        shape(!self.layers.is_empty(), Part::Layer(0))?;
        for (index, layer) in self.layers.iter().enumerate() {
            let fraction_ok = if layer.cell.has_cell_state() {
                (limits::CELL_FRACTION_MIN..=limits::CELL_FRACTION_MAX).contains(&layer.cell_fraction)
            } else {
                layer.cell_fraction == 0
            };
            let hidden_ok = (1..=limits::HIDDEN_MAX).contains(&layer.hidden);
            shape(hidden_ok && fraction_ok && layer.shift <= limits::SHIFT_MAX, Part::Layer(index as u8))?;
        }
        let fraction_ok = match self.head.task {
            Task::Classification => self.head.fraction == limits::PREACTIVATION_FRACTION,
            Task::Regression => self.head.fraction <= 30,
        };
        let outputs_ok = (1..=limits::OUTPUTS_MAX).contains(&self.head.outputs);
        shape(outputs_ok && fraction_ok && self.head.shift <= limits::SHIFT_MAX, Part::Head)?;
        shape(lines(self.labels) == usize::from(self.head.outputs), Part::Names)
    }
}

/// The names of a list of one a line. Not `str::split`, whose search keeps a bounds check that could panic.
pub(crate) fn names(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    core::iter::from_fn(move || {
        let list = rest?;
        let end = list.bytes().position(|byte| byte == b'\n');
        rest = end.and_then(|end| list.get(end + 1..));
        end.map_or(Some(list), |end| list.get(..end))
    })
}

/// Number of names in a list of one a line.
fn lines(list: &str) -> usize {
    names(list).count()
}
