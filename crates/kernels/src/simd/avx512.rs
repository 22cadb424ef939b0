//! AVX-512: 16 lanes, 32 registers.

use std::arch::x86_64::*;

use super::{Operation, Simd};

/// Proof that the CPU has AVX-512F (and AVX2 and FMA, as every such CPU does).
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// `None` where the CPU lacks AVX-512F (and AVX2 and FMA, as every such CPU does).
    pub(crate) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
            .then_some(Self(()))
    }
}

// Every unsafe block below that calls an intrinsic relies on the same thing: a `Avx512` exists, so `new` found the features.
impl Simd for Avx512 {
    type Vector = __m512;
    const LANES: usize = 16;
    const ROWS: [usize; 5] = [1, 8, 8, 8, 6];
    const GRU_ROWS: usize = 8;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..Self::LANES];
        // SAFETY: the CPU has the feature; `from` holds LANES numbers, and the load needs no alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, to: &mut [f32]) {
        let to = &mut to[..Self::LANES];
        // SAFETY: the CPU has the feature; `to` holds LANES numbers, and the store needs no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn low_bits_to_exponent(self, a: __m512) -> __m512 {
        // SAFETY: the CPU has the feature.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23)) }
    }

    #[inline(always)]
    fn prefetch(self, memory: &[f32]) {
        // SAFETY: every x86-64 has the instruction, which reads nothing that a program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(memory.as_ptr().cast()) };
    }

    #[inline(always)]
    fn run<O: Operation>(self, operation: O) -> O::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn inner<O: Operation>(simd: Avx512, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: the CPU has the features that `inner` is compiled for.
        unsafe { inner(self, operation) }
    }
}
