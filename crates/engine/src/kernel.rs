//! Matrix times vector: where the time goes.
//!
//! [`portable`] is the definition; `arch` holds the same for the cores that gain from hand-written code, tested against
//! it bit for bit.

use emberloop_image::Multipliers;

use crate::arithmetic::multiply_shift_16;

#[cfg(any(kernel = "thumb1", kernel = "dsp", kernel = "helium"))]
pub(crate) use crate::arch::tile_sums;
#[cfg(not(any(kernel = "thumb1", kernel = "dsp", kernel = "helium")))]
pub(crate) use portable as tile_sums;

/// A vector of activations and what the kernels need to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    /// An even number of values; what lies beyond the last true one is 0.
    pub values: &'a [i16],
    /// Their sum: two rows share an int16 per column, the second one's weight plus 128, and this is what takes the 128
    /// out again (FORMAT §4.1).
    pub total: i32,
}

impl<'a> Vector<'a> {
    /// No activations: a product that is not there.
    pub const EMPTY: Vector<'static> = Vector { values: &[], total: 0 };

    /// Of `values`, an even number of them.
    #[inline(always)]
    pub fn new(values: &'a [i16]) -> Self {
        // At most 65,536 · 32,768 = 2^31, and the portable kernel does not use it.
        let total = values.iter().fold(0i32, |sum, &value| sum.wrapping_add(i32::from(value)));
        Self { values, total }
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

/// `sums[t][r] = (S(W·x) + S(U·h) + b) · 2^shift` for the four rows `r` of each tile `t` (NUMERICS §8).
///
/// `multipliers` and `bias` hold four words per tile. Nothing overflows for the rows of a parsed image (NUMERICS §4). Tiles
/// for which anything is missing are left as they are, which `Image::parse` excludes.
#[inline(always)]
pub fn portable(
    input: Product<'_>,
    recurrent: Product<'_>,
    multipliers: &[u32],
    bias: &[i32],
    shift: u32,
    sums: &mut [[i32; 4]],
) {
    let (multipliers, _) = multipliers.as_chunks::<4>();
    let (bias, _) = bias.as_chunks::<4>();
    let (mut input_tiles, mut recurrent_tiles) = (input.tiles, recurrent.tiles);
    for ((sums, multipliers), bias) in sums.iter_mut().zip(multipliers).zip(bias) {
        let input = input_product(&mut input_tiles, input.vector.values);
        let recurrent = recurrent_product(&mut recurrent_tiles, recurrent.vector.values);
        for (row, sum) in sums.iter_mut().enumerate() {
            let multipliers = Multipliers::from_word(multipliers[row]);
            let products = multiply_shift_16(input[row], multipliers.input())
                + multiply_shift_16(recurrent[row], multipliers.recurrent());
            *sum = (products + bias[row]) << shift;
        }
    }
}

/// Of the next tile. By two names, so that a profile can tell the two products apart.
#[inline(always)]
fn input_product(tiles: &mut &[i16], activations: &[i16]) -> [i32; 4] {
    tile(tiles, activations)
}

/// Of the next tile.
#[inline(always)]
fn recurrent_product(tiles: &mut &[i16], activations: &[i16]) -> [i32; 4] {
    tile(tiles, activations)
}

/// The accumulators of one tile's four rows, exactly.
#[inline(always)]
fn tile(tiles: &mut &[i16], activations: &[i16]) -> [i32; 4] {
    let mut sums = [0; 4];
    let Some((tile, rest)) = tiles.split_at_checked(2 * activations.len()) else { return sums };
    *tiles = rest;
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
    use emberloop_image::{Tiles, write_tile};
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
            let mut sums = [[0; 4]; 2];
            let input = Product { tiles: &w, vector: Vector::new(&x) };
            let recurrent = Product { tiles: &u, vector: Vector::new(&h) };
            portable(input, recurrent, &words, &bias, shift, &mut sums);
            for (row, &sum) in sums.as_flattened().iter().enumerate() {
                let (m, n) = multipliers[row];
                let exact = ((wx[row] * i64::from(m)) >> 16) + ((uh[row] * i64::from(n)) >> 16) + i64::from(bias[row]);
                prop_assert_eq!(i64::from(sum), exact << shift);
            }
        }
    }

    #[test]
    fn a_short_tile_is_left_alone() {
        let mut sums = [[7; 4]; 1];
        let product = Product { tiles: &[0; 3], vector: Vector::new(&[1, 2]) };
        portable(product, Product::NONE, &[1; 4], &[5; 4], 0, &mut sums);
        assert_eq!(sums, [[5; 4]]);
        assert_eq!(Tiles { columns: 2, values: &[0; 3] }.row(0).count(), 0);
    }
}
