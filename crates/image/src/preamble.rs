//! The fixed first bytes of an image, and its checksum.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

use crate::ImageError;

/// The first four bytes of every image.
pub const MAGIC: [u8; 4] = *b"EMBR";
/// The format version that this build reads and writes.
pub const VERSION: u16 = 2;
/// The layout of the weights that this build reads and writes: tiles of four rows (FORMAT §4.1).
pub const LAYOUT: u16 = 1;
/// Length of the preamble; the postcard header follows it.
pub const PREAMBLE_BYTES: usize = 32;

const CHECKSUM_AT: usize = 28;
// Without a table: an image is checked once, and 1 KiB of flash weighs more than the time.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The fixed first bytes of an image (FORMAT §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// How the weights are laid out: [`LAYOUT`].
    pub layout: u16,
    /// Length of the whole image.
    pub image_bytes: u32,
    /// Length of the postcard header.
    pub header_bytes: u32,
    /// Where the payload begins, from the start of the image; a multiple of 16.
    pub payload_offset: u32,
    /// Words of 32 bits that a network of this image needs.
    pub ram_words: u32,
    /// CRC-32 (ISO-HDLC) of the image without this field.
    pub checksum: u32,
}

impl Preamble {
    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; PREAMBLE_BYTES] {
        let mut bytes = [0; PREAMBLE_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.layout.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.image_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.header_bytes.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.payload_offset.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.ram_words.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// Reads and checks the preamble, the length and the checksum of a whole image.
    pub(crate) fn read(image: &[u8]) -> Result<Self, ImageError> {
        let found = u32::try_from(image.len()).unwrap_or(u32::MAX);
        let Some(bytes) = image.first_chunk::<PREAMBLE_BYTES>() else {
            let is_ours = image.len() >= MAGIC.len() && image.starts_with(&MAGIC);
            let too_short = ImageError::Length { expected: PREAMBLE_BYTES as u32, found };
            return Err(if is_ours { too_short } else { ImageError::NotAnImage });
        };
        if bytes[0..4] != MAGIC {
            return Err(ImageError::NotAnImage);
        }
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if half(4) != VERSION {
            return Err(ImageError::Version { expected: VERSION, found: half(4) });
        }
        let preamble = Preamble {
            layout: half(6),
            image_bytes: word(8),
            header_bytes: word(12),
            payload_offset: word(16),
            ram_words: word(20),
            checksum: word(CHECKSUM_AT),
        };
        if preamble.image_bytes != found {
            return Err(ImageError::Length { expected: preamble.image_bytes, found });
        }
        let computed = checksum(image);
        if preamble.checksum != computed {
            return Err(ImageError::Checksum { expected: preamble.checksum, found: computed });
        }
        if preamble.layout != LAYOUT {
            return Err(ImageError::Layout { found: preamble.layout });
        }
        if word(24) != 0 {
            return Err(ImageError::NotZero);
        }
        Ok(preamble)
    }
}

/// CRC-32 (ISO-HDLC, as in zip and PNG) of an image, leaving out the checksum field itself.
pub fn checksum(image: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(image.get(..CHECKSUM_AT).unwrap_or(image));
    digest.update(image.get(PREAMBLE_BYTES..).unwrap_or(&[]));
    digest.finalize()
}

/// Words of 32 bits that a network of this image needs, read at compile time to size it:
/// `const WORDS: usize = ram_words(MODEL);`
///
/// # Panics
/// If `image` is shorter than a preamble (at compile time, where it is used to size a network).
pub const fn ram_words(image: &[u8]) -> usize {
    u32::from_le_bytes([image[20], image[21], image[22], image[23]]) as usize
}
