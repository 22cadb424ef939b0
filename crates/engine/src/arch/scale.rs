//! Every Arm core: raw numbers to the first layer's input (NUMERICS §5), as long as they lie within their scalers' ranges.
//!
//! A scaler's words are min, max, offset, the requantizer and one with the pre-shift. A shift by a register looks at its
//! lowest eight bits alone, so that no field has to be cut out of its word; one to the right leaves the bit to round by in
//! the carry.

use core::arch::naked_asm;

use emberloop_image::FeatureScaler;

#[cfg(kernel = "helium")]
use crate::MISSING;

/// Whether one of the numbers is missing.
#[cfg(kernel = "helium")]
#[inline(always)]
pub(crate) fn any_missing(raw: &[i32]) -> bool {
    // SAFETY: so many numbers are there to read.
    unsafe { least(raw.as_ptr(), raw.len()) == MISSING }
}

/// The least of the numbers; the lowest of all stands for a missing one.
///
/// # Safety
/// There are so many numbers.
#[cfg(kernel = "helium")]
#[unsafe(naked)]
unsafe extern "C" fn least(raw: *const i32, count: usize) -> i32 {
    naked_asm!(
        // The assembler reads this once more when the program is linked, and then knows no target-cpu.
        ".cpu cortex-m55",
        "push {{r7, lr}}",
        "mov r2, r0",
        "mvn r0, #0x80000000",
        "wlstp.32 lr, r1, 3f",
        "2:",
        "vldrw.u32 q0, [r2], #16",
        "vminv.s32 r0, q0",
        "letp lr, 2b",
        "3:",
        "pop {{r7, pc}}",
    )
}

/// Scales the first features, up to one that is missing or beyond its scaler's range, and returns how many. Helium goes by
/// fours, and may stop up to three before that one.
#[inline(always)]
pub(crate) fn scale_features(scalers: &[u32], raw: &[i32], scaled: &mut [i16]) -> usize {
    let features = raw.len().min(scaled.len());
    if features == 0 || scalers.len() < features * FeatureScaler::WORDS {
        return 0;
    }
    // SAFETY: so many scalers and numbers are there to read, and as many values to write.
    features - unsafe { scale(scalers.as_ptr(), raw.as_ptr(), scaled.as_mut_ptr(), features) }
}

/// Returns the number of features that are left.
///
/// # Safety
/// There are so many features, at least one.
#[cfg(kernel = "thumb1")]
#[unsafe(naked)]
unsafe extern "C" fn scale(scalers: *const u32, raw: *const i32, scaled: *mut i16, features: usize) -> usize {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "lsls r3, r3, #2",
        "adds r3, r3, r1",
        "mov r12, r3",
        "2:",
        "ldm r0!, {{r3, r4}}",
        "ldr r5, [r1]",
        "cmp r5, r3",
        "blt 3f",
        "cmp r5, r4",
        "bgt 3f",
        "ldm r0!, {{r3, r4, r6}}",
        "lsrs r6, r6, #16",
        "lsls r5, r6",
        "subs r5, r5, r3",
        "lsrs r6, r4, #16",
        "lsls r5, r6",
        // S(r5; m), in two halves
        "uxth r3, r4",
        "asrs r7, r5, #16",
        "uxth r5, r5",
        "muls r7, r3, r7",
        "muls r5, r3, r5",
        "lsrs r5, r5, #16",
        "adds r5, r5, r7",
        "lsrs r4, r4, #24",
        "movs r7, #0",
        "asrs r5, r4",
        "adcs r5, r7",
        "strh r5, [r2]",
        "adds r1, #4",
        "adds r2, #2",
        "cmp r1, r12",
        "bne 2b",
        "3:",
        "mov r0, r12",
        "subs r0, r0, r1",
        "lsrs r0, r0, #2",
        "pop {{r4-r7, pc}}",
    )
}

/// Returns the number of features that are left.
///
/// # Safety
/// There are so many features, at least one.
#[cfg(kernel = "dsp")]
#[unsafe(naked)]
unsafe extern "C" fn scale(scalers: *const u32, raw: *const i32, scaled: *mut i16, features: usize) -> usize {
    naked_asm!(
        "push {{r4-r8, lr}}",
        "2:",
        "ldm r0!, {{r4-r8}}",
        "ldr r12, [r1], #4",
        "cmp r12, r4",
        "blt 3f",
        "cmp r12, r5",
        "bgt 3f",
        "lsr r8, r8, #16",
        "lsl r12, r12, r8",
        "sub r12, r12, r6",
        "lsr r4, r7, #16",
        "lsl r12, r12, r4",
        "smulwb r12, r12, r7",
        "lsr r7, r7, #24",
        "asrs r12, r12, r7",
        "adc r12, r12, #0",
        "strh r12, [r2], #2",
        "subs r3, r3, #1",
        "bne 2b",
        "3:",
        "mov r0, r3",
        "pop {{r4-r8, pc}}",
    )
}

/// Returns the number of features that are left.
///
/// # Safety
/// There are so many features, at least one.
#[cfg(kernel = "helium")]
#[unsafe(naked)]
unsafe extern "C" fn scale(scalers: *const u32, raw: *const i32, scaled: *mut i16, features: usize) -> usize {
    naked_asm!(
        // The assembler reads this once more when the program is linked, and then knows no target-cpu.
        ".cpu cortex-m55",
        "push {{r4, lr}}",
        "movs r4, #0",
        "vidup.u32 q0, r4, #4",
        "movs r4, #5",
        "vmul.i32 q0, q0, r4",
        "vadd.i32 q0, q0, r0",
        "movs r4, #80",
        "dlstp.32 lr, r3",
        "2:",
        "vldrw.u32 q3, [r1], #16",
        "vldrw.u32 q1, [q0]",
        "vldrw.u32 q2, [q0, #4]",
        "vmax.s32 q1, q1, q3",
        "vmin.s32 q1, q1, q2",
        "vcmp.i32 ne, q1, q3",
        "vmrs r3, p0",
        "vldrw.u32 q1, [q0, #16]",
        "cbnz r3, 3f",
        "vshr.u32 q1, q1, #16",
        "vldrw.u32 q2, [q0, #8]",
        "vshl.s32 q3, q3, q1",
        "vldrw.u32 q1, [q0, #12]",
        "vsub.i32 q3, q3, q2",
        "vshr.u32 q2, q1, #16",
        "vshl.s32 q3, q3, q2",
        // S: VMULH takes the upper word, so the multiplier goes to the upper half.
        "vshl.i32 q2, q1, #16",
        "vshr.u32 q1, q1, #24",
        "vmulh.s32 q3, q3, q2",
        "vneg.s32 q1, q1",
        "vrshl.s32 q3, q3, q1",
        "vstrh.32 q3, [r2], #8",
        "vadd.i32 q0, q0, r4",
        "letp lr, 2b",
        "movs r0, #0",
        "pop {{r4, pc}}",
        "3:",
        "mov r0, lr",
        "lctp",
        "pop {{r4, pc}}",
    )
}
