//! The tables of FORMAT.md §2 and §3: preamble and header, in the images of all cases.

use emberloop_image::{Image, ImageError, Part};
use emberloop_tests::aligned::Aligned;
use emberloop_tests::cases;
use emberloop_tests::model::{Input, Model};
use emberloop_tests::page::Table;
use emberloop_tests::reference::reader::Cursor;
use emberloop_tests::writer::{self, cell_index, crc32};

/// §2: every field at its offset, one after the other, and nothing between.
pub fn preamble(table: &Table) {
    for case in cases::all() {
        let mut at = 0;
        for row in &table.rows {
            let [offset, bytes, field, value] = row.as_slice() else { panic!("four columns: {row:?}") };
            let length: usize = bytes.parse().expect("a number of bytes");
            assert_eq!(offset.parse(), Ok(at), "{field} follows the field before it");
            let raw = &case.image[at..at + length];
            let number = raw.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte)) as usize;
            let constant = value.split(':').next().unwrap_or_default();
            match field.as_str() {
                "magic" => assert_eq!(raw, value.trim_matches('`').as_bytes()),
                "version" | "layout" | "reserved" => assert_eq!(constant.parse(), Ok(number), "{field}"),
                "image_bytes" => assert_eq!(number, case.image.len()),
                "header_bytes" => assert_eq!(number, writer::header(&case.model).len()),
                "payload_offset" => {
                    assert_eq!(number, (32 + writer::header(&case.model).len()).next_multiple_of(16));
                    assert_eq!(case.image.len() - number, writer::payload(&case.model).len());
                }
                "ram_words" => assert_eq!(number, emberloop_image::ram_words(&case.image)),
                "checksum" => {
                    assert_eq!(number as u32, crc32(&[&case.image[..at], &case.image[at + length..]]));
                    assert_eq!(number as u32, emberloop_image::checksum(&case.image));
                }
                unknown => panic!("FORMAT §2: unknown field {unknown:?}"),
            }
            at += length;
        }
        assert_eq!(at, 32, "the preamble's length");
    }
}

/// §3: decoding field by field in the table's order uses up the header; then the limits that the table states.
pub fn header(table: &Table) {
    for case in cases::all() {
        let bytes = writer::header(&case.model);
        let mut cursor = Cursor(&bytes);
        for row in &table.rows {
            let [field, kind, _] = row.as_slice() else { panic!("three columns: {row:?}") };
            header_field(field, kind, &mut cursor, &case.model);
        }
        assert!(cursor.0.is_empty(), "{}: {} bytes of the header left over", case.name, cursor.0.len());
    }
    for row in &table.rows {
        header_limits(&row[0], &row[1], &row[2]);
    }
}

fn header_field(field: &str, kind: &str, cursor: &mut Cursor<'_>, model: &Model) {
    let mut numbers = |expected: &[u64]| {
        for &expected in expected {
            assert_eq!(cursor.varint(), Ok(expected), "{field}");
        }
    };
    match (field, kind) {
        ("name", "str") => assert_eq!(cursor.text().as_ref(), Ok(&model.name)),
        ("checkpoint", "str") => assert_eq!(cursor.text().as_ref(), Ok(&model.checkpoint)),
        ("channels", "str") => assert_eq!(cursor.text(), Ok(model.channels.join("\n"))),
        ("labels", "str") => assert_eq!(cursor.text(), Ok(model.labels.join("\n"))),
        // A u8 below 128 and its varint are the same byte.
        ("input", "enum") => match &model.input {
            Input::Features { fraction, missing, scalers } => {
                numbers(&[0, scalers.len() as u64, u64::from(*fraction), *missing as u64]);
            }
            Input::Tokens { fraction, embedding } => {
                numbers(&[1, embedding.rows.len() as u64, embedding.columns as u64, u64::from(*fraction)]);
            }
        },
        ("layers", "seq, 1 to 8") => {
            numbers(&[model.layers.len() as u64]);
            for layer in &model.layers {
                let (fraction, shift) = (u64::from(layer.cell_fraction), u64::from(layer.shift));
                numbers(&[cell_index(layer.cell), layer.hidden as u64, fraction, shift, 0]);
            }
        }
        ("head", "struct") => {
            let head = &model.head;
            let (task, pooling) = (head.task as u64, head.pooling as u64);
            numbers(&[head.outputs() as u64, task, pooling, u64::from(head.fraction), u64::from(head.shift), 0]);
        }
        unknown => panic!("FORMAT §3: unknown field {unknown:?}"),
    }
}

/// What lies just beyond a limit that the row states is refused, with the part named.
fn header_limits(field: &str, kind: &str, meaning: &str) {
    let refused = |name: &str, change: &dyn Fn(&mut Model), part: Option<Part>| {
        let mut model = cases::named(name).model;
        change(&mut model);
        let found = Image::parse(&Aligned::new(&writer::image(&model))).expect_err("a limit passed");
        match part {
            Some(what) => assert_eq!(found, ImageError::Shape { what }, "{field} of {name}"),
            None => assert_eq!(found, ImageError::Header, "{field} of {name}"),
        }
    };
    let states = |limit: &str| assert!(meaning.contains(limit), "FORMAT §3, {field}: expected it to say {limit:?}");
    let outputs = |model: &mut Model, count: usize| {
        let row = model.head.weights.rows[0].clone();
        model.head.weights.rows = vec![row; count];
        model.head.bias = vec![0; count];
        model.labels = vec!["x".to_owned(); count];
        model.golden.clear();
    };
    match field {
        "layers" => {
            assert_eq!(kind, "seq, 1 to 8");
            refused("gru", &|model| model.layers.clear(), Some(Part::Layer(0)));
            let ninth = |model: &mut Model| model.layers.push(model.layers[7].clone());
            refused("gru_eight", &ninth, None);
            states("hidden u16 (1 to 16384)");
            // In the header alone: so many units need no payload to be refused, and more RAM than stated if they are not.
            let with_units = |hidden: usize| {
                let model = cases::named("gru").model;
                let mut changed = model.clone();
                changed.layers[0].hidden = hidden;
                let words = writer::ram_words(&model);
                let image = writer::assemble(&writer::header(&changed), &writer::payload(&model), words);
                Image::parse(&Aligned::new(&image)).expect_err("not so many units")
            };
            for hidden in [0, 16385, 65535] {
                assert_eq!(with_units(hidden), ImageError::Shape { what: Part::Layer(0) }, "{hidden} units");
            }
            assert!(matches!(with_units(16384), ImageError::Memory { .. }), "16384 units have the right shape");
            states("LSTM 18 to 24, others 0");
            refused("lstm", &|model| model.layers[0].cell_fraction = 17, Some(Part::Layer(0)));
            refused("lstm", &|model| model.layers[0].cell_fraction = 25, Some(Part::Layer(0)));
            refused("gru_two", &|model| model.layers[1].cell_fraction = 1, Some(Part::Layer(1)));
            states("shift u8 (0 to 15)");
            refused("gru_two", &|model| model.layers[1].shift = 16, Some(Part::Layer(1)));
            refused("rnn", &|model| model.layers[0].shift = 127, Some(Part::Layer(0)));
        }
        "head" => {
            states("outputs u16 (1 to 4096)");
            refused("gru", &|model| outputs(model, 0), Some(Part::Head));
            refused("gru", &|model| outputs(model, 4097), Some(Part::Head));
            let mut most = cases::named("gru").model;
            outputs(&mut most, 4096);
            Image::parse(&Aligned::new(&writer::image(&most))).expect("4096 outputs");
            states("classification 16, regression 0 to 30");
            refused("gru", &|model| model.head.fraction = 15, Some(Part::Head));
            refused("rnn_tokens", &|model| model.head.fraction = 31, Some(Part::Head));
            states("shift u8 (0 to 15)");
            refused("gru", &|model| model.head.shift = 16, Some(Part::Head));
        }
        "channels" => {
            states("features: as many as there are");
            refused("gru", &|model| drop(model.channels.pop()), Some(Part::Input));
        }
        "labels" => {
            states("`outputs` of them");
            refused("gru", &|model| drop(model.labels.pop()), Some(Part::Names));
        }
        "name" | "checkpoint" | "input" => {}
        unknown => panic!("FORMAT §3: unknown field {unknown:?}"),
    }
}
