//! Seeded random numbers and random parts of models that satisfy NUMERICS §4 and §5.

use crate::model::{Matrix, Row, Scale, Scaler};
use crate::reference::arithmetic::{pow2, requantize};

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
    /// Only -127 and 127, pre-activations up to the largest that is allowed: every gate saturates.
    Extreme,
    /// Anything at all: zero rows, single weights, tiny and huge scales.
    Wild,
}

impl Weights {
    /// Largest product of a row in bits of Q15.16, chosen for each row.
    fn product_bits(self, random: &mut Random) -> u32 {
        match self {
            Weights::Plain => random.between(16, 19) as u32,
            Weights::Extreme => random.between(20, 29) as u32,
            Weights::Wild => random.between(0, 29) as u32,
        }
    }

    fn weight(self, random: &mut Random) -> i8 {
        match self {
            Weights::Plain => random.between(-127, 127) as i8,
            Weights::Extreme => [-127, 127][random.between(0, 1) as usize],
            Weights::Wild if random.chance(40) => 0,
            Weights::Wild => random.between(-127, 127) as i8,
        }
    }

    /// A bias in Q15.16 of at most `limit`.
    pub fn bias(self, random: &mut Random, limit: i64) -> i32 {
        let spread = match self {
            Weights::Plain => pow2(17),
            Weights::Extreme if random.chance(50) => return (limit * [-1, 1][random.between(0, 1) as usize]) as i32,
            Weights::Extreme => pow2(21),
            Weights::Wild => pow2(random.between(0, 30) as u32),
        };
        random.between(-spread.min(limit), spread.min(limit)) as i32
    }
}

/// A matrix whose rows' products stay within `limit`.
pub fn matrix(random: &mut Random, weights: Weights, rows: usize, columns: usize, limit: i64) -> Matrix {
    let row = |_| {
        let values: Vec<i8> = (0..columns).map(|_| weights.weight(random)).collect();
        let bound = accumulator_bound(&values);
        let largest = (pow2(weights.product_bits(random)) - 1).min(limit);
        Row { scale: scale(random, bound, largest), weights: values }
    };
    Matrix { columns, rows: (0..rows).map(row).collect() }
}

/// An embedding: the row's largest weight comes near a random power of two of the input's format.
pub fn embedding(random: &mut Random, weights: Weights, vocabulary: usize, dimension: usize) -> Matrix {
    let row = |_| {
        let values: Vec<i8> = (0..dimension).map(|_| weights.weight(random)).collect();
        let largest = values.iter().map(|weight| i64::from(*weight).abs()).max().unwrap_or(0);
        let bits = if weights == Weights::Extreme { 15 } else { random.between(10, 15) as u32 };
        Row { scale: scale(random, largest, pow2(bits) - 1), weights: values }
    };
    Matrix { columns: dimension, rows: (0..vocabulary).map(row).collect() }
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

/// `Σ|w|·32767` (NUMERICS §4).
pub fn accumulator_bound(weights: &[i8]) -> i64 {
    weights.iter().map(|weight| i64::from(*weight).abs()).sum::<i64>() * 32767
}

/// A random scale that takes `bound` as near below `largest` as NUMERICS §3 and §4 allow.
pub fn scale(random: &mut Random, bound: i64, largest: i64) -> Scale {
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
