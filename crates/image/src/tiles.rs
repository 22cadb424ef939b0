//! Weights as they lie in the image: two rows share one int16 per column (FORMAT §4.1).

/// Rows of one tile: the kernels' unit of work.
pub const TILE_ROWS: usize = 4;
/// Columns of one full block of a tile.
const BLOCK: usize = 8;

/// An int8 matrix in tiles.
#[derive(Clone, Copy, Debug)]
pub struct Tiles<'a> {
    /// Number of columns.
    pub columns: usize,
    /// The tiles, one after the other; each `2 · columns` values, the columns rounded up to a multiple of 2.
    pub values: &'a [i16],
}

impl<'a> Tiles<'a> {
    /// Words of 32 bits of `rows` rows, a multiple of four.
    #[inline(always)]
    pub(crate) fn words(rows: usize, columns: usize) -> usize {
        // Four rows of two columns are two words. At most 2^14 tiles (a header has at most `limits::HIDDEN_MAX` units) of
        // 2^16 columns, which fits 32 bits.
        rows / TILE_ROWS * padded(columns)
    }

    #[inline(always)]
    pub(crate) fn new(columns: usize, words: &'a [u32]) -> Self {
        Self { columns, values: bytemuck::cast_slice(words) }
    }

    /// The weights of a row, counted in the order of the tiles; nothing beyond the last.
    pub fn row(&self, row: usize) -> impl Iterator<Item = i8> + Clone + use<'a> {
        self.padded_row(row).take(self.columns)
    }

    /// A row and its padding column, where there is one.
    pub(crate) fn padded_row(&self, row: usize) -> impl Iterator<Item = i8> + Clone + use<'a> {
        let columns = padded(self.columns);
        let start = row / TILE_ROWS * 2 * columns;
        let tile = self.values.get(start..).and_then(|values| values.get(..2 * columns)).unwrap_or(&[]);
        let columns = if tile.is_empty() { 0 } else { columns };
        let (pair, first) = (row % TILE_ROWS / 2, row.is_multiple_of(2));
        (0..columns).map(move |column| {
            let value = tile.get(offset(columns, pair, column)).copied().unwrap_or(0);
            if first { (value >> 8) as i8 } else { (value as u8 ^ 0x80) as i8 }
        })
    }
}

/// Columns rounded up to a multiple of 2: a word holds two.
pub(crate) const fn padded(columns: usize) -> usize {
    columns + columns % 2
}

/// Where a pair's value for a column lies within its tile.
pub(crate) const fn offset(columns: usize, pair: usize, column: usize) -> usize {
    let (block, within) = (column / BLOCK, column % BLOCK);
    if column < columns / BLOCK * BLOCK {
        block * 2 * BLOCK + pair * BLOCK + within
    } else {
        block * 2 * BLOCK + within / 2 * 4 + pair * 2 + within % 2
    }
}

/// Writes one tile: `weight(row, column)` gives the weights of its four rows, 0 where there is none. `tile` has
/// `2 · columns` values, the columns rounded up to a multiple of 2.
pub fn write_tile(tile: &mut [i16], columns: usize, weight: impl Fn(usize, usize) -> i8) {
    let padded = padded(columns);
    for pair in 0..TILE_ROWS / 2 {
        for column in 0..padded {
            let of = |row| if column < columns { i16::from(weight(row, column)) } else { 0 };
            if let Some(value) = tile.get_mut(offset(padded, pair, column)) {
                *value = 256 * of(2 * pair) + 128 + of(2 * pair + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn every_place_of_a_tile_is_used_once() {
        for columns in [2, 4, 6, 8, 10, 14, 16, 18, 32, 42] {
            let mut seen = vec![false; 2 * columns];
            for (pair, column) in (0..2).flat_map(|pair| (0..columns).map(move |column| (pair, column))) {
                assert!(
                    !core::mem::replace(&mut seen[offset(columns, pair, column)], true),
                    "{columns} {pair} {column}"
                );
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for columns in 1..40 {
            let weight = |row: usize, column: usize| ((row * 97 + column * 31) % 255) as i32 as u8 as i8;
            let weight = |row, column| weight(row, column).max(-127);
            let mut words = vec![0u32; Tiles::words(8, columns)];
            for (tile, values) in
                bytemuck::cast_slice_mut::<u32, i16>(&mut words).chunks_mut(2 * padded(columns)).enumerate()
            {
                write_tile(values, columns, |row, column| weight(4 * tile + row, column));
            }
            let tiles = Tiles::new(columns, &words);
            for row in 0..8 {
                let expected: Vec<i8> = (0..columns).map(|column| weight(row, column)).collect();
                assert_eq!(tiles.row(row).collect::<Vec<_>>(), expected, "{columns} columns, row {row}");
                assert!(tiles.padded_row(row).skip(columns).all(|weight| weight == 0));
            }
            assert_eq!(tiles.row(8).count(), 0);
        }
    }
}
