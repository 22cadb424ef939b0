//! What the data show by themselves.

mod channels;
mod classes;
mod ordinal;
mod scale;
mod scaled;
mod split;
mod targets;
mod trailing;
mod view;

use emberloop_data::{DataConfig, DataError, ScalerConfig, Splits};
use serde_json::{Map, Value};

pub use targets::values_as_labels;
use view::View;

use crate::{Cause, Confidence, Finding, Fix, rank};

/// What the checks have to know of the training. By default it has none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Training {
    /// Whether the loss weighs classes.
    pub class_weights: bool,
    /// Whether it stops early, so that it has a metric to watch.
    pub early_stopping: bool,
}

/// Looks at the splits as they would be trained on, and trains nothing.
///
/// Statistics are of the whole training split, of streamed data of a sample of about 4 million numbers; quantiles,
/// correlations and the search for shared sequences are of samples, taken evenly and always the same ones. The findings are
/// ranked ([`rank`]).
///
/// # Errors
/// If a file cannot be read any more.
pub fn examine(
    data: &DataConfig,
    scaler: &ScalerConfig,
    splits: &Splits,
    training: Training,
) -> Result<Vec<Finding>, DataError> {
    let view = View::new(data, scaler, splits)?;
    let mut findings = Vec::new();
    findings.extend(targets::labels_as_values(&view));
    let quantity = targets::labels_are_values(&view);
    findings.extend(classes::single(&view));
    // The values of a quantity are uneven by nature.
    if !training.class_weights && quantity.is_none() {
        findings.extend(classes::imbalance(&view, training));
    }
    findings.extend(quantity);
    findings.extend(classes::not_enough(&view));
    findings.extend(scale::unscaled(&view));
    findings.extend(scale::outliers(&view)?);
    findings.extend(scaled::leak(&view)?);
    let redundant = channels::Redundant::of(&view);
    findings.extend(channels::constant(&view, &redundant));
    findings.extend(channels::duplicate(&view, &redundant));
    findings.extend(channels::missing(&view));
    findings.extend(trailing::padding(&view));
    findings.extend(trailing::lengths(&view));
    findings.extend(split::leak(&view)?);
    rank(&mut findings);
    Ok(findings)
}

/// Everything that a finding says.
struct Said<'a> {
    id: Cause,
    confidence: Confidence,
    score: f64,
    summary: String,
    evidence: &'a [(&'a str, Value)],
    explanation: &'a str,
    fix: Fix,
}

impl From<Said<'_>> for Finding {
    fn from(said: Said<'_>) -> Finding {
        let evidence: Map<String, Value> =
            said.evidence.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Finding {
            id: said.id,
            confidence: said.confidence,
            summary: said.summary,
            evidence,
            explanation: said.explanation.into(),
            fix: said.fix,
            score: said.score.clamp(0.0, 1.0),
        }
    }
}

/// A number in a sentence: four digits that count.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..7).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.*}", usize::try_from(3 - magnitude).unwrap_or(0));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A share in a sentence.
fn percent(share: f64) -> String {
    format!("{} %", short(100.0 * share))
}

/// Some names in a sentence: the first few, and how many more.
fn names(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
