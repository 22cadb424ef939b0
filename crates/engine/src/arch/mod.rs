//! Hand-written kernels, one file for each instruction set. Each is equal, bit for bit, to the portable
//! code: `crate::kernel::PortableSums`, `crate::update::portable`. `check` compares them, on the core itself.

/// Stand before and behind the hand-written code of an activation, and say so in a section that is not loaded: words of
/// START, END and the stage by which `cargo xtask bench-engine` counts the instructions between them.
#[cfg(any(kernel = "thumb1", kernel = "dsp", kernel = "helium"))]
macro_rules! activation {
    (begin) => {
        "771:\n"
    };
    (end) => {
        "772:\n.pushsection .emberloop_stages, \"\", %progbits\n.word 771b, 772b, 5\n.popsection\n"
    };
}

/// Armv8-M has the DSP instructions as an extension, and the assembler reads functions of assembly once more when the program
/// is linked, where it knows no target-cpu.
#[cfg(all(kernel = "dsp", armv8m))]
macro_rules! extension {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(all(kernel = "dsp", not(armv8m)))]
macro_rules! extension {
    () => {
        ""
    };
}

mod copy;
#[cfg(kernel = "dsp")]
mod dsp;
#[cfg(kernel = "dsp")]
mod dsp_update;
#[cfg(kernel = "helium")]
mod helium;
#[cfg(kernel = "helium")]
mod helium_update;
mod scale;
#[cfg(kernel = "thumb1")]
mod thumb1;
#[cfg(kernel = "thumb1")]
mod thumb1_update;

pub(crate) use copy::copy_groups;
#[cfg(kernel = "dsp")]
pub(crate) use dsp::{Sums, interpolate, interpolate_half};
#[cfg(all(kernel = "dsp", feature = "gru"))]
pub(crate) use dsp_update::{gru_constants, gru_update_reset_after};
#[cfg(all(kernel = "dsp", feature = "lstm"))]
pub(crate) use dsp_update::{lstm_constants, lstm_update};
#[cfg(kernel = "helium")]
pub(crate) use helium::Sums;
#[cfg(kernel = "helium")]
#[allow(unused_imports)]
pub(crate) use helium_update::{
    gru_reset_before, gru_update_reset_after, gru_update_reset_before, lstm_update, rnn_update,
};
#[cfg(kernel = "helium")]
pub(crate) use scale::any_missing;
pub(crate) use scale::scale_features;
#[cfg(kernel = "thumb1")]
pub(crate) use thumb1::Sums;
#[cfg(all(kernel = "thumb1", feature = "lstm"))]
pub(crate) use thumb1_update::lstm_update;

/// For a firmware that tests; no product calls it.
#[cfg(all(feature = "rnn", feature = "lstm", feature = "gru"))]
pub mod check;
/// The same of the updates of four units.
#[cfg(all(feature = "rnn", feature = "lstm", feature = "gru"))]
pub mod check_update;
