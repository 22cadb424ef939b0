//! The confusion matrix, as a table whose cells are coloured: it can be read, selected and scrolled, with any number of
//! classes.

use std::borrow::Cow;

use maud::{Markup, html};

use crate::Confusion;
use crate::text::percent;

/// With more classes than this, cells are small.
const MANY: usize = 12;

/// With more than this, the matrix shows those that are confused most.
const MOST: usize = 64;

/// The most frequent confusions that are named.
const NAMED: usize = 5;

impl Confusion {
    fn label(&self, class: usize) -> Cow<'_, str> {
        self.labels.get(class).map_or_else(|| class.to_string().into(), |label| label.as_str().into())
    }

    fn classes(&self) -> usize {
        self.counts.iter().map(Vec::len).max().unwrap_or(0).max(self.counts.len()).max(self.labels.len())
    }

    /// The classes of the matrix: all, or those with the most wrong answers, in their own order.
    fn shown(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.classes()).collect();
        if classes.len() > MOST {
            let mut wrong = vec![0; classes.len()];
            for (truth, row) in self.counts.iter().enumerate() {
                for (predicted, count) in row.iter().enumerate().filter(|(predicted, _)| *predicted != truth) {
                    wrong[truth] += count;
                    wrong[predicted] += count;
                }
            }
            classes.sort_by_key(|class| std::cmp::Reverse(wrong[*class]));
            classes.truncate(MOST);
            classes.sort();
        }
        classes
    }

    fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts.get(truth).and_then(|row| row.get(predicted)).copied().unwrap_or(0)
    }
}

/// The section.
pub fn section(confusion: &Confusion) -> Markup {
    let classes = confusion.classes();
    let shown = confusion.shown();
    let total: u64 = confusion.counts.iter().flatten().sum();
    html! {
        section #confusion {
            h2 { "Confusion" }
            @if total == 0 {
                p.note { "No sequence was classified." }
            } @else {
                (in_words(confusion, classes, total))
                div.scroll tabindex="0" {
                    table.confusion .many[shown.len() > MANY] {
                        caption { "Rows: the true class. Columns: what the model says. Colour: share of the row."
                            @if shown.len() < classes { " Of " (classes) " classes the " (shown.len()) " most confused." } }
                        (matrix(confusion, &shown))
                    }
                }
            }
        }
    }
}

fn in_words(confusion: &Confusion, classes: usize, total: u64) -> Markup {
    let right: u64 = (0..classes).map(|class| confusion.count(class, class)).sum();
    let pairs = (0..classes).flat_map(|truth| (0..classes).map(move |predicted| (truth, predicted)));
    let mut wrong: Vec<(u64, usize, usize)> = pairs
        .filter(|(truth, predicted)| truth != predicted)
        .map(|(truth, predicted)| (confusion.count(truth, predicted), truth, predicted))
        .filter(|(count, ..)| *count > 0)
        .collect();
    wrong.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    html! {
        p { (right) " of " (total) " are right (" (percent(right as f64 / total as f64)) ")."
            @if !wrong.is_empty() { " Most often confused:" } }
        @if !wrong.is_empty() {
            ul {
                @for (count, truth, predicted) in wrong.iter().take(NAMED) {
                    li { bdi { (confusion.label(*truth)) } " taken for " bdi { (confusion.label(*predicted)) } ": " (count) " ×" }
                }
            }
        }
    }
}

fn matrix(confusion: &Confusion, shown: &[usize]) -> Markup {
    html! {
        thead { tr {
            td {}
            @for class in shown {
                @let label = confusion.label(*class);
                th scope="col" title=(label) { span { (label) } }
            }
            th scope="col" { span { "recall" } }
        } }
        tbody {
            @for &truth in shown {
                @let row: u64 = confusion.counts.get(truth).into_iter().flatten().sum();
                @let label = confusion.label(truth);
                tr {
                    th scope="row" title=(label) { span { (label) } }
                    @for &predicted in shown { (cell(confusion.count(truth, predicted), row, truth == predicted)) }
                    td { @if row > 0 { (percent(confusion.count(truth, truth) as f64 / row as f64)) } @else { "—" } }
                }
            }
        }
    }
}

fn cell(count: u64, row: u64, right: bool) -> Markup {
    if count == 0 {
        return html! { td .right[right] {} };
    }
    // Never so pale that a single confusion among many would be lost.
    let strength = (8.0 + 62.0 * count as f64 / row as f64).round();
    html! { td .right[right] .wrong[!right] style={ "--p:" (strength) "%" } { (count) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_classes_the_most_confused_are_shown() {
        let mut confusion = Confusion { labels: Vec::new(), counts: vec![vec![0; 500]; 500] };
        assert_eq!(Confusion { labels: vec!["a".into()], counts: Vec::new() }.shown(), [0]);
        for class in 0..500 {
            confusion.counts[class][class] = 1000;
        }
        confusion.counts[499][3] = 2;
        confusion.counts[70][450] = 1;
        let shown = confusion.shown();
        assert!(shown.len() == MOST && shown.is_sorted(), "{shown:?}");
        assert!([3, 70, 450, 499].iter().all(|class| shown.contains(class)), "{shown:?}");
        let page = section(&confusion).into_string();
        assert!(page.contains("500000 of 500003 are right (&gt; 99.9 %)"), "{page}");
        assert!(
            page.contains("<bdi>499</bdi> taken for <bdi>3</bdi>: 2 ×")
                && page.contains("Of 500 classes the 64 most confused")
        );
    }
}
