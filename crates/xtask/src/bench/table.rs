//! The measurements as a page for people.

use std::fmt::Write;

use super::flash::Flash;
use super::stages::STAGES;
use super::{Measured, Row, bars};

/// What stands above the tables.
const HEAD: &str = "\
# What the engine costs on each board

Written by `cargo xtask bench-engine`, with `measurements.jsonl` for programs; do not edit. Every number is measured on
programs that QEMU runs. `cargo xtask check` fails if one grows by more than 2 %.

- **instructions per step**: the whole step from the raw sample to the outputs, of the step that took the most. Counted exactly
  by QEMU (`tools/icount.c`). They are *instructions, not cycles*: a pipeline, flash wait states and memory add to them.
- **per MAC**: divided by the weights of the recurrent layers.
- **stages** of that step: they add up to it. The products are those of the cells; *requantization* brings their sums into the
  format of the activations; the *head* is its product, too; the *rest* is `Network::step` itself. Instructions are told apart by where they
  lie, with the compiler's word for what it inlined there: near a border a few may count for the neighbour.
- **engine**: flash of code and tables, the image reader and the self-test included: the least program around the engine
  (`bare`), with one kind of cell, less the same program without the engine. The **reader** is the part that checks images.
- **RAM**: the memory that the network works in, `4 * ram_words(MODEL)`, and the views `Image` and `Network`.
- **stack**, at worst, below the caller: of a step, of `Image::parse` and `Network::new` (prepare), and of the self-test.
- **CMSIS-NN**: `arm_lstm_unidirectional_s8` of July 2026, gcc -O3, counted by the same plugin in QEMU 10. It is the bare layer: its input
  is int8 already, and there is no head; ours includes the scaler and a head of one output.

The models `rnn-16` to `gru-reset-before-128` are synthetic: 9 features, one layer of that many units, one output.
";

/// The page `firmware/MEASUREMENTS.md`.
pub fn markdown(boards: &[Measured]) -> String {
    let mut text = String::from(HEAD);
    text += &bars_table(boards);
    boards.iter().for_each(|measured| text += &board(measured));
    text
}

/// What is held against a bar, over all boards.
fn bars_table(boards: &[Measured]) -> String {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |figure: String, board: usize, found: u64, bar: Option<u64>| {
        let Some(bar) = bar else { return };
        if lines.iter().all(|(name, _)| *name != figure) {
            lines.push((figure.clone(), vec![String::new(); boards.len()]));
        }
        let word = if found <= bar { "ok" } else { "**missed**" };
        let line = lines.iter_mut().find(|(name, _)| *name == figure).expect("pushed above");
        line.1[board] = format!("{word}: {} of {}", grouped(found), grouped(bar));
    };
    for (index, measured) in boards.iter().enumerate() {
        for row in &measured.rows {
            add(format!("{}: instructions", row.model), index, row.instructions.most, row.bar(measured));
        }
        for flash in &measured.flash {
            add(
                format!("engine with {}: flash", flash.cells.join(", ")),
                index,
                flash.engine,
                flash.bar(&measured.board),
            );
        }
        for row in measured.rows.iter().filter(|row| row.model == "lstm-32") {
            add("lstm-32: RAM".into(), index, row.ram() as u64, Some(bars::RAM));
        }
        let stack = measured.rows.iter().map(|row| row.stack.step as u64).max().unwrap_or_default();
        add("step of any model: stack".into(), index, stack, Some(bars::STACK));
    }
    if lines.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = boards.iter().map(|measured| measured.board.name.as_str()).collect();
    let mut text = format!("\n## Bars\n\n| at most | {} |\n|---|{}\n", names.join(" | "), "--:|".repeat(names.len()));
    for (figure, cells) in lines {
        writeln!(text, "| {figure} | {} |", cells.join(" | ")).expect("a string takes everything");
    }
    text
}

fn board(measured: &Measured) -> String {
    let stages: Vec<String> = STAGES.iter().skip(1).chain(&STAGES[..1]).map(|stage| stage.replace('_', " ")).collect();
    let mut text = format!(
        "\n## {} ({}, `{}`)\n\nCompiled by {}.\n\n\
         | model | instructions per step | per MAC | CMSIS-NN | {} |\n|---|--:|--:|--:|{}\n",
        measured.board.name,
        measured.board.core,
        measured.board.target,
        measured.compiler,
        stages.join(" | "),
        "--:|".repeat(stages.len())
    );
    measured.rows.iter().for_each(|row| text += &instructions(measured, row));
    text +=
        "\n| model | image | RAM | of it memory | stack: step | prepare | self-test |\n|---|--:|--:|--:|--:|--:|--:|\n";
    measured.rows.iter().for_each(|row| text += &memory(row));
    text += "\n| engine with | flash | of it reader |\n|---|--:|--:|\n";
    for Flash { cells, engine, reader } in &measured.flash {
        text += &format!("| {} | {} | {} |\n", cells.join(", "), grouped(*engine), grouped(*reader));
    }
    text
}

fn instructions(measured: &Measured, row: &Row) -> String {
    let peer = row.peer(measured).map_or(String::new(), |peer| {
        format!("{} ({:.2} of it)", grouped(peer), row.instructions.most as f64 / peer as f64)
    });
    let [rest, stages @ ..] = row.instructions.stages;
    let stages: Vec<String> = stages.into_iter().chain([rest]).map(grouped).collect();
    let per_mac = row.instructions.most as f64 / row.shape.macs as f64;
    format!("| {} | {} | {per_mac:.2} | {peer} | {} |\n", row.model, grouped(row.instructions.most), stages.join(" | "))
}

fn memory(row: &Row) -> String {
    let numbers = [row.image_bytes, row.ram(), row.memory, row.stack.step, row.stack.prepare, row.stack.self_test];
    let cells: Vec<String> = numbers.into_iter().map(|number| grouped(number as u64)).collect();
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
