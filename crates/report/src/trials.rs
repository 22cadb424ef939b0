//! What was tried out, the best of it as a headline.

use maud::{Markup, html};

use crate::text::{number, sentence, words};
use crate::{Mended, Trial};

/// The section.
pub fn section(trials: &[Trial]) -> Markup {
    html! {
        section #trials {
            h2 { "Tried out" }
            (headline(trials))
            p { "Short trainings with one thing changed, beside one without the change."
                @if trials.iter().any(|trial| trial.metric.contains("skill")) {
                    " A skill of 0 is an answer that ignores the input, 1 is always right."
                }
            }
            div.scroll tabindex="0" {
                table.numbers {
                    thead { tr {
                        th scope="col" { "change" }
                        th.name scope="col" { "metric" }
                        @for name in ["without", "with"] { th scope="col" { (name) } }
                    } }
                    tbody {
                        @for trial in trials {
                            tr {
                                th scope="row" {
                                    (breakable(&trial.what))
                                    @if let Some(cause) = trial.suspected { span.suspected { "suspected: " (cause.title()) } }
                                }
                                td.name { (words(&trial.metric)) }
                                td { (number(trial.before)) }
                                td { (number(trial.after)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the fixes came to together.
pub fn mended(mended: &Mended) -> Markup {
    let better = is_better(mended.before, mended.after);
    html! {
        div.card .good[better] {
            p.summary {
                @if better { "Mended: " } @else { "The fixes did not help: " }
                (change(&mended.metric, mended.before, mended.after))
            }
            (lines(&mended.what))
        }
    }
}

/// The changes of a configuration, one under the other.
pub fn lines(lines: &[String]) -> Markup {
    html! { @if !lines.is_empty() { ul.change { @for line in lines { li { code { (line) } } } } } }
}

/// The trial that gained most, among those that are measured like the first.
fn best(trials: &[Trial]) -> Option<&Trial> {
    let metric = &trials.first()?.metric;
    let better = trials.iter().filter(|trial| trial.metric == *metric && is_better(trial.before, trial.after));
    better.max_by(|a, b| a.after.total_cmp(&b.after))
}

fn headline(trials: &[Trial]) -> Markup {
    html! {
        p.headline {
            @match best(trials) {
                Some(best) => { (sentence(&words(&best.metric))) " " (change("", best.before, best.after)) " with this change: " (best.what) }
                None => "No change that was tried trains better.",
            }
        }
    }
}

fn change(metric: &str, before: f64, after: f64) -> Markup {
    html! { @if !metric.is_empty() { (words(metric)) " " } b { (number(before)) " → " (number(after)) } }
}

/// A number is better than none.
fn is_better(before: f64, after: f64) -> bool {
    after.is_finite() && (before.is_nan() || after > before)
}

/// Long names break at their joints before they break within a word; numbers do not break at their points.
fn breakable(text: &str) -> Markup {
    html! { @for part in text.split_inclusive(['_', '/']) { (part) wbr; } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(what: &str, metric: &str, before: f64, after: f64) -> Trial {
        Trial { what: what.into(), suspected: None, metric: metric.into(), before, after }
    }

    #[test]
    fn the_headline_is_the_largest_gain_of_one_metric() {
        let trials = [
            trial("a", "skill", 0.2, 0.5),
            trial("b", "skill", 0.2, 0.9),
            trial("c", "skill", 0.2, f64::NAN),
            trial("d", "loss", 0.2, 7.0),
        ];
        assert_eq!(best(&trials).map(|trial| trial.what.as_str()), Some("b"));
        assert!(headline(&trials).into_string().contains("Skill <b>0.2 → 0.9</b> with this change: b"));
        assert_eq!(best(&[trial("worse", "skill", 0.2, 0.1), trial("none", "skill", 0.2, f64::NAN)]), None);
        assert!(best(&[trial("a", "skill", f64::NAN, 0.1)]).is_some());
        assert!(headline(&trials[2..3]).into_string().contains("No change that was tried trains better."));
    }
}
