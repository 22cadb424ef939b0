//! The bytes of an image (FORMAT.md), from an [`IntegerModel`].

use emberloop_image::{
    FeatureScaler, Header, ImageError, InputShape, LAYOUT, MemoryPlan, Multipliers, PREAMBLE_BYTES, Part, Preamble,
    SEQUENCES_MAGIC, TILE_ROWS, checksum, write_tile,
};

use crate::integer_model::{IntegerHead, IntegerInput, IntegerLayer, IntegerMatrix, IntegerModel, IntegerTable};

impl IntegerModel {
    /// The image; the same model always gives the same bytes. `Image::parse` is the judge of whether it is valid.
    ///
    /// # Errors
    /// If a count does not fit the header's fields, shapes contradict each other, a weight is -128, a row could overflow, or
    /// there are too many layers.
    pub fn to_image(&self) -> Result<Vec<u8>, ImageError> {
        let channels = self.channels.join("\n");
        let labels = self.labels.join("\n");
        let header = self.header(&channels, &labels)?;
        let encoded = postcard::to_stdvec(&header).map_err(|_| ImageError::Header)?;
        let payload_offset = (PREAMBLE_BYTES + encoded.len()).next_multiple_of(16);

        let mut bytes = vec![0; PREAMBLE_BYTES];
        bytes.extend_from_slice(&encoded);
        bytes.resize(payload_offset, 0);
        self.write_payload(&mut bytes)?;

        let word = |size: usize| u32::try_from(size).map_err(|_| ImageError::Header);
        let mut preamble = Preamble {
            layout: LAYOUT,
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

    fn write_payload(&self, bytes: &mut Vec<u8>) -> Result<(), ImageError> {
        match &self.input {
            IntegerInput::Features { scalers, .. } => {
                push_words(bytes, scalers.iter().flat_map(FeatureScaler::to_words));
            }
            IntegerInput::Tokens { table, .. } => push_table(bytes, table),
        }
        let mut width = self.input_width();
        for (index, layer) in self.layers.iter().enumerate() {
            layer.write(bytes, index as u8, width)?;
            width = usize::from(layer.shape.hidden);
        }
        self.head.write(bytes, width)?;

        let width = self.raw_width();
        push_words(bytes, [SEQUENCES_MAGIC, width as u32, self.labels.len() as u32, self.golden.len() as u32]);
        for sequence in &self.golden {
            push_words(bytes, [(sequence.samples.len() / width.max(1)) as u32]);
            push_values(bytes, sequence.samples.iter().copied());
            push_values(bytes, sequence.outputs.iter().copied());
        }
        Ok(())
    }
}

impl IntegerLayer {
    fn write(&self, bytes: &mut Vec<u8>, index: u8, inputs: usize) -> Result<(), ImageError> {
        let part = Part::Layer(index);
        let (gates, hidden) = (self.shape.cell.gate_count(), usize::from(self.shape.hidden));
        let rows = gates * hidden;
        let separate = if self.shape.cell.has_separate_recurrent_bias() { hidden } else { 0 };
        let fits = self.input.is(rows, inputs)
            && self.recurrent.is(rows, hidden)
            && (self.bias.len(), self.recurrent_bias.len()) == (rows, separate);
        if !fits {
            return Err(ImageError::Shape { what: part });
        }
        check_weights(&self.input, Part::InputWeights(index))?;
        check_weights(&self.recurrent, Part::RecurrentWeights(index))?;
        let bounds = self.bounds().map_err(|row| ImageError::Overflow { part, row: row as u32 })?;
        push_words(bytes, bounds.to_words());
        let order = tile_order(gates, hidden);
        let multipliers = |row: usize| Multipliers::new(self.input.multipliers[row], self.recurrent.multipliers[row]);
        push_words(bytes, order.iter().map(|row| row.map_or(0, |row| multipliers(row).word())));
        push_values(bytes, order.iter().map(|row| row.map_or(0, |row| self.bias[row])));
        push_padded(bytes, &self.recurrent_bias);
        push_tiles(bytes, &self.input, &order);
        push_tiles(bytes, &self.recurrent, &order);
        Ok(())
    }
}

impl IntegerHead {
    fn write(&self, bytes: &mut Vec<u8>, width: usize) -> Result<(), ImageError> {
        let part = Part::Head;
        let outputs = usize::from(self.shape.outputs);
        if !self.weights.is(outputs, width) || self.bias.len() != outputs {
            return Err(ImageError::Shape { what: part });
        }
        check_weights(&self.weights, part)?;
        let bounds = self.bounds().map_err(|row| ImageError::Overflow { part, row: row as u32 })?;
        push_words(bytes, bounds.to_words());
        let order = tile_order(1, outputs);
        let word = |row: usize| Multipliers::new(self.weights.multipliers[row], 0).word();
        push_words(bytes, order.iter().map(|row| row.map_or(0, word)));
        push_padded(bytes, &self.bias);
        push_tiles(bytes, &self.weights, &order);
        Ok(())
    }
}

/// The rows in the order of the tiles (FORMAT §4.1), counted as they are stacked by gate; nothing beyond the last unit.
fn tile_order(gates: usize, units: usize) -> Vec<Option<usize>> {
    let groups = (0..units).step_by(TILE_ROWS);
    let tiles = groups.flat_map(|first| (0..gates).map(move |gate| (gate, first)));
    let row = |gate: usize, unit: usize| (unit < units).then_some(gate * units + unit);
    tiles.flat_map(|(gate, first)| (first..first + TILE_ROWS).map(move |unit| row(gate, unit))).collect()
}

/// -128 is refused here already: tiles have no room for it.
fn check_weights(matrix: &IntegerMatrix, part: Part) -> Result<(), ImageError> {
    match matrix.weights.iter().position(|&weight| weight == i8::MIN) {
        Some(at) => Err(ImageError::Weight { part, row: (at / matrix.columns.max(1)) as u32 }),
        None => Ok(()),
    }
}

fn push_tiles(bytes: &mut Vec<u8>, matrix: &IntegerMatrix, order: &[Option<usize>]) {
    let mut tile = vec![0; 2 * matrix.columns.next_multiple_of(2)];
    for rows in order.as_chunks::<TILE_ROWS>().0 {
        let rows = rows.map(|row| row.map_or(&[][..], |row| matrix.row(row)));
        write_tile(&mut tile, matrix.columns, |row, column| rows[row].get(column).copied().unwrap_or(0));
        bytes.extend(tile.iter().flat_map(|value| value.to_le_bytes()));
    }
}

fn push_table(bytes: &mut Vec<u8>, table: &IntegerTable) {
    push_words(bytes, table.scales.iter().map(|scale| scale.word()));
    bytes.extend(table.weights.iter().map(|&weight| weight as u8));
    // The payload starts at a multiple of 16, so padding the whole pads the section.
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Values of units in their order, with zeros up to a whole tile.
fn push_padded(bytes: &mut Vec<u8>, values: &[i32]) {
    let padding = values.len().next_multiple_of(TILE_ROWS) - values.len();
    push_values(bytes, values.iter().copied().chain(std::iter::repeat_n(0, padding)));
}

fn push_words(bytes: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
}

fn push_values(bytes: &mut Vec<u8>, values: impl IntoIterator<Item = i32>) {
    push_words(bytes, values.into_iter().map(|value| value as u32));
}
