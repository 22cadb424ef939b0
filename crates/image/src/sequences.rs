//! Sequences of raw samples, with or without expected outputs: golden vectors and `.seq` files.

use crate::ImageError;

/// First word of a `.seq` file and of an image's golden section: "SEQ1".
pub const SEQUENCES_MAGIC: u32 = u32::from_le_bytes(*b"SEQ1");

const HEADER_WORDS: usize = 4;

/// Borrowed sequences (FORMAT §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequences<'a> {
    width: usize,
    outputs: usize,
    count: usize,
    words: &'a [i32],
}

/// One sequence: its raw samples and, for golden vectors, the expected outputs of every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence<'a> {
    width: usize,
    outputs: usize,
    inputs: &'a [i32],
    expected: &'a [i32],
}

impl<'a> Sequences<'a> {
    /// Checks and borrows a `.seq` file.
    ///
    /// # Errors
    /// [`ImageError::Misaligned`], [`ImageError::NotAnImage`] or [`ImageError::Sequences`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        if !bytes.len().is_multiple_of(4) {
            return Err(ImageError::Sequences);
        }
        Self::from_words(bytemuck::try_cast_slice(bytes).map_err(|_| ImageError::Misaligned)?)
    }

    pub(crate) fn from_words(words: &'a [i32]) -> Result<Self, ImageError> {
        let Some((&[magic, width, outputs, count], body)) = words.split_first_chunk::<HEADER_WORDS>() else {
            return Err(ImageError::Sequences);
        };
        if magic as u32 != SEQUENCES_MAGIC {
            return Err(ImageError::NotAnImage);
        }
        let size = |value: i32| usize::try_from(value).map_err(|_| ImageError::Sequences);
        let sequences = Self { width: size(width)?, outputs: size(outputs)?, count: size(count)?, words: body };
        if sequences.width == 0 {
            return Err(ImageError::Sequences);
        }
        // Every sequence must be whole, and nothing may lie behind the last.
        let mut rest = body;
        for _ in 0..sequences.count {
            rest = sequences.split(rest).ok_or(ImageError::Sequences)?.1;
        }
        if rest.is_empty() { Ok(sequences) } else { Err(ImageError::Sequences) }
    }

    /// Numbers per raw sample.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Expected outputs per step; 0 where the file holds inputs alone.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The sequences in order.
    pub fn iter(&self) -> impl Iterator<Item = Sequence<'a>> + use<'a> {
        let this = *self;
        let mut rest = self.words;
        core::iter::from_fn(move || {
            let (sequence, behind) = this.split(rest)?;
            rest = behind;
            Some(sequence)
        })
    }

    fn split(&self, words: &'a [i32]) -> Option<(Sequence<'a>, &'a [i32])> {
        let (&steps, body) = words.split_first()?;
        let steps = usize::try_from(steps).ok()?;
        let (inputs, body) = body.split_at_checked(steps.checked_mul(self.width)?)?;
        let (expected, body) = body.split_at_checked(steps.checked_mul(self.outputs)?)?;
        Some((Sequence { width: self.width, outputs: self.outputs, inputs, expected }, body))
    }
}

impl<'a> Sequence<'a> {
    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.inputs.len() / self.width.max(1)
    }

    /// The raw samples, one `[width]` slice a step.
    pub fn samples(&self) -> impl Iterator<Item = &'a [i32]> + use<'a> {
        self.inputs.chunks_exact(self.width.max(1))
    }

    /// The expected outputs, one `[outputs]` slice a step; nothing where the file holds inputs alone.
    pub fn expected(&self) -> impl Iterator<Item = &'a [i32]> + use<'a> {
        self.expected.chunks_exact(self.outputs.max(1))
    }
}
