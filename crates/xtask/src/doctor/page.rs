//! The tables, as Markdown: for the terminal and for the page in the repository.

use std::fmt::Write;

use super::cost::{self, Cost};
use super::faults::{self, Fault, Severity};
use super::score::{Bar, CLEAR_LOSS, Harm, Score, Tally, WORSE, median, worse};
use super::sources::Set;

/// What a page says of its own making.
pub struct About<'a> {
    /// The command as one would type it elsewhere.
    pub command: &'a str,
    pub half: &'a str,
    pub severity: Severity,
    pub machine: &'a str,
    /// The program's version and digest, and whether `--binary` gave it.
    pub program: &'a str,
    /// Median seconds of the doctor on a healthy run.
    pub healthy_seconds: Option<f64>,
    /// Of the whole run alone.
    pub costs: &'a [Cost],
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{:.1} %", 100.0 * value))
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}

fn most(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

/// The bars with what was measured.
pub fn bars(bars: &[Bar]) -> String {
    let mut text = String::from("| figure | measured | bar | |\n|---|--:|--:|---|\n");
    for bar in bars {
        let sign = if bar.is_at_least { "≥" } else { "≤" };
        let met = match bar.value {
            None => "not measured",
            Some(_) if bar.is_met() => "met",
            Some(_) => "missed",
        };
        let _ = writeln!(text, "| {} | {} | {sign} {:.0} % | {met} |", bar.what, percent(bar.value), 100.0 * bar.bar);
    }
    text
}

/// A row for each fault, and one for all.
pub fn by_fault(score: &Score) -> String {
    let mut text = String::from(
        "| fault | runs | named first | among two | skill lost | came back | seconds | at most |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut row = |name: &str, tally: &Tally| {
        let share = |count: usize| percent(Some(count as f64 / tally.runs.max(1) as f64));
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            tally.runs,
            share(tally.first),
            share(tally.second),
            number(median(&tally.lost), 2),
            percent(median(&tally.recovered)),
            number(median(&tally.seconds), 1),
            number(most(&tally.seconds), 1),
        );
    };
    score.by_fault.iter().for_each(|(name, tally)| row(name, tally));
    row("**all**", &score.total);
    text
}

/// Fault × finding: how often each was named first.
pub fn confusion(score: &Score) -> String {
    let mut named: Vec<&str> = Vec::new();
    let expected = score.by_fault.iter().filter_map(|(name, _)| faults::all().find(|fault| fault.name == *name));
    // Columns in the order of the rows, so that what is right stands on the diagonal.
    let ids = expected.flat_map(|fault| fault.expected.iter().copied());
    for id in ids.chain(score.total.named.keys().map(String::as_str)) {
        if score.total.named.contains_key(id) && !named.contains(&id) {
            named.push(id);
        }
    }
    let mut text = String::from("| fault |");
    (1..=named.len()).for_each(|column| _ = write!(text, " {column} |"));
    text.push_str("\n|---|");
    named.iter().for_each(|_| text.push_str("--:|"));
    text.push('\n');
    for (name, tally) in &score.by_fault {
        let _ = write!(text, "| {name} |");
        for id in &named {
            let count = tally.named.get(*id).map_or_else(|| "·".into(), usize::to_string);
            let _ = write!(text, " {count} |");
        }
        text.push('\n');
    }
    text.push_str("\nColumns:");
    for (column, id) in named.iter().enumerate() {
        let _ = write!(text, "{} {} {id}", if column > 0 { " ·" } else { "" }, column + 1);
    }
    text.push('\n');
    text
}

/// Each run whose cause was not among the first two, with what was named.
pub fn misses(score: &Score) -> String {
    if score.misses.is_empty() {
        return "None.\n".into();
    }
    let mut text = format!("{} of {} runs:\n\n", score.misses.len(), score.total.runs);
    for miss in &score.misses {
        let named = if miss.named.is_empty() { "nothing".to_owned() } else { miss.named.join(", ") };
        let _ = writeln!(text, "- {}: {named}", miss.case);
    }
    text
}

/// What fixes did where there was little or nothing to mend, and how often they did harm.
pub fn harm(harm: &Harm, healthy: usize) -> String {
    let change = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:+.3}"));
    let least = |values: &[f64]| values.iter().copied().min_by(f64::total_cmp);
    let mut text = String::from(
        "| runs | of them with a fix | change of skill, median | worst | worse by more than 0.05 |\n|---|--:|--:|--:|--:|\n",
    );
    let mut row = |name: &str, runs: usize, changes: &[f64]| {
        let _ = writeln!(
            text,
            "| {name}: {runs} | {} | {} | {} | {} |",
            changes.len(),
            change(median(changes)),
            change(least(changes)),
            worse(changes),
        );
    };
    if harm.is_asked {
        row("healthy", healthy, &harm.healthy);
    }
    row("faulty, lost less than 0.1", harm.slight, &harm.slight_changes);
    let _ = writeln!(
        text,
        "\nOver all runs, {} of {} fixes made the test skill worse by more than {WORSE}.",
        harm.worse, harm.fixes
    );
    text
}

/// Healthy runs.
pub fn healthy(score: &Score) -> String {
    let mut text = format!("{} of {} healthy runs got a finding of high confidence", score.false_alarms, score.healthy);
    let alarms: Vec<String> = score.alarms.iter().map(|(id, count)| format!("{id} {count}")).collect();
    if !alarms.is_empty() {
        let _ = write!(text, ": {}", alarms.join(", "));
    }
    text + ".\n"
}

/// The stated edits.
pub fn edits() -> String {
    let mut text = String::from(
        "| fault | finding that names it | edit, for thresholds (A) | edit, reported (B) | data sets |\n|---|---|---|---|---|\n",
    );
    for fault in faults::all() {
        let Fault { name, expected, edit: [a, b], sets, left_out, .. } = fault;
        let names: Vec<&str> = sets.iter().map(|set| set.name()).collect();
        let sets = match (sets.len() == Set::ALL.len(), left_out.is_empty()) {
            (true, _) => "all".to_owned(),
            (false, true) => names.join(", "),
            (false, false) => format!("{} ({left_out})", names.join(", ")),
        };
        let _ = writeln!(text, "| {name} | {} | {a} | {b} | {sets} |", expected.join(" or "));
    }
    text
}

/// The page in the repository.
pub fn markdown(score: &Score, about: &About<'_>) -> String {
    let About { command, half, severity, machine, program, healthy_seconds, costs } = about;
    let mut text = String::from("# What the doctor finds\n\n");
    let (severity, seeds) = severity.of(("A", "1 to 3"), ("B", "4 to 6"));
    let _ = writeln!(
        text,
        "`{command}` on {machine}, {program}.\n\n\
         Each run is a healthy training with one stated edit of its configuration or its data (below); the healthy trainings\n\
         themselves are examined as well. The doctor gets a folder with a neutral name, and nothing that says which it is.\n\
         Healthy configurations are drawn: cell, layers, units, directions, batch, epochs, optimizer, learning rate, weight decay,\n\
         dropout, head, loss, label smoothing, class weights, scaler, clipping, truncation, schedule, stopping, where the validation\n\
         side comes from, seed. What a fault sets, a healthy run may have as well, at a value that does no harm.\n\
         This is the half \"{half}\": severity {severity}, seeds {seeds}. The doctor's thresholds are fixed on severity A and seeds\n\
         1 to 3 alone; severity B, the milder one of most faults, and seeds 4 to 6 are for this page.\n\n\
         What this does not show: the faults and the doctor were written by the same people, who knew of each fault what would\n\
         name it; a held-out severity and new seeds do not change that. One fault at a time is in each run, on five data sets.\n\
         Real faults are messier: several at once, milder, and of kinds that nobody listed. Expect less than these figures.\n"
    );
    let _ = writeln!(text, "{}", bars(&score.bars()));
    if score.failed > 0 {
        let _ = writeln!(text, "The doctor failed on {} runs; they count as found nothing.\n", score.failed);
    }
    if !score.untrained.is_empty() {
        let _ = writeln!(
            text,
            "{} trainings ended without a model; they have the skill of a guess:\n",
            score.untrained.len()
        );
        score.untrained.iter().for_each(|line| _ = writeln!(text, "- {line}"));
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "Skill is balanced accuracy (beijing_pm25: R²) on a test file that no fault of labels has touched; a model of another\n\
         task has the skill of a guess. What came back is (mended - faulty) / (healthy - faulty), 0 to 1, after a full training\n\
         of the configuration that `--fix` wrote, over the {} of {} runs that lost at least {CLEAR_LOSS}. Faults that no\n\
         configuration mends (targets that are wrong, data that are not there) count as they come. Seconds are the doctor's on\n\
         one thread, median and most; {} s (median) on a healthy run, at most {} s on any run.\n",
        score.total.recovered.len(),
        score.total.runs,
        number(*healthy_seconds, 1),
        number(most(&score.seconds), 1),
    );
    let _ = writeln!(text, "## By fault\n\n{}", by_fault(score));
    let _ = writeln!(text, "## Healthy runs\n\n{}", healthy(score));
    if score.harm.fixes > 0 || score.harm.is_asked {
        let _ = writeln!(text, "## What fixes spoil\n\n{}", harm(&score.harm, score.healthy));
    }
    if !costs.is_empty() {
        let _ = writeln!(
            text,
            "## What it costs\n\nWhole data sets with the configurations of `models/`, medians of trainings on one thread. Checks are the look at the\n\
             data before the first epoch and at the model after the last; writing the report is not among them. The\n\
             doctor on two threads.\n\n{}",
            cost::table(costs)
        );
    }
    let _ = writeln!(text, "## What was named first\n\n{}", confusion(score));
    let _ = writeln!(
        text,
        "## Not among the first two\n\nFault, data set, severity, seed: what was named.\n\n{}",
        misses(score)
    );
    let _ = write!(text, "## The stated edits\n\n{}", edits());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::case::Trial;
    use crate::doctor::record::{Examined, Trained};
    use crate::doctor::suite::{Finished, Results};

    fn trained(skill: f64) -> Trained {
        Trained { skill, problem: None }
    }

    #[test]
    fn the_confusion_has_a_column_for_each_first_finding() {
        let fault = faults::all().find(|fault| fault.name == "outliers").unwrap();
        let finished = |id: Option<&str>| Finished {
            trial: Trial { fault, set: Set::EcgBeats, severity: Severity::B, seed: 4 },
            examined: Examined {
                findings: id.into_iter().map(|id| (id.to_owned(), "high".to_owned())).collect(),
                ..Examined::default()
            },
            faulty: trained(0.5),
            healthy: trained(0.9),
            fixed: None,
        };
        let faulty =
            vec![finished(Some("padding")), finished(Some("outliers")), finished(Some("outliers")), finished(None)];
        let score = Score::of(&Results { faulty, healthy: Vec::new() });
        let text = confusion(&score);
        assert!(text.contains("| outliers | 2 | 1 | 1 |"), "{text}");
        assert!(text.contains("Columns: 1 outliers · 2 nothing · 3 padding"), "{text}");
        let text = misses(&score);
        assert_eq!(text, "2 of 4 runs:\n\n- outliers/ecg_beats/b/4: padding\n- outliers/ecg_beats/b/4: nothing\n");
    }

    #[test]
    fn harm_by_fixes_is_told_of_healthy_and_of_slightly_faulty_runs() {
        let own =
            Harm { is_asked: true, healthy: vec![-0.2, 0.1], slight: 4, slight_changes: vec![], fixes: 5, worse: 2 };
        let text = harm(&own, 7);
        assert!(text.contains("| healthy: 7 | 2 | -0.050 | -0.200 | 1 |"), "{text}");
        assert!(text.contains("| faulty, lost less than 0.1: 4 | 0 | - | - | 0 |"), "{text}");
        assert!(text.contains("2 of 5 fixes made the test skill worse by more than 0.05"), "{text}");
        assert!(!harm(&Harm::default(), 0).contains("healthy"));
    }

    #[test]
    fn every_fault_has_its_edits_in_the_table() {
        assert_eq!(edits().lines().count(), 2 + faults::all().count());
    }
}
