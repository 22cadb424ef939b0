//! Cortex-M4, M7 and M33 with the DSP extension: what follows the row sums, a unit after the other (NUMERICS §6 and §8).
//!
//! Where LLVM spills, the units of a group go round a loop with all constants in registers, from one load.

use core::arch::naked_asm;

use crate::TANH;

/// What [`lstm_update`] takes into registers, in their order.
#[repr(C)]
pub(crate) struct LstmConstants {
    /// The table's entry for 0.
    middle: *const i16,
    /// 1024 in Q0.10, its weight in the interpolation; the fraction comes into the upper half.
    one: u32,
    /// What the roundings add: of a sigmoid with its one half, of a tanh.
    sigmoid: u32,
    tanh: u32,
    /// From i·g to the cell's format; the bits above the lowest eight, which a shift does not look at, count units.
    to_cell: u32,
    /// From the cell to Q15.16, but for the last bit.
    from_cell: u32,
    /// Half a unit of the first of these shifts.
    half: u32,
    /// And of a product in Q0.30.
    hidden_half: u32,
}

/// Of a cell with `fraction` fraction bits, 18 to 24.
#[inline(always)]
pub(crate) fn lstm_constants(fraction: u32) -> LstmConstants {
    LstmConstants {
        middle: TANH.as_ptr().wrapping_add(512),
        one: 1024,
        sigmoid: (1 << 25) + (1 << 10),
        tanh: 1 << 9,
        to_cell: (30 - fraction) | 3 << 8,
        from_cell: fraction - 17,
        half: 1 << (29 - fraction),
        hidden_half: 1 << 14,
    }
}

/// See [`crate::update::portable::lstm_update`].
#[inline(always)]
pub(crate) fn lstm_update(gates: &[[i32; 4]; 4], cell: &mut [i32; 4], next: &mut [i16; 4], constants: &LstmConstants) {
    // SAFETY: four times four values are there to read, and four and four to write.
    unsafe { lstm(gates, cell, next, constants) }
}

/// What [`gru_update_reset_after`] takes into registers, in their order.
#[repr(C)]
pub(crate) struct GruConstants {
    middle: *const i16,
    one: u32,
    sigmoid: u32,
    tanh: u32,
    /// The layer's shift and, above its lowest eight bits, the count of units.
    shift: u32,
}

/// Of a layer with this shift.
#[inline(always)]
pub(crate) fn gru_constants(shift: u32) -> GruConstants {
    GruConstants {
        middle: TANH.as_ptr().wrapping_add(512),
        one: 1024,
        sigmoid: (1 << 25) + (1 << 10),
        tanh: 1 << 9,
        shift: shift | 3 << 8,
    }
}

/// See [`crate::update::portable::gru_update_reset_after`].
#[inline(always)]
pub(crate) fn gru_update_reset_after(
    gates: &[[i32; 4]; 3],
    input_part: &[i32; 4],
    bias: &[i32; 4],
    wide: &mut [i32; 4],
    constants: &GruConstants,
) {
    // SAFETY: three times four values, four and four are there to read, and four to write.
    unsafe { gru(gates, input_part, bias, wide, constants) }
}

/// `L(v)` and what is added to it, shifted: `$saturate` is the operand of SSAT that makes `v` of the register, which holds the
/// result afterwards. A word of the table at `low` is `T[i] | T[i + 1] << 16`; with itself subtracted from its upper half
/// it is `T[i]` and the difference, which meet 1024 and the fraction in one instruction.
macro_rules! interpolate {
    ($value:literal, $pair:literal, $middle:literal, $one:literal, $addend:literal, $saturate:literal, $shift:literal) => {
        concat!(
            activation!(begin),
            "ssat ",
            $value,
            ", #20, ",
            $value,
            $saturate,
            "\n",
            "asr ",
            $pair,
            ", ",
            $value,
            ", #10\n",
            "ldr ",
            $pair,
            ", [",
            $middle,
            ", ",
            $pair,
            ", lsl #1]\n",
            "bfi ",
            $one,
            ", ",
            $value,
            ", #16, #10\n",
            "sub ",
            $pair,
            ", ",
            $pair,
            ", ",
            $pair,
            ", lsl #16\n",
            "smlad ",
            $value,
            ", ",
            $pair,
            ", ",
            $one,
            ", ",
            $addend,
            "\n",
            "asr ",
            $value,
            ", ",
            $value,
            ", #",
            $shift,
            "\n",
            activation!(end),
        )
    };
}

/// `scale_by_gate`: LSRS leaves the bit to round by in the carry.
macro_rules! scale_by_gate {
    ($value:literal, $high:literal, $gate:literal) => {
        concat!(
            "smull ",
            $value,
            ", ",
            $high,
            ", ",
            $value,
            ", ",
            $gate,
            "\n",
            "lsrs ",
            $value,
            ", ",
            $value,
            ", #15\n",
            "adc ",
            $value,
            ", ",
            $value,
            ", ",
            $high,
            ", lsl #17\n",
        )
    };
}

macro_rules! lstm_sigmoid {
    ($value:literal, $pair:literal) => {
        interpolate!($value, $pair, "r3", "r4", "r5", ", asr #1", "11")
    };
}

macro_rules! lstm_tanh {
    ($value:literal, $pair:literal, $saturate:literal) => {
        interpolate!($value, $pair, "r3", "r4", "r6", $saturate, "10")
    };
}

/// r0 points to a unit's input gate, r1 to its cell, r2 to its next hidden value; the constants are r3 to r9 and lr.
///
/// # Safety
/// The arguments are as [`lstm_update`] gives them.
#[unsafe(naked)]
unsafe extern "C" fn lstm(gates: &[[i32; 4]; 4], cell: &mut [i32; 4], next: &mut [i16; 4], constants: &LstmConstants) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldm r3, {{r3-r9, lr}}",
        "2:",
        // i · g in the cell's format
        "ldr r10, [r0, #32]",
        lstm_tanh!("r10", "r12", ""),
        "ldr r11, [r0], #4",
        lstm_sigmoid!("r11", "r12"),
        "mla r10, r10, r11, r9",
        "asr r10, r10, r7",
        // c · f
        "ldr r11, [r0, #12]",
        lstm_sigmoid!("r11", "r12"),
        "ldr r12, [r1]",
        scale_by_gate!("r12", "r11", "r11"),
        "qadd r10, r12, r10",
        "str r10, [r1], #4",
        // the cell in Q15.16: SSAT drops the last bit
        "asr r10, r10, r8",
        "add r10, r10, #1",
        lstm_tanh!("r10", "r12", ", asr #1"),
        "ldr r11, [r0, #44]",
        lstm_sigmoid!("r11", "r12"),
        "mla r10, r10, r11, lr",
        "asr r10, r10, #15",
        "strh r10, [r2], #2",
        "subs r7, r7, #256",
        "bpl 2b",
        "pop {{r4-r11, pc}}",
    )
}

/// r0 points to a unit's reset gate, r1 to its input part, r2 to its bias, r3 to its memory; the constants are r4 to r8.
///
/// # Safety
/// The arguments are as [`gru_update_reset_after`] gives them.
#[unsafe(naked)]
unsafe extern "C" fn gru(
    gates: &[[i32; 4]; 3],
    input_part: &[i32; 4],
    bias: &[i32; 4],
    wide: &mut [i32; 4],
    constants: &GruConstants,
) {
    naked_asm!(
        extension!(),
        "ldr r12, [sp]",
        "push {{r4-r11, lr}}",
        "ldm r12, {{r4-r8}}",
        "2:",
        "ldr r9, [r0], #4",
        interpolate!("r9", "r12", "r4", "r5", "r6", ", asr #1", "11"),
        // The recurrent part is what the input's leaves of the sum, and a bias of its own.
        "ldr r11, [r1], #4",
        "ldr r10, [r0, #28]",
        "ldr r12, [r2], #4",
        "lsl r11, r11, r8",
        "lsl r12, r12, r8",
        "sub r10, r10, r11",
        "add r10, r10, r12",
        scale_by_gate!("r10", "r9", "r9"),
        "add r10, r10, r11",
        interpolate!("r10", "r12", "r4", "r5", "r7", "", "10"),
        "ldr r9, [r0, #12]",
        interpolate!("r9", "r12", "r4", "r5", "r6", ", asr #1", "11"),
        // n·2^15 + z·(H - n·2^15)
        "ldr r11, [r3]",
        "sub r11, r11, r10, lsl #15",
        scale_by_gate!("r11", "r9", "r9"),
        "add r11, r11, r10, lsl #15",
        "str r11, [r3], #4",
        "subs r8, r8, #256",
        "bpl 2b",
        "pop {{r4-r11, pc}}",
    )
}
