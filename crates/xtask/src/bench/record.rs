//! The figures as JSON lines: for programs, and for the comparison with the committed ones.

use std::collections::BTreeMap;

use emberloop_boards::Board;
use serde_json::{Map, Value, json};

use super::Row;
use super::stages::STAGES;
use crate::Result;

/// The figures that may not grow. Stages are left out: what moves from one to another costs nothing.
const FIGURES: [&str; 7] = [
    "instructions_per_step",
    "flash_bytes",
    "flash_reader_bytes",
    "ram_bytes",
    "stack_bytes",
    "prepare_stack_bytes",
    "self_test_stack_bytes",
];

/// Percent by which a figure may grow.
const TOLERANCE: u64 = 2;

/// One object for one model on one board.
pub fn record(board: &Board, compiler: &str, row: &Row) -> Value {
    let stages: Map<String, Value> =
        STAGES.iter().zip(row.instructions.stages).map(|(&stage, count)| (stage.into(), count.into())).collect();
    json!({
        "board": board.name,
        "core": board.core,
        "target": board.target,
        "compiler": compiler,
        "model": row.model,
        "cell": row.shape.cells(),
        "inputs": row.shape.inputs,
        "hidden": row.shape.hidden,
        "outputs": row.shape.outputs,
        "weights": "int8",
        "macs": row.shape.macs,
        "instructions_per_step": row.instructions.most,
        "instructions_least": row.instructions.least,
        "stages": stages,
        "image_bytes": row.image_bytes,
        "flash_bytes": row.flash.engine,
        "flash_reader_bytes": row.flash.reader,
        "ram_bytes": row.ram(),
        "memory_bytes": row.memory,
        "stack_bytes": row.stack.step,
        "prepare_stack_bytes": row.stack.prepare,
        "self_test_stack_bytes": row.stack.self_test,
    })
}

/// One object a line.
pub fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// What a comparison found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What is wrong, a line each: figures that grew, rows without a counterpart.
    pub problems: Vec<String>,
    /// Figures that shrank beyond the tolerance: the committed file is behind.
    pub smaller: usize,
    /// The compiler of the committed figures, if it is another one.
    pub other_compiler: Option<String>,
}

/// Compares what was measured with the committed lines of the same boards.
pub fn compare(measured: &[Value], committed: &str) -> Result<Comparison> {
    let boards: Vec<&str> = measured.iter().map(|record| text(record, "board")).collect();
    let mut old = BTreeMap::new();
    for line in committed.lines() {
        let record: Value = serde_json::from_str(line)?;
        if boards.contains(&text(&record, "board")) {
            old.insert(key(&record), record);
        }
    }
    let mut found = Comparison::default();
    for new in measured {
        let [board, model] = key(new);
        let Some(old) = old.remove(&[board.clone(), model.clone()]) else {
            found.problems.push(format!("{board} {model}: not among the committed figures"));
            continue;
        };
        for figure in FIGURES {
            let what = format!("{board} {model} ({}, {} units): {figure}", text(new, "cell"), new["hidden"]);
            compare_figure(&mut found, &what, &old[figure], &new[figure]);
        }
        if old["compiler"] != new["compiler"] {
            found.other_compiler = Some(text(&old, "compiler").into());
        }
    }
    let gone = old.into_keys().map(|[board, model]| format!("{board} {model}: committed, but not measured"));
    found.problems.extend(gone);
    Ok(found)
}

fn compare_figure(found: &mut Comparison, what: &str, old: &Value, new: &Value) {
    match (old.as_u64(), new.as_u64()) {
        (Some(old), Some(new)) if 100 * new > (100 + TOLERANCE) * old => {
            let percent = 100.0 * (new as f64 / old as f64 - 1.0);
            found.problems.push(format!("{what} grew from {old} to {new}, by {percent:.1} %"));
        }
        (Some(old), Some(new)) => found.smaller += usize::from(100 * new < (100 - TOLERANCE) * old),
        _ => found.problems.push(format!("{what}: expected two numbers, found {old} and {new}")),
    }
}

fn key(record: &Value) -> [String; 2] {
    ["board", "model"].map(|name| text(record, name).into())
}

fn text<'r>(record: &'r Value, name: &str) -> &'r str {
    record[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(board: &str, model: &str, instructions: u64) -> Value {
        let mut record = json!({"board": board, "model": model, "cell": "lstm", "hidden": 16, "compiler": "rustc 1"});
        FIGURES.iter().for_each(|&figure| record[figure] = 1000.into());
        record["instructions_per_step"] = instructions.into();
        record
    }

    #[test]
    fn growth_beyond_the_tolerance_is_named() {
        let committed = lines(&[measured("a", "lstm-16", 1000), measured("b", "lstm-16", 1000)]);
        let at = |instructions| compare(&[measured("a", "lstm-16", instructions)], &committed).unwrap();
        assert_eq!(at(1020), Comparison::default());
        assert_eq!(
            at(1021).problems,
            ["a lstm-16 (lstm, 16 units): instructions_per_step grew from 1000 to 1021, by 2.1 %"]
        );
        assert_eq!((at(979).problems.len(), at(979).smaller), (0, 1));
    }

    #[test]
    fn rows_without_a_counterpart_are_named() {
        let committed = lines(&[measured("a", "gru-16", 1000)]);
        let found = compare(&[measured("a", "lstm-16", 1000)], &committed).unwrap();
        assert_eq!(
            found.problems,
            ["a lstm-16: not among the committed figures", "a gru-16: committed, but not measured"]
        );
    }

    #[test]
    fn another_compiler_is_said_and_compared_all_the_same() {
        let mut new = measured("a", "gru-16", 2000);
        new["compiler"] = "rustc 2".into();
        let found = compare(&[new], &lines(&[measured("a", "gru-16", 1000)])).unwrap();
        assert_eq!((found.problems.len(), found.other_compiler.as_deref()), (1, Some("rustc 1")));
    }
}
