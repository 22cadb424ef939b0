//! The device image: everything a board needs to run a model, borrowed straight from flash.
//!
//! An image holds the scaler, the quantized weights, the labels and golden vectors. [`Image::parse`] checks all of it
//! once: lengths, checksum, shapes, and for every weight row the proof that its accumulator cannot overflow. What it
//! returns can be used without further checks; the engine relies on that and on nothing else.
//!
//! `FORMAT.md` beside this crate is the specification.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and borrowed in place: big-endian targets are not supported");

mod error;
mod header;
mod image;
mod input;
mod layer;
mod memory;
mod multipliers;
mod preamble;
mod proof;
mod requantizer;
mod section;
mod sequences;
mod tiles;

pub use error::{ImageError, Part};
pub use header::{HeadShape, Header, InputShape, LayerShape, MAX_LAYERS, MissingPolicy, Pooling, Task, WeightFormat};
pub use image::{Image, Layers};
pub use input::{FeatureScaler, Input, Matrix};
pub use layer::{Head, Layer};
pub use memory::MemoryPlan;
pub use multipliers::Multipliers;
pub use preamble::{LAYOUT, MAGIC, PREAMBLE_BYTES, Preamble, VERSION, checksum, ram_words};
pub use proof::{Bounds, accumulator_bound, feature_output_range, product_bound, requantized_bound, row_bounds};
pub use requantizer::Requantizer;
pub use sequences::{SEQUENCES_MAGIC, Sequence, Sequences};
pub use tiles::{TILE_ROWS, Tiles, write_tile};

/// Values of the engine's number formats that the image's proofs rely on (NUMERICS §1).
pub mod limits {
    /// Largest magnitude of a scaled input.
    pub const INPUT: i32 = 32_767;
    /// Largest multiplier of a row.
    pub const MULTIPLIER_MAX: i16 = 32_767;
    /// Largest left shift of a row's sum.
    pub const SHIFT_MAX: u8 = 15;
    /// Smallest non-zero requantization multiplier.
    pub const MULTIPLIER_MIN: i16 = 1 << 14;
    /// Largest left shift of a requantization.
    pub const LEFT_SHIFT_MAX: u8 = 15;
    /// Smallest right shift of a requantization.
    pub const RIGHT_SHIFT_MIN: u8 = 1;
    /// Largest right shift of a requantization.
    pub const RIGHT_SHIFT_MAX: u8 = 30;
    /// Fewest fraction bits of an LSTM's cell state.
    pub const CELL_FRACTION_MIN: u8 = 18;
    /// Most fraction bits of an LSTM's cell state.
    pub const CELL_FRACTION_MAX: u8 = 24;
    /// Fraction bits of pre-activations and of classification outputs.
    pub const PREACTIVATION_FRACTION: u8 = 16;
    /// Most units of a layer.
    pub const HIDDEN_MAX: u16 = 16_384;
    /// Most outputs of a head.
    pub const OUTPUTS_MAX: u16 = 4096;
}

/// Embeds an image (or a `.seq` file) into the program, aligned as [`Image::parse`] requires.
///
/// The path is relative to the source file, as in `include_bytes!`.
///
/// ```
/// static MODEL: &[u8] = emberloop_image::include_image!(concat!(
///     env!("CARGO_MANIFEST_DIR"), "/../../models/japanese-vowels/model.ember"
/// ));
/// const WORDS: usize = emberloop_image::ram_words(MODEL);
/// assert_eq!(4 * WORDS, emberloop_image::Image::parse(MODEL).unwrap().ram_bytes());
/// ```
#[macro_export]
macro_rules! include_image {
    ($path:expr $(,)?) => {{
        #[repr(C, align(16))]
        struct Aligned<T: ?Sized>(T);
        static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!($path));
        &ALIGNED.0
    }};
}
