//! What is wrong, in words, with the evidence and the change that mends it.

use emberloop_findings::{Cause, Confidence, Finding, Fix};
use maud::{Markup, html};

use crate::text::{sentence, value, words};
use crate::{Report, trials};

/// The section.
pub fn section(report: &Report) -> Markup {
    html! {
        section #findings {
            h2 { "What was found" }
            @for limit in &report.limits { p.limit { (sentence(limit)) } }
            @if let Some(mended) = &report.mended { (trials::mended(mended)) }
            @if report.findings.is_empty() {
                (nothing(report))
            } @else {
                @for (place, finding) in report.findings.iter().enumerate() { (card(place, finding)) }
                (how_to_mend(report))
                @let others: Vec<Cause> = report.looked_for.iter().copied()
                    .filter(|cause| report.findings.iter().all(|finding| finding.id != *cause)).collect();
                @if !others.is_empty() {
                    details {
                        summary {
                            "Looked for and not found" @if report.only_read { " without training again" } ": "
                            (others.len()) @if others.len() == 1 { " other cause" } @else { " other causes" }
                        }
                        (list(&others))
                    }
                }
            }
        }
    }
}

fn nothing(report: &Report) -> Markup {
    let causes = &report.looked_for;
    html! {
        @if causes.is_empty() {
            p.card { "Nothing was looked for: this training was not examined." }
        } @else {
            div.card .good[!report.only_read] {
                p {
                    strong {
                        "Nothing that the doctor knows was found" @if report.only_read { " without training again" } "."
                    }
                    @if causes.len() == 1 { " This cause does not show:" } @else { " None of these " (causes.len()) " causes shows:" }
                }
                (list(causes))
                @if report.only_read {
                    p { "Other causes show only where changes are tried out: " code { "emberloop doctor CONFIG" } " does that." }
                }
            }
        }
    }
}

/// The program makes the change better than a person: it knows what the file has.
fn how_to_mend(report: &Report) -> Markup {
    let mends = |finding: &Finding| finding.confidence > Confidence::Low && finding.fix.changes_configuration();
    html! {
        @if report.mended.is_none() && report.findings.iter().any(mends) {
            p { code { "emberloop doctor CONFIG --fix" } " tries what mends the likeliest causes, and writes what trains best into a "
                "copy of the configuration." }
        }
    }
}

fn list(causes: &[Cause]) -> Markup {
    html! { ul.causes { @for cause in causes { li title=(cause.id()) { (cause.title()) } } } }
}

fn card(place: usize, finding: &Finding) -> Markup {
    let (class, sure) = match finding.confidence {
        Confidence::High => ("high", "high confidence"),
        Confidence::Medium => ("medium", "medium confidence"),
        Confidence::Low => ("low", "low confidence"),
    };
    // What is only worth a look is no cause, even where nothing else was found.
    let root = place == 0 && finding.confidence > Confidence::Low;
    html! {
        article.card.finding.(class) {
            p.over {
                @if root {
                    "Supposed root cause"
                } @else if finding.confidence == Confidence::Low {
                    "Worth a look"
                } @else {
                    "No. " (place + 1)
                }
                " · " (sure) " · " code { (finding.id.id()) }
            }
            h3 { (sentence(finding.id.title())) }
            p.summary { (finding.summary) }
            @if !finding.explanation.is_empty() { p { (finding.explanation) } }
            (fix(&finding.fix))
            @if !finding.evidence.is_empty() {
                details open[place == 0] {
                    summary { "Evidence" }
                    table.pairs { tbody {
                        @for (name, number) in &finding.evidence {
                            tr { th scope="row" { (words(name)) } td { (value(number)) } }
                        }
                    } }
                }
            }
        }
    }
}

fn fix(fix: &Fix) -> Markup {
    let lines = fix.lines();
    html! {
        @if !lines.is_empty() || !fix.advice.is_empty() {
            div.fix {
                p { strong { "What mends it" } @if !fix.advice.is_empty() { ": " (fix.advice) } }
                (trials::lines(&lines))
            }
        }
    }
}
