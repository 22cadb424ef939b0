//! Reads an image into plain data, after FORMAT.md alone: own checksum, own postcard, own sections.
//!
//! It refuses what is malformed, but proves nothing about overflow: the reference finds that by computing.

use crate::model::{CellKind, Golden, Head, Input, Layer, Matrix, Missing, Model, Pooling, Row, Scale, Scaler, Task};
use crate::writer::{crc32, offset};

/// The content of an image.
///
/// # Errors
/// One line that says what is wrong.
pub fn read(bytes: &[u8]) -> Result<Model, String> {
    let preamble = bytes.get(..32).ok_or("shorter than the preamble")?;
    let u16_at = |at: usize| u16::from_le_bytes([preamble[at], preamble[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| preamble[at + byte])) as usize;
    demand(&preamble[..4] == b"EMBR", "magic")?;
    demand(u16_at(offset::VERSION) == 1, "version")?;
    demand(u16_at(offset::LAYOUT) == 0, "layout")?;
    demand(u32_at(offset::IMAGE_BYTES) == bytes.len(), "image_bytes")?;
    demand(u32_at(offset::RESERVED) == 0, "reserved")?;
    demand(u32_at(offset::CHECKSUM) as u32 == crc32(&[&bytes[..28], &bytes[32..]]), "checksum")?;
    let header_end = 32 + u32_at(offset::HEADER_BYTES);
    let payload_offset = u32_at(offset::PAYLOAD_OFFSET);
    demand(payload_offset == header_end.next_multiple_of(16), "payload_offset")?;
    let mut header = Cursor(bytes.get(32..header_end).ok_or("header_bytes")?);
    demand(bytes.get(header_end..payload_offset).is_some_and(|gap| gap.iter().all(|&byte| byte == 0)), "padding")?;

    let mut model = read_header(&mut header)?;
    demand(header.0.is_empty(), "bytes left over in the header")?;
    let mut payload = Cursor(&bytes[payload_offset..]);
    read_payload(&mut payload, &mut model)?;
    demand(payload.0.is_empty(), "bytes left over in the payload")?;
    Ok(model)
}

/// Golden vectors, or a `.seq` file (FORMAT §6): width, outputs per step, sequences.
///
/// # Errors
/// One line that says what is wrong.
pub fn read_sequences(bytes: &[u8]) -> Result<(usize, usize, Vec<Golden>), String> {
    let mut cursor = Cursor(bytes);
    let read = sequences(&mut cursor)?;
    demand(cursor.0.is_empty(), "bytes left over after the sequences")?;
    Ok(read)
}

fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("wrong {what}")) }
}

/// The header of FORMAT §3. What the payload holds is left zero, in the right shape.
fn read_header(header: &mut Cursor) -> Result<Model, String> {
    let name = header.text()?;
    let checkpoint = header.text()?;
    let input = match header.varint()? {
        0 => {
            let features = header.length()?;
            let fraction = header.byte()?;
            let missing = match header.varint()? {
                0 => Missing::Error,
                1 => Missing::HoldLast,
                2 => Missing::Mean,
                other => return Err(format!("missing policy {other}")),
            };
            let scaler = Scaler { min: 0, max: 0, offset: 0, scale: NO_SCALE, fill: 0, pre_shift: 0, raw_fraction: 0 };
            Input::Features { fraction, missing, scalers: vec![scaler; features] }
        }
        1 => {
            let (vocabulary, dimension) = (header.length()?, header.length()?);
            Input::Tokens { fraction: header.byte()?, embedding: empty_matrix(vocabulary, dimension) }
        }
        other => return Err(format!("input kind {other}")),
    };
    let mut width = input.width();
    let mut layers = Vec::new();
    for _ in 0..header.length()? {
        let cell = match header.varint()? {
            0 => CellKind::Rnn,
            1 => CellKind::Lstm,
            2 => CellKind::GruResetAfter,
            3 => CellKind::GruResetBefore,
            other => return Err(format!("cell {other}")),
        };
        let hidden = header.length()?;
        let cell_fraction = header.byte()?;
        demand(header.varint()? == 0, "weight format")?;
        let gates = match cell {
            CellKind::Rnn => 1,
            CellKind::Lstm => 4,
            CellKind::GruResetAfter | CellKind::GruResetBefore => 3,
        };
        layers.push(Layer {
            cell,
            hidden,
            cell_fraction,
            input: empty_matrix(gates * hidden, width),
            recurrent: empty_matrix(gates * hidden, hidden),
            bias: vec![0; gates * hidden],
            recurrent_bias: vec![0; if cell == CellKind::GruResetAfter { hidden } else { 0 }],
        });
        width = hidden;
    }
    let outputs = header.length()?;
    let task = match header.varint()? {
        0 => Task::Classification,
        1 => Task::Regression,
        other => return Err(format!("task {other}")),
    };
    let pooling = match header.varint()? {
        0 => Pooling::Last,
        1 => Pooling::Mean,
        2 => Pooling::Every,
        other => return Err(format!("pooling {other}")),
    };
    let fraction = header.byte()?;
    demand(header.varint()? == 0, "weight format")?;
    let head = Head { task, pooling, fraction, weights: empty_matrix(outputs, width), bias: vec![0; outputs] };
    let lines = |text: String| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let (channels, labels) = (lines(header.text()?), lines(header.text()?));
    Ok(Model { name, checkpoint, input, layers, head, channels, labels, golden: Vec::new() })
}

/// The payload of FORMAT §4.
fn read_payload(payload: &mut Cursor, model: &mut Model) -> Result<(), String> {
    match &mut model.input {
        Input::Features { scalers, .. } => {
            for scaler in scalers {
                scaler.min = payload.word()?;
                scaler.max = payload.word()?;
                scaler.offset = payload.word()?;
                scaler.scale = payload.scale()?;
                scaler.fill = i16::from_le_bytes([payload.byte()?, payload.byte()?]);
                scaler.pre_shift = payload.byte()?;
                scaler.raw_fraction = payload.byte()? as i8;
            }
        }
        Input::Tokens { embedding, .. } => payload.matrix(embedding)?,
    }
    for layer in &mut model.layers {
        payload.matrix(&mut layer.input)?;
        payload.matrix(&mut layer.recurrent)?;
        payload.words(&mut layer.bias)?;
        payload.words(&mut layer.recurrent_bias)?;
    }
    payload.matrix(&mut model.head.weights)?;
    payload.words(&mut model.head.bias)?;
    let (width, outputs, golden) = sequences(payload)?;
    demand(width == model.input.raw_width(), "width of the golden vectors")?;
    demand(outputs == model.head.outputs(), "outputs of the golden vectors")?;
    model.golden = golden;
    Ok(())
}

fn sequences(cursor: &mut Cursor) -> Result<(usize, usize, Vec<Golden>), String> {
    demand(cursor.take(4)? == b"SEQ1", "magic of the sequences")?;
    let mut count = || usize::try_from(cursor.word()?).map_err(|_| "a negative count".to_owned());
    let (width, outputs, number) = (count()?, count()?, count()?);
    let mut all = Vec::new();
    for _ in 0..number {
        let steps = usize::try_from(cursor.word()?).map_err(|_| "a negative number of steps")?;
        let mut rows = |length: usize| -> Result<Vec<Vec<i32>>, String> {
            let mut rows = vec![vec![0; length]; if length == 0 { 0 } else { steps }];
            rows.iter_mut().try_for_each(|row| cursor.words(row))?;
            Ok(rows)
        };
        all.push(Golden { samples: rows(width)?, outputs: rows(outputs)? });
    }
    Ok((width, outputs, all))
}

const NO_SCALE: Scale = Scale { multiplier: 0, left: 0, right: 1 };

fn empty_matrix(rows: usize, columns: usize) -> Matrix {
    Matrix { columns, rows: vec![Row { scale: NO_SCALE, weights: vec![0; columns] }; rows] }
}

/// The bytes still to be read.
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `count` bytes.
    ///
    /// # Errors
    /// If there are fewer; so for all methods.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// See [`Cursor::take`].
    pub fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// Seven bits a byte, the lowest first; a byte below 128 is the last.
    ///
    /// # Errors
    /// See [`Cursor::take`]; and one that is longer than it needs to be, since a content has exactly one encoding.
    pub fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for position in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte % 128) << (7 * position);
            if byte < 128 {
                demand(byte != 0 || position == 0, "varint, longer than it needs to be")?;
                return Ok(value);
            }
        }
        Err("wrong varint".to_owned())
    }

    /// A varint that counts something.
    ///
    /// # Errors
    /// See [`Cursor::take`]; and a count that no test writes, before it is allocated.
    pub fn length(&mut self) -> Result<usize, String> {
        let length = self.varint()?;
        demand(length <= 1 << 20, "count, beyond all reason")?;
        Ok(length as usize)
    }

    /// A string: its length in bytes, then UTF-8.
    ///
    /// # Errors
    /// See [`Cursor::take`]; and bytes that are not UTF-8.
    pub fn text(&mut self) -> Result<String, String> {
        let length = self.length()?;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|error| error.to_string())
    }

    fn word(&mut self) -> Result<i32, String> {
        Ok(i32::from_le_bytes(self.take(4)?.try_into().map_err(|_| "unreachable: four bytes were taken")?))
    }

    fn words(&mut self, into: &mut [i32]) -> Result<(), String> {
        into.iter_mut().try_for_each(|word| {
            *word = self.word()?;
            Ok(())
        })
    }

    fn scale(&mut self) -> Result<Scale, String> {
        let multiplier = u16::from_le_bytes([self.byte()?, self.byte()?]);
        Ok(Scale { multiplier, left: self.byte()?, right: self.byte()? })
    }

    fn matrix(&mut self, matrix: &mut Matrix) -> Result<(), String> {
        for row in &mut matrix.rows {
            row.scale = self.scale()?;
        }
        for row in &mut matrix.rows {
            for weight in &mut row.weights {
                *weight = self.byte()? as i8;
            }
        }
        let weights = matrix.rows.len() * matrix.columns;
        demand(self.take(weights.next_multiple_of(4) - weights)?.iter().all(|&byte| byte == 0), "padding")
    }
}
