//! What is wrong, in words, with the evidence and the lines that mend it.

use emberloop_findings::{Cause, Confidence, Finding, Fix};
use maud::{Markup, html};
use serde::Serialize;
use serde_json::Value;
use toml_edit::ser::ValueSerializer;
use toml_edit::{DocumentMut, Item, Table};

use crate::Report;
use crate::text::{sentence, value, words};

/// The section.
pub fn section(report: &Report) -> Markup {
    html! {
        section #findings {
            h2 { "What was found" }
            @if report.findings.is_empty() {
                (nothing(&report.looked_for))
            } @else {
                @for (place, finding) in report.findings.iter().enumerate() { (card(place, finding)) }
                @let others: Vec<Cause> = report.looked_for.iter().copied()
                    .filter(|cause| report.findings.iter().all(|finding| finding.id != *cause)).collect();
                @if !others.is_empty() {
                    details {
                        summary { "Looked for and not found: " (others.len()) " other causes" }
                        (list(&others))
                    }
                }
            }
        }
    }
}

fn nothing(looked_for: &[Cause]) -> Markup {
    html! {
        @if looked_for.is_empty() {
            p.card { "Nothing was looked for: this training was not examined." }
        } @else {
            div.card.good {
                p { strong { "Nothing was found." } " None of these " (looked_for.len()) " causes shows:" }
                (list(looked_for))
            }
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
    html! {
        article.card.finding.(class) {
            p.over {
                @if place == 0 { "Supposed root cause" } @else { "No. " (place + 1) }
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
    let lines = toml(fix);
    html! {
        @if !lines.is_empty() || !fix.advice.is_empty() {
            div.fix {
                p { strong { "What mends it" } @if !fix.advice.is_empty() { ": " (fix.advice) } }
                @if !lines.is_empty() { pre tabindex="0" { code { (lines) } } }
            }
        }
    }
}

/// The change as lines of a configuration: tables with their keys, and a comment for what goes.
fn toml(fix: &Fix) -> String {
    let mut document = DocumentMut::new();
    // What cannot be written as TOML is better shown somehow than left out.
    let mut odd = String::new();
    for (key, value) in &fix.set {
        if insert(&mut document, key, value).is_none() {
            odd.push_str(&format!("# {key} = {value}\n"));
        }
    }
    let gone: String = fix.unset.iter().map(|key| format!("# remove {key}\n")).collect();
    format!("{gone}{odd}{document}").trim_end().into()
}

/// Sets a dotted key; `None` if TOML has no such value or the key leads through one that is no table.
fn insert(document: &mut DocumentMut, key: &str, value: &Value) -> Option<()> {
    let value = value.serialize(ValueSerializer::new()).ok()?;
    let mut parents: Vec<&str> = key.split('.').collect();
    let last = parents.pop()?;
    let mut table = document.as_table_mut();
    for parent in parents {
        let new = || {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        };
        table = table.entry(parent).or_insert_with(new).as_table_mut()?;
    }
    table.insert(last, toml_edit::value(value));
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fix_is_lines_of_a_configuration() {
        let change = Fix::set("training.optimizer.learning_rate", 0.001)
            .and("training.batch", 64)
            .and("model.hidden", json!([32, 32]))
            .and("data.labels", json!(["a \"b\"", "c"]))
            .and("scaler", json!({"kind": "standard"}))
            .and("model.odd", Value::Null);
        let mut change = change;
        change.unset.push("training.clip".into());
        let text = toml(&change);
        let read: DocumentMut = text.parse().unwrap();
        assert_eq!(read["training"]["optimizer"]["learning_rate"].as_float(), Some(0.001), "{text}");
        assert_eq!(read["training"]["batch"].as_integer(), Some(64), "{text}");
        assert_eq!(read["model"]["hidden"].as_array().map(|units| units.len()), Some(2), "{text}");
        assert_eq!(read["data"]["labels"][0].as_str(), Some("a \"b\""), "{text}");
        assert_eq!(read["scaler"]["kind"].as_str(), Some("standard"), "{text}");
        assert!(text.starts_with("# remove training.clip\n# model.odd = null\n"), "{text}");
        assert!(text.contains("[training.optimizer]\nlearning_rate = 0.001"), "{text}");
        assert_eq!(toml(&Fix::advice("record more")), "");
    }
}
