//! The intermediates of a step, kept so that a difference names its stage.

use std::fmt;

/// Everything a step computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The scaled or embedded input `x`.
    pub input: Vec<i64>,
    /// The layers in order.
    pub layers: Vec<LayerTrace>,
    /// What the head saw.
    pub pooled: Vec<i64>,
    /// The outputs.
    pub outputs: Vec<i64>,
}

/// Everything a layer computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerTrace {
    /// One per unit.
    pub units: Vec<UnitTrace>,
}

/// Everything a unit computed, in the order in which it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitTrace {
    /// Name and value of every number on the way.
    pub stages: Vec<(Stage, i64)>,
    /// The carried cell state `c` (LSTM) or memory `H` (GRU); `None` for an RNN.
    pub memory: Option<i64>,
    /// The hidden state `h`.
    pub hidden: i64,
}

/// What a number of a [`UnitTrace`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The accumulator `W·x` of the named gate.
    Input(&'static str),
    /// The accumulator `U·h` of the named gate.
    Recurrent(&'static str),
    /// A row sum `t` of the named gate. The new gate of a GRU with reset-after has two: `W`'s, then `U`'s.
    Sum(&'static str),
    /// The pre-activation of the named gate, Q15.16.
    PreActivation(&'static str),
    /// A sigmoid of the named gate, Q0.15.
    Sigmoid(&'static str),
    /// A tanh of the named gate, Q0.15.
    Tanh(&'static str),
}

impl Stage {
    /// The row of NUMERICS §1 that bounds it.
    pub fn format_row(self) -> &'static str {
        match self {
            Stage::Input(_) | Stage::Recurrent(_) => "accumulator",
            Stage::Sum(_) => "row sum `t`",
            Stage::PreActivation(_) => "pre-activation",
            Stage::Sigmoid(_) => "sigmoid gate",
            Stage::Tanh(_) => "tanh value",
        }
    }
}

impl UnitTrace {
    /// The value of a stage: the first, where there are several.
    pub fn value(&self, stage: Stage) -> Option<i64> {
        self.stages.iter().find(|found| found.0 == stage).map(|found| found.1)
    }
}

impl fmt::Display for UnitTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (stage, value) in &self.stages {
            match stage {
                Stage::Input(gate) => write!(f, "W·x({gate})={value} ")?,
                Stage::Recurrent(gate) => write!(f, "U·h({gate})={value} ")?,
                Stage::Sum(gate) => write!(f, "t({gate})={value} ")?,
                Stage::PreActivation(gate) => write!(f, "p({gate})={value} ")?,
                Stage::Sigmoid(gate) => write!(f, "sigmoid({gate})={value} ")?,
                Stage::Tanh(gate) => write!(f, "tanh({gate})={value} ")?,
            }
        }
        if let Some(memory) = self.memory {
            write!(f, "memory={memory} ")?;
        }
        write!(f, "h={}", self.hidden)
    }
}
