//! The course of the training: a figure for each metric, the learning rate under it, and the numbers.

mod panel;
mod scale;

use std::collections::BTreeSet;

use maud::{Markup, html};
use panel::{EPOCH_AXIS, Panel, Series};

use crate::plot::{FINE, Role, svg};
use crate::text::{number, sentence, words};
use crate::{Epoch, Report};

/// The metrics that are known, in the order of reading; others follow by name.
const ORDER: [&str; 8] = ["loss", "accuracy", "balanced_accuracy", "macro_f1", "rmse", "mae", "r2", "learning_rate"];

/// Rows of the table of numbers, at most.
const MOST_ROWS: usize = 500;

/// The section.
pub fn section(report: &Report) -> Markup {
    html! {
        section #curves {
            h2 { "Course of the training" }
            @if report.epochs.is_empty() {
                p { "No epoch has been finished." }
            } @else {
                @if let Some(kept) = report.kept_epoch {
                    p { "The dashed line is epoch " (kept) ", whose parameters were kept." }
                }
                div.figures {
                    @for metric in metrics(&report.epochs) { (figure(report, &metric)) }
                    (gradient_norm(report))
                }
                (table(report))
            }
        }
    }
}

/// The metrics' names without `val_`.
fn metrics(epochs: &[Epoch]) -> Vec<String> {
    let names: BTreeSet<&str> = epochs.iter().flat_map(|epoch| epoch.metrics.keys()).map(|name| base(name)).collect();
    let mut names: Vec<String> = names.into_iter().map(String::from).collect();
    names.sort_by_key(|name| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()));
    names
}

fn base(name: &str) -> &str {
    name.strip_prefix("val_").unwrap_or(name)
}

/// The values of a metric, with the epochs that have it.
fn values(epochs: &[Epoch], name: &str) -> Vec<(usize, f64)> {
    epochs.iter().filter_map(|epoch| epoch.metrics.get(name).map(|value| (epoch.epoch, *value))).collect()
}

fn figure(report: &Report, metric: &str) -> Markup {
    let train = values(&report.epochs, metric);
    let validation = values(&report.epochs, &format!("val_{metric}"));
    let rate: Vec<_> = report.epochs.iter().map(|epoch| (epoch.epoch, epoch.learning_rate)).collect();
    let mut series = Vec::new();
    for (role, name, points) in [(Role::Train, "training", train), (Role::Validation, "validation", validation)] {
        if !points.is_empty() {
            series.push((name, Series { role, points }));
        }
    }
    let legend = html! {
        @for (name, series) in &series { (key(name, series, report.kept_epoch)) }
        (lost(&series))
    };
    let title = sentence(&words(metric));
    let panel = Panel {
        title: "",
        series: series.into_iter().map(|(_, series)| series).collect(),
        logarithmic: false,
        height: 210 * FINE,
    };
    let rate = Panel {
        title: "learning rate",
        series: vec![Series { role: Role::Rate, points: rate }],
        logarithmic: true,
        height: 100 * FINE,
    };
    stacked(report, &title, legend, vec![panel, rate])
}

fn gradient_norm(report: &Report) -> Markup {
    let points: Vec<_> = report.epochs.iter().map(|epoch| (epoch.epoch, epoch.gradient_norm)).collect();
    let series = Series { role: Role::Train, points };
    let legend = html! {
        (key("mean of the epoch's updates, before clipping", &series, report.kept_epoch))
    };
    let panel = Panel { title: "", series: vec![series], logarithmic: true, height: 310 * FINE };
    if !panel.has_values() {
        return html! {};
    }
    stacked(report, "Norm of the gradient", legend, vec![panel])
}

/// A figure of panels that have something to show.
fn stacked(report: &Report, title: &str, legend: Markup, mut panels: Vec<Panel>) -> Markup {
    let numbers = || report.epochs.iter().map(|epoch| epoch.epoch);
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else { return html! {} };
    let drawn = panels.first().is_some_and(Panel::has_values);
    panels.retain(Panel::has_values);
    let height = panels.iter().map(|panel| panel.height).sum::<i32>() + EPOCH_AXIS;
    let description = format!("{title}, epochs {first} to {last}");
    html! {
        figure {
            figcaption { strong { (title) } (legend) }
            @if drawn {
                (svg(height, &description, |area| panel::draw(area, &panels, first, last, report.kept_epoch)))
            } @else {
                p.note { "No epoch has a finite value." }
            }
        }
    }
}

/// What a colour stands for, and where its curve ends.
fn key(name: &str, series: &Series, kept: Option<usize>) -> Markup {
    let last = series.points.last().map(|point| point.1);
    let kept = kept.and_then(|kept| series.points.iter().find(|point| point.0 == kept)).map(|point| point.1);
    html! {
        span.key {
            i class={ "swatch " (series.role.class()) } {}
            (name)
            @if let Some(last) = last { " " b { (number(last)) } }
            @if let Some(kept) = kept { " (kept: " (number(kept)) ")" }
        }
    }
}

/// How many values are no numbers, and from when on.
fn lost(series: &[(&str, Series)]) -> Markup {
    html! {
        @for (name, series) in series {
            @let lost: Vec<usize> = series.points.iter().filter(|point| !point.1.is_finite()).map(|point| point.0).collect();
            @if let Some(first) = lost.first() {
                span.key.bad {
                    "× " (name) ": NaN or infinite in " (lost.len()) @if lost.len() == 1 { " epoch" } @else { " epochs" }
                    ", first in " (first)
                }
            }
        }
    }
}

/// The numbers, in full or every so many epochs.
fn table(report: &Report) -> Markup {
    let names: Vec<String> =
        metrics(&report.epochs).into_iter().flat_map(|name| [name.clone(), format!("val_{name}")]).collect();
    let names: Vec<&String> =
        names.iter().filter(|name| report.epochs.iter().any(|epoch| epoch.metrics.contains_key(*name))).collect();
    let step = report.epochs.len().div_ceil(MOST_ROWS).max(1);
    let last = report.epochs.len() - 1;
    let shown = report
        .epochs
        .iter()
        .enumerate()
        .filter(|(place, epoch)| place % step == 0 || *place == last || Some(epoch.epoch) == report.kept_epoch);
    html! {
        details {
            summary { "Numbers of " @if step == 1 { "all epochs" } @else { "one epoch in " (step) } }
            div.scroll tabindex="0" {
                table.numbers {
                    thead { tr {
                        th scope="col" { "epoch" }
                        @for name in &names { th scope="col" { (words(name)) } }
                        th scope="col" { "learning rate" }
                        th scope="col" { "gradient norm" }
                    } }
                    tbody {
                        @for (_, epoch) in shown {
                            tr .kept[Some(epoch.epoch) == report.kept_epoch] {
                                td { (epoch.epoch) }
                                @for name in &names { td { @if let Some(value) = epoch.metrics.get(*name) { (number(*value)) } } }
                                td { (number(epoch.learning_rate)) }
                                td { (number(epoch.gradient_norm)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
