//! The measurements as a page for people.

use super::bars::{self, Bar};
use super::plan::{Case, Isa, Measurement, STEPS, name};
use super::{Findings, Timed, Trained, Used};

/// What stands above the tables.
const HEAD: &str = "\
# What training costs

Written by `cargo xtask bench-training`, with `measurements.jsonl` for programs; do not edit.

- **a training step**: batch, forward, cross-entropy, backward, clipping of the gradient's global norm, Adam; 64 sequences of
  100 steps and 6 inputs, one layer, 5 classes; the loss is on the last or on every step. Ours is timed inside
  `emberloop_core::train`, from one call of `Progress::on_batch` to the next: nothing of the trainer is left out.
- **PyTorch**: `nn.LSTM`, `nn.GRU` or `nn.RNN`, a batch cut by index out of a tensor in memory, `clip_grad_norm_`, and of oneDNN on or
  off and three implementations of `torch.optim.Adam` the fastest for each row (`measurements.jsonl` says which);
  denormals are flushed. It has no GRU that resets before the product.
- **burn**: its own modules on burn-ndarray with its Adam; it clips each tensor by itself. Its time grows with the square of the steps.
- The contenders are processes that compute in turn, in short rounds. Times are medians over the rounds of each
  round's median, in milliseconds; the **ratio** is our time divided by PyTorch's, **least**
  that of the fastest times of both.
- **lost**: the share of our time that is not in the recurrent layer: `emberloop_kernels::forward` and `backward` (or `infer`) by themselves, over
  the same shapes, are one more contender.
- **avx2**: PyTorch's libraries are held to AVX2, too.
";

/// The page `crates/kernels/MEASUREMENTS.md`.
pub fn markdown(found: &Findings, machine: &str, command: &str) -> String {
    let mut text = format!("{HEAD}\n`{command}` on {machine}. Contenders: {}.\n", found.contenders.join(", "));
    text += &bars_table(found);
    let of = |pass: Measurement| found.timed.iter().filter(move |row| row.pass == pass);
    let short: Vec<_> = of(Measurement::Step).filter(|row| row.case.steps == STEPS).collect();
    if !short.is_empty() {
        text += "\n## A training step\n\n| cell | units | threads | instructions | loss on | ours, ms | lost | PyTorch, ms | ratio | least | burn, ms |\n";
        text += "|---|--:|--:|---|---|--:|--:|--:|--:|--:|--:|\n";
        short.iter().for_each(|row| text += &step(row));
    }
    text += &lengths(found);
    let inference: Vec<_> = of(Measurement::Inference).collect();
    if !inference.is_empty() {
        text += "\n## Inference\n\nThe outputs of many sequences, from raw samples, by `emberloop_core::forward`; PyTorch in inference mode, with the \
                 fastest of four sizes of batch.\n\n\
                 | cell | units | threads | instructions | sequences | steps | ours, ms | PyTorch, ms | ratio |\n\
                 |---|--:|--:|---|--:|--:|--:|--:|--:|\n";
        inference.iter().for_each(|row| text += &infer(row));
    }
    if !found.used.is_empty() {
        text += "\n## Peak memory\n\nOf a training, beyond what the process took before it had data and a model, with a first small training done; behind it that \
                 of the whole process. PyTorch with or without oneDNN, whichever takes less.\n\n\
                 | cell | units | steps | ours, MiB | PyTorch, MiB | ratio | our process, MiB | PyTorch's, MiB |\n\
                 |---|--:|--:|--:|--:|--:|--:|--:|\n";
        found.used.iter().for_each(|row| text += &memory(row));
    }
    if !found.trained.is_empty() {
        text += "\n## From a file to epochs\n\n`models/ecg-beats`: GRU with 32 units on heart beats of 100 steps. An epoch is all batches of the training split, \
                 its metrics, validation, and writing the state; PyTorch's is a `DataLoader` of whole batches over a `TensorDataset`, the same \
                 metrics, no state. **Lost** is the share of our epoch that is not in the kernels.\n\n\
                 | threads | loading, s | epoch, s | epochs/s | sequences/s | lost | PyTorch: loading, s | epoch, s | ratio |\n\
                 |--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        found.trained.iter().for_each(|row| text += &trained(row));
    }
    text
}

fn step(row: &Timed) -> String {
    let Case { cell, hidden, threads, isa, loss, .. } = row.case;
    format!(
        "| {} | {hidden} | {threads} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        name(cell),
        name(isa),
        name(loss),
        digits(row.ours.median),
        row.lost().map_or(String::new(), percent),
        optional(row.pytorch.map(|pytorch| pytorch.median)),
        ratio(row.ratio()),
        ratio(row.pytorch.map(|pytorch| row.ours.least / pytorch.least)),
        optional(row.burn.map(|burn| burn.median)),
    )
}

fn infer(row: &Timed) -> String {
    let Case { cell, hidden, threads, isa, steps, .. } = row.case;
    format!(
        "| {} | {hidden} | {threads} | {} | {} | {steps} | {} | {} | {} |\n",
        name(cell),
        name(isa),
        row.case.sequences(),
        digits(row.ours.median),
        optional(row.pytorch.map(|pytorch| pytorch.median)),
        ratio(row.ratio()),
    )
}

fn memory(row: &Used) -> String {
    let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    let Case { cell, hidden, steps, .. } = row.case;
    let (ours, peer) = (row.ours, row.pytorch);
    let share = ratio(Some(row.ratio()));
    let [added, theirs, whole, their_whole] = [ours.added, peer.added, ours.whole, peer.whole].map(mib);
    format!("| {} | {hidden} | {steps} | {added} | {theirs} | {share} | {whole} | {their_whole} |\n", name(cell))
}

fn trained(row: &Trained) -> String {
    let seconds = |value: Option<f64>| optional(value.map(|ms| ms / 1000.0));
    let epoch = Trained::epoch(&row.ours);
    let sequences = row.ours["sequences"].as_f64();
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        row.threads,
        seconds(row.ours["load_ms"].as_f64()),
        seconds(epoch),
        optional(epoch.map(|epoch| 1000.0 / epoch)),
        epoch.zip(sequences).map_or(String::new(), |(epoch, count)| format!("{:.0}", 1000.0 * count / epoch)),
        row.lost().map_or(String::new(), percent),
        seconds(row.pytorch["load_ms"].as_f64()),
        seconds(Trained::epoch(&row.pytorch)),
        ratio(row.ratio()),
    )
}

/// Rows that differ in nothing but the steps.
fn lengths(found: &Findings) -> String {
    let mut rows: Vec<&Timed> = found.timed.iter().filter(|row| row.pass == Measurement::Step).collect();
    rows.sort_by_key(|row| {
        let Case { cell, hidden, threads, isa, loss, steps } = row.case;
        (isa as usize, threads, loss as usize, cell, hidden, steps)
    });
    let shortest = |row: &Timed| {
        rows.iter()
            .filter(|other| Case { steps: 0, ..other.case } == Case { steps: 0, ..row.case })
            .min_by_key(|row| row.case.steps)
    };
    let mut text = String::new();
    for row in rows.iter().filter(|row| row.case.steps != STEPS) {
        // The first of them brings the one that the others are measured by.
        let base = shortest(row).expect("a row is among the rows");
        if base.case.steps != row.case.steps && !text.contains(&length(base, base)) {
            text += &length(base, base);
        }
        text += &length(row, base);
    }
    if text.is_empty() {
        return text;
    }
    let head = "\n## Long sequences\n\nA training step over sequences of other lengths; **growth** is the time per step of the sequence, to that of the shortest.\n\n\
                | cell | units | threads | instructions | loss on | steps | ours, ms | growth | PyTorch, ms | ratio |\n\
                |---|--:|--:|---|---|--:|--:|--:|--:|--:|\n";
    format!("{head}{text}")
}

fn length(row: &Timed, base: &Timed) -> String {
    let Case { cell, hidden, threads, isa, loss, steps } = row.case;
    format!(
        "| {} | {hidden} | {threads} | {} | {} | {steps} | {} | {:.2} | {} | {} |\n",
        name(cell),
        name(isa),
        name(loss),
        digits(row.ours.median),
        growth(row, base),
        optional(row.pytorch.map(|pytorch| pytorch.median)),
        ratio(row.ratio()),
    )
}

fn growth(row: &Timed, base: &Timed) -> f64 {
    let per_step = |row: &Timed| row.ours.median / row.case.steps as f64;
    per_step(row) / per_step(base)
}

/// What is held against a bar.
fn bars_table(found: &Findings) -> String {
    let mut text = String::new();
    let mut add = |what: String, value: f64, bar: Bar| {
        let word = match bar.moonshot {
            _ if value > bar.share => "**missed**",
            Some(moonshot) if value <= moonshot => "ok, and the moonshot",
            _ => "ok",
        };
        let moonshot = bar.moonshot.map_or(String::new(), |moonshot| format!(", moonshot {moonshot:.2}"));
        text += &format!("| {what} | {value:.3} | {:.2}{moonshot} | {word} |\n", bar.share);
    };
    for row in &found.timed {
        let (what, bar) = match row.pass {
            Measurement::Step => ("step", bars::step(&row.case)),
            _ => ("inference", bars::inference(&row.case).filter(|_| row.case.isa == Isa::native())),
        };
        if let (Some(bar), Some(value)) = (bar, row.ratio()) {
            add(format!("{what}: {}", row.case), value, bar);
        }
    }
    let steps = || found.timed.iter().filter(|row| row.pass == Measurement::Step);
    for row in steps().filter(|row| row.case.steps == 1000) {
        let of = Case { steps: STEPS, ..row.case };
        if let Some(base) = steps().find(|base| base.case == of) {
            let bar = Bar { share: bars::LINEAR, moonshot: None };
            add(format!("linear in the steps: {}, to {STEPS} steps", row.case), growth(row, base), bar);
        }
    }
    for row in &found.used {
        add(format!("memory: {}", row.case), row.ratio(), bars::MEMORY);
    }
    for row in &found.trained {
        if let Some(lost) = row.lost() {
            let what = format!("lost to anything but the kernels: ecg-beats, threads: {}", row.threads);
            add(what, lost, Bar { share: bars::LOST, moonshot: None });
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\n## Bars\n\n| figure | found | at most | |\n|---|--:|--:|---|\n{text}")
}

fn ratio(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.2}"))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn optional(value: Option<f64>) -> String {
    value.map_or(String::new(), digits)
}

/// Three digits, or the whole number.
fn digits(value: f64) -> String {
    let places = (2 - value.abs().max(1e-3).log10().floor() as i32).max(0) as usize;
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::super::plan::Cell;
    use super::super::record::tests::{case, row};
    use super::*;

    fn page(timed: Vec<Timed>) -> String {
        let contenders = vec!["ours 1".into(), "peer 2".into()];
        markdown(&Findings { contenders, timed, ..Findings::default() }, "a machine", "a command")
    }

    #[test]
    fn steps_are_rows_and_bars_are_judged() {
        let two = Case { threads: 2, ..case() };
        let before = Case { cell: Cell::GruResetBefore, ..case() };
        let page = page(vec![row(case(), 2.0, Some(8.0)), row(two, 3.2, Some(8.0)), row(before, 2.5, None)]);
        assert!(page.contains("`a command` on a machine. Contenders: ours 1, peer 2.\n"), "{page}");
        assert!(
            page.contains("\n| lstm | 32 | 1 | avx512 | last | 2.00 | 20 % | 8.00 | 0.25 | 0.25 | 70.0 |\n"),
            "{page}"
        );
        assert!(
            page.contains("\n| gru-reset-before | 32 | 1 | avx512 | last | 2.50 | 20 % |  |  |  | 70.0 |\n"),
            "{page}"
        );
        let bars: Vec<&str> = page.lines().filter(|line| line.starts_with("| step:")).collect();
        assert_eq!(
            bars,
            [
                "| step: lstm-32, 100 steps, loss on last, 1 thread, avx512 | 0.250 | 0.43, moonshot 0.33 | ok, and the moonshot |",
                "| step: lstm-32, 100 steps, loss on last, 2 threads, avx512 | 0.400 | 0.33, moonshot 0.25 | **missed** |",
            ]
        );
        assert!(!page.contains("Long sequences"));
    }

    #[test]
    fn long_sequences_stand_beside_the_shortest() {
        let long = |steps, ours| row(Case { steps, ..case() }, ours, Some(ours));
        let page = page(vec![long(100, 2.0), long(500, 10.0), long(1000, 24.0)]);
        let lines: Vec<&str> = page.lines().skip_while(|line| *line != "## Long sequences").skip(6).collect();
        assert_eq!(
            lines,
            [
                "| lstm | 32 | 1 | avx512 | last | 100 | 2.00 | 1.00 | 2.00 | 1.00 |",
                "| lstm | 32 | 1 | avx512 | last | 500 | 10.0 | 1.00 | 10.0 | 1.00 |",
                "| lstm | 32 | 1 | avx512 | last | 1000 | 24.0 | 1.20 | 24.0 | 1.00 |",
            ]
        );
        assert!(page.contains("to 100 steps | 1.200 | 1.10 | **missed** |"), "{page}");
    }

    #[test]
    fn nothing_measured_is_a_page_without_tables() {
        assert!(!page(Vec::new()).contains("\n|"));
    }

    #[test]
    fn three_digits() {
        assert_eq!([0.1234, 2.0, 45.67, 1234.5].map(digits), ["0.123", "2.00", "45.7", "1234"]);
    }
}
