//! How a network's RAM is cut up.

use crate::{Header, LayerShape, Pooling, TILE_ROWS};
use emberloop_cells::CellKind;

/// Words of 32 bits of each part of a network's memory, in this order (FORMAT §5). The first two parts are the state
/// that `save` and `restore` carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The scaled input, int16; kept between steps for [`crate::MissingPolicy::HoldLast`].
    pub input: usize,
    /// The layers' states, and for mean pooling the sums and the number of steps.
    pub state: usize,
    /// The outputs of the last step, rounded up to four.
    pub outputs: usize,
    /// Scratch of one layer at a time.
    pub scratch: usize,
}

impl MemoryPlan {
    /// The plan for an image of this header.
    pub fn new(header: &Header<'_>) -> Self {
        let last_hidden = header.layers.last().map_or(0, |layer| padded(usize::from(layer.hidden)));
        let mut state = 0;
        let mut scratch = 0;
        for layer in &header.layers {
            let hidden = padded(usize::from(layer.hidden));
            state += layer.state_words();
            scratch = scratch.max(scratch_words(layer.cell, hidden));
        }
        if header.head.pooling == Pooling::Mean {
            state += last_hidden + 1;
            scratch = scratch.max(half_words(last_hidden));
        }
        Self {
            input: half_words(header.input_width()),
            state,
            outputs: padded(usize::from(header.head.outputs)),
            scratch,
        }
    }

    /// All of it.
    pub fn words(&self) -> usize {
        self.input + self.state + self.outputs + self.scratch
    }

    /// The words that `save` and `restore` carry.
    pub fn saved_words(&self) -> usize {
        self.input + self.state
    }
}

/// Units and outputs are computed four at a time.
const fn padded(n: usize) -> usize {
    n.next_multiple_of(TILE_ROWS)
}

/// Words that hold `n` values of 16 bits.
const fn half_words(n: usize) -> usize {
    n.div_ceil(2)
}

impl LayerShape {
    /// Words of the layer's state, its units rounded up to four. LSTM: cell int32, hidden int16. GRU: hidden int32 and its
    /// int16 rounding. RNN: hidden int16.
    pub fn state_words(&self) -> usize {
        let hidden = padded(usize::from(self.hidden));
        match self.cell {
            CellKind::Rnn => half_words(hidden),
            CellKind::Lstm | CellKind::GruResetAfter | CellKind::GruResetBefore => hidden + half_words(hidden),
        }
    }
}

/// Words a layer needs while it computes: the new hidden state must not overwrite the old one before every row has
/// read it (GRUs keep the new one in their int32 state; reset-before needs the reset hidden state).
fn scratch_words(cell: CellKind, hidden: usize) -> usize {
    match cell {
        CellKind::Rnn | CellKind::Lstm | CellKind::GruResetBefore => half_words(hidden),
        CellKind::GruResetAfter => 0,
    }
}
