//! The tables of FORMAT.md §4 to §6: where everything behind the header lies, in the images of all cases.

use emberloop_engine::Network;
use emberloop_image::{Bounds, Image, Input as ImageInput};
use emberloop_tests::aligned::Aligned;
use emberloop_tests::cases::{self, Case};
use emberloop_tests::model::{CellKind, Embedding, Input, Model, Pooling, Task};
use emberloop_tests::page::Table;
use emberloop_tests::reference::proof;
use emberloop_tests::reference::reader::Cursor;
use emberloop_tests::writer;

/// §4: cutting the payload by the table gives the very slices that `Image::parse` borrows, and leaves the sequences.
pub fn payload(table: &Table) {
    for case in cases::all() {
        let bytes = Aligned::new(&case.image);
        let image = Image::parse(&bytes).expect("a valid image");
        let whole = writer::payload(&case.model);
        let mut cursor = Cursor(&whole);
        for group in table.rows.chunk_by(|a, b| is_per_layer(a) == is_per_layer(b)) {
            // Outside of the layers, `H` is that of the last one: the head's.
            let last = case.model.layers.len() - 1;
            let first = if is_per_layer(&group[0]) { 0 } else { last };
            for (layer, row) in (first..=last).flat_map(|layer| group.iter().map(move |row| (layer, row))) {
                section(row, layer, &case.model, &image, &mut cursor);
            }
        }
        assert!(cursor.0.is_empty(), "{}: bytes left over", case.name);

        // And the test's own writer names the sections as the table does, at the same places.
        let base = case.image.len() - whole.len();
        for found in writer::sections(&case.model) {
            assert!(table.rows.iter().any(|row| row[0] == found.name), "FORMAT §4 has no section {:?}", found.name);
            let at = writer::section_offset(&case.model, found.name, found.layer);
            assert_eq!(whole[at - base..][..found.bytes.len()], found.bytes, "{}", found.name);
        }
    }
}

fn is_per_layer(row: &[String]) -> bool {
    row[0].starts_with("per layer: ")
}

fn section(row: &[String], layer: usize, model: &Model, image: &Image<'_>, cursor: &mut Cursor<'_>) {
    let [section, element, count, only_for] = row else { panic!("four columns: {row:?}") };
    let tokens = matches!(model.input, Input::Tokens { .. });
    let applies = match only_for.as_str() {
        "" => true,
        "features" => !tokens,
        "tokens" => tokens,
        "gru reset-after" => model.layers[layer].cell == CellKind::GruResetAfter,
        unknown => panic!("FORMAT §4: unknown condition {unknown:?}"),
    };
    if section == "golden vectors" {
        let rest = cursor.take(cursor.0.len()).expect("the rest");
        assert_eq!(rest, writer::sequences(model.input.raw_width(), model.head.outputs(), &model.golden));
        return;
    }
    if !applies {
        return;
    }
    let size = match element.as_str() {
        "5 words (below)" => 20,
        "scale word" | "word" | "word (§4.2)" | "int32" | "int32 `Q(15+k).(16-k)`" => 4,
        "int16 (§4.1)" => 2,
        "int8, row-major" => 1,
        unknown => panic!("FORMAT §4: unknown element {unknown:?}"),
    };
    let (count, divisor) = count.split_once(" / ").unwrap_or((count, "1"));
    let number: usize = count.split('·').map(|factor| quantity(factor.trim(), layer, model)).product();
    let length = size * number / divisor.parse::<usize>().expect("a divisor");
    let taken = cursor.take(length).unwrap_or_else(|error| panic!("{}, {section}: {error}", model.name));
    let padding = cursor.take(length.next_multiple_of(4) - length).expect("the padding");
    assert!(padding.iter().all(|&byte| byte == 0), "{section}: padding");
    assert_eq!(taken, parsed(section, layer, image), "{}: {section} of layer {layer}", model.name);
}

/// A letter or a word of the `count` column.
fn quantity(name: &str, layer: usize, model: &Model) -> usize {
    let here = &model.layers[layer];
    match name {
        "features" => model.input.raw_width(),
        "vocabulary" | "dimension" => {
            let Input::Tokens { embedding, .. } = &model.input else { panic!("{name} of a model without tokens") };
            let Embedding { columns, rows } = embedding;
            if name == "vocabulary" { rows.len() } else { *columns }
        }
        "3" => 3,
        "G" => here.cell.gate_count(),
        "⌈H⌉" => here.hidden.next_multiple_of(4),
        "⌈H⌉₂" => here.hidden.next_multiple_of(2),
        "⌈I⌉₂" if layer == 0 => model.input.width().next_multiple_of(2),
        "⌈I⌉₂" => model.layers[layer - 1].hidden.next_multiple_of(2),
        "⌈O⌉" => model.head.outputs().next_multiple_of(4),
        unknown => panic!("FORMAT §4: unknown quantity {unknown:?}"),
    }
}

/// The bytes that `Image::parse` borrowed as this section; the bounds are words of their own by then.
fn parsed(section: &str, layer: usize, image: &Image<'_>) -> Vec<u8> {
    let here = image.layers().nth(layer).expect("a layer");
    let head = image.head();
    let bytes: &[u8] = match (section.trim_start_matches("per layer: "), image.input()) {
        ("bounds", _) => return bytemuck::cast_slice(&here.bounds.to_words()).to_vec(),
        ("head bounds", _) => return bytemuck::cast_slice(&head.bounds.to_words()).to_vec(),
        ("scalers", ImageInput::Features { scalers, .. }) => bytemuck::cast_slice(scalers),
        ("embedding scales", ImageInput::Tokens { table }) => bytemuck::cast_slice(table.scales),
        ("embedding weights", ImageInput::Tokens { table }) => bytemuck::cast_slice(table.weights),
        ("multipliers", _) => bytemuck::cast_slice(here.multipliers),
        ("input weights", _) => bytemuck::cast_slice(here.input.values),
        ("recurrent weights", _) => bytemuck::cast_slice(here.recurrent.values),
        ("bias", _) => bytemuck::cast_slice(here.bias),
        ("recurrent bias", _) => bytemuck::cast_slice(here.recurrent_bias),
        ("head multipliers", _) => bytemuck::cast_slice(head.multipliers),
        ("head weights", _) => bytemuck::cast_slice(head.weights.values),
        ("head bias", _) => bytemuck::cast_slice(head.bias),
        (unknown, _) => panic!("FORMAT §4: unknown section {unknown:?}"),
    };
    bytes.to_vec()
}

/// §4.2: what the image carries are the bounds that the reference computes as the row says, of every layer and head; the code's
/// own per row are the reference's, too.
pub fn bounds(table: &Table) {
    assert_eq!(table.columns, ["field", "of a layer", "of the head"]);
    let names: Vec<&str> = table.rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["input", "recurrent", "sum"], "in the order of the words");
    let columns = |column: usize| table.rows.iter().map(|row| row[column].as_str()).collect::<Vec<_>>();
    let sum = "largest `(P(W) + P(U) + |b| + |b'|) · 2^k`";
    assert_eq!(columns(1), ["largest `A` of the rows of `W`", "largest `A` of the rows of `U`", sum]);
    assert_eq!(columns(2), ["largest `A`", "0", "largest `(P + |b|) · 2^k`"]);
    let wide = |bounds: Bounds| bounds.to_words().map(i64::from);
    for case in cases::all() {
        let bytes = Aligned::new(&case.image);
        let image = Image::parse(&bytes).expect("a valid image");
        for (index, (layer, model)) in image.layers().zip(&case.model.layers).enumerate() {
            let place = format!("{}, layer {index}", case.name);
            assert_eq!(wide(layer.bounds), proof::layer(model).fields(), "{place}");
            for (gate, unit) in (0..model.cell.gate_count()).flat_map(|gate| (0..model.hidden).map(move |u| (gate, u)))
            {
                let found = layer.row_bounds(gate, unit).map(wide);
                assert_eq!(found, Some(proof::layer_row(model, gate, unit).fields()), "{place}, {gate}, {unit}");
            }
        }
        let (head, model) = (image.head(), &case.model.head);
        assert_eq!(wide(head.bounds), proof::head(model).fields(), "{}: head", case.name);
        for output in 0..model.outputs() {
            let found = head.row_bounds(output).map(wide);
            assert_eq!(found, Some(proof::head_row(model, output).fields()), "{}: output {output}", case.name);
        }
    }
}

/// §5: the sum of the parts is what the image states, and what a network takes; no word less will do.
pub fn memory(table: &Table) {
    for case in cases::all() {
        let (mut total, mut saved) = (0, 0);
        for row in &table.rows {
            if row[0] == "outputs" {
                saved = total;
            }
            total += part_words(&row[0], &row[1], &case);
        }
        assert_eq!(total, emberloop_image::ram_words(&case.image), "{}: words of RAM", case.name);
        let bytes = Aligned::new(&case.image);
        let image = Image::parse(&bytes).expect("a valid image");
        assert_eq!(image.ram_bytes(), 4 * total);
        assert!(Network::new(&image, vec![0; total - 1]).is_err(), "{}: one word too few", case.name);
        let network = Network::new(&image, vec![0; total]).expect("enough memory");
        assert_eq!(network.save().len(), saved, "{}: `save` gives everything before the outputs", case.name);
    }
}

fn part_words(part: &str, elements: &str, case: &Case) -> usize {
    let model = &case.model;
    let last = model.layers.last().expect("a layer").hidden;
    let mean = model.head.pooling == Pooling::Mean;
    let layers = |wanted: &dyn Fn(CellKind) -> bool| {
        model.layers.iter().filter(|layer| wanted(layer.cell)).map(|layer| words(elements, layer.hidden)).sum()
    };
    match part {
        "input" => words(elements, model.input.width()),
        "per layer: rnn" => layers(&|cell| cell == CellKind::Rnn),
        "per layer: lstm, gru" => layers(&|cell| cell != CellKind::Rnn),
        "mean pooling" => {
            if mean {
                words(elements, last)
            } else {
                0
            }
        }
        "outputs" => words(elements, model.head.outputs()),
        "scratch" => {
            let half = "int16 · ⌈H⌉";
            for phrase in
                [&format!("{half} (rnn, lstm, gru reset-before)"), "nothing (gru reset-after)", "mean pooling also"]
            {
                assert!(elements.contains(phrase), "FORMAT §5: expected the scratch to say {phrase:?}");
            }
            let cells = model.layers.iter().filter(|layer| layer.cell != CellKind::GruResetAfter);
            let largest = cells.map(|layer| words(half, layer.hidden)).max().unwrap_or(0);
            largest.max(if mean { words(half, last) } else { 0 })
        }
        unknown => panic!("FORMAT §5: unknown part {unknown:?}"),
    }
}

/// The words of `int16 · N`, `int32 · N`, `one word`, or several of these joined by `and`.
fn words(elements: &str, count: usize) -> usize {
    let padded = |of: &str| if of.contains('⌈') { count.next_multiple_of(4) } else { count };
    let term = |term: &str| match term.trim_end_matches(',').split_once(" · ") {
        Some(("int16", of)) => padded(of).div_ceil(2),
        Some(("int32", of)) => padded(of),
        None if term == "one word" => 1,
        _ => panic!("FORMAT §5: unknown elements {term:?}"),
    };
    elements.split(" and ").map(term).sum()
}

/// §6: word by word in the table's order, in a `.seq` file with expected outputs and in one without.
pub fn sequences(table: &Table) {
    for case in cases::all().iter().filter(|case| case.model.head.task == Task::Classification) {
        for outputs in [case.model.head.outputs(), 0] {
            let width = case.model.input.raw_width();
            let bytes = Aligned::new(&writer::sequences(width, outputs, &case.sequences));
            let mut words = bytes.chunks_exact(4).map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]]));
            let (once, each): (Vec<_>, Vec<_>) = table.rows.iter().partition(|row| row[0] == "1");
            for row in once {
                let expected = match row[1].split([':', ';']).next().unwrap_or_default() {
                    "magic `SEQ1`" => i32::from_le_bytes(*b"SEQ1"),
                    "width" => width as i32,
                    "outputs per step" => outputs as i32,
                    "number of sequences" => case.sequences.len() as i32,
                    unknown => panic!("FORMAT §6: unknown word {unknown:?}"),
                };
                assert_eq!(words.next(), Some(expected), "{}", row[1]);
            }
            for (sequence, row) in
                case.sequences.iter().flat_map(|sequence| each.iter().map(move |row| (sequence, row)))
            {
                let expected: Vec<i32> = match (row[0].as_str(), row[1].as_str()) {
                    ("per sequence: 1", "steps") => vec![sequence.samples.len() as i32],
                    ("per sequence: steps · width", "raw samples") => sequence.samples.concat(),
                    ("per sequence: steps · outputs", "expected outputs of every step") if outputs == 0 => vec![],
                    ("per sequence: steps · outputs", "expected outputs of every step") => sequence.outputs.concat(),
                    unknown => panic!("FORMAT §6: unknown words {unknown:?}"),
                };
                assert!(words.by_ref().take(expected.len()).eq(expected), "{}", row[1]);
            }
            assert_eq!(words.next(), None, "words left over");
            let parsed = emberloop_image::Sequences::parse(&bytes).expect("a valid file");
            assert_eq!((parsed.width(), parsed.outputs(), parsed.len()), (width, outputs, case.sequences.len()));
        }
    }
}
