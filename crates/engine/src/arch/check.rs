//! Compares the hand-written code of this core with the portable definition, on random and on extreme inputs: run by a
//! firmware in QEMU, because the host cannot run it.

use crate::kernel::{PortableSums, Product, Sums, Vector};

/// Where the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which function.
    pub function: &'static str,
    /// Which of its cases, counted from 0.
    pub case: u32,
    /// Columns of both products, or 0.
    pub columns: [usize; 2],
    /// Which of the values.
    pub index: usize,
    /// What the portable code computes.
    pub expected: i32,
    /// What this core's code computes.
    pub found: i32,
}

/// Columns that are tried, each with each: below a block, whole blocks, blocks and all numbers of columns left over, and
/// more than the unrolled code takes at once.
const COLUMNS: [usize; 18] = [0, 2, 4, 6, 8, 10, 14, 16, 18, 30, 32, 36, 62, 64, 72, 128, 136, 516];
/// Tiles of a call.
const TILES: usize = 4;

/// Compares this core's [`Sums`] with [`PortableSums`] for all [`COLUMNS`] that fit into `workspace`; returns the number
/// of cases.
///
/// # Errors
/// The first difference.
pub fn tile_sums(seed: u32, workspace: &mut [u32]) -> Result<u32, Mismatch> {
    let mut random = Random::new(seed);
    let mut cases = 0;
    for (input, recurrent) in COLUMNS.iter().flat_map(|&w| COLUMNS.iter().map(move |&u| (w, u))) {
        for kind in 0..Kind::ALL {
            let tiles = 1 + random.below(TILES as u32) as usize;
            let kind = Kind::of(kind, &mut random);
            // A tile has as many words as columns; a vector half as many.
            let words = [tiles * input, tiles * recurrent, input / 2, recurrent / 2];
            if words.iter().sum::<usize>() > workspace.len() {
                continue;
            }
            one_case(&mut random, kind, tiles, words, workspace).map_err(|(index, expected, found)| Mismatch {
                function: "tile_sums",
                case: cases,
                columns: [input, recurrent],
                index,
                expected,
                found,
            })?;
            cases += 1;
        }
    }
    Ok(cases)
}

fn one_case(
    random: &mut Random,
    kind: Kind,
    tiles: usize,
    words: [usize; 4],
    workspace: &mut [u32],
) -> Result<(), (usize, i32, i32)> {
    let [w, u, x, h] = words;
    let (w, rest) = workspace.split_at_mut(w);
    let (u, rest) = rest.split_at_mut(u);
    let (x, rest) = rest.split_at_mut(x);
    let h = &mut rest[..h];
    for word in w.iter_mut().chain(u.iter_mut()) {
        // Two columns of two rows: every byte is a weight, which is -127 to 127, plus 128 in the low bytes.
        let [a, b, c, d] = [(); 4].map(|()| kind.weight(random));
        *word = (u32::from(a as u8) << 24 | u32::from(c as u8) << 8)
            | u32::from(b as u8 ^ 0x80) << 16
            | u32::from(d as u8 ^ 0x80);
    }
    for word in x.iter_mut().chain(h.iter_mut()) {
        *word = u32::from(kind.activation(random) as u16) << 16 | u32::from(kind.activation(random) as u16);
    }
    let mut multipliers = [0; 4 * TILES];
    let mut bias = [0; 4 * TILES];
    for (multipliers, bias) in multipliers.iter_mut().zip(&mut bias) {
        *multipliers = kind.multiplier(random) << 16 | kind.multiplier(random);
        *bias = kind.bias(random);
    }
    let input = Product { tiles: bytemuck::cast_slice(w), vector: vector(random, x) };
    let recurrent = Product { tiles: bytemuck::cast_slice(u), vector: vector(random, h) };
    let shift = random.below(16);
    let (mut expected, mut found) = ([[0x5a5a_5a5a; 4]; TILES + 1], [[0x5a5a_5a5a; 4]; TILES + 1]);
    let (multipliers, bias) = (&multipliers[..4 * tiles], &bias[..4 * tiles]);
    let mut portable = PortableSums::new(input, recurrent, multipliers, bias, shift);
    let mut sums = Sums::new(input, recurrent, multipliers, bias, shift);
    // Some tiles in one call, the others one by one: what a call leaves for the next is compared as well.
    let first = random.below(tiles as u32) as usize;
    portable.next(&mut expected[..first]);
    sums.next(&mut found[..first]);
    for tile in first..tiles {
        let ([of_tile], input_part) = portable.group();
        let ([found_of_tile], found_input_part) = sums.group();
        (expected[tile], found[tile]) = (*of_tile, *found_of_tile);
        same(input_part, found_input_part)?;
    }
    same(expected.as_flattened(), found.as_flattened())
}

/// As many columns as values, or one less: the last is then 0.
fn vector<'a>(random: &mut Random, words: &'a mut [u32]) -> Vector<'a> {
    let odd = random.below(2) as usize;
    if let (1, Some(last)) = (odd, words.last_mut()) {
        *last &= 0xffff;
    }
    let values: &[i16] = bytemuck::cast_slice(words);
    Vector::first(values, values.len().saturating_sub(odd)).unwrap_or(Vector::EMPTY)
}

/// The first index at which two slices differ.
pub(super) fn same(expected: &[i32], found: &[i32]) -> Result<(), (usize, i32, i32)> {
    match expected.iter().zip(found).position(|(expected, found)| expected != found) {
        Some(index) => Err((index, expected[index], found[index])),
        None => Ok(()),
    }
}

/// What the values of a case are drawn from.
#[derive(Clone, Copy)]
struct Kind {
    weights: u32,
    activations: u32,
    multipliers: u32,
}

impl Kind {
    /// Combinations: all extremes with each other, and some random ones.
    const ALL: u32 = 20;

    fn of(index: u32, random: &mut Random) -> Self {
        Self { weights: index % 4, activations: index / 4 % 5, multipliers: random.below(4) }
    }

    fn weight(self, random: &mut Random) -> i8 {
        let any = (random.below(255) as i32 - 127) as i8;
        match self.weights {
            0 => 127,
            1 => -127,
            2 if any < 0 => -127,
            2 => 127,
            _ => any,
        }
    }

    fn activation(self, random: &mut Random) -> i16 {
        let any = random.next() as i16;
        match self.activations {
            0 => i16::MIN,
            1 => i16::MAX,
            2 if any < 0 => i16::MIN,
            2 => i16::MAX,
            3 => any >> 8,
            _ => any,
        }
    }

    fn multiplier(self, random: &mut Random) -> u32 {
        let any = random.below(32_768);
        match self.multipliers {
            0 => 32_767,
            1 if any < 8_192 => 0,
            1 if any < 16_384 => 1,
            _ => any,
        }
    }

    fn bias(self, random: &mut Random) -> i32 {
        random.next() as i32 >> 2
    }
}

/// Marsaglia's xorshift: 32 bits are enough here.
pub(super) struct Random(u32);

impl Random {
    pub(super) fn new(seed: u32) -> Self {
        Self(seed | 1)
    }

    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Any value; often one at an end of the range or about 0.
    pub(super) fn with_extremes(&mut self) -> i32 {
        let any = self.next() as i32;
        match self.below(16) {
            0 => i32::MIN,
            1 => i32::MAX,
            2 => i32::MIN + 1,
            3 => any % 4,
            _ => any >> self.below(16),
        }
    }

    pub(super) fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(limit)) >> 32) as u32
    }
}
