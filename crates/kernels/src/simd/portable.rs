//! Plain Rust over eight numbers: what other CPUs run, vectorised by the compiler (NEON: two registers each).
//!
//! `f32::mul_add` is one instruction on aarch64 and riscv64. On an x86-64 without FMA, made before 2013, it is a call of the C
//! library and slow; it stays, because results are to be the same everywhere.

use super::{Operation, Simd};

#[derive(Clone, Copy)]
pub(crate) struct Portable;

type Vector = [f32; 8];

#[inline(always)]
fn each(a: Vector, b: Vector, f: impl Fn(f32, f32) -> f32) -> Vector {
    let mut out = [0.0; 8];
    for lane in 0..8 {
        out[lane] = f(a[lane], b[lane]);
    }
    out
}

impl Simd for Portable {
    type Vector = Vector;
    const LANES: usize = 8;
    // The sums fill 24 of NEON's 32 registers. On x86-64, where every multiply-add may be a call, no tile is fast: small ones
    // compile sooner.
    const ROWS: [usize; 5] = if cfg!(target_arch = "x86_64") { [1, 2, 2, 2, 2] } else { [1, 8, 5, 4, 3] };
    const GRU_ROWS: usize = Self::ROWS[3];

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        [value; 8]
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Vector {
        *from.first_chunk().expect("fewer numbers than lanes")
    }

    #[inline(always)]
    fn store(self, vector: Vector, to: &mut [f32]) {
        to[..8].copy_from_slice(&vector);
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        each(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        each(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        each(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        let mut out = c;
        for lane in 0..8 {
            out[lane] = a[lane].mul_add(b[lane], c[lane]);
        }
        out
    }

    #[inline(always)]
    fn neg_mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        let mut out = c;
        for lane in 0..8 {
            out[lane] = (-a[lane]).mul_add(b[lane], c[lane]);
        }
        out
    }

    #[inline(always)]
    fn low_bits_to_exponent(self, a: Vector) -> Vector {
        a.map(|a| f32::from_bits(a.to_bits() << 23))
    }

    // Not inlined, so that nothing of it moves out of the part that runs with denormals flushed.
    #[inline(never)]
    fn run<O: Operation>(self, operation: O) -> O::Output {
        operation.run(self)
    }
}
