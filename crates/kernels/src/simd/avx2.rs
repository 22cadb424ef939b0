//! AVX2 with FMA: 8 lanes, 16 registers.

use std::arch::x86_64::*;

use super::{Operation, Simd};

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// `None` where the CPU lacks AVX2 and FMA.
    pub(crate) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

// Every unsafe block below that calls an intrinsic relies on the same thing: a `Avx2` exists, so `new` found the features.
impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;
    const ROWS: [usize; 5] = [1, 8, 5, 4, 3];
    const GRU_ROWS: usize = 3;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        let from = &from[..Self::LANES];
        // SAFETY: the CPU has the feature; `from` holds LANES numbers, and the load needs no alignment.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m256, to: &mut [f32]) {
        let to = &mut to[..Self::LANES];
        // SAFETY: the CPU has the feature; `to` holds LANES numbers, and the store needs no alignment.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn low_bits_to_exponent(self, a: __m256) -> __m256 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23)) }
    }

    #[inline(always)]
    fn prefetch(self, memory: &[f32]) {
        // SAFETY: every x86-64 has the instruction, which reads nothing that a program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(memory.as_ptr().cast()) };
    }

    #[inline(always)]
    fn run<O: Operation>(self, operation: O) -> O::Output {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        fn inner<O: Operation>(simd: Avx2, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: the CPU has the features that `inner` is compiled for.
        unsafe { inner(self, operation) }
    }
}
