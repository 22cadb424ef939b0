//! Inputs that are not scaled, and scales that a few values decide.

use emberloop_data::{DataError, ScalerKind};

use super::view::{Column, View, each_own};
use super::{Said, names, percent, short};
use crate::{Cause, Confidence, Finding, Fix};

/// Channels far from what a network takes, and no scaler.
pub(super) fn unscaled(view: &View<'_>) -> Option<Finding> {
    if view.scaler.kind != ScalerKind::None {
        return None;
    }
    let columns: Vec<&Column> =
        view.columns.iter().filter(|column| column.sums.count > 0.0 && !column.is_constant()).collect();
    // How far a channel is from being centred with a deviation of 1, as a factor.
    let size = |column: &Column| column.sums.deviation().max(column.sums.mean().abs());
    let widest = columns.iter().max_by(|a, b| size(a).total_cmp(&size(b)))?;
    let narrowest = columns.iter().min_by(|a, b| a.sums.deviation().total_cmp(&b.sums.deviation()))?;
    let deviations = columns.iter().map(|column| column.sums.deviation());
    let most = deviations.clone().fold(0.0, f64::max);
    let ratio = most / narrowest.sums.deviation();
    let offset = columns.iter().map(|column| column.sums.mean().abs() / column.sums.deviation()).fold(0.0, f64::max);
    let large = size(widest);
    let confidence = match most {
        _ if large > 20.0 || most < 0.02 || ratio > 100.0 => Confidence::High,
        _ if large > 5.0 || most < 0.05 || ratio > 30.0 || offset > 20.0 => Confidence::Medium,
        _ if large > 3.0 || most < 0.1 || ratio > 10.0 || offset > 5.0 => Confidence::Low,
        _ => return None,
    };
    let span = match most < 0.1 {
        true => format!("the widest deviation of a channel is {}", short(most)),
        false if std::ptr::eq(*widest, *narrowest) => format!(
            "channel {:?} has mean {} and deviation {}",
            widest.name,
            short(widest.sums.mean()),
            short(widest.sums.deviation())
        ),
        false => format!(
            "channel {:?} has mean {} and deviation {}, channel {:?} a deviation of {}",
            widest.name,
            short(widest.sums.mean()),
            short(widest.sums.deviation()),
            narrowest.name,
            short(narrowest.sums.deviation())
        ),
    };
    Some(
        Said {
            id: Cause::FeaturesUnscaled,
            confidence,
            score: (0.6 + 0.1 * large.max(1.0 / most).max(ratio / 10.0).max(1.0).log10()).min(0.95),
            summary: format!("[scaler] is \"none\", and the inputs are not near mean 0 and deviation 1: {span}"),
            evidence: &[
                ("largest_size", large.into()),
                ("largest_deviation", most.into()),
                ("smallest_deviation", narrowest.sums.deviation().into()),
                ("deviation_ratio", ratio.into()),
                ("largest_offset_per_deviation", offset.into()),
            ],
            explanation: "Gates and tanh tell inputs of about -3 to 3 apart. Larger ones drive them to their limits, where no \
                          gradient comes through; much smaller ones are not noticed; and one learning rate fits only channels \
                          of one size.",
            fix: Fix::set("scaler.kind", "standard"),
        }
        .into(),
    )
}

/// Robust spreads from the median beyond which a value is one to look at.
const FAR: f64 = 10.0;

/// A channel whose scale is made by few values.
struct Squeezed<'a> {
    column: &'a Column,
    /// How wide the channel's other values are, in units in which they would be 1 if there were no others.
    clean: f64,
    share: f64,
    farthest: f64,
    /// What the extreme values are, if several of them are one and the same.
    only: Option<f64>,
}

/// Channels whose few extreme values decide the scale.
pub(super) fn outliers(view: &View<'_>) -> Result<Option<Finding>, DataError> {
    if !matches!(view.scaler.kind, ScalerKind::Standard | ScalerKind::Minmax) {
        return Ok(None);
    }
    let minmax = view.scaler.kind == ScalerKind::Minmax;
    // Those that may be: the others need no second pass.
    let mut open: Vec<(usize, f64, f64)> = Vec::new();
    for (at, column) in view.columns.iter().enumerate() {
        let (median, spread) = (column.quantile(0.5), spread(column));
        let scale = if minmax { (column.sums.maximum - column.sums.minimum) / 6.0 } else { column.sums.deviation() };
        if spread > 0.0 && scale > 3.0 * spread {
            open.push((at, median, spread));
        }
    }
    if open.is_empty() {
        return Ok(None);
    }
    // Of each: how many values are near, their sum and sum of squares around the median, and the extremes of them.
    let mut near = vec![(0.0, 0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY); open.len()];
    // The first of the others, how many there are, and whether all are equal to it.
    let mut far = vec![(0.0f32, 0usize, true); open.len()];
    let width = view.columns.len();
    each_own(view.config, &view.train, |values| {
        for row in values.chunks_exact(width) {
            for ((&(at, median, spread), near), far) in open.iter().zip(&mut near).zip(&mut far) {
                let off = f64::from(row[at]) - median;
                if off.abs() <= FAR * spread {
                    *near = (near.0 + 1.0, near.1 + off, near.2 + off * off, near.3.min(off), near.4.max(off));
                } else if !off.is_nan() {
                    let first = if far.1 == 0 { row[at] } else { far.0 };
                    *far = (first, far.1 + 1, far.2 && first == row[at]);
                }
            }
        }
    })?;
    let squeezed = open.iter().zip(&near).zip(&far).map(|((&(at, median, spread), near), far)| {
        let column = &view.columns[at];
        let deviation = (near.2 / near.0 - (near.1 / near.0).powi(2)).max(0.0).sqrt();
        let (all, own) = match minmax {
            true => (column.sums.maximum - column.sums.minimum, near.4 - near.3),
            false => (column.sums.deviation(), deviation),
        };
        let farthest = (column.sums.maximum - median).max(median - column.sums.minimum) / spread;
        let only = (far.1 > 1 && far.2).then(|| f64::from(far.0));
        Squeezed { column, clean: own / all, share: 1.0 - near.0 / column.sums.count, farthest, only }
    });
    let worst = squeezed.filter(|squeezed| squeezed.clean < 0.4 && squeezed.share < 0.1);
    let mut worst: Vec<Squeezed<'_>> = worst.collect();
    worst.sort_by(|a, b| a.clean.total_cmp(&b.clean));
    Ok(report(&worst, minmax))
}

/// A robust deviation: of the middle half where it has a width, otherwise of the middle nine tenths.
fn spread(column: &Column) -> f64 {
    let half = (column.quantile(0.75) - column.quantile(0.25)) / 1.349;
    if half > 0.0 { half } else { (column.quantile(0.95) - column.quantile(0.05)) / 3.29 }
}

fn report(worst: &[Squeezed<'_>], minmax: bool) -> Option<Finding> {
    let first = worst.first()?;
    // A heavy tail reaches far, too, but most of its weight is near: it is few values very far away that are none of it.
    let confidence = match first.clean {
        _ if first.clean < 0.1 && first.share < 0.05 => Confidence::High,
        _ if first.clean < 0.2 => Confidence::Medium,
        _ => Confidence::Low,
    };
    let channels: Vec<String> = worst.iter().map(|squeezed| squeezed.column.name.clone()).collect();
    let scale = if minmax { "range" } else { "deviation" };
    let lie = match first.only {
        Some(value) => format!("are {value}, {} spreads from its median", short(first.farthest)),
        None => format!("lie up to {} spreads from its median", short(first.farthest)),
    };
    Some(
        Said {
            id: Cause::Outliers,
            confidence,
            score: 0.9 - first.clean,
            summary: format!(
                "{} of the values of channel {:?} {lie}: its {scale} is {} times what \
                 it would be without them ({}: {})",
                percent(first.share),
                first.column.name,
                short(1.0 / first.clean),
                match channels.len() {
                    1 => "1 channel".into(),
                    count => format!("{count} channels"),
                },
                names(&channels)
            ),
            evidence: &[
                ("share_outliers", first.share.into()),
                ("farthest_spreads", first.farthest.into()),
                ("clean_share_of_scale", first.clean.into()),
                ("minimum", first.column.sums.minimum.into()),
                ("maximum", first.column.sums.maximum.into()),
                ("channels", channels.len().into()),
            ],
            explanation: "The scaler divides by a number that a few extreme values have made large, so all the others are \
                          squeezed together around one value, and the model hardly sees them change. A robust scaler uses the \
                          median and the quartiles, which a few values do not move.",
            fix: Fix::set("scaler.kind", "robust").with_advice(match first.only {
                Some(value) => format!(
                    "If {value} stands for \"no value\", say so instead: of a CSV, add \"{value}\", as the cell has it, to \
                     data.missing_values; of an array, save NaN in its place; and set scaler.missing = \"hold_last\"."
                ),
                None => "If these values are errors of a sensor or stand for \"no value\", take them out of the file or name \
                         them in data.missing_values."
                    .into(),
            }),
        }
        .into(),
    )
}
