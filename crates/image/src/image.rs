//! The checked, borrowed image.

use crate::section::{Sections, too_short};
use crate::{Head, Header, ImageError, Input, Layer, LayerShape, MemoryPlan, PREAMBLE_BYTES, Preamble, Sequences};

/// A checked image; borrows everything from the bytes it was parsed from.
///
/// Small, because it lies in RAM: the views of the layers are cut out of the payload when they are asked for.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    header: Header<'a>,
    input: &'a [u32],
    layers: &'a [u32],
    head: &'a [u32],
    golden: Sequences<'a>,
    bytes: usize,
}

impl<'a> Image<'a> {
    /// Checks an image and borrows it. The bytes must lie at an address that is a multiple of 4 (see
    /// [`include_image!`](crate::include_image)).
    ///
    /// Reads every byte once: on a device, call it at start-up and keep the result.
    ///
    /// # Errors
    /// [`ImageError`]: the first thing found wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        if !bytes.as_ptr().addr().is_multiple_of(4) {
            return Err(ImageError::Misaligned);
        }
        let preamble = Preamble::read(bytes)?;
        let (header, payload) = split_header(bytes, &preamble)?;
        header.check()?;
        let memory = MemoryPlan::new(&header);
        if memory.words() != preamble.ram_words as usize {
            return Err(ImageError::Memory { expected: memory.words() as u32, found: preamble.ram_words });
        }

        // The payload starts at a multiple of 16; a length that is no multiple of 4 leaves the last section short.
        let whole = payload.len() / 4 * 4;
        let words: &[u32] =
            bytemuck::try_cast_slice(payload.get(..whole).unwrap_or(&[])).map_err(|_| ImageError::Misaligned)?;
        let mut sections = Sections::new(words);
        let short = || too_short(words);
        let (input, view) = sections.spanned(|sections| Input::take(sections, header.input)).ok_or_else(short)?;
        view.prove(input)?;
        let mut layers = Layers { shapes: header.layers.iter(), width: header.input_width(), sections };
        let before = sections.rest();
        for index in 0..header.layers.len() {
            layers.next().ok_or_else(short)?.prove(index as u8)?;
        }
        let (width, mut sections) = (layers.width, layers.sections);
        let layers = before.get(..before.len().saturating_sub(sections.rest().len())).unwrap_or(&[]);
        let (head, view) = sections.spanned(|sections| Head::take(sections, header.head, width)).ok_or_else(short)?;
        view.prove()?;
        if whole != payload.len() {
            return Err(ImageError::Sequences);
        }
        let golden = Sequences::from_words(bytemuck::cast_slice(sections.rest())).map_err(|_| ImageError::Sequences)?;
        if golden.width() != header.raw_width() || golden.outputs() != usize::from(header.head.outputs) {
            return Err(ImageError::Sequences);
        }
        Ok(Self { header, input, layers, head, golden, bytes: bytes.len() })
    }

    /// Shapes and names.
    pub fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// How a raw sample becomes the first layer's input.
    #[inline(always)]
    pub fn input(&self) -> Input<'a> {
        // Parsed with these very shapes; what is not there is no feature.
        let missing = crate::MissingPolicy::Error;
        Input::take(&mut Sections::new(self.input), self.header.input)
            .unwrap_or(Input::Features { scalers: &[], missing })
    }

    /// The recurrent layers, the one next to the input first.
    #[inline(always)]
    pub fn layers(&self) -> Layers<'_, 'a> {
        let sections = Sections::new(self.layers);
        Layers { shapes: self.header.layers.iter(), width: self.header.input_width(), sections }
    }

    /// The dense head.
    #[inline(always)]
    pub fn head(&self) -> Head<'a> {
        let width = self.header.layers.last().map_or(0, |layer| usize::from(layer.hidden));
        // As for the input.
        Head::take(&mut Sections::new(self.head), self.header.head, width).unwrap_or(Head::empty(self.header.head))
    }

    /// The golden vectors: raw inputs and the exact outputs of every step.
    pub fn golden(&self) -> Sequences<'a> {
        self.golden
    }

    /// How a network's RAM is cut up.
    pub fn memory(&self) -> MemoryPlan {
        MemoryPlan::new(&self.header)
    }

    /// Length of the image in bytes.
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of RAM that a network of this image needs.
    pub fn ram_bytes(&self) -> usize {
        4 * self.memory().words()
    }

    /// The label of an output, or the name of a regression target.
    pub fn label(&self, output: usize) -> Option<&'a str> {
        self.header.label(output)
    }

    /// Fraction bits of a feature's raw number: a driver hands over `round(value · 2^fraction)`, the value in the unit of the
    /// training data. 0 where the training data were integers (ADC counts). `None` for tokens and beyond the last feature.
    pub fn raw_fraction(&self, feature: usize) -> Option<i8> {
        self.input().feature_scalers().nth(feature).map(|scaler| scaler.raw_fraction)
    }

    /// The names of the input channels.
    pub fn channels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        crate::header::names(self.header.channels)
    }
}

/// The recurrent layers of an image, the one next to the input first.
#[derive(Clone, Debug)]
pub struct Layers<'s, 'a> {
    shapes: core::slice::Iter<'s, LayerShape>,
    sections: Sections<'a>,
    /// What the next layer sees.
    width: usize,
}

impl<'a> Iterator for Layers<'_, 'a> {
    type Item = Layer<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Layer<'a>> {
        let &shape = self.shapes.next()?;
        let layer = Layer::take(&mut self.sections, shape, self.width)?;
        self.width = usize::from(shape.hidden);
        Some(layer)
    }
}

fn split_header<'a>(bytes: &'a [u8], preamble: &Preamble) -> Result<(Header<'a>, &'a [u8]), ImageError> {
    let end = PREAMBLE_BYTES.checked_add(preamble.header_bytes as usize).ok_or(ImageError::Header)?;
    let payload_offset = preamble.payload_offset as usize;
    // Exactly one place for the payload, and zeros before it: no two images of the same content differ.
    if end.checked_next_multiple_of(16) != Some(payload_offset) {
        return Err(ImageError::Header);
    }
    let (Some(header), Some(padding), Some(payload)) =
        (bytes.get(PREAMBLE_BYTES..end), bytes.get(end..payload_offset), bytes.get(payload_offset..))
    else {
        return Err(ImageError::Header);
    };
    match postcard::take_from_bytes::<Header<'a>>(header) {
        Ok((header, [])) if padding.iter().all(|&byte| byte == 0) => Ok((header, payload)),
        _ => Err(ImageError::Header),
    }
}
