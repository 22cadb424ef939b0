//! The bytes of an image (FORMAT.md), from an [`IntegerModel`].

use emberloop_image::{
    FeatureScaler, Header, ImageError, InputShape, MemoryPlan, PREAMBLE_BYTES, Part, Preamble, SEQUENCES_MAGIC,
    checksum,
};

use crate::integer_model::{IntegerInput, IntegerMatrix, IntegerModel};

impl IntegerModel {
    /// The image; the same model always gives the same bytes. `Image::parse` is the judge of whether it is valid.
    ///
    /// # Errors
    /// If a count does not fit the header's fields, or there are too many layers.
    pub fn to_image(&self) -> Result<Vec<u8>, ImageError> {
        let channels = self.channels.join("\n");
        let labels = self.labels.join("\n");
        let header = self.header(&channels, &labels)?;
        let encoded = postcard::to_stdvec(&header).map_err(|_| ImageError::Header)?;
        let payload_offset = (PREAMBLE_BYTES + encoded.len()).next_multiple_of(16);

        let mut bytes = vec![0; PREAMBLE_BYTES];
        bytes.extend_from_slice(&encoded);
        bytes.resize(payload_offset, 0);
        self.write_payload(&mut bytes);

        let word = |size: usize| u32::try_from(size).map_err(|_| ImageError::Header);
        let mut preamble = Preamble {
            layout: 0,
            image_bytes: word(bytes.len())?,
            header_bytes: word(encoded.len())?,
            payload_offset: word(payload_offset)?,
            ram_words: word(MemoryPlan::new(&header).words())?,
            checksum: 0,
        };
        bytes[..PREAMBLE_BYTES].copy_from_slice(&preamble.to_bytes());
        preamble.checksum = checksum(&bytes);
        bytes[..PREAMBLE_BYTES].copy_from_slice(&preamble.to_bytes());
        Ok(bytes)
    }

    fn header<'a>(&'a self, channels: &'a str, labels: &'a str) -> Result<Header<'a>, ImageError> {
        let short = |size: usize| u16::try_from(size).map_err(|_| ImageError::Shape { what: Part::Input });
        let input = match &self.input {
            IntegerInput::Features { fraction, missing, scalers } => {
                InputShape::Features { features: short(scalers.len())?, fraction: *fraction, missing: *missing }
            }
            IntegerInput::Tokens { fraction, table } => InputShape::Tokens {
                vocabulary: u32::try_from(table.rows()).map_err(|_| ImageError::Shape { what: Part::Input })?,
                dimension: short(table.columns)?,
                fraction: *fraction,
            },
        };
        let mut layers = heapless::Vec::new();
        for layer in &self.layers {
            layers.push(layer.shape).map_err(|_| ImageError::Header)?;
        }
        let (name, checkpoint) = (&self.name, &self.checkpoint);
        Ok(Header { name, checkpoint, input, layers, head: self.head.shape, channels, labels })
    }

    fn write_payload(&self, bytes: &mut Vec<u8>) {
        match &self.input {
            IntegerInput::Features { scalers, .. } => {
                push_words(bytes, scalers.iter().flat_map(FeatureScaler::to_words));
            }
            IntegerInput::Tokens { table, .. } => push_matrix(bytes, table),
        }
        for layer in &self.layers {
            push_matrix(bytes, &layer.input);
            push_matrix(bytes, &layer.recurrent);
            push_values(bytes, &layer.bias);
            push_values(bytes, &layer.recurrent_bias);
        }
        push_matrix(bytes, &self.head.weights);
        push_values(bytes, &self.head.bias);

        let width = self.raw_width();
        push_words(bytes, [SEQUENCES_MAGIC, width as u32, self.labels.len() as u32, self.golden.len() as u32]);
        for sequence in &self.golden {
            push_words(bytes, [(sequence.samples.len() / width) as u32]);
            push_values(bytes, &sequence.samples);
            push_values(bytes, &sequence.outputs);
        }
    }
}

fn push_matrix(bytes: &mut Vec<u8>, matrix: &IntegerMatrix) {
    push_words(bytes, matrix.scales.iter().map(|scale| scale.word()));
    bytes.extend(matrix.weights.iter().map(|&weight| weight as u8));
    // The payload starts at a multiple of 16, so padding the whole pads the section.
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn push_words(bytes: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
}

fn push_values(bytes: &mut Vec<u8>, values: &[i32]) {
    push_words(bytes, values.iter().map(|&value| value as u32));
}
