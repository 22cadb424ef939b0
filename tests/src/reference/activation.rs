//! NUMERICS §6: sigmoid and tanh from one table, which is computed here from its definition.

use super::arithmetic::{floor_div, pow2};

/// The table of §6.1 and the two functions made of it.
pub struct Activation {
    table: Vec<i64>,
}

impl Default for Activation {
    fn default() -> Self {
        let entry = |i: i32| {
            let t = (f64::from(i) / 64.0).tanh();
            let raised = t + t * (1.0 - t * t) / (8.0 * 64.0 * 64.0);
            ((65536.0 * raised).round() as i64).min(65535)
        };
        Self { table: (0..=512).map(entry).collect() }
    }
}

impl Activation {
    /// `T[0..=512]`.
    pub fn table(&self) -> &[i64] {
        &self.table
    }

    /// `L(u, b)`.
    fn interpolate(&self, magnitude: i64, bits: u32) -> i64 {
        let index = floor_div(magnitude, pow2(bits));
        let rest = magnitude % pow2(bits);
        if index >= 512 {
            return 65535;
        }
        let (low, high) = (self.table[index as usize], self.table[index as usize + 1]);
        low + floor_div((high - low) * rest + pow2(bits - 1), pow2(bits))
    }

    /// `tanh(p)`: Q15.16 to Q0.15.
    pub fn tanh(&self, p: i64) -> i64 {
        p.signum() * floor_div(self.interpolate(p.abs(), 10) + 1, 2).min(32767)
    }

    /// `sigmoid(p)`: Q15.16 to Q0.15.
    pub fn sigmoid(&self, p: i64) -> i64 {
        floor_div(65536 + p.signum() * self.interpolate(p.abs(), 11) + 2, 4)
    }
}
