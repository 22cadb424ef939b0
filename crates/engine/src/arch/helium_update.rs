//! Cortex-M55 and M85: what follows the row sums, for four units at a time (NUMERICS §6 and §8).
//!
//! The table of tanh is never falling, so the difference of two entries is an unsigned number and VMULH takes the part of
//! it that a fraction asks for: with `T` an entry, `D` the difference to the next and `d` the fraction in Q0.10,
//!
//!     tanh(p)             = T + floor((D·d + 2^9) / 2^10)                                  VRMULH, VADD
//!     sigmoid(p) - 2^14   = floor((T + floor(D·d / 2^10) + 1) / 2)                         VMULH, VRHADD
//!
//! because nested floors of divisions by integers are one floor. The index saturates in a shift to the left or in a
//! narrowing one to the right; where it does, `D` is 0 and the fraction does not matter.

use core::arch::asm;

use crate::TANH;

/// tanh of the four lanes of `$value` in Q15.16, which becomes the result.
macro_rules! tanh {
    ($value:literal, $index:literal, $low:literal, $high:literal) => {
        concat!(
            activation!(begin),
            "vqshl.s32 ",
            $index,
            ", ",
            $value,
            ", #12\n",
            "vshl.i32 ",
            $value,
            ", ",
            $value,
            ", #22\n",
            "vshr.s32 ",
            $index,
            ", ",
            $index,
            ", #22\n",
            "vldrh.s32 ",
            $low,
            ", [{middle}, ",
            $index,
            ", uxtw #1]\n",
            "vldrh.s32 ",
            $high,
            ", [{middle_next}, ",
            $index,
            ", uxtw #1]\n",
            "vsub.i32 ",
            $high,
            ", ",
            $high,
            ", ",
            $low,
            "\n",
            "vrmulh.u32 ",
            $high,
            ", ",
            $high,
            ", ",
            $value,
            "\n",
            "vadd.i32 ",
            $value,
            ", ",
            $low,
            ", ",
            $high,
            "\n",
            activation!(end),
        )
    };
}

/// Sigmoid of the four lanes of `$value` in Q15.16, which becomes the result less 2^14.
macro_rules! sigmoid {
    ($value:literal, $index:literal, $low:literal, $high:literal) => {
        concat!(
            activation!(begin),
            "vqshl.s32 ",
            $index,
            ", ",
            $value,
            ", #11\n",
            "vshl.i32 ",
            $value,
            ", ",
            $value,
            ", #21\n",
            "vshr.s32 ",
            $index,
            ", ",
            $index,
            ", #22\n",
            "vldrh.s32 ",
            $low,
            ", [{middle}, ",
            $index,
            ", uxtw #1]\n",
            "vldrh.s32 ",
            $high,
            ", [{middle_next}, ",
            $index,
            ", uxtw #1]\n",
            // The bit that halving drops.
            "vbic.i32 ",
            $value,
            ", #0x200000\n",
            "vsub.i32 ",
            $high,
            ", ",
            $high,
            ", ",
            $low,
            "\n",
            "vmulh.u32 ",
            $high,
            ", ",
            $high,
            ", ",
            $value,
            "\n",
            "vrhadd.s32 ",
            $value,
            ", ",
            $low,
            ", ",
            $high,
            "\n",
            activation!(end),
        )
    };
}

/// Sigmoids of eight lanes, less 2^14: those of `$bottom` come out in the lower halves of `$bottom`, those of `$top` in its
/// upper halves.
macro_rules! two_sigmoids {
    ($bottom:literal, $top:literal, $index:literal, $low:literal, $high:literal) => {
        concat!(
            activation!(begin),
            "vqshrnb.s32 ",
            $index,
            ", ",
            $bottom,
            ", #5\n",
            "vqshrnt.s32 ",
            $index,
            ", ",
            $top,
            ", #5\n",
            "vsli.32 ",
            $bottom,
            ", ",
            $top,
            ", #16\n",
            "vmov.i16 ",
            $high,
            ", #512\n",
            "vshr.s16 ",
            $index,
            ", ",
            $index,
            ", #6\n",
            "vshl.i16 ",
            $bottom,
            ", ",
            $bottom,
            ", #5\n",
            "vadd.i16 ",
            $index,
            ", ",
            $index,
            ", ",
            $high,
            "\n",
            // The bit that halving drops.
            "vbic.i16 ",
            $bottom,
            ", #0x20\n",
            "vldrh.u16 ",
            $low,
            ", [{start}, ",
            $index,
            ", uxtw #1]\n",
            "vldrh.u16 ",
            $high,
            ", [{start_next}, ",
            $index,
            ", uxtw #1]\n",
            "vsub.i16 ",
            $high,
            ", ",
            $high,
            ", ",
            $low,
            "\n",
            "vmulh.u16 ",
            $high,
            ", ",
            $high,
            ", ",
            $bottom,
            "\n",
            "vrhadd.s16 ",
            $bottom,
            ", ",
            $low,
            ", ",
            $high,
            "\n",
            activation!(end),
        )
    };
}

/// `scale_by_gate` of four lanes, with the gate less 2^14, `s`, in the lanes of `$gate`: `floor((v·s / 2^14 + v + 1) / 2)`,
/// where the first term may be rounded down before. Where `s` is 2^14, `s·2^17` saturates and the term is `v - 1` for a
/// positive `v`: the result is `v` all the same. `v = -2^31` is the one value for which it is not.
macro_rules! scale_by_gate {
    ($value:literal, $gate:literal) => {
        concat!(
            "vqshl.s32 ",
            $gate,
            ", ",
            $gate,
            ", #17\n",
            "vqdmulh.s32 ",
            $gate,
            ", ",
            $gate,
            ", ",
            $value,
            "\n",
            "vrhadd.s32 ",
            $value,
            ", ",
            $value,
            ", ",
            $gate,
            "\n",
        )
    };
}

/// `H ← n·2^15 + scale_by_gate(H - n·2^15, z)` with `n` in q2 and `z` less 2^14 in q0. The difference is never -2^31.
macro_rules! blend {
    () => {
        concat!(
            "vldrw.u32 q3, [{wide}]\n",
            "vshl.i32 q2, q2, #15\n",
            "vsub.i32 q3, q3, q2\n",
            scale_by_gate!("q3", "q0"),
            "vadd.i32 q3, q3, q2\n",
            "vstrw.32 q3, [{wide}]\n",
        )
    };
}

/// The assembler's text with the operands that every use of the table has, and all vector registers taken.
macro_rules! lanes {
    ([$($text:expr),* $(,)?], $($operands:tt)*) => {{
        let middle = TANH.as_ptr().wrapping_add(512);
        asm!(
            $($text,)*
            middle = in(reg) middle,
            middle_next = in(reg) middle.wrapping_add(1),
            $($operands)*
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _, out("d14") _, out("d15") _,
            options(nostack),
        );
    }};
}

/// The pre-activations of an LSTM's input, forget, candidate and output gates to the new cells and hidden values.
#[inline(always)]
pub(crate) fn lstm_update(gates: &[[i32; 4]; 4], cell: &mut [i32; 4], next: &mut [i16; 4], &fraction: &u32) {
    // SAFETY: reads `gates` and `cell`, writes `cell` and `next`, and reads TANH at 0 to 1,024: an index saturates at -512
    // and at 511.
    unsafe {
        lanes!(
            [
                "vldmia {gates}, {{d0-d7}}",
                tanh!("q2", "q4", "q5", "q6"),
                sigmoid!("q3", "q4", "q5", "q6"),
                two_sigmoids!("q0", "q1", "q4", "q5", "q6"),
                "vmov.i16 q1, #0x4000",
                "vmov.i32 q7, #0x4000",
                "vadd.i16 q0, q0, q1",
                "vadd.i32 q3, q3, q7",
                // i·g in the cell's format.
                "vmovlb.u16 q1, q0",
                "vmovlt.u16 q0, q0",
                "vmul.i32 q1, q1, q2",
                "vldrw.u32 q2, [{cell}]",
                "vrshl.s32 q1, {to_cell}",
                // c·f, from the halves of c, which may be -2^31: 2·a·f + floor((b·f + 2^14) / 2^15).
                "vmullb.u16 q4, q2, q0",
                "vshr.s32 q2, q2, #16",
                "vrshr.u32 q4, q4, #15",
                "vmul.i32 q2, q2, q0",
                "vmla.i32 q4, q2, {two}",
                "vqadd.s32 q2, q4, q1",
                "vstrw.32 q2, [{cell}]",
                // The cell in Q15.16.
                "vrshl.s32 q2, {from_cell}",
                tanh!("q2", "q4", "q5", "q6"),
                "vmul.i32 q3, q3, q2",
                "vrshr.s32 q3, q3, #15",
                // Only r0 to r7 may hold the address of a store that narrows.
                "vstrh.32 q3, [r0]",
            ],
            gates = in(reg) gates,
            start = in(reg) TANH.as_ptr(),
            start_next = in(reg) TANH.as_ptr().wrapping_add(1),
            cell = in(reg) cell,
            in("r0") next,
            // To the right, because they are negative.
            to_cell = in(reg) fraction as i32 - 30,
            from_cell = in(reg) 16 - fraction as i32,
            two = in(reg) 2,
        )
    }
}

/// The pre-activations of a GRU's reset, update and new gates, reset after, and what the input gave to the last, to the new
/// hidden states in Q1.30.
#[inline(always)]
pub(crate) fn gru_update_reset_after(
    gates: &[[i32; 4]; 3],
    input_part: &[i32; 4],
    bias: &[i32; 4],
    wide: &mut [i32; 4],
    &shift: &u32,
) {
    // SAFETY: reads `gates`, `input_part`, `bias` and `wide`, writes `wide`; TANH as above.
    unsafe {
        lanes!(
            [
                "vldmia {gates}, {{d0-d5}}",
                two_sigmoids!("q0", "q1", "q4", "q5", "q6"),
                // The recurrent part is what the input's leaves of the sum, and a bias of its own.
                "vldrw.u32 q3, [{input_part}]",
                "vldrw.u32 q4, [{bias}]",
                "vshl.s32 q3, {shift}",
                "vshl.s32 q4, {shift}",
                "vsub.i32 q2, q2, q3",
                "vmovlb.s16 q1, q0",
                "vadd.i32 q2, q2, q4",
                scale_by_gate!("q2", "q1"),
                "vmovlt.s16 q0, q0",
                "vadd.i32 q2, q2, q3",
                tanh!("q2", "q4", "q5", "q6"),
                blend!(),
            ],
            gates = in(reg) gates,
            start = in(reg) TANH.as_ptr(),
            start_next = in(reg) TANH.as_ptr().wrapping_add(1),
            input_part = in(reg) input_part,
            bias = in(reg) bias,
            wide = in(reg) wide,
            shift = in(reg) shift,
        )
    }
}

/// The pre-activation of a GRU's reset gate, reset before: what it leaves of the hidden values.
#[inline(always)]
pub(crate) fn gru_reset_before(reset: &[i32; 4], hidden: &[i16; 4], kept: &mut [i16; 4]) {
    // SAFETY: reads `reset` and `hidden`, writes `kept`; TANH as above.
    unsafe {
        lanes!(
            [
                "vldrw.u32 q0, [{reset}]",
                sigmoid!("q0", "q4", "q5", "q6"),
                "vmov.i32 q7, #0x4000",
                "vldrh.s32 q1, [r1]",
                "vadd.i32 q0, q0, q7",
                "vmul.i32 q0, q0, q1",
                "vrshr.s32 q0, q0, #15",
                "vstrh.32 q0, [r0]",
            ],
            reset = in(reg) reset,
            in("r1") hidden,
            in("r0") kept,
        )
    }
}

/// The pre-activations of the other gates of that GRU to the new hidden states in Q1.30.
#[inline(always)]
pub(crate) fn gru_update_reset_before(update: &[i32; 4], new: &[i32; 4], wide: &mut [i32; 4]) {
    // SAFETY: reads `update`, `new` and `wide`, writes `wide`; TANH as above.
    unsafe {
        lanes!(
            [
                "vldrw.u32 q0, [{update}]",
                "vldrw.u32 q2, [{new}]",
                sigmoid!("q0", "q4", "q5", "q6"),
                tanh!("q2", "q4", "q5", "q6"),
                blend!(),
            ],
            update = in(reg) update,
            new = in(reg) new,
            wide = in(reg) wide,
        )
    }
}

/// The pre-activations of an RNN to its hidden values.
#[inline(always)]
pub(crate) fn rnn_update(sums: &[i32; 4], next: &mut [i16; 4]) {
    // SAFETY: reads `sums`, writes `next`; TANH as above.
    unsafe {
        lanes!(
            ["vldrw.u32 q0, [{sums}]", tanh!("q0", "q4", "q5", "q6"), "vstrh.32 q0, [r0]"],
            sums = in(reg) sums,
            in("r0") next,
        )
    }
}
