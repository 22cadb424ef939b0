//! The shape of a model, and from it the name and shape of every tensor.

use emberloop_cells::{CellKind, Direction, RecurrentTensor, TensorName};
use emberloop_data::Task;
use serde::{Deserialize, Serialize};

/// No dimension of a model for a microcontroller comes near this; it keeps every product of two well inside 64 bits.
const LARGEST_DIMENSION: usize = 1 << 24;

/// What a checkpoint's tensors form together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The cell of every recurrent layer.
    pub cell: CellKind,
    /// Width of the first recurrent layer's input: the channels, or the embedding's dimension.
    pub inputs: usize,
    /// The table in front of the first layer, for token inputs.
    pub embedding: Option<EmbeddingShape>,
    /// Units of each recurrent layer, the one next to the input first.
    pub hidden: Vec<usize>,
    /// Whether each layer also reads the sequence backwards.
    pub bidirectional: bool,
    /// What the head sees.
    pub pooling: Pooling,
    /// Rows of the head: classes, or regression targets.
    pub outputs: usize,
    /// What the head's numbers mean.
    pub task: Task,
    /// Dropout probability between layers and before the head, in training only.
    pub dropout: f64,
}

/// The shape of an embedding table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingShape {
    /// Number of tokens, the unknown one included.
    pub vocabulary: usize,
    /// Numbers per token.
    pub dimension: usize,
}

/// Which steps' hidden states reach the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The last valid step's.
    Last,
    /// The mean over all valid steps.
    Mean,
    /// Each step's by itself: one output per step.
    Every,
}

/// One tensor that an architecture asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// The name in the file, PyTorch's for recurrent layers.
    pub name: String,
    /// The dimensions, row-major.
    pub shape: Vec<usize>,
}

impl Architecture {
    /// Name of the embedding table, `[vocabulary, dimension]`.
    pub const EMBEDDING_WEIGHT: &'static str = "embedding.weight";
    /// Name of the head's matrix, `[outputs, head_inputs()]`.
    pub const HEAD_WEIGHT: &'static str = "head.weight";
    /// Name of the head's bias, `[outputs]`.
    pub const HEAD_BIAS: &'static str = "head.bias";

    /// The directions in which each layer reads.
    pub fn directions(&self) -> &'static [Direction] {
        if self.bidirectional { &[Direction::Forward, Direction::Reverse] } else { &[Direction::Forward] }
    }

    /// Width of what layer `layer` reads: the model's inputs, or all directions of the layer below.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn layer_inputs(&self, layer: usize) -> usize {
        match layer.checked_sub(1) {
            None => self.inputs,
            Some(below) => self.hidden[below] * self.directions().len(),
        }
    }

    /// Width of what the head reads: all directions of the last layer.
    pub fn head_inputs(&self) -> usize {
        self.hidden.last().map_or(0, |units| units * self.directions().len())
    }

    /// Every tensor of the model: embedding, layers from the input up (forward before reverse), head.
    pub fn tensors(&self) -> Vec<TensorShape> {
        let mut tensors = Vec::new();
        if let Some(EmbeddingShape { vocabulary, dimension }) = self.embedding {
            tensors.push(TensorShape { name: Self::EMBEDDING_WEIGHT.into(), shape: vec![vocabulary, dimension] });
        }
        for (layer, &units) in self.hidden.iter().enumerate() {
            for &direction in self.directions() {
                for tensor in RecurrentTensor::ALL {
                    let (rows, columns) = tensor.shape(self.cell, self.layer_inputs(layer), units);
                    let name = TensorName { layer, direction, tensor }.to_string();
                    tensors.push(TensorShape { name, shape: [rows].into_iter().chain(columns).collect() });
                }
            }
        }
        tensors.push(TensorShape { name: Self::HEAD_WEIGHT.into(), shape: vec![self.outputs, self.head_inputs()] });
        tensors.push(TensorShape { name: Self::HEAD_BIAS.into(), shape: vec![self.outputs] });
        tensors
    }

    /// Number of trained parameters (CELLS.md has the formula).
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }

    /// Finds what no model can be, before a size is computed from it: `(what, expected, found)`.
    pub(crate) fn flaw(&self) -> Option<(String, String, String)> {
        let mut dimensions = vec![("inputs".to_string(), self.inputs), ("outputs".to_string(), self.outputs)];
        dimensions.extend(self.hidden.iter().enumerate().map(|(layer, &units)| (format!("hidden[{layer}]"), units)));
        if let Some(embedding) = self.embedding {
            dimensions.push(("embedding.vocabulary".to_string(), embedding.vocabulary));
            dimensions.push(("embedding.dimension".to_string(), embedding.dimension));
        }
        for (what, size) in dimensions {
            if !(1..=LARGEST_DIMENSION).contains(&size) {
                return Some((what, format!("1 to {LARGEST_DIMENSION}"), size.to_string()));
            }
        }
        if self.hidden.is_empty() {
            return Some(("hidden".into(), "at least one layer".into(), "none".into()));
        }
        if let Some(embedding) = self.embedding
            && embedding.dimension != self.inputs
        {
            let expected = format!("the embedding's dimension, {}", embedding.dimension);
            return Some(("inputs".into(), expected, self.inputs.to_string()));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Some(("dropout".into(), "at least 0 and below 1".into(), self.dropout.to_string()));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture(cell: CellKind) -> Architecture {
        Architecture {
            cell,
            inputs: 4,
            embedding: None,
            hidden: vec![5, 3],
            bidirectional: false,
            pooling: Pooling::Last,
            outputs: 2,
            task: Task::Classification,
            dropout: 0.0,
        }
    }

    fn names_and_shapes(architecture: &Architecture) -> Vec<(String, Vec<usize>)> {
        architecture.tensors().into_iter().map(|tensor| (tensor.name, tensor.shape)).collect()
    }

    #[test]
    fn a_stacked_gru_has_pytorchs_names_and_shapes() {
        let expected: Vec<(String, Vec<usize>)> = [
            ("rnn.weight_ih_l0", vec![15, 4]),
            ("rnn.weight_hh_l0", vec![15, 5]),
            ("rnn.bias_ih_l0", vec![15]),
            ("rnn.bias_hh_l0", vec![15]),
            ("rnn.weight_ih_l1", vec![9, 5]),
            ("rnn.weight_hh_l1", vec![9, 3]),
            ("rnn.bias_ih_l1", vec![9]),
            ("rnn.bias_hh_l1", vec![9]),
            ("head.weight", vec![2, 3]),
            ("head.bias", vec![2]),
        ]
        .map(|(name, shape)| (name.to_string(), shape))
        .into();
        assert_eq!(names_and_shapes(&architecture(CellKind::GruResetAfter)), expected);
    }

    #[test]
    fn a_bidirectional_model_with_embedding_doubles_what_the_next_layer_reads() {
        let mut architecture = architecture(CellKind::Lstm);
        architecture.bidirectional = true;
        architecture.embedding = Some(EmbeddingShape { vocabulary: 30, dimension: 4 });
        let tensors = names_and_shapes(&architecture);
        assert_eq!(tensors[0], ("embedding.weight".to_string(), vec![30, 4]));
        assert!(tensors.contains(&("rnn.weight_hh_l0_reverse".to_string(), vec![20, 5])));
        assert!(tensors.contains(&("rnn.weight_ih_l1_reverse".to_string(), vec![12, 10])));
        assert!(tensors.contains(&("head.weight".to_string(), vec![2, 6])));
        assert_eq!(tensors.len(), 1 + 2 * 2 * 4 + 2);
    }

    /// CELLS.md: per layer and direction gates * units * (inputs + units + 2); head outputs * (features + 1).
    #[test]
    fn parameters_follow_the_formula() {
        for (cell, gates) in
            [(CellKind::Rnn, 1), (CellKind::Lstm, 4), (CellKind::GruResetAfter, 3), (CellKind::GruResetBefore, 3)]
        {
            let expected = gates * 5 * (4 + 5 + 2) + gates * 3 * (5 + 3 + 2) + 2 * (3 + 1);
            assert_eq!(architecture(cell).parameters(), expected, "{}", cell.name());
        }
    }

    #[test]
    fn what_no_model_can_be_is_named() {
        let named = |change: fn(&mut Architecture)| {
            let mut architecture = architecture(CellKind::Rnn);
            change(&mut architecture);
            architecture.flaw().map(|(what, ..)| what)
        };
        assert_eq!(named(|_| ()), None);
        assert_eq!(named(|a| a.hidden.clear()).as_deref(), Some("hidden"));
        assert_eq!(named(|a| a.hidden[1] = 0).as_deref(), Some("hidden[1]"));
        assert_eq!(named(|a| a.inputs = usize::MAX).as_deref(), Some("inputs"));
        assert_eq!(named(|a| a.outputs = 0).as_deref(), Some("outputs"));
        assert_eq!(named(|a| a.dropout = f64::NAN).as_deref(), Some("dropout"));
        let embedding = |a: &mut Architecture| a.embedding = Some(EmbeddingShape { vocabulary: 9, dimension: 5 });
        assert_eq!(named(embedding).as_deref(), Some("inputs"));
    }
}
