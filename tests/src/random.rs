//! Seeded random numbers and random parts of models that satisfy NUMERICS §4 and §5.

use crate::model::{CellKind, Embedding, Matrix, Row, Scale, Scaler, Token};
use crate::reference::arithmetic::{pow2, requantize};
use crate::reference::proof;

/// SplitMix64: a case is the same on every machine and for ever.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for every name (FNV-1a), so that a new case changes no other.
    pub fn named(name: &str) -> Self {
        Self(
            name.bytes()
                .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)),
        )
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `low ..= high` (the bias of the remainder is of no consequence here).
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high, "an empty range {low} ..= {high}");
        low + (self.bits() % (high - low + 1) as u64) as i64
    }

    /// True in `percent` of a hundred calls.
    pub fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 99) < percent
    }
}

/// How a case's rows are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// As training gives them: pre-activations of some units, a gate rarely saturates.
    Plain,
    /// Only -127 and 127, sums up to the largest that is allowed: every gate saturates.
    Extreme,
    /// Anything at all: zero rows, single weights, tiny and huge scales.
    Wild,
    /// Extreme, and all signs go together: after a few steps every state is at an end of its format, and every accumulator at its
    /// own, or one unit of each weight short of it.
    Worst,
}

/// The end to which a unit or an embedded input goes where all signs go together. Six of eight go down, where -2^15 is.
pub fn end(unit: usize) -> i64 {
    if unit % 8 % 5 == 2 { 1 } else { -1 }
}

/// The sign of a gate's row sum that takes the unit there: candidate and new value to that end, the other gates open, but for
/// an update gate, which would hold the unit where it is.
fn sum_sign(cell: CellKind, gate: usize, unit: usize) -> i64 {
    match (cell, gate) {
        (CellKind::Rnn, _) | (CellKind::Lstm | CellKind::GruResetAfter | CellKind::GruResetBefore, 2) => end(unit),
        (CellKind::GruResetAfter | CellKind::GruResetBefore, 1) => -1,
        (CellKind::Lstm | CellKind::GruResetAfter | CellKind::GruResetBefore, _) => 1,
    }
}

/// The bound of a row's sum is a share for each of its parts.
#[derive(Clone, Copy, Debug)]
struct Shares {
    input: i64,
    recurrent: i64,
    bias: i64,
    /// Whether the bias takes whatever the products leave, to the last unit.
    filled: bool,
}

impl Weights {
    /// A shift of a layer or of the head.
    pub fn shift(self, random: &mut Random) -> u8 {
        match self {
            Weights::Plain => random.between(0, 7) as u8,
            Weights::Extreme | Weights::Wild | Weights::Worst => random.between(0, 15) as u8,
        }
    }

    /// How the largest sum of a row is to be shared out, in its own format.
    fn shares(self, random: &mut Random, shift: u8) -> Shares {
        let most = proof::LIMIT / pow2(shift.into());
        let in_sum = |bits: i64| pow2(bits as u32) / pow2(shift.into());
        match self {
            Weights::Plain => {
                // At least sixteen steps of the sum, however coarse the shift makes them.
                let product = in_sum(random.between(16, 19)).max(16);
                Shares { input: product, recurrent: product, bias: in_sum(17).max(16), filled: false }
            }
            Weights::Extreme | Weights::Worst => {
                let total =
                    if self == Weights::Worst || random.chance(50) { most } else { in_sum(random.between(20, 30)) };
                let input = random.between(0, total);
                let recurrent = random.between(0, total - input);
                Shares { input, recurrent, bias: total - input - recurrent, filled: total == most }
            }
            Weights::Wild => {
                let mut part = || {
                    let largest = in_sum(random.between(0, 31)).min(most / 4);
                    random.between(0, largest)
                };
                Shares { input: part(), recurrent: part(), bias: part(), filled: false }
            }
        }
    }

    /// A weight of a row whose sum has this sign where signs go together.
    fn weight(self, random: &mut Random, sign: i64, column: usize) -> i8 {
        match self {
            Weights::Worst => (127 * sign * end(column)) as i8,
            Weights::Plain => random.between(-127, 127) as i8,
            Weights::Extreme => [-127, 127][random.between(0, 1) as usize],
            Weights::Wild if random.chance(40) => 0,
            Weights::Wild => random.between(-127, 127) as i8,
        }
    }

    fn row(self, random: &mut Random, sign: i64, columns: usize, share: i64) -> Row {
        let weights: Vec<i8> = (0..columns).map(|column| self.weight(random, sign, column)).collect();
        let largest = multiplier_within(proof::accumulator(&weights), share);
        let multiplier = match self {
            Weights::Extreme | Weights::Worst => largest,
            Weights::Plain | Weights::Wild => random.between(i64::from(largest) / 2, largest.into()) as u16,
        };
        Row { multiplier, weights }
    }

    /// A bias of at most `left`, or of exactly so much.
    fn bias(self, random: &mut Random, sign: i64, left: i64, exactly: bool) -> i32 {
        let value = match self {
            Weights::Worst => left * sign,
            _ if exactly => left * [-1, 1][random.between(0, 1) as usize],
            _ => random.between(-left, left),
        };
        i32::try_from(value).expect("a share of what fits int32")
    }
}

/// The largest multiplier with which the product's bound `P` stays within `share`.
pub fn multiplier_within(accumulator: i64, share: i64) -> u16 {
    if share <= 0 {
        return 0;
    }
    // P = floor(A·m / 2^16) + 1 <= share means A·m < share · 2^16.
    let largest = if accumulator == 0 { 32767 } else { ((share * pow2(16) - 1) / accumulator).min(32767) };
    assert!(proof::product(accumulator, largest as u16) <= share, "the multiplier's own definition");
    largest as u16
}

/// The rows of a layer: `W`, `U` and both biases.
#[derive(Clone, Debug)]
pub struct Rows {
    /// `W`.
    pub input: Matrix,
    /// `U`.
    pub recurrent: Matrix,
    /// `b`.
    pub bias: Vec<i32>,
    /// `b'`, or nothing.
    pub recurrent_bias: Vec<i32>,
}

/// The rows of a layer of so many inputs and units.
pub fn rows(
    random: &mut Random,
    weights: Weights,
    (inputs, hidden): (usize, usize),
    cell: CellKind,
    shift: u8,
) -> Rows {
    let mut rows = Rows {
        input: Matrix { columns: inputs, rows: Vec::new() },
        recurrent: Matrix { columns: hidden, rows: Vec::new() },
        bias: Vec::new(),
        recurrent_bias: Vec::new(),
    };
    for number in 0..cell.gate_count() * hidden {
        let shares = weights.shares(random, shift);
        let sign = sum_sign(cell, number / hidden, number % hidden);
        let input = weights.row(random, sign, inputs, shares.input);
        let recurrent = weights.row(random, sign, hidden, shares.recurrent);
        let mut left = shares.bias;
        if shares.filled {
            left = proof::LIMIT / pow2(shift.into()) - product(&input) - product(&recurrent);
        }
        if cell == CellKind::GruResetAfter && number >= 2 * hidden {
            let part = random.between(-left / 2, left / 2);
            let separate = if weights == Weights::Worst { part.abs() * sign } else { part };
            left -= separate.abs();
            rows.recurrent_bias.push(separate as i32);
        }
        rows.bias.push(weights.bias(random, sign, left, shares.filled));
        rows.input.rows.push(input);
        rows.recurrent.rows.push(recurrent);
    }
    rows
}

/// The rows of a head: `V` and its biases.
pub fn head_rows(
    random: &mut Random,
    weights: Weights,
    (inputs, outputs): (usize, usize),
    shift: u8,
) -> (Matrix, Vec<i32>) {
    let mut matrix = Matrix { columns: inputs, rows: Vec::new() };
    let mut biases = Vec::new();
    for output in 0..outputs {
        let shares = weights.shares(random, shift);
        let sign = end(output);
        let row = weights.row(random, sign, inputs, shares.input + shares.recurrent);
        let left = if shares.filled { proof::LIMIT / pow2(shift.into()) - product(&row) } else { shares.bias };
        biases.push(weights.bias(random, sign, left, shares.filled));
        matrix.rows.push(row);
    }
    (matrix, biases)
}

fn product(row: &Row) -> i64 {
    proof::product(proof::accumulator(&row.weights), row.multiplier)
}

/// An embedding: the row's largest weight comes near a random power of two of the input's format.
pub fn embedding(random: &mut Random, weights: Weights, vocabulary: usize, dimension: usize) -> Embedding {
    let row = |_| {
        if weights == Weights::Worst {
            // 64 · 2^11 · 32767 / 2^17 = 32767.
            let scale = Scale { multiplier: 32767, left: 11, right: 1 };
            return Token { scale, weights: (0..dimension).map(|column| (64 * end(column)) as i8).collect() };
        }
        let values: Vec<i8> = (0..dimension).map(|column| weights.weight(random, 1, column)).collect();
        let largest = values.iter().map(|weight| i64::from(*weight).abs()).max().unwrap_or(0);
        let bits = if weights == Weights::Extreme { 15 } else { random.between(10, 15) as u32 };
        Token { scale: scale(random, largest, pow2(bits) - 1), weights: values }
    };
    Embedding { columns: dimension, rows: (0..vocabulary).map(row).collect() }
}

/// A scaler of any range, pre-shift and offset that NUMERICS §5 allows.
pub fn scaler(random: &mut Random, raw_bits: u32) -> Scaler {
    let pre_shift = random.between(0, i64::from(31 - raw_bits).min(7)) as u8;
    let unit = pow2(u32::from(pre_shift));
    // In shifted units: centre and half width, so that centre ± half width fits int32 and the half width too.
    let half = random.between(unit, (pow2(raw_bits + u32::from(pre_shift)) - 1).min(pow2(30)));
    let centre = random.between(-(pow2(31) - 1 - half), pow2(31) - 1 - half);
    let (min, max) = ((centre - half).div_euclid(unit) + 1, (centre + half).div_euclid(unit));
    let reach = (min * unit - centre).abs().max((max * unit - centre).abs());
    let largest = pow2(random.between(8, 15) as u32) - 1;
    let fill = random.between(-largest, largest) as i16;
    let scale = scale(random, reach, largest);
    let raw_fraction = random.between(-16, 30) as i8;
    Scaler { min: min as i32, max: max as i32, offset: centre as i32, scale, fill, pre_shift, raw_fraction }
}

/// A random scale that takes `bound` as near below `largest` as NUMERICS §3.2 allows.
fn scale(random: &mut Random, bound: i64, largest: i64) -> Scale {
    let multiplier = random.between(1 << 14, (1 << 15) - 1) as u16;
    // The scale is multiplier · 2^(left - 16 - right): with right = 1 from the largest left shift down, then with
    // left = 0 on to the largest right shift.
    let falling = (0..=15).rev().map(|left| (left, 1)).chain((2..=30).map(|right| (0, right)));
    for (left, right) in falling {
        let scale = Scale { multiplier, left, right };
        let shifted = bound.checked_mul(pow2(u32::from(left))).is_some_and(|value| value < pow2(31));
        if shifted && requantize(bound, scale) <= largest {
            return scale;
        }
    }
    Scale { multiplier: 0, left: 0, right: 1 }
}
