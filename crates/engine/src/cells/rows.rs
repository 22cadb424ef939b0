//! The rows of a layer, taken off tile by tile.

use emberloop_image::{Layer, TILE_ROWS};

use crate::kernel::{Product, Vector, tile_sums};

/// The tiles of a layer that have not been taken yet.
pub(super) struct Rows<'a> {
    input: &'a [i16],
    recurrent: &'a [i16],
    multipliers: &'a [u32],
    bias: &'a [i32],
    shift: u32,
    /// Values of a tile of `W` and of one of `U`.
    tile: [usize; 2],
}

/// A few of them, all for the same four units.
pub(super) struct Taken<'a> {
    input: &'a [i16],
    recurrent: &'a [i16],
    multipliers: &'a [u32],
    bias: &'a [i32],
    shift: u32,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(super) fn new(layer: &Layer<'a>) -> Self {
        let values = |columns: usize| 2 * columns.next_multiple_of(2);
        Self {
            input: layer.input.values,
            recurrent: layer.recurrent.values,
            multipliers: layer.multipliers,
            bias: layer.bias,
            shift: u32::from(layer.shape.shift),
            tile: [values(layer.input.columns), values(layer.recurrent.columns)],
        }
    }

    /// The next `tiles` tiles; `None` when there are no more.
    #[inline(always)]
    pub(super) fn take(&mut self, tiles: usize) -> Option<Taken<'a>> {
        let [input, recurrent] = self.tile;
        let (multipliers, bias);
        let (taken_input, taken_recurrent);
        (taken_input, self.input) = self.input.split_at_checked(tiles * input)?;
        (taken_recurrent, self.recurrent) = self.recurrent.split_at_checked(tiles * recurrent)?;
        (multipliers, self.multipliers) = self.multipliers.split_at_checked(tiles * TILE_ROWS)?;
        (bias, self.bias) = self.bias.split_at_checked(tiles * TILE_ROWS)?;
        Some(Taken { input: taken_input, recurrent: taken_recurrent, multipliers, bias, shift: self.shift })
    }
}

impl Taken<'_> {
    /// The pre-activations in Q15.16: `(S(W·x) + S(U·h) + b) · 2^k`.
    #[inline(always)]
    pub(super) fn sums<const TILES: usize>(&self, input: Vector<'_>, hidden: Vector<'_>) -> [[i32; 4]; TILES] {
        let mut sums = [[0; 4]; TILES];
        let input = Product { tiles: self.input, vector: input };
        let recurrent = Product { tiles: self.recurrent, vector: hidden };
        tile_sums(input, recurrent, self.multipliers, self.bias, self.shift, &mut sums);
        sums
    }

    /// Of the input alone: `(S(W·x) + b) · 2^k`.
    #[cfg(feature = "gru")]
    #[inline(always)]
    pub(super) fn input_sums(&self, input: Vector<'_>) -> [i32; 4] {
        let mut sums = [[0; 4]; 1];
        let input = Product { tiles: self.input, vector: input };
        tile_sums(input, Product::NONE, self.multipliers, self.bias, self.shift, &mut sums);
        let [sums] = sums;
        sums
    }

    /// Of the hidden state alone, with a bias of its own: `(S(U·h) + b') · 2^k`.
    #[cfg(feature = "gru")]
    #[inline(always)]
    pub(super) fn recurrent_sums(&self, hidden: Vector<'_>, bias: &[i32; 4]) -> [i32; 4] {
        let mut sums = [[0; 4]; 1];
        let recurrent = Product { tiles: self.recurrent, vector: hidden };
        tile_sums(Product::NONE, recurrent, self.multipliers, bias, self.shift, &mut sums);
        let [sums] = sums;
        sums
    }
}
