//! Cortex-M0, M0+ and M23: what follows the row sums of an LSTM (NUMERICS §6 and §8). Eight registers are too few for what
//! the compiler wants to keep in them here, so it spends half of its instructions on moving them.

use core::arch::naked_asm;

use crate::TANH;

/// Four units: pre-activations of the input, forget, candidate and output gates, to the new cells and hidden values.
#[inline(always)]
pub(crate) fn lstm_update(gates: &[[i32; 4]; 4], cell: &mut [i32; 4], next: &mut [i16; 4], &fraction: &u32) {
    // SAFETY: four times four values are there to read, and four and four to write; an image's fraction is 18 to 24.
    unsafe { lstm(gates.as_ptr().cast(), cell.as_mut_ptr(), next.as_mut_ptr(), fraction) }
}

/// A unit at a time. r4 points to its gates, r8 to its cell, r9 to its next hidden value; r5 and r6 to the table's entries
/// and to those behind them; r7 is half of the table's width, r11 and r12 the halves that the roundings add, lr the end of
/// the gates; the shifts lie on the stack.
///
/// # Safety
/// What [`lstm_update`] says.
#[unsafe(naked)]
unsafe extern "C" fn lstm(gates: *const i32, cell: *mut i32, next: *mut i16, fraction: u32) {
    naked_asm!(
        // L(r0), in r0.
        ".macro EMBERLOOP_INTERPOLATE at",
        "adds r0, r0, r7",
        "lsrs r1, r0, #20",
        "beq .Lemberloop_inside_\\at",
        // Beyond the table: its first or its last place.
        "subs r0, r0, r7",
        "asrs r0, r0, #31",
        "mvns r0, r0",
        "lsrs r0, r0, #12",
        ".Lemberloop_inside_\\at:",
        "lsrs r1, r0, #10",
        "lsls r1, r1, #1",
        "lsls r0, r0, #22",
        "lsrs r0, r0, #22",
        "ldrsh r2, [r6, r1]",
        "ldrsh r3, [r5, r1]",
        "subs r2, r2, r3",
        "muls r0, r2, r0",
        "lsls r3, r3, #10",
        "adds r0, r0, r3",
        ".endm",
        ".macro EMBERLOOP_SIGMOID gate, at",
        activation!(begin),
        "ldr r0, [r4, #\\gate]",
        "asrs r0, r0, #1",
        "EMBERLOOP_INTERPOLATE \\at",
        "add r0, r12",
        "asrs r0, r0, #11",
        activation!(end),
        ".endm",
        // (L + 2^9) / 2^10, as ((L / 2^9) + 1) / 2.
        ".macro EMBERLOOP_TANH at",
        activation!(begin),
        "EMBERLOOP_INTERPOLATE \\at",
        "asrs r0, r0, #9",
        "adds r0, r0, #1",
        "asrs r0, r0, #1",
        activation!(end),
        ".endm",
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "mov r8, r1",
        "mov r9, r2",
        "mov r4, r0",
        "adds r0, #16",
        "mov lr, r0",
        // 2^(29-F), 30-F and F-17
        "movs r0, #29",
        "subs r0, r0, r3",
        "movs r1, #1",
        "lsls r1, r0",
        "mov r11, r1",
        "adds r0, #1",
        "subs r3, #17",
        "push {{r0, r3}}",
        "ldr r0, 5f",
        "mov r12, r0",
        "ldr r5, 6f",
        "adds r6, r5, #2",
        "movs r7, #1",
        "lsls r7, r7, #19",
        "2:",
        // i · g
        "EMBERLOOP_SIGMOID 0, input",
        "mov r10, r0",
        "ldr r0, [r4, #32]",
        "EMBERLOOP_TANH candidate",
        "mov r1, r10",
        "muls r0, r1, r0",
        "add r0, r11",
        "ldr r1, [sp]",
        "asrs r0, r1",
        "mov r10, r0",
        // c · f, in two halves
        "EMBERLOOP_SIGMOID 16, forget",
        "mov r3, r8",
        "ldr r1, [r3]",
        "asrs r2, r1, #16",
        "uxth r1, r1",
        "muls r2, r0, r2",
        "muls r1, r0, r1",
        "lsrs r1, r1, #14",
        "adds r1, r1, #1",
        "lsrs r1, r1, #1",
        "lsls r2, r2, #1",
        "adds r1, r1, r2",
        "mov r0, r10",
        "adds r0, r0, r1",
        "bvs 7f",
        "3:",
        "stm r3!, {{r0}}",
        "mov r8, r3",
        // The cell in Q15.16
        "ldr r1, [sp, #4]",
        "asrs r0, r1",
        "adds r0, r0, #1",
        "asrs r0, r0, #1",
        "EMBERLOOP_TANH cell",
        "mov r10, r0",
        "EMBERLOOP_SIGMOID 48, output",
        "mov r1, r10",
        "muls r0, r1, r0",
        "asrs r0, r0, #14",
        "adds r0, r0, #1",
        "asrs r0, r0, #1",
        "mov r1, r9",
        "strh r0, [r1]",
        "adds r1, #2",
        "mov r9, r1",
        "adds r4, #4",
        "cmp r4, lr",
        "beq 4f",
        "b 2b",
        "4:",
        "add sp, #8",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
        // The sum of two numbers of one sign has passed the end: 2^31 - 1 where it became negative, -2^31 where positive.
        "7:",
        "asrs r0, r0, #31",
        "movs r1, #1",
        "lsls r1, r1, #31",
        "eors r0, r1",
        "b 3b",
        ".balign 4",
        // 2^25 + 2^10
        "5: .word 0x2000400",
        "6: .word {table}",
        ".purgem EMBERLOOP_INTERPOLATE",
        ".purgem EMBERLOOP_SIGMOID",
        ".purgem EMBERLOOP_TANH",
        table = sym TANH,
    )
}
