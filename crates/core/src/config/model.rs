//! `[model]`: the network.

use emberloop_cells::CellKind;
use emberloop_checkpoint::Pooling;
use emberloop_data::{DataConfig, TargetPer};
use serde::{Deserialize, Serialize};

use super::{Problem, first_problem};

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// `"rnn"`, `"lstm"` or `"gru"` (default).
    pub cell: CellName,
    /// GRU only: the reset gate acts after the recurrent product (default; PyTorch, cuDNN, Keras 2 and later) or before
    /// it (the original paper).
    pub reset_after: bool,
    /// Units of each recurrent layer, the one next to the input first. Default `[32]`.
    pub hidden: Vec<usize>,
    /// Probability with which a feature is dropped in training, between layers and before the head. Default 0.
    pub dropout: f64,
    /// Whether each layer also reads the sequence backwards; for whole windows, not for streams. Default false.
    pub bidirectional: bool,
    /// For token inputs. Default `{ dimension = 16 }`.
    pub embedding: EmbeddingConfig,
    /// What the head sees: `"last"` step (default), `"mean"` over steps, or `"every"` step (default where targets are per
    /// step).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Pooling>,
}

/// The cells by their names in a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellName {
    /// Elman network with tanh.
    Rnn,
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    #[default]
    Gru,
}

/// `[model.embedding]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Numbers per token.
    pub dimension: usize,
}

impl Default for EmbeddingConfig {
    fn default() -> Self {
        Self { dimension: 16 }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            cell: CellName::default(),
            reset_after: true,
            hidden: vec![32],
            dropout: 0.0,
            bidirectional: false,
            embedding: EmbeddingConfig::default(),
            head: None,
        }
    }
}

impl ModelConfig {
    /// The cell that `cell` and `reset_after` name together.
    pub fn cell_kind(&self) -> CellKind {
        match (self.cell, self.reset_after) {
            (CellName::Rnn, _) => CellKind::Rnn,
            (CellName::Lstm, _) => CellKind::Lstm,
            (CellName::Gru, true) => CellKind::GruResetAfter,
            (CellName::Gru, false) => CellKind::GruResetBefore,
        }
    }

    /// The head, given what the targets belong to.
    pub fn pooling(&self, target_per: TargetPer) -> Pooling {
        self.head.unwrap_or(match target_per {
            TargetPer::Sequence => Pooling::Last,
            TargetPer::Step => Pooling::Every,
        })
    }

    pub(super) fn problem(&self, data: &DataConfig) -> Option<Problem> {
        let every = self.pooling(data.target_per) == Pooling::Every;
        first_problem(&[
            (!self.hidden.is_empty(), "model.hidden", "at least one layer, as in [32]", "[]".into()),
            (
                self.hidden.iter().all(|units| (1..=4096).contains(units)),
                "model.hidden",
                "1 to 4096 units in each layer",
                format!("{:?}", self.hidden),
            ),
            ((0.0..1.0).contains(&self.dropout), "model.dropout", "at least 0 and below 1", self.dropout.to_string()),
            (
                (1..=4096).contains(&self.embedding.dimension),
                "model.embedding.dimension",
                "1 to 4096",
                self.embedding.dimension.to_string(),
            ),
            (
                self.reset_after || self.cell == CellName::Gru,
                "model.reset_after",
                "no such key unless cell = \"gru\"",
                "false".into(),
            ),
            (
                every == (data.target_per == TargetPer::Step),
                "model.head",
                match data.target_per {
                    TargetPer::Step => "\"every\", as data.target_per is \"step\"",
                    TargetPer::Sequence => "\"last\" or \"mean\", as data.target_per is \"sequence\"",
                },
                format!("{:?}", self.pooling(data.target_per)).to_lowercase(),
            ),
        ])
    }
}
