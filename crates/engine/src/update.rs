//! What follows the row sums: activations and the elementwise part of each cell, for four units at a time (NUMERICS §6
//! and §8).
//!
//! [`portable`] is the definition; `arch` holds the same for the cores that gain from hand-written code, tested against
//! it bit for bit.

#[cfg(all(kernel = "thumb1", feature = "lstm"))]
pub(crate) use crate::arch::lstm_update;
#[cfg(all(kernel = "dsp", feature = "gru"))]
pub(crate) use crate::arch::{gru_constants, gru_update_reset_after};
#[cfg(kernel = "helium")]
pub(crate) use crate::arch::{
    gru_reset_before, gru_update_reset_after, gru_update_reset_before, lstm_update, rnn_update,
};
#[cfg(all(kernel = "dsp", feature = "lstm"))]
pub(crate) use crate::arch::{lstm_constants, lstm_update};
#[cfg(all(feature = "gru", not(kernel = "dsp")))]
pub(crate) use portable::gru_constants;
#[cfg(all(feature = "gru", not(any(kernel = "helium", kernel = "dsp"))))]
pub(crate) use portable::gru_update_reset_after;
#[cfg(all(feature = "lstm", not(kernel = "dsp")))]
pub(crate) use portable::lstm_constants;
#[cfg(all(feature = "lstm", not(any(kernel = "helium", kernel = "thumb1", kernel = "dsp"))))]
pub(crate) use portable::lstm_update;
#[cfg(all(feature = "rnn", not(kernel = "helium")))]
pub(crate) use portable::rnn_update;
#[cfg(all(feature = "gru", not(kernel = "helium")))]
pub(crate) use portable::{gru_reset_before, gru_update_reset_before};

/// In Rust.
#[allow(dead_code)]
pub(crate) mod portable {
    use crate::activation::{sigmoid, tanh};
    use crate::arithmetic::{multiply_q15, round_shift, scale_by_gate};

    /// `h' = tanh(p)`.
    #[inline(always)]
    pub(crate) fn rnn_update(sums: &[i32; 4], next: &mut [i16; 4]) {
        *next = sums.map(|sum| tanh(sum) as i16);
    }

    /// What [`lstm_update`] needs of a layer, computed once for all its groups: here, the fraction bits of its cells.
    #[inline(always)]
    pub(crate) fn lstm_constants(fraction: u32) -> u32 {
        fraction
    }

    /// What [`gru_update_reset_after`] needs of a layer: here, its shift.
    #[inline(always)]
    pub(crate) fn gru_constants(shift: u32) -> u32 {
        shift
    }

    /// Pre-activations of the input, forget, candidate and output gates, to the new cells, saturated and with `fraction`
    /// fraction bits, and the new hidden values in Q0.15.
    #[inline(always)]
    pub(crate) fn lstm_update(gates: &[[i32; 4]; 4], cell: &mut [i32; 4], next: &mut [i16; 4], &fraction: &u32) {
        let [input, forget, candidate, output] = gates;
        for unit in 0..4 {
            // Q0.15 · Q0.15 = Q0.30, brought to the cell's format.
            let entering = round_shift(sigmoid(input[unit]) * tanh(candidate[unit]), 30 - fraction);
            let kept = scale_by_gate(cell[unit], sigmoid(forget[unit]));
            cell[unit] = kept.saturating_add(entering);
            // The cell in Q15.16. Two shifts, because adding the half first could overflow.
            let narrowed = ((cell[unit] >> (fraction - 17)) + 1) >> 1;
            next[unit] = multiply_q15(sigmoid(output[unit]), tanh(narrowed)) as i16;
        }
    }

    /// Reset gate after the recurrent product: the pre-activations of the reset, update and new gates, what the input gave
    /// to the last (not shifted), and the recurrent bias, to the new hidden state in Q1.30.
    #[inline(always)]
    pub(crate) fn gru_update_reset_after(
        gates: &[[i32; 4]; 3],
        input_part: &[i32; 4],
        bias: &[i32; 4],
        wide: &mut [i32; 4],
        &shift: &u32,
    ) {
        let [reset, update, new] = gates;
        for unit in 0..4 {
            // The new gate's sum is that of both products; its recurrent one is what the other leaves.
            let new_input = input_part[unit] << shift;
            let new_recurrent = new[unit] - new_input + (bias[unit] << shift);
            let new = tanh(new_input + scale_by_gate(new_recurrent, sigmoid(reset[unit])));
            wide[unit] = blend(wide[unit], new, sigmoid(update[unit]));
        }
    }

    /// Reset gate before the recurrent product: the hidden values that it lets through.
    #[inline(always)]
    pub(crate) fn gru_reset_before(reset: &[i32; 4], hidden: &[i16; 4], kept: &mut [i16; 4]) {
        for unit in 0..4 {
            kept[unit] = multiply_q15(sigmoid(reset[unit]), i32::from(hidden[unit])) as i16;
        }
    }

    /// Reset gate before the recurrent product: the pre-activations of the update and new gates, to the new hidden state.
    #[inline(always)]
    pub(crate) fn gru_update_reset_before(update: &[i32; 4], new: &[i32; 4], wide: &mut [i32; 4]) {
        for unit in 0..4 {
            wide[unit] = blend(wide[unit], tanh(new[unit]), sigmoid(update[unit]));
        }
    }

    /// `n + z·(h - n)`: hidden in Q1.30, new value and update gate in Q0.15.
    ///
    /// Both `h` and `n·2^15` lie within -2^30 to 32767·2^15: the difference fits 32 bits, and the result lies between the
    /// two, so the bound holds for ever.
    #[inline(always)]
    fn blend(hidden: i32, new: i32, update: i32) -> i32 {
        let new = new << 15;
        new + scale_by_gate(hidden - new, update)
    }
}
