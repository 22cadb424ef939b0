//! Numbers in bulk, from a seed that the fuzzer chooses.

/// SplitMix64.
pub struct Random(u64);

/// Where arithmetic turns over.
pub const EDGES: [i32; 16] = [
    0,
    1,
    -1,
    i32::MAX,
    i32::MIN,
    i32::MIN + 1,
    1 << 30,
    -(1 << 30),
    -(1 << 30) - 1,
    32_767 << 15,
    32_768 << 15,
    0x7fff_7fff,
    0x8000_8000_u32 as i32,
    0x8001_7fff_u32 as i32,
    1 << 15,
    (1 << 15) - 1,
];

impl Random {
    pub fn new(seed: u32) -> Self {
        Self(seed.into())
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In `low ..= high`; `low` where that is no range.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        if low >= high { low } else { low + (self.bits() % (high - low + 1) as u64) as i64 }
    }

    pub fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 99) < percent
    }

    pub fn edge(&mut self) -> i32 {
        EDGES[self.between(0, EDGES.len() as i64 - 1) as usize]
    }
}
