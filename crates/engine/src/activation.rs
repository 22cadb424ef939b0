//! Sigmoid and tanh from one interpolated table (NUMERICS §6).

/// tanh of a pre-activation in Q15.16, as Q0.15 from -32768 to 32767.
///
/// Monotonic, and within 1.34 units of Q0.15 of the real function for every input (tested over all of them).
#[inline(always)]
pub fn tanh(x: i32) -> i32 {
    interpolate(x, 1 << 9) >> 10
}

/// Sigmoid of a pre-activation in Q15.16, as Q0.15 from 0 to 32768, both ends included: a gate can be exactly shut and
/// exactly open.
///
/// `sigmoid(x) = (1 + tanh(x/2)) / 2`. Monotonic, and within 1.01 units of Q0.15 of the real function for every input
/// (tested over all of them).
#[inline(always)]
pub fn sigmoid(x: i32) -> i32 {
    interpolate_half(x, (1 << 25) + (1 << 10)) >> 11
}

#[cfg(kernel = "dsp")]
use crate::arch::{interpolate, interpolate_half};
#[cfg(not(kernel = "dsp"))]
use portable::{interpolate, interpolate_half};

/// What the cores' own code is tested against.
#[cfg_attr(kernel = "dsp", allow(dead_code))]
pub(crate) mod portable {
    use crate::TANH;

    /// `L(v) + addend` with `L` the interpolated table in Q0.25 (NUMERICS §6).
    #[inline(always)]
    pub(crate) fn interpolate(v: i32, addend: i32) -> i32 {
        // Counted from the table's lower end, one comparison tells whether `v` is within it.
        const WIDTH: u32 = 1 << 20;
        let offset = (v as u32).wrapping_add(WIDTH / 2);
        let offset = if offset < WIDTH {
            offset
        } else if v < 0 {
            0
        } else {
            WIDTH - 1
        };
        // At most 1,023: the compiler sees it and checks nothing.
        let index = (offset >> 10) as usize;
        let fraction = (offset & 1023) as i32;
        let (low, high) = (i32::from(TANH[index]), i32::from(TANH[index + 1]));
        // low·(1024 - fraction) + high·fraction
        (low << 10) + (high - low) * fraction + addend
    }

    /// `L(floor(v / 2)) + addend`.
    #[inline(always)]
    pub(crate) fn interpolate_half(v: i32, addend: i32) -> i32 {
        interpolate(v >> 1, addend)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::TANH;

    /// Beyond 2^20 = 16.0 both functions are flat; the ends of the range are probed apart.
    fn inputs() -> impl Iterator<Item = i32> {
        [i32::MIN, i32::MIN + 1]
            .into_iter()
            .chain(-(1 << 20) - 70_000..=(1 << 20) + 70_000)
            .chain([i32::MAX - 1, i32::MAX])
    }

    #[test]
    fn tanh_is_monotonic_and_close_for_every_input() {
        let (mut worst, mut last) = (0f64, i32::MIN);
        for x in inputs() {
            let y = tanh(x);
            assert!(y >= last && (-32_768..=32_767).contains(&y), "at {x}");
            last = y;
            worst = worst.max((f64::from(y) - (f64::from(x) / 65_536.0).tanh() * 32_768.0).abs());
        }
        std::println!("tanh: worst error {worst:.3} units of Q0.15");
        assert!(worst <= 1.34, "{worst}");
        assert_eq!((tanh(i32::MIN), tanh(0), tanh(i32::MAX)), (-32_768, 0, 32_767));
    }

    #[test]
    fn sigmoid_is_monotonic_and_close_for_every_input() {
        let (mut worst, mut last) = (0f64, 0);
        for x in inputs() {
            let y = sigmoid(x);
            assert!(y >= last && (0..=32_768).contains(&y), "at {x}");
            last = y;
            worst = worst.max((f64::from(y) - 32_768.0 / (1.0 + (-f64::from(x) / 65_536.0).exp())).abs());
        }
        std::println!("sigmoid: worst error {worst:.3} units of Q0.15");
        assert!(worst <= 1.01, "{worst}");
        assert_eq!((sigmoid(i32::MIN), sigmoid(0), sigmoid(i32::MAX)), (0, 16_384, 32_768));
    }

    /// The formula of NUMERICS §6.1, evaluated here: the committed table is its rounding.
    #[test]
    fn the_table_is_its_formula() {
        for (index, &entry) in TANH.iter().enumerate() {
            let x = (index as f64 - 512.0) / 64.0;
            let t = x.tanh();
            let curvature = 2.0 * t * (1.0 - t * t);
            let balanced = t + curvature / (16.0 * 64.0 * 64.0);
            let expected = (balanced * 32_768.0).round().clamp(-32_768.0, 32_767.0);
            assert_eq!(f64::from(entry), expected, "entry {index}");
        }
    }
}
