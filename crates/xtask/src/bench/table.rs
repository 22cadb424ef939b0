//! The measurements as a page for people and as JSON for programs.

use serde_json::{Value, json};

use super::{Measured, Row};

/// What stands above the table.
const HEAD: &str = "\
# What the engine costs on each board

Written by `cargo xtask bench-firmware`; do not edit. Every number is measured on the firmware that QEMU runs.

- **instructions per step**: from the raw sample to the outputs, counted exactly by QEMU (`tools/icount.c`) over all
  steps of the model's test sequences. They are *instructions, not cycles*: a pipeline, flash wait states and memory add
  to them. The counts are the same on every machine that builds with the same compiler.
- **image**: bytes of the model in flash.
- **memory**: RAM that the network works in, `4 * ram_words(MODEL)`. **views**: RAM of the `Image` and the `Network`,
  which borrow the weights from flash and that memory.
- **stack**: at worst, below the caller: of a step, of `Image::parse` and `Network::new`, and of the self-test.
- **engine**: bytes of flash of the engine's and the image reader's own functions and tables; **program**: the whole
  firmware without the models: with the application, its log and the start-up code.

The models `rnn-32` to `lstm-64` are synthetic: 12 features, one layer of that many units, 9 classes.
";

/// The page `firmware/MEASUREMENTS.md`.
pub fn markdown(boards: &[Measured]) -> String {
    let mut text = String::from(HEAD);
    for measured in boards {
        text.push_str(&heading(measured));
        measured.rows.iter().for_each(|row| text.push_str(&line(row)));
    }
    text
}

fn heading(measured: &Measured) -> String {
    format!(
        "\n## {} ({}, `{}`)\n\n\
         Flash: engine {} bytes, program {} bytes. Compiled by {}.\n\n\
         | model | instructions per step (median) | min | max | image | memory | views | stack: step | prepare | \
         self-test |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        measured.board.name,
        measured.board.core,
        measured.board.target,
        grouped(measured.footprint.engine),
        grouped(measured.program),
        measured.compiler
    )
}

fn line(row: &Row) -> String {
    let numbers = [
        row.instructions.median,
        row.instructions.least,
        row.instructions.most,
        row.image_bytes as u64,
        row.memory as u64,
        row.stack.views as u64,
        row.stack.step as u64,
        row.stack.prepare as u64,
        row.stack.self_test as u64,
    ];
    let cells: Vec<String> = numbers.into_iter().map(grouped).collect();
    format!("| {} | {} |\n", row.model, cells.join(" | "))
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One object with a list `boards`.
pub fn json(boards: &[Measured]) -> Value {
    let boards: Vec<Value> = boards.iter().map(board_json).collect();
    json!({ "unit": "instructions, not cycles", "boards": boards })
}

fn board_json(measured: &Measured) -> Value {
    let models: Vec<Value> = measured.rows.iter().map(row_json).collect();
    json!({
        "board": measured.board.name,
        "core": measured.board.core,
        "target": measured.board.target,
        "compiler": measured.compiler,
        "engine_bytes": measured.footprint.engine,
        "program_bytes": measured.program,
        "static_ram_bytes": measured.footprint.ram,
        "models": models,
    })
}

fn row_json(row: &Row) -> Value {
    json!({
        "model": row.model,
        "instructions_per_step": {
            "median": row.instructions.median, "min": row.instructions.least, "max": row.instructions.most,
        },
        "image_bytes": row.image_bytes,
        "memory_bytes": row.memory,
        "view_bytes": row.stack.views,
        "stack_bytes": {
            "step": row.stack.step, "prepare": row.stack.prepare, "self_test": row.stack.self_test,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
