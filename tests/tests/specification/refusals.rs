//! The table of FORMAT.md §7: each row is a change to a valid image, made here and refused by `Image::parse`.

use emberloop_image::{Image, ImageError};
use emberloop_tests::aligned::Aligned;
use emberloop_tests::cases;
use emberloop_tests::model::{Input, Layer, Model, Row, Scale, Token};
use emberloop_tests::page::Table;
use emberloop_tests::reference::reader;
use emberloop_tests::writer::{self, Section, fix_checksum, offset, put_u16, put_u32};

/// §7: each change gives the error that the row names.
pub fn refusals(table: &Table) {
    assert_eq!(table.columns, ["change", "error"]);
    for row in &table.rows {
        let refused = changed(&row[0]);
        assert!(!refused.is_empty());
        for (number, error) in refused.into_iter().enumerate() {
            let error = error.err().unwrap_or_else(|| panic!("{:?}, variant {number}: not refused", row[0]));
            // Of `Version { expected: 1, found: 2 }`, the name.
            let name = format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned();
            assert_eq!(name, row[1], "{:?}, variant {number}: {error}", row[0]);
        }
    }
}

type Parsed = Result<(), ImageError>;

fn parse(bytes: &[u8]) -> Parsed {
    Image::parse(&Aligned::new(bytes)).map(drop)
}

/// What `Image::parse` says of each variant of the change.
fn changed(change: &str) -> Vec<Parsed> {
    let valid = cases::named("gru").image;
    // Changes bytes and makes the checksum right again.
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = valid.clone();
        edit(&mut bytes);
        fix_checksum(&mut bytes);
        vec![parse(&bytes)]
    };
    let plus = |at: usize, more: u32| {
        edited(&|bytes| {
            let before = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            put_u32(bytes, at, before + more);
        })
    };
    let scaled = |multiplier, left, right| requantizer(Scale { multiplier, left, right });
    match change {
        "no bytes at all" => vec![parse(&[])],
        "magic `EMBX`" => edited(&|bytes| bytes[3] = b'X'),
        "only the first 20 bytes" => vec![parse(&valid[..20])],
        "the last byte missing" => vec![parse(&valid[..valid.len() - 1])],
        "four bytes more" => vec![parse(&[&valid[..], &[0; 4]].concat())],
        "version 1" => edited(&|bytes| put_u16(bytes, offset::VERSION, 1)),
        "layout 0" => edited(&|bytes| put_u16(bytes, offset::LAYOUT, 0)),
        "any bit flipped, but of magic, version and length" => {
            let checked_first = |byte: &usize| (0..6).contains(byte) || (8..12).contains(byte);
            let bytes = (0..valid.len()).filter(|byte| !checked_first(byte));
            bytes
                .flat_map(|byte| (0..8).map(move |bit| (byte, bit)))
                .map(|flip| parse(&flipped(&valid, flip)))
                .collect()
        }
        "address not a multiple of 4" => {
            let shift = |by: usize| Image::parse(&Aligned::new(&[&vec![0; by], &valid[..]].concat())[by..]).map(drop);
            vec![shift(1), shift(2), shift(3)]
        }
        "reserved 1" => plus(offset::RESERVED, 1),
        "ram_words + 1" => plus(offset::RAM_WORDS, 1),
        "header_bytes + 1" => plus(offset::HEADER_BYTES, 1),
        "payload_offset + 16" => plus(offset::PAYLOAD_OFFSET, 16),
        "a requantizer with right shift 0" => scaled(1 << 14, 0, 0),
        "a requantizer with right shift 31" => scaled(1 << 14, 0, 31),
        "a requantizer with multiplier 1" => scaled(1, 0, 1),
        "a requantizer with both shifts above 1" => scaled(1 << 14, 2, 2),
        "a multiplier of 32768" => multipliers(),
        "a weight of -128" => {
            let token = last_token(&|token| *token.weights.last_mut().expect("a weight") = -128);
            let last = |row: &mut Row| *row.weights.last_mut().expect("a weight") = -128;
            every_row(&|row| row.weights[0] = -128).into_iter().chain(every_row(&last)).chain([token]).collect()
        }
        "a weight in a column or row beyond the last" => weights_beyond(),
        "a multiplier or bias in a row beyond the last, or a multiplier of `U` in the head" => rows_beyond(),
        "a row whose sum can pass 2^31" => sums(),
        "bounds that are not what the weights give" => bounds(),
        "a scaler that can pass 32767" => scalers(),
        "golden vectors with a step too many" => {
            // The length of the first golden sequence: the word behind the four of the section's head.
            let at = valid.len() - golden_bytes() + 16;
            plus(at, 1)
        }
        "golden magic wrong" => edited(&|bytes| {
            let at = bytes.len() - golden_bytes();
            bytes[at] = b'X';
        }),
        unknown => panic!("FORMAT §7: unknown change {unknown:?}"),
    }
}

fn flipped(bytes: &[u8], (byte, bit): (usize, u32)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[byte] ^= 1 << bit;
    bytes
}

fn golden_bytes() -> usize {
    let model = cases::named("gru").model;
    writer::sequences(model.input.raw_width(), model.head.outputs(), &model.golden).len()
}

fn model_of(mut model: Model, change: impl FnOnce(&mut Model)) -> Parsed {
    change(&mut model);
    parse(&writer::image(&model))
}

/// Two layers of odd numbers of inputs and units: each tile has a column too many, and each last tile three rows too many.
fn full() -> Model {
    let model = cases::named("gru_two").model;
    assert!(model.layers.iter().all(|layer| layer.hidden % 4 == 1 && layer.input.columns % 2 == 1));
    model
}

/// The same change to a row of every matrix of weights, one at a time: to the first, which is the high byte of its int16, and to
/// the second, which is the low one.
fn every_row(change: &dyn Fn(&mut Row)) -> Vec<Parsed> {
    let mut parsed = Vec::new();
    for (layer, is_input) in [(0, true), (0, false), (1, true), (1, false)] {
        for row in [0, 1] {
            parsed.push(model_of(full(), |model| {
                let layer = &mut model.layers[layer];
                let matrix = if is_input { &mut layer.input } else { &mut layer.recurrent };
                change(&mut matrix.rows[row]);
            }));
        }
    }
    for row in [0, 1] {
        parsed.push(model_of(full(), |model| change(&mut model.head.weights.rows[row])));
    }
    parsed
}

/// A change to the last row of the embedding.
fn last_token(change: &dyn Fn(&mut Token)) -> Parsed {
    model_of(cases::named("gru_tokens").model, |model| {
        let Input::Tokens { embedding, .. } = &mut model.input else { panic!("a model with tokens") };
        change(embedding.rows.last_mut().expect("a row"));
    })
}

/// A requantizer out of range in the embedding. Those of scalers are refused as scalers: see there.
fn requantizer(scale: Scale) -> Vec<Parsed> {
    vec![last_token(&|token| token.scale = scale)]
}

/// Every place of the tiles that belongs to no weight.
fn weights_beyond() -> Vec<Parsed> {
    let model = full();
    let (image, mut parsed) = (writer::image(&model), Vec::new());
    let sections: Vec<Section> =
        writer::sections(&model).into_iter().filter(|one| one.name.ends_with("weights")).collect();
    assert_eq!(sections.len(), 5, "two of each layer, and the head's");
    for Section { name, layer, bytes } in sections {
        let at = writer::section_offset(&model, name, layer);
        let before = parsed.len();
        for byte in 0..bytes.len() {
            // High bytes are weights, low bytes weights plus 128; the reference's own reader knows which places are beyond.
            if bytes[byte] != [128, 0][byte % 2] {
                continue;
            }
            let mut changed = image.clone();
            changed[at + byte] ^= 1;
            fix_checksum(&mut changed);
            if reader::read(&changed).is_err_and(|error| error.contains("beyond the last")) {
                parsed.push(parse(&changed));
            }
        }
        assert!(parsed.len() > before, "{name} of layer {layer} has no place beyond the last");
    }
    parsed
}

/// Every word of multipliers and biases that belongs to no unit, and the head's multipliers of a recurrent product.
fn rows_beyond() -> Vec<Parsed> {
    let model = full();
    let (image, mut parsed) = (writer::image(&model), Vec::new());
    let mut set = |name: &str, layer: usize, word: usize, value: u32| {
        let at = writer::section_offset(&model, name, layer) + 4 * word;
        let mut changed = image.clone();
        assert_eq!(changed[at..at + 4], [0; 4], "{name}: nothing lies there");
        put_u32(&mut changed, at, value);
        fix_checksum(&mut changed);
        parsed.push(parse(&changed));
    };
    for (layer, shape) in model.layers.iter().enumerate() {
        let (gates, groups) = (shape.cell.gate_count(), shape.hidden.div_ceil(4));
        for gate in 0..gates {
            // All but the first of the last group's four.
            for row in 1..4 {
                let word = 4 * ((groups - 1) * gates + gate) + row;
                set("per layer: multipliers", layer, word, 1);
                set("per layer: multipliers", layer, word, 1 << 16);
                set("per layer: bias", layer, word, u32::MAX);
            }
        }
        (shape.hidden..4 * groups).for_each(|unit| set("per layer: recurrent bias", layer, unit, 1));
    }
    for output in model.head.outputs()..4 {
        set("head multipliers", 0, output, 1);
        set("head bias", 0, output, 1 << 31);
    }
    parsed
}

/// A multiplier that is negative as an int16, in both halves of the word.
fn multipliers() -> Vec<Parsed> {
    every_row(&|row| row.multiplier = 1 << 15).into_iter().chain(every_row(&|row| row.multiplier = u16::MAX)).collect()
}

/// Both products and both biases of a row, alone and together, up to the last unit: that is let through, one more is not.
fn sums() -> Vec<Parsed> {
    let mut refused = Vec::new();
    let limit = (1i64 << 31) - 1;
    for shift in [0, 1, 7, 15] {
        // What the sum may be before it is shifted.
        let most = limit >> shift;
        let of_layer = |cell: &str, bias: i64, recurrent_bias: i64| {
            model_of(cases::named(cell).model, |model| {
                let layer = &mut model.layers[0];
                let row = layer.bias.len() - 1;
                rescale(layer, shift);
                layer.input.rows[row] = Row { multiplier: 32767, weights: vec![127; layer.input.columns] };
                layer.recurrent.rows[row] = Row { multiplier: 0, weights: vec![-127; layer.hidden] };
                layer.bias[row] = bias as i32;
                if let Some(last) = layer.recurrent_bias.last_mut() {
                    *last = recurrent_bias as i32;
                }
            })
        };
        // Three inputs: P = floor(3·127·2^15·32767 / 2^16) + 1.
        let product = 3 * 127 * 32767 / 2 + 1;
        if product < most {
            let left = most - product;
            assert_eq!(of_layer("lstm", left, 0), Ok(()), "shift {shift}: to the last unit");
            assert_eq!(of_layer("gru", 1 - left, -1), Ok(()), "shift {shift}: to the last unit");
            refused.extend([of_layer("lstm", left + 1, 0), of_layer("lstm", -left - 1, 0), of_layer("gru", left, -1)]);
            refused.extend([
                of_layer("gru", -1, -left),
                of_layer("rnn", i32::MIN.into(), 0),
                of_layer("rnn", limit, 0),
            ]);
        } else {
            // The product alone is too large for this shift.
            refused.push(of_layer("rnn", 0, 0));
        }
        let of_head = |bias: i64| {
            model_of(cases::named("rnn").model, |model| {
                let head = &mut model.head;
                head.shift = shift;
                head.weights.rows.iter_mut().for_each(|row| row.multiplier = 0);
                head.bias = vec![0, 0, bias as i32];
            })
        };
        assert_eq!((of_head(most), of_head(-most)), (Ok(()), Ok(())), "shift {shift}: to the last unit");
        refused.extend([of_head(-most - 1), of_head(i32::MIN.into())]);
        refused.extend((shift > 0).then(|| of_head(most + 1)));
    }
    refused.extend(accumulators());
    refused
}

/// Every other row of the layer gives way to a row without products or biases, so that only the last one counts.
fn rescale(layer: &mut Layer, shift: u8) {
    layer.shift = shift;
    layer.input.rows.iter_mut().chain(&mut layer.recurrent.rows).for_each(|row| row.multiplier = 0);
    layer.bias.fill(0);
    layer.recurrent_bias.fill(0);
}

/// `A` itself beyond 2^31 - 1, though the multiplier makes nothing of it: 65,535 units of weight are the most.
fn accumulators() -> Vec<Parsed> {
    let with = |last: i8| {
        model_of(cases::named("rnn_longest_row").model, |model| {
            let Input::Features { scalers, .. } = &mut model.input else { panic!("a model with features") };
            scalers.push(scalers[0]);
            model.channels.push("one more".to_owned());
            model.golden.clear();
            let input = &mut model.layers[0].input;
            input.columns += 1;
            assert_eq!((input.columns, input.rows.len()), (517, 1));
            input.rows[0].weights.push(last);
            input.rows[0].multiplier = 0;
        })
    };
    assert_eq!((with(3), with(-3)), (Ok(()), Ok(())), "516 · 127 + 3 = 65,535");
    vec![with(4), with(-4)]
}

/// Every word of every certificate, one more and one less.
fn bounds() -> Vec<Parsed> {
    let model = full();
    let image = writer::image(&model);
    let mut parsed = Vec::new();
    for (name, layer) in [("per layer: bounds", 0), ("per layer: bounds", 1), ("head bounds", 0)] {
        let at = writer::section_offset(&model, name, layer);
        for (at, change) in [at, at + 4, at + 8].into_iter().flat_map(|at| [(at, 1), (at, u32::MAX), (at, 1 << 31)]) {
            let mut bytes = image.clone();
            let before = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            put_u32(&mut bytes, at, before.wrapping_add(change));
            fix_checksum(&mut bytes);
            parsed.push(parse(&bytes));
        }
    }
    parsed
}

fn scalers() -> Vec<Parsed> {
    let with = |min: i32, max: i32, offset: i32, pre_shift: u8, scale: Scale, fill: i16| {
        model_of(cases::named("gru").model, |model| {
            let Input::Features { scalers, .. } = &mut model.input else { panic!("a model with features") };
            let last = scalers.last_mut().expect("a scaler");
            (last.min, last.max, last.offset, last.pre_shift, last.scale, last.fill) =
                (min, max, offset, pre_shift, scale, fill);
        })
    };
    // x = raw / 4, rounded half up: 131069 / 4 is 32767.25, 131070 / 4 is a half more.
    let quarter = Scale { multiplier: 1 << 14, left: 1, right: 1 };
    let eighth = Scale { multiplier: 1 << 14, left: 0, right: 1 };
    assert_eq!(with(-131_070, 131_069, 0, 0, quarter, 0), Ok(()), "just within the bound");
    assert_eq!(with(-32_767, 32_767, 0, 2, quarter, 32_767), Ok(()), "just within the bound");
    vec![
        with(-131_070, 131_070, 0, 0, quarter, 0),
        with(-131_071, 131_069, 0, 0, quarter, 0),
        with(0, 0, 131_072, 0, quarter, 0),
        // The pre-shift, the subtraction and the left shift of the requantizer each leave int32.
        with(0, 1 << 29, 0, 2, eighth, 0),
        with(0, 1, i32::MIN, 0, eighth, 0),
        with(0, 1 << 30, 0, 0, quarter, 0),
        // What stands in for a missing number is an input, too.
        with(0, 1, 0, 0, eighth, i16::MIN),
        // -2^31 is no number but a missing one; an empty range holds none.
        with(i32::MIN, i32::MIN + 1, i32::MIN, 0, eighth, 0),
        with(1, 0, 0, 0, eighth, 0),
    ]
}
