//! Writes an image from its content, after FORMAT.md and independent of the exporter in `crates/quantize`.
//!
//! It writes what it is told, valid or not: tests of refusals need images that no exporter makes.

use crate::model::{CellKind, Golden, Input, Matrix, Missing, Model, Pooling, Scale, Task};

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
    put_u16(&mut bytes, offset::VERSION, 1);
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
    varint(&mut out, 0);
    text(&mut out, &model.channels.join("\n"));
    text(&mut out, &model.labels.join("\n"));
    out
}

/// The payload (FORMAT §4).
pub fn payload(model: &Model) -> Vec<u8> {
    let mut out = Vec::new();
    match &model.input {
        Input::Features { scalers, .. } => {
            for scaler in scalers {
                words(&mut out, &[scaler.min, scaler.max, scaler.offset]);
                scale(&mut out, scaler.scale);
                out.extend_from_slice(&scaler.fill.to_le_bytes());
                out.push(scaler.pre_shift);
                out.push(scaler.raw_fraction as u8);
            }
        }
        Input::Tokens { embedding, .. } => matrix(&mut out, embedding),
    }
    for layer in &model.layers {
        matrix(&mut out, &layer.input);
        matrix(&mut out, &layer.recurrent);
        words(&mut out, &layer.bias);
        words(&mut out, &layer.recurrent_bias);
    }
    matrix(&mut out, &model.head.weights);
    words(&mut out, &model.head.bias);
    out.extend_from_slice(&sequences(model.input.raw_width(), model.head.outputs(), &model.golden));
    out
}

/// Golden vectors, or a `.seq` file (FORMAT §6). With `outputs` 0 the expected outputs are left out.
pub fn sequences(width: usize, outputs: usize, sequences: &[Golden]) -> Vec<u8> {
    let mut out = b"SEQ1".to_vec();
    words(&mut out, &[width as i32, outputs as i32, sequences.len() as i32]);
    for sequence in sequences {
        words(&mut out, &[sequence.samples.len() as i32]);
        sequence.samples.iter().for_each(|sample| words(&mut out, sample));
        if outputs > 0 {
            sequence.outputs.iter().for_each(|expected| words(&mut out, expected));
        }
    }
    out
}

/// Words of RAM (FORMAT §5).
pub fn ram_words(model: &Model) -> u32 {
    let int16 = |count: usize| count.div_ceil(2);
    let last = model.layers.last().map_or(0, |layer| layer.hidden);
    let mut total = int16(model.input.width());
    let mut scratch = 0;
    for layer in &model.layers {
        total += int16(layer.hidden);
        match layer.cell {
            CellKind::Rnn => scratch = scratch.max(int16(layer.hidden)),
            CellKind::Lstm | CellKind::GruResetBefore => {
                total += layer.hidden;
                scratch = scratch.max(int16(layer.hidden));
            }
            CellKind::GruResetAfter => total += layer.hidden,
        }
    }
    if model.head.pooling == Pooling::Mean {
        total += last + 1;
        scratch = scratch.max(int16(last));
    }
    (total + model.head.outputs() + scratch) as u32
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

fn words(out: &mut Vec<u8>, values: &[i32]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn scale(out: &mut Vec<u8>, scale: Scale) {
    out.extend_from_slice(&scale.multiplier.to_le_bytes());
    out.push(scale.left);
    out.push(scale.right);
}

/// All scales, then all weights, then zeros to a multiple of 4.
fn matrix(out: &mut Vec<u8>, matrix: &Matrix) {
    matrix.rows.iter().for_each(|row| scale(out, row.scale));
    for row in &matrix.rows {
        out.extend(row.weights.iter().map(|&weight| weight as u8));
    }
    out.resize(out.len().next_multiple_of(4), 0);
}
