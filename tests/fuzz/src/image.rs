//! The bytes of a model's image (FORMAT.md), and damage to them.

use arbitrary::{Result, Unstructured};
use bytemuck::cast_slice;
use emberloop_image::{
    Bounds, Header, LAYOUT, MemoryPlan, PREAMBLE_BYTES, Preamble, SEQUENCES_MAGIC, TILE_ROWS, accumulator_bound,
    checksum, row_bounds, write_tile,
};

use crate::model::{Input, Layer, Model, Row};
use crate::random::EDGES;

/// The image of a model.
pub fn write(model: &Model) -> Vec<u8> {
    let numbered = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<_>>().join("\n");
    let (channels, labels) = (numbered(model.input.raw_width()), numbered(model.head.rows.len()));
    let header = Header {
        name: "fuzz",
        checkpoint: "",
        input: model.input.shape(),
        layers: model.layers.iter().map(|layer| layer.shape).collect(),
        head: model.head.shape,
        channels: &channels,
        labels: &labels,
    };
    let encoded = postcard::to_stdvec(&header).expect("a vector grows");
    let payload_offset = (PREAMBLE_BYTES + encoded.len()).next_multiple_of(16);
    let payload = payload(model);
    let mut preamble = Preamble {
        layout: LAYOUT,
        image_bytes: (payload_offset + 4 * payload.len()) as u32,
        header_bytes: encoded.len() as u32,
        payload_offset: payload_offset as u32,
        ram_words: MemoryPlan::new(&header).words() as u32,
        checksum: 0,
    };
    let mut bytes = preamble.to_bytes().to_vec();
    bytes.extend_from_slice(&encoded);
    bytes.resize(payload_offset, 0);
    bytes.extend_from_slice(cast_slice(&payload));
    preamble.checksum = checksum(&bytes);
    bytes[..PREAMBLE_BYTES].copy_from_slice(&preamble.to_bytes());
    bytes
}

fn payload(model: &Model) -> Vec<u32> {
    let mut words = Vec::new();
    match &model.input {
        Input::Features { scalers, .. } => words.extend(scalers.iter().flat_map(|scaler| scaler.to_words())),
        Input::Tokens { table, .. } => {
            words.extend(table.iter().map(|(scale, _)| scale.word()));
            let mut weights: Vec<i8> = table.iter().flat_map(|(_, weights)| weights.iter().copied()).collect();
            weights.resize(weights.len().next_multiple_of(4), 0);
            words.extend(weights.chunks(4).map(|bytes| u32::from_le_bytes([0, 1, 2, 3].map(|at| bytes[at] as u8))));
        }
    }
    let mut inputs = model.input.width();
    for layer in &model.layers {
        push_layer(&mut words, layer, inputs);
        inputs = usize::from(layer.shape.hidden);
    }
    let head: Vec<Option<&Row>> = pad(model.head.rows.iter().map(Some).collect());
    push_bounds(&mut words, &model.head.rows, model.head.shape.shift);
    push_rows(&mut words, &head);
    push_tiles(&mut words, &head, inputs, |row| &row.input);

    let (width, outputs) = (model.input.raw_width() as u32, model.head.rows.len() as u32);
    words.extend([SEQUENCES_MAGIC, width, outputs, model.golden.len() as u32]);
    for golden in &model.golden {
        words.push(golden.samples.len() as u32);
        let all = golden.samples.iter().chain(&golden.outputs).flatten();
        words.extend(all.map(|&value| value as u32));
    }
    words
}

fn push_layer(words: &mut Vec<u32>, layer: &Layer, inputs: usize) {
    let units = usize::from(layer.shape.hidden);
    let gates = layer.shape.cell.gate_count();
    // Units in groups of four, and of each group one gate after the other.
    let mut rows = Vec::new();
    for first in (0..units).step_by(TILE_ROWS) {
        for gate in 0..gates {
            let row = |unit| (unit < units).then(|| &layer.rows[gate * units + unit]);
            rows.extend((first..first + TILE_ROWS).map(row));
        }
    }
    push_bounds(words, &layer.rows, layer.shape.shift);
    push_rows(words, &rows);
    if layer.shape.cell.has_separate_recurrent_bias() {
        let of_new: Vec<Option<&Row>> = pad(layer.rows[(gates - 1) * units..].iter().map(Some).collect());
        words.extend(of_new.iter().map(|row| row.map_or(0, |row| row.recurrent_bias as u32)));
    }
    push_tiles(words, &rows, inputs, |row| &row.input);
    push_tiles(words, &rows, units, |row| &row.recurrent);
}

fn pad(mut rows: Vec<Option<&Row>>) -> Vec<Option<&Row>> {
    rows.resize(rows.len().next_multiple_of(TILE_ROWS), None);
    rows
}

fn push_bounds(words: &mut Vec<u32>, rows: &[Row], shift: u8) {
    let bounds = rows.iter().map(|row| {
        let bound = |weights: &[i8]| accumulator_bound(weights.iter().copied());
        let (input, recurrent) = (bound(&row.input), bound(&row.recurrent));
        row_bounds(input, recurrent, row.multipliers, row.bias, row.recurrent_bias, shift)
            .expect("rows are made to fit")
    });
    words.extend(bounds.fold(Bounds::default(), Bounds::largest).to_words());
}

/// Multipliers, then biases.
fn push_rows(words: &mut Vec<u32>, rows: &[Option<&Row>]) {
    words.extend(rows.iter().map(|row| row.map_or(0, |row| row.multipliers.word())));
    words.extend(rows.iter().map(|row| row.map_or(0, |row| row.bias as u32)));
}

fn push_tiles(words: &mut Vec<u32>, rows: &[Option<&Row>], columns: usize, of: impl Fn(&Row) -> &Vec<i8>) {
    for rows in rows.chunks(TILE_ROWS) {
        let mut tile = vec![0i16; 2 * columns.next_multiple_of(2)];
        write_tile(&mut tile, columns, |row, column| rows[row].map_or(0, |row| of(row)[column]));
        words.extend(tile.chunks(2).map(|pair| u32::from(pair[0] as u16) | u32::from(pair[1] as u16) << 16));
    }
}

/// Changes of an image's bytes, mostly with a right checksum, so that the checks behind it are reached.
#[derive(Debug)]
pub struct Damage {
    changes: Vec<Change>,
    /// State the new length.
    fix_length: bool,
    fix_checksum: bool,
}

#[derive(Debug)]
enum Change {
    Byte(u16, u8),
    Word(u16, u32),
    Edge(u16, u8),
    Shorter(u16),
    Longer(u8, u8),
}

impl Damage {
    /// None in most cases.
    pub fn new(source: &mut Unstructured<'_>) -> Result<Self> {
        let count = if source.ratio(3, 8)? { source.int_in_range(1..=3)? } else { 0 };
        let changes = (0..count).map(|_| Change::new(source)).collect::<Result<_>>()?;
        let how: u8 = source.arbitrary()?;
        Ok(Self { changes, fix_length: how & 1 == 0, fix_checksum: how & 30 != 30 })
    }

    pub fn is_none(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn apply(&self, bytes: &mut Vec<u8>) {
        if self.is_none() {
            return;
        }
        for change in &self.changes {
            change.apply(bytes);
        }
        let length = bytes.len() as u32;
        if self.fix_length
            && let Some(field) = bytes.get_mut(8..12)
        {
            field.copy_from_slice(&length.to_le_bytes());
        }
        if self.fix_checksum {
            fix_checksum(bytes);
        }
    }
}

/// Makes the checksum right again.
pub fn fix_checksum(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    if let Some(field) = bytes.get_mut(28..32) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}

impl Change {
    fn new(source: &mut Unstructured<'_>) -> Result<Self> {
        let at = source.arbitrary()?;
        Ok(match source.int_in_range(0..=7u8)? {
            0..=2 => Change::Byte(at, source.arbitrary()?),
            3 => Change::Word(at, source.arbitrary()?),
            4 | 5 => Change::Edge(at, source.arbitrary()?),
            6 => Change::Shorter(at),
            _ => Change::Longer(source.arbitrary()?, source.arbitrary()?),
        })
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let place = |at: u16, size: usize| usize::from(at) % (length / size).max(1) * size;
        let set = |bytes: &mut Vec<u8>, at: usize, word: u32| {
            if let Some(field) = bytes.get_mut(at..at + 4) {
                field.copy_from_slice(&word.to_le_bytes());
            }
        };
        match *self {
            Change::Byte(at, with) => {
                if let Some(byte) = bytes.get_mut(place(at, 1)) {
                    *byte ^= with;
                }
            }
            Change::Word(at, word) => set(bytes, place(at, 4), word),
            Change::Edge(at, edge) => set(bytes, place(at, 4), EDGES[usize::from(edge) % EDGES.len()] as u32),
            Change::Shorter(by) => bytes.truncate(length.saturating_sub(usize::from(by))),
            Change::Longer(by, with) => bytes.resize(length + usize::from(by), with),
        }
    }
}
