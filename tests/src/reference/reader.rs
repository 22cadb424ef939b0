//! Reads an image into plain data, after FORMAT.md alone: own checksum, own postcard, own sections.
//!
//! It refuses what is malformed; what the numbers must keep to is checked by [`super::proof`]. It allocates nothing for which the
//! bytes are not there, since damaged counts are read, too.

use super::proof::{self, Bounds};
use crate::model::{
    CellKind, Embedding, Golden, Head, Input, Layer, Matrix, Missing, Model, Pooling, Row, Scale, Scaler, Task, Token,
};
use crate::writer::{crc32, offset, ram_words};

/// The content of an image.
///
/// # Errors
/// One line that says what is wrong.
pub fn read(bytes: &[u8]) -> Result<Model, String> {
    let (model, stated) = read_with_bounds(bytes)?;
    let computed: Vec<Bounds> = model.layers.iter().map(proof::layer).chain([proof::head(&model.head)]).collect();
    demand(stated == computed, "bounds")?;
    Ok(model)
}

/// The content of an image, and the bounds that it states of its layers and its head, right or wrong.
///
/// # Errors
/// One line that says what else is wrong.
pub fn read_with_bounds(bytes: &[u8]) -> Result<(Model, Vec<Bounds>), String> {
    let preamble = bytes.get(..32).ok_or("shorter than the preamble")?;
    let u16_at = |at: usize| u16::from_le_bytes([preamble[at], preamble[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| preamble[at + byte])) as usize;
    demand(&preamble[..4] == b"EMBR", "magic")?;
    demand(u16_at(offset::VERSION) == 2, "version")?;
    demand(u16_at(offset::LAYOUT) == 1, "layout")?;
    demand(u32_at(offset::IMAGE_BYTES) == bytes.len(), "image_bytes")?;
    demand(u32_at(offset::RESERVED) == 0, "reserved")?;
    demand(u32_at(offset::CHECKSUM) as u32 == crc32(&[&bytes[..28], &bytes[32..]]), "checksum")?;
    let header_end = 32 + u32_at(offset::HEADER_BYTES);
    let payload_offset = u32_at(offset::PAYLOAD_OFFSET);
    demand(payload_offset == header_end.next_multiple_of(16), "payload_offset")?;
    let mut header = Cursor(bytes.get(32..header_end).ok_or("header_bytes")?);
    demand(bytes.get(header_end..payload_offset).is_some_and(|gap| gap.iter().all(|&byte| byte == 0)), "padding")?;

    let shapes = read_header(&mut header)?;
    demand(header.0.is_empty(), "bytes left over in the header")?;
    let mut payload = Cursor(&bytes[payload_offset..]);
    let (model, bounds) = read_payload(&mut payload, shapes)?;
    demand(payload.0.is_empty(), "bytes left over in the payload")?;
    demand(u32_at(offset::RAM_WORDS) == ram_words(&model) as usize, "ram_words")?;
    Ok((model, bounds))
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

/// What the header says.
struct Shapes {
    name: String,
    checkpoint: String,
    input: InputShape,
    layers: Vec<LayerShape>,
    head: HeadShape,
    channels: Vec<String>,
    labels: Vec<String>,
}

enum InputShape {
    Features { features: usize, fraction: u8, missing: Missing },
    Tokens { vocabulary: usize, dimension: usize, fraction: u8 },
}

struct LayerShape {
    cell: CellKind,
    hidden: usize,
    cell_fraction: u8,
    shift: u8,
}

struct HeadShape {
    outputs: usize,
    task: Task,
    pooling: Pooling,
    fraction: u8,
    shift: u8,
}

/// The header of FORMAT §3.
fn read_header(header: &mut Cursor) -> Result<Shapes, String> {
    let name = header.text()?;
    let checkpoint = header.text()?;
    let input = match header.varint()? {
        0 => {
            let features = header.count(u16::MAX.into())?;
            let fraction = header.byte()?;
            let missing = match header.varint()? {
                0 => Missing::Error,
                1 => Missing::HoldLast,
                2 => Missing::Mean,
                other => return Err(format!("missing policy {other}")),
            };
            InputShape::Features { features, fraction, missing }
        }
        1 => {
            let (vocabulary, dimension) = (header.count(i32::MAX as u64)?, header.count(u16::MAX.into())?);
            InputShape::Tokens { vocabulary, dimension, fraction: header.byte()? }
        }
        other => return Err(format!("input kind {other}")),
    };
    let mut layers = Vec::new();
    for _ in 0..header.count(8)? {
        let cell = match header.varint()? {
            0 => CellKind::Rnn,
            1 => CellKind::Lstm,
            2 => CellKind::GruResetAfter,
            3 => CellKind::GruResetBefore,
            other => return Err(format!("cell {other}")),
        };
        let hidden = header.count(u16::MAX.into())?;
        layers.push(LayerShape { cell, hidden, cell_fraction: header.byte()?, shift: header.byte()? });
        demand(header.varint()? == 0, "weight format")?;
    }
    let outputs = header.count(u16::MAX.into())?;
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
    let head = HeadShape { outputs, task, pooling, fraction: header.byte()?, shift: header.byte()? };
    demand(header.varint()? == 0, "weight format")?;
    let lines = |text: String| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let (channels, labels) = (lines(header.text()?), lines(header.text()?));
    Ok(Shapes { name, checkpoint, input, layers, head, channels, labels })
}

/// The payload of FORMAT §4.
fn read_payload(payload: &mut Cursor, shapes: Shapes) -> Result<(Model, Vec<Bounds>), String> {
    let Shapes { name, checkpoint, input, layers: layer_shapes, head, channels, labels } = shapes;
    let input = match input {
        InputShape::Features { features, fraction, missing } => {
            let scalers = (0..features).map(|_| payload.scaler()).collect::<Result<_, _>>()?;
            Input::Features { fraction, missing, scalers }
        }
        InputShape::Tokens { vocabulary, dimension, fraction } => {
            Input::Tokens { fraction, embedding: payload.embedding(vocabulary, dimension)? }
        }
    };
    let mut width = input.width();
    let (mut layers, mut bounds) = (Vec::new(), Vec::new());
    for shape in layer_shapes {
        bounds.push(payload.bounds()?);
        layers.push(payload.layer(&shape, width)?);
        width = shape.hidden;
    }
    bounds.push(payload.bounds()?);
    let head = payload.head(&head, width)?;
    let (golden_width, outputs, golden) = sequences(payload)?;
    demand(golden_width == input.raw_width(), "width of the golden vectors")?;
    demand(outputs == head.outputs(), "outputs of the golden vectors")?;
    Ok((Model { name, checkpoint, input, layers, head, channels, labels, golden }, bounds))
}

fn sequences(cursor: &mut Cursor) -> Result<(usize, usize, Vec<Golden>), String> {
    demand(cursor.take(4)? == b"SEQ1", "magic of the sequences")?;
    let mut count = || usize::try_from(cursor.word()?).map_err(|_| "a negative count".to_owned());
    let (width, outputs, number) = (count()?, count()?, count()?);
    demand(width > 0, "width of the sequences")?;
    let mut all = Vec::new();
    for _ in 0..number {
        let steps = usize::try_from(cursor.word()?).map_err(|_| "a negative number of steps")?;
        let mut rows = |length: usize| -> Result<Vec<Vec<i32>>, String> {
            let words = cursor.words(steps.checked_mul(length).ok_or("ends too early")?)?;
            Ok(words.chunks_exact(length.max(1)).map(<[i32]>::to_vec).collect())
        };
        all.push(Golden { samples: rows(width)?, outputs: rows(outputs)? });
    }
    Ok((width, outputs, all))
}

/// The sections of FORMAT §4.
impl Cursor<'_> {
    fn scaler(&mut self) -> Result<Scaler, String> {
        Ok(Scaler {
            min: self.word()?,
            max: self.word()?,
            offset: self.word()?,
            scale: self.scale()?,
            fill: self.int16()?,
            pre_shift: self.byte()?,
            raw_fraction: self.byte()? as i8,
        })
    }

    fn scale(&mut self) -> Result<Scale, String> {
        Ok(Scale { multiplier: self.int16()? as u16, left: self.byte()?, right: self.byte()? })
    }

    /// Row by row, the scales first; then zeros to a multiple of 4.
    fn embedding(&mut self, vocabulary: usize, dimension: usize) -> Result<Embedding, String> {
        let scales = (0..vocabulary).map(|_| self.scale()).collect::<Result<Vec<_>, _>>()?;
        let weights = self.take(vocabulary * dimension)?;
        let rows = scales.into_iter().zip(weights.chunks_exact(dimension.max(1)));
        let token = |(scale, row): (Scale, &[u8])| Token { scale, weights: row.iter().map(|&w| w as i8).collect() };
        let rows = rows.map(token).collect();
        self.zeros((vocabulary * dimension).next_multiple_of(4) - vocabulary * dimension)?;
        Ok(Embedding { columns: dimension, rows })
    }

    fn bounds(&mut self) -> Result<Bounds, String> {
        let mut word = || self.word().map(|word| i64::from(word as u32));
        Ok(Bounds { input: word()?, recurrent: word()?, sum: word()? })
    }

    fn layer(&mut self, shape: &LayerShape, width: usize) -> Result<Layer, String> {
        let &LayerShape { cell, hidden, cell_fraction, shift } = shape;
        let gates = match cell {
            CellKind::Rnn => 1,
            CellKind::Lstm => 4,
            CellKind::GruResetAfter | CellKind::GruResetBefore => 3,
        };
        let padded = hidden.next_multiple_of(4);
        let multipliers = self.words(gates * padded)?;
        let bias = self.words(gates * padded)?;
        let recurrent_bias = self.words(if cell == CellKind::GruResetAfter { padded } else { 0 })?;
        let input = self.tiles(gates * padded, width)?;
        let recurrent = self.tiles(gates * padded, hidden)?;
        // From the order of the tiles to that of CELLS.md, gate by gate.
        let place = |gate: usize, unit: usize| (unit / 4 * gates + gate) * 4 + unit % 4;
        let order: Vec<usize> = (0..gates).flat_map(|gate| (0..hidden).map(move |unit| place(gate, unit))).collect();
        demand_no_more((0..gates).flat_map(|gate| (hidden..padded).map(move |unit| place(gate, unit))), |row| {
            multipliers[row] == 0 && bias[row] == 0 && is_zero(&input[row]) && is_zero(&recurrent[row])
        })?;
        demand_no_more(hidden..recurrent_bias.len(), |unit| recurrent_bias[unit] == 0)?;
        let rows = |columns: usize, weights: &[Vec<i8>], half: u32| Matrix {
            columns,
            rows: order.iter().map(|&row| self::row(&weights[row], multipliers[row], half)).collect(),
        };
        Ok(Layer {
            cell,
            hidden,
            cell_fraction,
            shift,
            input: rows(width, &input, 0),
            recurrent: rows(hidden, &recurrent, 1),
            bias: order.iter().map(|&row| bias[row]).collect(),
            recurrent_bias: recurrent_bias.into_iter().take(hidden).collect(),
        })
    }

    fn head(&mut self, shape: &HeadShape, width: usize) -> Result<Head, String> {
        let &HeadShape { outputs, task, pooling, fraction, shift } = shape;
        let padded = outputs.next_multiple_of(4);
        let multipliers = self.words(padded)?;
        let mut bias = self.words(padded)?;
        let weights = self.tiles(padded, width)?;
        demand_no_more(outputs..padded, |row| multipliers[row] == 0 && bias[row] == 0 && is_zero(&weights[row]))?;
        demand(multipliers.iter().all(|&word| (word as u32) >> 16 == 0), "multiplier of a recurrent row of the head")?;
        bias.truncate(outputs);
        let row = |output: usize| row(&weights[output], multipliers[output], 0);
        let weights = Matrix { columns: width, rows: (0..outputs).map(row).collect() };
        Ok(Head { task, pooling, fraction, shift, weights, bias })
    }

    /// The rows of the tiles of §4.1 in their own order, and without the columns beyond the last, which are 0.
    fn tiles(&mut self, rows: usize, columns: usize) -> Result<Vec<Vec<i8>>, String> {
        let padded = columns.next_multiple_of(2);
        let bytes = rows.checked_mul(padded).ok_or("ends too early")?;
        let mut values = Cursor(self.take(bytes)?);
        let mut all = vec![Vec::new(); rows];
        for tile in all.chunks_exact_mut(4) {
            let mut column = 0;
            while column < padded {
                let together = if padded - column >= 8 { 8 } else { 2 };
                for pair in tile.chunks_exact_mut(2) {
                    for _ in 0..together {
                        let value = i32::from(values.int16()?);
                        pair[0].push(value.div_euclid(256) as i8);
                        pair[1].push((value.rem_euclid(256) - 128) as i8);
                    }
                }
                column += together;
            }
        }
        for row in &mut all {
            demand(is_zero(&row[columns..]), "weight in a column beyond the last")?;
            row.truncate(columns);
        }
        Ok(all)
    }
}

fn is_zero(weights: &[i8]) -> bool {
    weights.iter().all(|&weight| weight == 0)
}

fn demand_no_more(mut beyond: impl Iterator<Item = usize>, is_zero: impl Fn(usize) -> bool) -> Result<(), String> {
    demand(beyond.all(is_zero), "row beyond the last")
}

/// A row with the multiplier in the low (0) or high (1) half of a multiplier word.
fn row(weights: &[i8], word: i32, half: u32) -> Row {
    Row { multiplier: ((word as u32) >> (16 * half)) as u16, weights: weights.to_vec() }
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
    /// See [`Cursor::take`]; and a count beyond the largest that there can be.
    pub fn count(&mut self, largest: u64) -> Result<usize, String> {
        let count = self.varint()?;
        demand(count <= largest, "count")?;
        usize::try_from(count).map_err(|error| error.to_string())
    }

    /// A string: its length in bytes, then UTF-8.
    ///
    /// # Errors
    /// See [`Cursor::take`]; and bytes that are not UTF-8.
    pub fn text(&mut self) -> Result<String, String> {
        let length = self.count(u32::MAX.into())?;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|error| error.to_string())
    }

    fn int16(&mut self) -> Result<i16, String> {
        Ok(i16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn word(&mut self) -> Result<i32, String> {
        Ok(self.words(1)?[0])
    }

    fn words(&mut self, count: usize) -> Result<Vec<i32>, String> {
        let bytes = self.take(count.checked_mul(4).ok_or("ends too early")?)?;
        Ok(bytes.chunks_exact(4).map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
    }

    fn zeros(&mut self, count: usize) -> Result<(), String> {
        demand(self.take(count)?.iter().all(|&byte| byte == 0), "padding")
    }
}
