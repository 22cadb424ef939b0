//! Matrix times vector: where the time goes.
//!
//! [`PortableSums`] is the definition; `arch` holds the same for the cores that gain from hand-written code, tested
//! against it bit for bit.

use emberloop_image::{Multipliers, TILE_ROWS};

use crate::arithmetic::multiply_shift_16;

#[cfg(any(kernel = "thumb1", kernel = "dsp", kernel = "helium"))]
pub(crate) use crate::arch::Sums;
/// The kernel of this core.
#[cfg(not(any(kernel = "thumb1", kernel = "dsp", kernel = "helium")))]
pub(crate) use PortableSums as Sums;

/// A vector of activations.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    /// An even number of values; what lies beyond the last true one is 0.
    pub values: &'a [i16],
    /// How many are true: all, or all but the last.
    pub columns: usize,
}

impl<'a> Vector<'a> {
    /// No activations: a product that is not there.
    pub const EMPTY: Vector<'static> = Vector { values: &[], columns: 0 };

    /// Of `values`, an even number of them.
    #[inline(always)]
    pub fn new(values: &'a [i16]) -> Self {
        Self { values, columns: values.len() }
    }

    /// The first `columns` of `values`, and the 0 behind them where that is an odd number; `None` where there are not so
    /// many.
    #[inline(always)]
    pub(crate) fn first(values: &'a [i16], columns: usize) -> Option<Self> {
        Some(Self { columns, ..Self::new(values.get(..columns.next_multiple_of(2))?) })
    }
}

/// Tiles of weights (FORMAT §4.1) and the vector they are multiplied with.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// As many tiles as sums are asked for, each `2 · vector.values.len()` values.
    pub tiles: &'a [i16],
    /// The activations.
    pub vector: Vector<'a>,
}

impl Product<'_> {
    /// A product that is not there: 0.
    pub const NONE: Product<'static> = Product { tiles: &[], vector: Vector::EMPTY };
}

impl<'a> Product<'a> {
    /// The next tiles; nothing where there are not so many.
    #[inline(always)]
    fn take(&mut self, tiles: usize) -> &'a [i16] {
        let Some((taken, rest)) = self.tiles.split_at_checked(tiles * 2 * self.vector.values.len()) else { return &[] };
        self.tiles = rest;
        taken
    }
}

/// Most tiles of four units: the gates of a cell.
pub(crate) const GROUP: usize = 4;

/// The row sums of a layer, taken tile by tile.
#[derive(Clone, Copy, Debug)]
pub struct PortableSums<'a> {
    input: Product<'a>,
    recurrent: Product<'a>,
    multipliers: &'a [u32],
    bias: &'a [i32],
    shift: u32,
    input_part: [i32; 4],
    group: [[i32; 4]; GROUP],
}

impl<'a> PortableSums<'a> {
    /// All tiles that the two products have. Four multipliers and four biases belong to each.
    #[inline(always)]
    pub fn new(
        input: Product<'a>,
        recurrent: Product<'a>,
        multipliers: &'a [u32],
        bias: &'a [i32],
        shift: u32,
    ) -> Self {
        Self { input, recurrent, multipliers, bias, shift, input_part: [0; 4], group: [[0; 4]; GROUP] }
    }

    /// `sums[t][r] = (S(W·x) + S(U·h) + b) · 2^shift` for the four rows `r` of each of the next tiles `t` (NUMERICS §8).
    ///
    /// Nothing overflows for the rows of a parsed image (NUMERICS §4). What lies behind the last tile is left as it is;
    /// `Image::parse` sees to it that there are as many tiles as units need.
    #[inline(always)]
    pub fn next(&mut self, sums: &mut [[i32; 4]]) {
        for sums in sums {
            let (Some((multipliers, more_multipliers)), Some((bias, more_bias))) =
                (self.multipliers.split_first_chunk::<4>(), self.bias.split_first_chunk::<4>())
            else {
                return;
            };
            let input = input_product(self.input.take(1), self.input.vector.values);
            let recurrent = recurrent_product(self.recurrent.take(1), self.recurrent.vector.values);
            (self.multipliers, self.bias) = (more_multipliers, more_bias);
            for (row, sum) in sums.iter_mut().enumerate() {
                let multipliers = Multipliers::from_word(multipliers[row]);
                self.input_part[row] = multiply_shift_16(input[row], multipliers.input()) + bias[row];
                let recurrent = multiply_shift_16(recurrent[row], multipliers.recurrent());
                *sum = (self.input_part[row] + recurrent) << self.shift;
            }
        }
    }

    /// The sums of the next `N` tiles, at most four, and `S(W·x) + b` of the last of them, not shifted yet: GRUs with
    /// reset-after need the two products of their new gate apart.
    #[inline(always)]
    pub fn group<const N: usize>(&mut self) -> (&[[i32; 4]; N], &[i32; 4]) {
        const { assert!(N <= GROUP) };
        let mut group = self.group;
        self.next(&mut group[..N]);
        self.group = group;
        (self.group.first_chunk().unwrap_or(&[[0; 4]; N]), &self.input_part)
    }

    /// Passes over so many tiles, their multipliers and biases.
    #[inline(always)]
    pub fn skip(&mut self, tiles: usize) {
        self.input.take(tiles);
        self.recurrent.take(tiles);
        self.multipliers = self.multipliers.get(tiles * TILE_ROWS..).unwrap_or(&[]);
        self.bias = self.bias.get(tiles * TILE_ROWS..).unwrap_or(&[]);
    }
}

/// By two names, so that a profile can tell the two products apart.
#[inline(always)]
fn input_product(tile: &[i16], activations: &[i16]) -> [i32; 4] {
    accumulators(tile, activations)
}

#[inline(always)]
fn recurrent_product(tile: &[i16], activations: &[i16]) -> [i32; 4] {
    accumulators(tile, activations)
}

/// The accumulators of one tile's four rows, exactly.
#[inline(always)]
fn accumulators(tile: &[i16], activations: &[i16]) -> [i32; 4] {
    let mut sums = [0; 4];
    let (blocks, last) = activations.as_chunks::<8>();
    let (tile_blocks, tile_last) = tile.as_chunks::<16>();
    for (values, activations) in tile_blocks.iter().zip(blocks) {
        for (column, &activation) in activations.iter().enumerate() {
            accumulate(&mut sums, values[column], values[8 + column], activation);
        }
    }
    // At most seven columns are left, which are at most fourteen values: no block of sixteen among them.
    for (&[a0, a1, b0, b1], &[x0, x1]) in tile_last.as_chunks::<4>().0.iter().zip(last.as_chunks::<2>().0) {
        accumulate(&mut sums, a0, b0, x0);
        accumulate(&mut sums, a1, b1, x1);
    }
    sums
}

/// Adds one column: each value holds the weights of two rows.
#[inline(always)]
fn accumulate(sums: &mut [i32; 4], first: i16, second: i16, activation: i16) {
    let activation = i32::from(activation);
    sums[0] += i32::from(first >> 8) * activation;
    sums[1] += i32::from((first as u8 ^ 0x80) as i8) * activation;
    sums[2] += i32::from(second >> 8) * activation;
    sums[3] += i32::from((second as u8 ^ 0x80) as i8) * activation;
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use emberloop_image::write_tile;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// Tiles of `rows` and the wide sums of its rows with `x`.
    fn case(rows: &[Vec<i8>], x: &[i16]) -> (Vec<i16>, Vec<i64>) {
        let mut values = vec![0; rows.len() / 4 * 2 * x.len()];
        for (tile, rows) in values.chunks_mut((2 * x.len()).max(1)).zip(rows.chunks(4)) {
            write_tile(tile, x.len(), |row, column| rows[row][column]);
        }
        let sum = |row: &Vec<i8>| row.iter().zip(x).map(|(&w, &x)| i64::from(w) * i64::from(x)).sum();
        (values, rows.iter().map(sum).collect())
    }

    fn matrix(columns: usize) -> impl Strategy<Value = Vec<Vec<i8>>> {
        prop::collection::vec(prop::collection::vec(prop_oneof![Just(-127i8), Just(127), -127i8..=127], columns), 8)
    }

    fn vector(columns: usize) -> impl Strategy<Value = Vec<i16>> {
        prop::collection::vec(prop_oneof![Just(i16::MIN), Just(i16::MAX), any::<i16>()], columns)
    }

    proptest! {
        #[test]
        fn sums_are_the_wide_formula(
            (w, x, u, h) in (0usize..14, 0usize..22).prop_flat_map(|(inputs, units)| {
                (matrix(2 * inputs), vector(2 * inputs), matrix(2 * units), vector(2 * units))
            }),
            multipliers in prop::collection::vec((0..=i16::MAX, 0..=i16::MAX), 8),
            bias in prop::collection::vec(-100_000..100_000, 8),
            shift in 0u32..4,
        ) {
            let ((w, wx), (u, uh)) = (case(&w, &x), case(&u, &h));
            let words: Vec<u32> = multipliers.iter().map(|&(m, n)| Multipliers::new(m, n).word()).collect();
            let input = Product { tiles: &w, vector: Vector::new(&x) };
            let recurrent = Product { tiles: &u, vector: Vector::new(&h) };
            let mut source = PortableSums::new(input, recurrent, &words, &bias, shift);
            let (sums, input_part) = source.group::<2>();
            let sums = *sums;
            let input_part = input_part.map(i64::from).to_vec();
            let expected: Vec<i64> = (4..8).map(|row| ((wx[row] * i64::from(multipliers[row].0)) >> 16) + i64::from(bias[row])).collect();
            prop_assert_eq!(input_part, expected);
            for (row, &sum) in sums.as_flattened().iter().enumerate() {
                let (m, n) = multipliers[row];
                let exact = ((wx[row] * i64::from(m)) >> 16) + ((uh[row] * i64::from(n)) >> 16) + i64::from(bias[row]);
                prop_assert_eq!(i64::from(sum), exact << shift);
            }
        }
    }

    #[test]
    fn tiles_are_skipped_with_their_multipliers_and_biases() {
        let (tiles, _) = case(&(0..12).map(|row| vec![row; 2]).collect::<Vec<_>>(), &[1, 1]);
        let product = Product { tiles: &tiles, vector: Vector::new(&[256, 256]) };
        let multipliers: Vec<u32> = (0..12).map(|row| 128 * (1 + row / 4)).collect();
        let mut sums =
            PortableSums::new(product, Product::NONE, &multipliers, &[0, 0, 0, 0, 1, 1, 1, 1, 9, 9, 9, 9], 0);
        let mut out = [[7; 4]; 1];
        sums.skip(2);
        sums.next(&mut out);
        // Rows 8 to 11 with a multiplier of 384 (512 · 384 / 2^16 = 3) and the third tile's biases.
        assert_eq!(out, [[8, 9, 10, 11].map(|row| 3 * row + 9)]);
        sums.next(&mut out);
        assert_eq!(out, [[8, 9, 10, 11].map(|row| 3 * row + 9)], "behind the last tile nothing is written");
    }
}
