//! Writes an image from its content, after FORMAT.md and independent of the exporter in `crates/quantize`.
//!
//! It writes what it is told, valid or not: tests of refusals need images that no exporter makes.

use crate::model::{CellKind, Golden, Input, Matrix, Missing, Model, Pooling, Row, Scale, Scaler, Task};
use crate::reference::proof::{self, Bounds};

/// Offsets of the preamble's fields (FORMAT §2).
pub mod offset {
    /// Format version, u16.
    pub const VERSION: usize = 4;
    /// Weight layout, u16.
    pub const LAYOUT: usize = 6;
    /// Length of the image, u32.
    pub const IMAGE_BYTES: usize = 8;
    /// Length of the header, u32.
    pub const HEADER_BYTES: usize = 12;
    /// Start of the payload, u32.
    pub const PAYLOAD_OFFSET: usize = 16;
    /// Words of RAM, u32.
    pub const RAM_WORDS: usize = 20;
    /// Zero, u32.
    pub const RESERVED: usize = 24;
    /// CRC-32, u32.
    pub const CHECKSUM: usize = 28;
    /// Where the header starts.
    pub const HEADER: usize = 32;
}

/// The image of a model, byte for byte.
pub fn image(model: &Model) -> Vec<u8> {
    assemble(&header(model), &payload(model), ram_words(model))
}

/// Puts preamble, header and payload together.
pub fn assemble(header: &[u8], payload: &[u8], ram_words: u32) -> Vec<u8> {
    let payload_offset = (offset::HEADER + header.len()).next_multiple_of(16);
    let mut bytes = vec![0; payload_offset];
    bytes[..4].copy_from_slice(b"EMBR");
    put_u16(&mut bytes, offset::VERSION, 2);
    put_u16(&mut bytes, offset::LAYOUT, 1);
    put_u32(&mut bytes, offset::IMAGE_BYTES, (payload_offset + payload.len()) as u32);
    put_u32(&mut bytes, offset::HEADER_BYTES, header.len() as u32);
    put_u32(&mut bytes, offset::PAYLOAD_OFFSET, payload_offset as u32);
    put_u32(&mut bytes, offset::RAM_WORDS, ram_words);
    bytes[offset::HEADER..offset::HEADER + header.len()].copy_from_slice(header);
    bytes.extend_from_slice(payload);
    fix_checksum(&mut bytes);
    bytes
}

/// Replaces two bytes.
pub fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Replaces four bytes.
pub fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Makes the checksum right again after a change.
pub fn fix_checksum(image: &mut [u8]) {
    let sum = crc32(&[&image[..offset::CHECKSUM], &image[offset::CHECKSUM + 4..]]);
    put_u32(image, offset::CHECKSUM, sum);
}

/// CRC-32/ISO-HDLC bit by bit, of several parts one after the other.
pub fn crc32(parts: &[&[u8]]) -> u32 {
    let mut register = u32::MAX;
    for &byte in parts.iter().copied().flatten() {
        register ^= u32::from(byte);
        for _ in 0..8 {
            register = if register & 1 == 1 { (register >> 1) ^ 0xEDB8_8320 } else { register >> 1 };
        }
    }
    !register
}

/// The header (FORMAT §3) as postcard writes it.
pub fn header(model: &Model) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, &model.name);
    text(&mut out, &model.checkpoint);
    match &model.input {
        Input::Features { fraction, missing, scalers } => {
            varint(&mut out, 0);
            varint(&mut out, scalers.len() as u64);
            out.push(*fraction);
            varint(
                &mut out,
                match missing {
                    Missing::Error => 0,
                    Missing::HoldLast => 1,
                    Missing::Mean => 2,
                },
            );
        }
        Input::Tokens { fraction, embedding } => {
            varint(&mut out, 1);
            varint(&mut out, embedding.rows.len() as u64);
            varint(&mut out, embedding.columns as u64);
            out.push(*fraction);
        }
    }
    varint(&mut out, model.layers.len() as u64);
    for layer in &model.layers {
        varint(&mut out, cell_index(layer.cell));
        varint(&mut out, layer.hidden as u64);
        out.push(layer.cell_fraction);
        out.push(layer.shift);
        varint(&mut out, 0);
    }
    varint(&mut out, model.head.outputs() as u64);
    varint(
        &mut out,
        match model.head.task {
            Task::Classification => 0,
            Task::Regression => 1,
        },
    );
    varint(
        &mut out,
        match model.head.pooling {
            Pooling::Last => 0,
            Pooling::Mean => 1,
            Pooling::Every => 2,
        },
    );
    out.push(model.head.fraction);
    out.push(model.head.shift);
    varint(&mut out, 0);
    text(&mut out, &model.channels.join("\n"));
    text(&mut out, &model.labels.join("\n"));
    out
}

/// A section of the payload (FORMAT §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// As in the table of FORMAT §4.
    pub name: &'static str,
    /// Of a section per layer: the layer.
    pub layer: usize,
    /// With its padding.
    pub bytes: Vec<u8>,
}

/// The payload (FORMAT §4).
pub fn payload(model: &Model) -> Vec<u8> {
    sections(model).into_iter().flat_map(|section| section.bytes).collect()
}

/// Where a section starts in the image of a model.
///
/// # Panics
/// If the model has no such section.
pub fn section_offset(model: &Model, name: &str, layer: usize) -> usize {
    let before = (offset::HEADER + header(model).len()).next_multiple_of(16);
    let sections = sections(model);
    let found = sections.iter().position(|section| (section.name, section.layer) == (name, layer));
    let found = found.unwrap_or_else(|| panic!("{} has no section {name:?} of layer {layer}", model.name));
    before + sections[..found].iter().map(|section| section.bytes.len()).sum::<usize>()
}

/// The sections of the payload, in order.
pub fn sections(model: &Model) -> Vec<Section> {
    let mut all = Vec::new();
    let mut add = |name, layer, bytes: Vec<u8>| all.push(Section { name, layer, bytes });
    match &model.input {
        Input::Features { scalers, .. } => add("scalers", 0, scalers.iter().flat_map(scaler).collect()),
        Input::Tokens { embedding, .. } => {
            let mut weights: Vec<u8> = embedding.rows.iter().flat_map(|row| &row.weights).map(|&w| w as u8).collect();
            weights.resize(weights.len().next_multiple_of(4), 0);
            add("embedding scales", 0, embedding.rows.iter().flat_map(|row| scale(row.scale)).collect());
            add("embedding weights", 0, weights);
        }
    }
    for (index, layer) in model.layers.iter().enumerate() {
        let order = in_tiles(layer.cell.gate_count(), layer.hidden);
        let (input, recurrent) = (placed(&layer.input, &order), placed(&layer.recurrent, &order));
        let multiplier = |row: &Option<&Row>| row.map_or(0, |row| row.multiplier);
        let multipliers = input.iter().zip(&recurrent).flat_map(|(w, u)| [multiplier(w), multiplier(u)]);
        let bias = order.iter().map(|row| row.map_or(0, |row| layer.bias[row]));
        add("per layer: bounds", index, bounds(proof::layer(layer)));
        add("per layer: multipliers", index, multipliers.flat_map(u16::to_le_bytes).collect());
        add("per layer: bias", index, bias.flat_map(i32::to_le_bytes).collect());
        if !layer.recurrent_bias.is_empty() {
            let mut padded = layer.recurrent_bias.clone();
            padded.resize(layer.hidden.next_multiple_of(4), 0);
            add("per layer: recurrent bias", index, words(&padded));
        }
        add("per layer: input weights", index, tiles(layer.input.columns, &input));
        add("per layer: recurrent weights", index, tiles(layer.recurrent.columns, &recurrent));
    }
    let head = &model.head;
    let padded = head.outputs().next_multiple_of(4);
    let mut multipliers: Vec<i32> = head.weights.rows.iter().map(|row| row.multiplier.into()).collect();
    let mut bias = head.bias.clone();
    let mut rows: Vec<Option<&Row>> = head.weights.rows.iter().map(Some).collect();
    multipliers.resize(padded, 0);
    bias.resize(padded, 0);
    rows.resize(padded, None);
    add("head bounds", 0, bounds(proof::head(head)));
    add("head multipliers", 0, words(&multipliers));
    add("head bias", 0, words(&bias));
    add("head weights", 0, tiles(head.weights.columns, &rows));
    add("golden vectors", 0, sequences(model.input.raw_width(), head.outputs(), &model.golden));
    all
}

/// The rows of a layer, by their number in the order of CELLS.md, as the tiles of FORMAT §4.1 order them; `None` where a tile has
/// a row beyond the last unit.
fn in_tiles(gates: usize, hidden: usize) -> Vec<Option<usize>> {
    let mut rows = Vec::new();
    for group in 0..hidden.div_ceil(4) {
        for gate in 0..gates {
            rows.extend((4 * group..4 * group + 4).map(|unit| (unit < hidden).then_some(gate * hidden + unit)));
        }
    }
    rows
}

fn placed<'a>(matrix: &'a Matrix, order: &[Option<usize>]) -> Vec<Option<&'a Row>> {
    order.iter().map(|row| row.map(|row| &matrix.rows[row])).collect()
}

/// Rows, a multiple of four, as tiles (FORMAT §4.1). The weights of a row or column that is not there are 0.
fn tiles(columns: usize, rows: &[Option<&Row>]) -> Vec<u8> {
    let mut out = Vec::new();
    let columns: Vec<usize> = (0..columns.next_multiple_of(2)).collect();
    let (full, left) = columns.split_at(columns.len() / 8 * 8);
    for tile in rows.chunks(4) {
        for together in full.chunks(8).chain(left.chunks(2)) {
            for pair in tile.chunks(2) {
                for &column in together {
                    let weight = |row: Option<&Row>| {
                        i32::from(row.and_then(|row| row.weights.get(column)).copied().unwrap_or(0))
                    };
                    let value = 256 * weight(pair[0]) + weight(pair[1]) + 128;
                    out.extend_from_slice(&(value as i16).to_le_bytes());
                }
            }
        }
    }
    out
}

/// Makes the bounds of an image right again after a change of its weights, and then the checksum.
pub fn fix_bounds(image: &mut [u8], model: &Model) {
    let certified = sections(model).into_iter().filter(|section| section.name.ends_with("bounds"));
    for Section { name, layer, bytes } in certified {
        let at = section_offset(model, name, layer);
        image[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    fix_checksum(image);
}

/// The certificate (FORMAT §4.2). What does not fit a word is in no valid image, whatever the word.
fn bounds(bounds: Bounds) -> Vec<u8> {
    bounds.fields().into_iter().flat_map(|bound| (bound as u32).to_le_bytes()).collect()
}

/// Golden vectors, or a `.seq` file (FORMAT §6). With `outputs` 0 the expected outputs are left out.
pub fn sequences(width: usize, outputs: usize, sequences: &[Golden]) -> Vec<u8> {
    let mut out = b"SEQ1".to_vec();
    out.extend(words(&[width as i32, outputs as i32, sequences.len() as i32]));
    for sequence in sequences {
        out.extend(words(&[sequence.samples.len() as i32]));
        sequence.samples.iter().for_each(|sample| out.extend(words(sample)));
        if outputs > 0 {
            sequence.outputs.iter().for_each(|expected| out.extend(words(expected)));
        }
    }
    out
}

/// Words of RAM (FORMAT §5).
pub fn ram_words(model: &Model) -> u32 {
    let padded = |count: usize| count.next_multiple_of(4);
    let last = padded(model.layers.last().map_or(0, |layer| layer.hidden));
    let mut total = model.input.width().div_ceil(2);
    let mut scratch = 0;
    for layer in &model.layers {
        let hidden = padded(layer.hidden);
        let (memory, needs) = match layer.cell {
            CellKind::Rnn => (0, hidden / 2),
            CellKind::Lstm | CellKind::GruResetBefore => (hidden, hidden / 2),
            CellKind::GruResetAfter => (hidden, 0),
        };
        total += memory + hidden / 2;
        scratch = scratch.max(needs);
    }
    if model.head.pooling == Pooling::Mean {
        total += last + 1;
        scratch = scratch.max(last / 2);
    }
    (total + padded(model.head.outputs()) + scratch) as u32
}

/// The index of a cell in the header (FORMAT §3).
pub fn cell_index(cell: CellKind) -> u64 {
    match cell {
        CellKind::Rnn => 0,
        CellKind::Lstm => 1,
        CellKind::GruResetAfter => 2,
        CellKind::GruResetBefore => 3,
    }
}

/// Seven bits at a time, the lowest first; the top bit of a byte says that more follow.
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push((value % 128) as u8 + 128);
        value /= 128;
    }
    out.push(value as u8);
}

fn text(out: &mut Vec<u8>, value: &str) {
    varint(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

fn words(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn scale(scale: Scale) -> [u8; 4] {
    let [low, high] = scale.multiplier.to_le_bytes();
    [low, high, scale.left, scale.right]
}

fn scaler(scaler: &Scaler) -> Vec<u8> {
    let mut out = words(&[scaler.min, scaler.max, scaler.offset]);
    out.extend_from_slice(&scale(scaler.scale));
    out.extend_from_slice(&scaler.fill.to_le_bytes());
    out.push(scaler.pre_shift);
    out.push(scaler.raw_fraction as u8);
    out
}
