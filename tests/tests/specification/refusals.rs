//! The table of FORMAT.md §7: each row is a change to a valid image, made here and refused by `Image::parse`.

use emberloop_image::{Image, ImageError};
use emberloop_tests::aligned::Aligned;
use emberloop_tests::cases;
use emberloop_tests::model::{Input, Matrix, Model, Scale};
use emberloop_tests::page::Table;
use emberloop_tests::writer::{self, fix_checksum, offset, put_u16, put_u32};

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
    let scaled = |multiplier, left, right| every_row(&|_, scale| *scale = Scale { multiplier, left, right });
    match change {
        "no bytes at all" => vec![parse(&[])],
        "magic `EMBX`" => edited(&|bytes| bytes[3] = b'X'),
        "only the first 20 bytes" => vec![parse(&valid[..20])],
        "the last byte missing" => vec![parse(&valid[..valid.len() - 1])],
        "four bytes more" => vec![parse(&[&valid[..], &[0; 4]].concat())],
        "version 2" => edited(&|bytes| put_u16(bytes, offset::VERSION, 2)),
        "layout 1" => edited(&|bytes| put_u16(bytes, offset::LAYOUT, 1)),
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
        "a weight of -128" => every_row(&|weights, _| weights[0] = -128),
        "a row whose product can pass 2^29" => products(),
        "a bias above 2^30" => biases(),
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

fn model_with(name: &str, change: impl FnOnce(&mut Model)) -> Parsed {
    let mut model = cases::named(name).model;
    change(&mut model);
    parse(&writer::image(&model))
}

/// The matrices of a model with tokens, so that the embedding is one of them.
fn matrices(model: &mut Model) -> Vec<&mut Matrix> {
    let Input::Tokens { embedding, .. } = &mut model.input else { panic!("a model with tokens") };
    let mut all = vec![embedding];
    all.extend(model.layers.iter_mut().flat_map(|layer| [&mut layer.input, &mut layer.recurrent]));
    all.push(&mut model.head.weights);
    all
}

/// The same change to the last row of every matrix, one at a time.
fn every_row(change: &dyn Fn(&mut Vec<i8>, &mut Scale)) -> Vec<Parsed> {
    const NAME: &str = "gru_tokens";
    let count = matrices(&mut cases::named(NAME).model).len();
    let variant = |number: usize| {
        model_with(NAME, |model| {
            let mut all = matrices(model);
            let row = all[number].rows.last_mut().expect("a row");
            change(&mut row.weights, &mut row.scale);
        })
    };
    (0..count).map(variant).collect()
}

/// Since `m < 2^15` and `r >= 1`, a product passes 2^29 only where its accumulator passes 2^31 - or with the
/// recurrent bias that shares its half of the range.
fn products() -> Vec<Parsed> {
    // Five weights of 127: 127 · 5 · 32767 · 2^7 is above 2^31, and R of it above 2^29; with 2^6 both are below.
    let steep = |left| Scale { multiplier: 32767, left, right: 1 };
    let fill = |matrix: &mut Matrix, left| {
        let row = matrix.rows.last_mut().expect("a row");
        row.weights = vec![127; 5];
        row.scale = steep(left);
    };
    let variant = |left: u8, place: usize| {
        model_with("lstm_two", |model| {
            // The second layer's own state, and the head, are five wide.
            let matrix = if place == 0 { &mut model.layers[1].recurrent } else { &mut model.head.weights };
            fill(matrix, left);
        })
    };
    assert_eq!((variant(6, 0), variant(6, 1)), (Ok(()), Ok(())), "just within the bound");
    let with_bias = |bias| {
        model_with("gru", |model| {
            let layer = &mut model.layers[0];
            layer.recurrent.rows.last_mut().expect("a row").scale = Scale { multiplier: 0, left: 0, right: 1 };
            *layer.recurrent_bias.last_mut().expect("a bias") = bias;
        })
    };
    assert_eq!((with_bias((1 << 29) - 1), with_bias(1 - (1 << 29))), (Ok(()), Ok(())), "just within the bound");
    vec![variant(7, 0), variant(7, 1), with_bias(1 << 29), with_bias(-(1 << 29)), with_bias(i32::MIN)]
}

fn biases() -> Vec<Parsed> {
    let layer = |bias| model_with("lstm", |model| *model.layers[0].bias.last_mut().expect("a bias") = bias);
    let head = |bias| model_with("lstm", |model| *model.head.bias.last_mut().expect("a bias") = bias);
    let limit = 1 << 30;
    assert_eq!([layer(limit), layer(-limit), head(limit), head(-limit)], [Ok(()); 4], "just within the bound");
    let beyond = [limit + 1, -limit - 1, i32::MIN, i32::MAX];
    beyond.into_iter().flat_map(|bias| [layer(bias), head(bias)]).collect()
}

fn scalers() -> Vec<Parsed> {
    let with = |min: i32, max: i32, offset: i32, pre_shift: u8, scale: Scale, fill: i16| {
        model_with("gru", |model| {
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
