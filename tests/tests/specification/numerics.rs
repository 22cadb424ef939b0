//! The tables of NUMERICS.md, and what the page says in prose of sigmoid and tanh.

use emberloop_engine::{activation, arithmetic};
use emberloop_image::Requantizer;
use emberloop_tests::cases;
use emberloop_tests::model::{CellKind, Input, Model, Scale};
use emberloop_tests::page::Table;
use emberloop_tests::reference::activation::Activation;
use emberloop_tests::reference::trace::Trace;
use emberloop_tests::reference::{Reference, arithmetic as slow};
use emberloop_tests::runner::with_pair;

/// A number of a table.
fn number(cell: &str) -> i64 {
    cell.parse().unwrap_or_else(|_| panic!("expected a number, found {cell:?}"))
}

fn small(cell: &str) -> i32 {
    i32::try_from(number(cell)).expect("an int32")
}

/// §1: in all cases, no value leaves the range that the page states, and gates reach both ends of theirs.
pub fn formats(table: &Table) {
    for row in &table.rows {
        let [value, integer, _, range] = row.as_slice() else { panic!("four columns: {row:?}") };
        let (low, high) = bounds(integer, range);
        if value == "raw sample" {
            clipped_exactly_beyond_the_range();
            continue;
        }
        let seen = observe(value);
        let (least, most) = (seen.iter().min(), seen.iter().max());
        let (&least, &most) = least.zip(most).unwrap_or_else(|| panic!("no case has a value of the row {value:?}"));
        assert!(low <= least && most <= high, "{value}: {least} ..= {most} leaves {low} ..= {high}");
        if range.ends_with("both ends included") {
            assert_eq!((least, most), (low, high), "{value}: the cases do not reach both ends");
        }
    }
}

/// The range that a row states: in its last column, or by its integer type.
fn bounds(integer: &str, range: &str) -> (i64, i64) {
    let bits = number(integer.trim_start_matches("int")) as u32;
    if let Some((low, high)) = range.split_once(" ..= ")
        && let Ok(low) = low.parse()
    {
        return (low, number(high.trim_end_matches(", both ends included")));
    }
    if range == "-2^30 ..= 32767 · 2^15" {
        return (-slow::pow2(30), 32767 * slow::pow2(15));
    }
    let known = ["see §4", "int32, saturated", "the scaler's `min ..= max`"];
    assert!(known.contains(&range), "unknown range {range:?}");
    (-slow::pow2(bits - 1), slow::pow2(bits - 1) - 1)
}

/// Every value of this row in all steps of all cases.
fn observe(row: &str) -> Vec<i64> {
    let mut seen = Vec::new();
    for case in cases::all() {
        if row == "weight" {
            seen.extend(weights(&case.model));
            continue;
        }
        let mut reference = Reference::new(case.model.clone());
        for sequence in &case.sequences {
            reference.reset();
            for sample in &sequence.samples {
                let trace = reference.step(sample).expect("a step that the case says is taken");
                seen.extend(values(row, &case.model, &trace));
            }
        }
    }
    seen
}

fn weights(model: &Model) -> Vec<i64> {
    let layers = model.layers.iter().flat_map(|layer| [&layer.input, &layer.recurrent]);
    let rows = layers.chain([&model.head.weights]).flat_map(|matrix| &matrix.rows);
    rows.flat_map(|row| &row.weights).map(|&weight| i64::from(weight)).collect()
}

fn values(row: &str, model: &Model, trace: &Trace) -> Vec<i64> {
    let units = || {
        model
            .layers
            .iter()
            .zip(&trace.layers)
            .flat_map(|(layer, trace)| trace.units.iter().map(move |unit| (layer.cell, unit)))
    };
    let memory = |gru: bool| {
        let is_gru = |cell| matches!(cell, CellKind::GruResetAfter | CellKind::GruResetBefore);
        units().filter(|unit| is_gru(unit.0) == gru).filter_map(|unit| unit.1.memory).collect()
    };
    match row {
        "scaled input `x`" => trace.input.clone(),
        "hidden state `h`" => units().map(|unit| unit.1.hidden).collect(),
        "GRU memory `H`" => memory(true),
        "LSTM cell `c`" => memory(false),
        "output" => trace.outputs.clone(),
        "accumulator" | "row sum `t`" | "pre-activation" | "sigmoid gate" | "tanh value" => {
            let stages = units().flat_map(|unit| &unit.1.stages);
            stages.filter(|stage| stage.0.format_row() == row).map(|stage| stage.1).collect()
        }
        unknown => panic!("NUMERICS §1: unknown row {unknown:?}"),
    }
}

/// The ends of a scaler's range are inside, the numbers next to them outside and counted.
fn clipped_exactly_beyond_the_range() {
    let case = cases::named("gru");
    let Input::Features { scalers, .. } = &case.model.input else { panic!("a case with features") };
    with_pair(&case.image, |mut pair| {
        let mut run = |pick: &dyn Fn(i32, i32) -> i32| {
            let raw: Vec<i32> = scalers.iter().map(|scaler| pick(scaler.min, scaler.max)).collect();
            let before = pair.network.counters().clipped;
            pair.step(&raw).unwrap_or_else(|error| panic!("{error}"));
            (pair.network.counters().clipped - before) as usize
        };
        assert_eq!((run(&|min, _| min), run(&|_, max| max)), (0, 0));
        assert_eq!((run(&|min, _| min - 1), run(&|_, max| max + 1)), (scalers.len(), scalers.len()));
    });
}

/// §2, by the engine and by the reference.
pub fn scale_by_gate(table: &Table) {
    assert_eq!(table.columns, ["v", "g", "scale_by_gate"]);
    for row in &table.rows {
        assert_eq!(arithmetic::scale_by_gate(small(&row[0]), small(&row[1])), small(&row[2]), "engine: {row:?}");
        assert_eq!(slow::scale_by_gate(number(&row[0]), number(&row[1])), number(&row[2]), "reference: {row:?}");
    }
}

/// §3.1, by the engine and by the reference.
pub fn row_scales(table: &Table) {
    assert_eq!(table.columns, ["a", "m", "S"]);
    for row in &table.rows {
        let multiplier: u16 = number(&row[1]).try_into().expect("a multiplier");
        let found = arithmetic::multiply_shift_16(small(&row[0]), multiplier.into());
        assert_eq!(found, small(&row[2]), "engine: {row:?}");
        assert_eq!(slow::scale_row(number(&row[0]), multiplier), number(&row[2]), "reference: {row:?}");
    }
}

/// §3.2, by the engine and by the reference.
pub fn requantization(table: &Table) {
    assert_eq!(table.columns, ["a", "m", "l", "r", "R"]);
    for row in &table.rows {
        let scale = Scale {
            multiplier: number(&row[1]).try_into().expect("a multiplier"),
            left: number(&row[2]).try_into().expect("a left shift"),
            right: number(&row[3]).try_into().expect("a right shift"),
        };
        let packed = Requantizer::new(scale.multiplier as i16, scale.left, scale.right);
        assert!(packed.is_valid(), "{row:?}");
        assert_eq!(arithmetic::requantize(small(&row[0]), packed), small(&row[4]), "engine: {row:?}");
        assert_eq!(slow::requantize(number(&row[0]), scale), number(&row[4]), "reference: {row:?}");
    }
}

/// §6, by the engine and by the reference.
pub fn activations(table: &Table) {
    assert_eq!(table.columns, ["p", "sigmoid", "tanh"]);
    let reference = Activation::default();
    for row in &table.rows {
        let p = small(&row[0]);
        assert_eq!([activation::sigmoid(p), activation::tanh(p)], [small(&row[1]), small(&row[2])], "engine: {row:?}");
        let slow = [reference.sigmoid(p.into()), reference.tanh(p.into())];
        assert_eq!(slow, [number(&row[1]), number(&row[2])], "reference: {row:?}");
    }
}

#[test]
fn the_tanh_table_is_its_definition() {
    let table: Vec<i64> = emberloop_engine::TANH.iter().map(|&entry| entry.into()).collect();
    assert_eq!(table, Activation::default().table());
}

/// Beyond ±2^20 in Q15.16, both functions are constant.
#[test]
fn activations_are_the_reference_everywhere_and_as_accurate_as_the_page_says() {
    let reference = Activation::default();
    let (mut tanh_error, mut sigmoid_error) = (0f64, 0f64);
    for p in -(1 << 20) - 1000..=(1 << 20) + 1000 {
        let (tanh, sigmoid) = (activation::tanh(p), activation::sigmoid(p));
        assert_eq!(i64::from(tanh), reference.tanh(p.into()), "tanh({p})");
        assert_eq!(i64::from(sigmoid), reference.sigmoid(p.into()), "sigmoid({p})");
        let real = f64::from(p) / 65536.0;
        tanh_error = tanh_error.max((f64::from(tanh) - real.tanh() * 32768.0).abs());
        sigmoid_error = sigmoid_error.max((f64::from(sigmoid) - 32768.0 / (1.0 + (-real).exp())).abs());
    }
    // Upper bounds with two digits: rounded up.
    let up = |error: f64| format!("{:.2}", (error * 100.0).ceil() / 100.0);
    let stated = format!("in units of Q0.15: tanh {}, sigmoid {} ", up(tanh_error), up(sigmoid_error));
    let page = include_str!("../../../crates/engine/NUMERICS.md");
    assert!(page.contains(&stated), "NUMERICS §6.1 does not say {stated:?}: {tanh_error}, {sigmoid_error}");
}
