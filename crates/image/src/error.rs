//! Why an image is refused.

use core::fmt;

/// Why an image (or a `.seq` file) was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ImageError {
    /// The bytes do not start at an address that is a multiple of 4; embed them with `include_image!`.
    Misaligned,
    /// The file does not start with the magic bytes: it is something else.
    NotAnImage,
    /// The format version is one this build does not read.
    Version {
        /// The version this build reads.
        expected: u16,
        /// The version the file states.
        found: u16,
    },
    /// The weight layout is one this build has no kernel for.
    Layout {
        /// The layout the file states.
        found: u16,
    },
    /// Fewer or more bytes than the file states.
    Length {
        /// Bytes stated (or, where a section ends early, needed).
        expected: u32,
        /// Bytes there.
        found: u32,
    },
    /// The checksum is wrong: at least one bit has changed.
    Checksum {
        /// The checksum the file states.
        expected: u32,
        /// The checksum of the bytes there.
        found: u32,
    },
    /// The header cannot be decoded.
    Header,
    /// The header's shapes are impossible or beyond the engine's limits.
    Shape {
        /// Which of them.
        what: Part,
    },
    /// A byte that must be zero is not: reserved, or padding.
    NotZero,
    /// A weight of -128, which has no negation (NUMERICS §4).
    Weight {
        /// The tensor.
        part: Part,
        /// The row.
        row: u32,
    },
    /// A row's multiplier is above 32767 (NUMERICS §3.1).
    Multiplier {
        /// The layer or the head.
        part: Part,
        /// The row, counted by gate.
        row: u32,
    },
    /// The stated bounds are not those of the weights (FORMAT §4.2).
    Bounds {
        /// The layer or the head.
        part: Part,
    },
    /// A feature's scaler is out of range, or could overflow (NUMERICS §5).
    Scaler {
        /// The feature.
        feature: u32,
    },
    /// A row's requantization parameters are outside their range (NUMERICS §3.2).
    Requantizer {
        /// The tensor.
        part: Part,
        /// The row.
        row: u32,
    },
    /// A row could overflow (NUMERICS §4).
    Overflow {
        /// The tensor.
        part: Part,
        /// The row.
        row: u32,
    },
    /// The stated RAM is not what the shapes need.
    Memory {
        /// Words of 32 bits needed.
        expected: u32,
        /// Words stated.
        found: u32,
    },
    /// The golden vectors or test sequences are malformed.
    Sequences,
}

/// The part of an image that an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Part {
    /// The input: number of features, or vocabulary.
    Input,
    /// The embedding table.
    Embedding,
    /// The input product of the layer with this number.
    InputWeights(u8),
    /// The recurrent product of the layer with this number.
    RecurrentWeights(u8),
    /// The layer with this number.
    Layer(u8),
    /// The head.
    Head,
    /// The labels or channel names.
    Names,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Input => f.write_str("input"),
            Part::Embedding => f.write_str("embedding"),
            Part::InputWeights(layer) => write!(f, "input weights of layer {layer}"),
            Part::RecurrentWeights(layer) => write!(f, "recurrent weights of layer {layer}"),
            Part::Layer(layer) => write!(f, "layer {layer}"),
            Part::Head => f.write_str("head"),
            Part::Names => f.write_str("labels or channel names"),
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::Misaligned => f.write_str("image is not aligned to 4 bytes (embed it with include_image!)"),
            ImageError::NotAnImage => f.write_str("not an Emberloop image: expected it to start with \"EMBR\""),
            ImageError::Version { expected, found } => {
                write!(
                    f,
                    "image format version {found}, but this build reads version {expected}: quantize the checkpoint again"
                )
            }
            ImageError::Layout { found } => {
                write!(f, "weight layout {found}, but this build reads layout {}", crate::LAYOUT)
            }
            ImageError::Length { expected, found } => {
                write!(f, "image is truncated or has trailing bytes: expected {expected} bytes, found {found}")
            }
            ImageError::Checksum { expected, found } => {
                write!(f, "image is damaged: expected checksum {expected:#010x}, found {found:#010x}")
            }
            ImageError::Header => f.write_str("image header cannot be decoded"),
            ImageError::Shape { what } => write!(f, "impossible shape: {what}"),
            ImageError::NotZero => f.write_str("a reserved or padding byte is not zero"),
            ImageError::Weight { part, row } => {
                write!(f, "{part}, row {row}: expected weights of -127 to 127, found -128")
            }
            ImageError::Multiplier { part, row } => write!(f, "{part}, row {row}: multiplier above 32767"),
            ImageError::Bounds { part } => write!(f, "{part}: the stated bounds are not those of its weights"),
            ImageError::Scaler { feature } => {
                write!(f, "scaler of feature {feature}: out of range, or it could overflow")
            }
            ImageError::Requantizer { part, row } => write!(f, "{part}, row {row}: scale out of range"),
            ImageError::Overflow { part, row } => write!(f, "{part}, row {row}: its sum could overflow"),
            ImageError::Memory { expected, found } => {
                write!(f, "image states {found} words of RAM, but its shapes need {expected}")
            }
            ImageError::Sequences => f.write_str("golden vectors or test sequences are malformed"),
        }
    }
}

impl core::error::Error for ImageError {}
