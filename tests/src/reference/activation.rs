//! NUMERICS §6: sigmoid and tanh from one table, which is computed here from its definition.

use super::arithmetic::{fits_int16, fits_int32, floor_div, pow2, within};

/// The table of §6.1 and the two functions made of it.
pub struct Activation {
    table: Vec<i64>,
}

impl Default for Activation {
    fn default() -> Self {
        let entry = |i: i32| {
            let t = (f64::from(i - 512) / 64.0).tanh();
            let raised = t + t * (1.0 - t * t) / (8.0 * 64.0 * 64.0);
            ((32768.0 * raised).round() as i64).clamp(-32768, 32767)
        };
        Self { table: (0..=1024).map(entry).collect() }
    }
}

impl Activation {
    /// `T[0..=1024]`.
    pub fn table(&self) -> &[i64] {
        &self.table
    }

    /// `L(v)`, Q0.25.
    fn interpolate(&self, v: i64) -> i64 {
        let clamped = v.clamp(-pow2(19), pow2(19) - 1);
        let index = (floor_div(clamped, pow2(10)) + 512) as usize;
        let rest = clamped.rem_euclid(pow2(10));
        self.table[index] * (1024 - rest) + self.table[index + 1] * rest
    }

    /// `tanh(p)`: Q15.16 to Q0.15.
    pub fn tanh(&self, p: i64) -> i64 {
        let sum = fits_int32(self.interpolate(p) + pow2(9), "tanh before its rounding");
        fits_int16(floor_div(sum, pow2(10)), "tanh")
    }

    /// `sigmoid(p)`: Q15.16 to Q0.15.
    pub fn sigmoid(&self, p: i64) -> i64 {
        let sum = fits_int32(self.interpolate(floor_div(p, 2)) + pow2(25) + pow2(10), "sigmoid before its rounding");
        within(floor_div(sum, pow2(11)), 0, pow2(15), "sigmoid")
    }
}
