//! The vector instructions that the kernels are written in, and the three sets of them.
//!
//! Kernels are generic over [`Simd`]. A value of a type that implements it is a proof that the CPU has the instructions,
//! so that its methods are safe to call; all `unsafe` of the arithmetic stands in the files of this module. Everything
//! that takes a `Simd` has to be `#[inline(always)]`, up to [`Simd::run`], or the compiler passes vectors through memory.
//!
//! All three compute the same bits: each lane is one unit or one output, sums are taken in the same order with one rounding per
//! multiply-add, and division is exact.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;

/// A set of vector instructions.
pub(crate) trait Simd: Copy + Send + Sync {
    /// `LANES` numbers.
    type Vector: Copy;
    /// 8 or 16: divides [`crate::shape::PANEL`].
    const LANES: usize;
    /// `ROWS[n]`: how many rows a tile of `n` vectors per row has at most, so that its sums stay in registers.
    const ROWS: [usize; 5];
    /// Rows of a GRU's forward tile: three vectors per row too, but another schedule of the compiler's.
    const GRU_ROWS: usize;

    fn splat(self, value: f32) -> Self::Vector;
    /// The first `LANES` numbers of the slice. Panics if there are fewer.
    fn load(self, from: &[f32]) -> Self::Vector;
    /// Into the first `LANES` places of the slice. Panics if there are fewer.
    fn store(self, vector: Self::Vector, to: &mut [f32]);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Correctly rounded.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `if a < b { a } else { b }`: a NaN in `b` comes through.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `if a > b { a } else { b }`: a NaN in `b` comes through.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `c - a * b`, rounded once.
    fn neg_mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The low 9 bits of each number moved to where sign and exponent stand: from `n + 127` in the low bits, 2^n.
    fn low_bits_to_exponent(self, a: Self::Vector) -> Self::Vector;

    /// Asks for the cache line of the first number to be brought to the second-level cache: a matter of speed only.
    #[inline(always)]
    fn prefetch(self, _memory: &[f32]) {}

    /// Runs the operation, compiled for these instructions, as a function of its own.
    fn run<O: Operation>(self, operation: O) -> O::Output;
}

/// What can be compiled for each set of instructions. Mark `run` `#[inline(always)]`.
pub(crate) trait Operation {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}
