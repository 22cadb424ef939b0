//! Sizes that the kernels compute with.

use crate::Layer;

/// Units are held in panels of this many, the last one padded with units whose weights are zero. It is the same with all
/// instruction sets, and so is the order of all sums.
pub(crate) const PANEL: usize = 16;

/// A layer and one chunk of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    /// `hidden`, rounded up to whole panels.
    pub(crate) padded: usize,
    /// Sequences in the chunk.
    pub(crate) rows: usize,
}

impl Shape {
    pub(crate) fn new(layer: Layer, rows: usize) -> Self {
        let padded = layer.hidden.next_multiple_of(PANEL);
        Self { inputs: layer.inputs, hidden: layer.hidden, padded, rows }
    }

    pub(crate) fn panels(self) -> usize {
        self.padded / PANEL
    }

    /// Numbers of one step's input.
    pub(crate) fn values(self) -> usize {
        self.rows * self.inputs
    }

    /// Numbers of one step's hidden or cell state.
    pub(crate) fn state(self) -> usize {
        self.rows * self.padded
    }

    /// Numbers that one step keeps.
    pub(crate) fn kept_len(self, vectors: usize) -> usize {
        self.rows * self.padded * vectors
    }

    /// Where vector 0 of `row` and the unit `unit` stands in what a step keeps: `[panel][row][vectors][PANEL]`. This layout keeps what
    /// one tile writes, and what one product reads, together: with rows of 1 or 2 KB all rows would compete for the same places
    /// of the first-level cache.
    #[inline(always)]
    pub(crate) fn kept(self, vectors: usize, row: usize, unit: usize) -> usize {
        ((unit / PANEL) * self.rows + row) * vectors * PANEL + unit % PANEL
    }
}
