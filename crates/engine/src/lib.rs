//! Integer inference of recurrent networks on microcontrollers: no allocation, no float, no panic.
//!
//! ```
//! use emberloop_engine::{Image, Network, include_image, ram_words, self_test};
//!
//! static MODEL: &[u8] = include_image!(concat!(
//!     env!("CARGO_MANIFEST_DIR"), "/../../models/japanese-vowels/model.ember"
//! ));
//! const WORDS: usize = ram_words(MODEL);
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = Image::parse(MODEL)?;                       // checks everything, once
//! self_test(&image, [0; WORDS])?;                         // this machine computes what the host computed
//! let mut network = Network::new(&image, [0; WORDS])?;
//! let sample = [0i32; 12];
//! let output = network.step(&sample)?;                    // raw numbers in, scores out
//! assert!(output.label().is_some());
//! # Ok(())
//! # }
//! ```
//!
//! `NUMERICS.md` beside this crate is the contract: every function of [`arithmetic`] and [`activation`] is a
//! transcription of one of its sections, and the same code runs on the host and on the board.
//!
//! # Kernels
//! The sums of products, and on some cores what follows them, exist twice: in portable Rust, which is the definition, and
//! hand-written for Thumb-1 (Cortex-M0, M0+, M23), for the DSP extension (M4, M7, M33) and for Helium (M55, M85). The build
//! script chooses by the target's name, and for Armv8-M by `-C target-cpu`; a core that it does not know gets the portable
//! one. All compute the same bits.
//!
//! # Features
//! - `rnn`, `lstm`, `gru` (all on by default): the cells that a network may have. A firmware for one model needs one.
//! - `defmt`: errors can be logged by defmt.
#![no_std]
// Only hand-written kernels need it, each in its own file of `arch`; on the host and on cores without one there is none.
#![cfg_attr(any(kernel = "thumb1", kernel = "dsp", kernel = "helium"), deny(unsafe_code))]
#![cfg_attr(not(any(kernel = "thumb1", kernel = "dsp", kernel = "helium")), forbid(unsafe_code))]
#![warn(missing_docs, clippy::undocumented_unsafe_blocks)]
// A build with fewer cells uses less of what they share.
#![cfg_attr(not(all(feature = "rnn", feature = "lstm", feature = "gru")), allow(dead_code, unused_imports))]

pub mod activation;
#[cfg(any(kernel = "thumb1", kernel = "dsp", kernel = "helium"))]
#[allow(unsafe_code)]
mod arch;
pub mod arithmetic;
mod cells;
mod error;
mod head;
mod input;
#[doc(hidden)]
pub mod kernel;
/// This core's hand-written code against the portable code, for a firmware that tests.
#[cfg(all(
    any(kernel = "thumb1", kernel = "dsp", kernel = "helium"),
    all(feature = "rnn", feature = "lstm", feature = "gru")
))]
#[doc(hidden)]
pub mod kernel_check {
    pub use crate::arch::check::{Mismatch, tile_sums};
    pub use crate::arch::check_update::updates;
}
mod network;
mod output;
mod raw;
mod self_test;
mod softmax;
mod tanh_table;
mod update;

pub use emberloop_image::{Image, ImageError, include_image, ram_words};
pub use error::{NewError, RestoreError, StepError};
pub use network::{Counters, Network};
pub use output::Output;
pub use raw::{MISSING, RawSample, from_f32_bits};
pub use self_test::{SelfTestError, self_test};
pub use softmax::softmax;
pub use tanh_table::TANH;
