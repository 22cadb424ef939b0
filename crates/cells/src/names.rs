//! PyTorch's tensor names and shapes.

use core::fmt;

use crate::CellKind;

/// The direction in which a layer reads the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// First step to last.
    Forward,
    /// Last step to first (the second half of a bidirectional layer).
    Reverse,
}

/// One of the four tensors of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecurrentTensor {
    /// `[gates * hidden, inputs]`
    InputWeight,
    /// `[gates * hidden, hidden]`
    RecurrentWeight,
    /// `[gates * hidden]`, added to the input product
    InputBias,
    /// `[gates * hidden]`, added to the recurrent product
    RecurrentBias,
}

impl RecurrentTensor {
    /// All four, in PyTorch's order.
    pub const ALL: [RecurrentTensor; 4] = [
        RecurrentTensor::InputWeight,
        RecurrentTensor::RecurrentWeight,
        RecurrentTensor::InputBias,
        RecurrentTensor::RecurrentBias,
    ];

    /// Rows and, for a matrix, columns of the tensor. A bias has no columns.
    pub const fn shape(self, cell: CellKind, inputs: usize, hidden: usize) -> (usize, Option<usize>) {
        let rows = cell.gate_count() * hidden;
        match self {
            RecurrentTensor::InputWeight => (rows, Some(inputs)),
            RecurrentTensor::RecurrentWeight => (rows, Some(hidden)),
            RecurrentTensor::InputBias | RecurrentTensor::RecurrentBias => (rows, None),
        }
    }
}

/// The name of a recurrent tensor in a checkpoint; prints as `rnn.weight_ih_l0` or `rnn.bias_hh_l1_reverse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TensorName {
    /// Counted from 0, the layer next to the input.
    pub layer: usize,
    /// Which half of a bidirectional layer; `Forward` for all others.
    pub direction: Direction,
    /// Which of the four tensors.
    pub tensor: RecurrentTensor,
}

impl fmt::Display for TensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stem = match self.tensor {
            RecurrentTensor::InputWeight => "weight_ih",
            RecurrentTensor::RecurrentWeight => "weight_hh",
            RecurrentTensor::InputBias => "bias_ih",
            RecurrentTensor::RecurrentBias => "bias_hh",
        };
        let suffix = match self.direction {
            Direction::Forward => "",
            Direction::Reverse => "_reverse",
        };
        write!(f, "rnn.{stem}_l{}{suffix}", self.layer)
    }
}
