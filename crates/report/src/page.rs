//! The page around the sections.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{Report, confusion, curves, findings, gates, gradients, trials};

/// Everything that the page looks like.
const STYLE: &str = include_str!("style.css");

/// Nothing is fetched, whatever a browser or an extension thinks of; inline styles are all that is needed.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The whole file.
pub fn page(report: &Report) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Without one, a browser asks the server for it.
                link rel="icon" href="data:,";
                title { (report.title) @if !report.title.is_empty() { " · " } "Emberloop" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { @if report.title.is_empty() { "Training" } @else { (report.title) } }
                    @if !report.state.is_empty() { span.state { (report.state) } }
                }
                main {
                    (findings::section(report))
                    @if !report.trials.is_empty() { (trials::section(&report.trials)) }
                    @if !report.facts.is_empty() { (facts(&report.facts)) }
                    (curves::section(report))
                    @if let Some(gradients) = &report.gradients { (gradients::section(gradients)) }
                    @if !report.gates.is_empty() { (gates::section(&report.gates)) }
                    @if let Some(confusion) = &report.confusion { (confusion::section(confusion)) }
                    @if !report.notes.is_empty() { (notes(&report.notes)) }
                }
            }
        }
    }
}

fn facts(facts: &[(String, String)]) -> Markup {
    html! {
        section #facts {
            h2 { "This training" }
            dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
        }
    }
}

fn notes(notes: &[String]) -> Markup {
    html! {
        section #notes {
            h2 { "Notes" }
            ul { @for note in notes { li { (note) } } }
        }
    }
}
