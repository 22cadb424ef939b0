//! Channels that say nothing, or nothing new.

use emberloop_data::MissingPolicy;

use super::view::View;
use super::{Said, names, percent};
use crate::{Cause, Confidence, Finding, Fix};

/// Channels of data with more of them are not compared pair by pair.
const COMPARED_MOST: usize = 128;

/// Beyond this, float32 is coarser than a thousandth: what was measured to more decimals may change in the file alone.
const COARSE: f64 = 1e4;

/// Channels without which nothing is lost.
pub(super) struct Redundant {
    /// Those that never change.
    constant: Vec<usize>,
    /// Those that never change in float32, but may in the file.
    coarse: Vec<usize>,
    /// Each a copy of the other: `(of, copy)`.
    copies: Vec<(usize, usize)>,
}

impl Redundant {
    pub(super) fn of(view: &View<'_>) -> Redundant {
        let constant = (0..view.columns.len()).filter(|&at| view.columns[at].is_constant());
        let (coarse, constant) = constant.partition(|&at| view.columns[at].sums.minimum.abs() > COARSE);
        Redundant { constant, coarse, copies: copies(view) }
    }

    /// `data.channels` without them, or, of an array, a word on how to do that. All of them at once: two lists, each of
    /// which mends one half, would bring back what the other takes out.
    fn fix(&self, view: &View<'_>) -> Fix {
        let mut places: Vec<usize> = self.constant.clone();
        places.extend(self.copies.iter().map(|&(_, copy)| copy));
        places.sort_unstable();
        let fix = without(view, &places);
        match !self.constant.is_empty() && !self.copies.is_empty() && fix.changes_configuration() {
            true => fix.with_advice("This leaves out the channels that never change and those that are copies."),
            false => fix,
        }
    }
}

/// `data.channels` without some, or, of an array, a word on how to do that.
fn without(view: &View<'_>, places: &[usize]) -> Fix {
    let left = view.channels_without(places);
    match (view.is_table(), left.is_empty()) {
        (true, false) => Fix::set("data.channels", left),
        (_, true) => Fix::advice("No channel would be left: look at how the file was made."),
        (false, false) => Fix::advice(format!(
            "Take the channels at {places:?} (from 0) out of the array: numpy.delete(x, {places:?}, axis=2)."
        )),
    }
}

/// Channels that never change.
pub(super) fn constant(view: &View<'_>, redundant: &Redundant) -> Option<Finding> {
    let Redundant { constant, coarse, .. } = redundant;
    let first = &view.columns[*constant.first().or(coarse.first())?];
    let count = constant.len() + coarse.len();
    let share = count as f64 / view.columns.len() as f64;
    let of = |places: &[usize]| places.iter().map(|&at| view.columns[at].name.clone()).collect::<Vec<String>>();
    let advice = format!(
        "Float32 tells numbers as large as those of {} apart only in coarse steps: if they change in the file, subtract an \
         offset there before saving; if not, leave them out.",
        names(&of(coarse))
    );
    let fix = match (constant.is_empty(), coarse.is_empty()) {
        (true, _) => Fix::advice(advice),
        (false, true) => redundant.fix(view),
        (false, false) => {
            let fix = redundant.fix(view);
            let before = if fix.advice.is_empty() { String::new() } else { format!("{} ", fix.advice) };
            fix.with_advice(format!("{before}{advice}"))
        }
    };
    Some(
        Said {
            id: Cause::FeatureConstant,
            confidence: if share >= 0.5 { Confidence::High } else { Confidence::Medium },
            score: 0.5 + 0.45 * share,
            summary: format!(
                "{count} of {} channels never change in the training split{}: {} ({:?} is always {})",
                view.columns.len(),
                if coarse.is_empty() { "" } else { ", as far as float32 can tell" },
                names(&of(&[constant.as_slice(), coarse.as_slice()].concat())),
                first.name,
                first.sums.minimum
            ),
            evidence: &[
                ("channels_constant", count.into()),
                ("channels", view.columns.len().into()),
                ("share", share.into()),
                ("value", first.sums.minimum.into()),
            ],
            explanation: "A channel that is always the same tells nothing apart: it costs weights, and if it is another number \
                          later, on the device, the model meets what it has never seen. It may be a broken sensor, a column of \
                          the wrong name, or a number so large that float32 does not hold how it varies.",
            fix,
        }
        .into(),
    )
}

/// Pairs of a channel and another that is the same, perhaps in other units.
fn copies(view: &View<'_>) -> Vec<(usize, usize)> {
    let width = view.columns.len();
    if width > COMPARED_MOST {
        return Vec::new();
    }
    let mut centred = Vec::new();
    for (at, column) in view.columns.iter().enumerate() {
        let (mean, deviation) = (column.sums.mean(), column.sums.deviation());
        let values = view.sample.iter().skip(at).step_by(width);
        centred.push(match deviation > 0.0 {
            true => values.map(|&value| ((f64::from(value) - mean) / deviation) as f32).collect::<Vec<f32>>(),
            false => Vec::new(),
        });
    }
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for second in 1..width {
        let of = (0..second)
            .find(|&first| !pairs.iter().any(|&(_, copy)| copy == first) && is_copy(&centred[first], &centred[second]));
        pairs.extend(of.map(|first| (first, second)));
    }
    pairs
}

/// Channels that are another one again, perhaps in other units.
pub(super) fn duplicate(view: &View<'_>, redundant: &Redundant) -> Option<Finding> {
    let (width, pairs) = (view.columns.len(), &redundant.copies);
    let &(first, second) = pairs.first()?;
    let copies: Vec<usize> = pairs.iter().map(|&(_, copy)| copy).collect();
    let share = copies.len() as f64 / width as f64;
    let channels: Vec<String> = copies.iter().map(|&at| view.columns[at].name.clone()).collect();
    let scale = view.columns[second].sums.deviation() / view.columns[first].sums.deviation();
    Some(
        Said {
            id: Cause::FeatureDuplicate,
            confidence: Confidence::Medium,
            score: 0.5 + 0.4 * share,
            summary: format!(
                "{} of {width} channels are copies of others, perhaps in other units: {} (channel {:?} is {:?} again)",
                copies.len(),
                names(&channels),
                view.columns[second].name,
                view.columns[first].name
            ),
            evidence: &[
                ("copies", copies.len().into()),
                ("channels", width.into()),
                ("share", share.into()),
                ("scale_of_first", scale.into()),
            ],
            explanation: "A copy adds weights and no information, and what it copies counts twice: steps along it are twice as \
                          long as along the others.",
            fix: redundant.fix(view),
        }
        .into(),
    )
}

/// Whether two standardised channels are the same but for sign and rounding.
fn is_copy(a: &[f32], b: &[f32]) -> bool {
    // Float32 of far-off units, and a few decimals of a CSV.
    const NEAR: f32 = 2e-3;
    let (mut seen, mut away, mut apart) = (0usize, 0usize, [false; 2]);
    if a.is_empty() || b.is_empty() {
        return false;
    }
    for (&a, &b) in a.iter().zip(b) {
        if a.is_nan() != b.is_nan() {
            return false;
        }
        if a.is_nan() {
            continue;
        }
        seen += 1;
        away += usize::from(a.abs() > 0.1);
        apart =
            [apart[0] || (a - b).abs() > NEAR * (1.0 + a.abs()), apart[1] || (a + b).abs() > NEAR * (1.0 + a.abs())];
        if apart == [true, true] {
            return false;
        }
    }
    seen >= 8 && away >= 3
}

/// Values that are not there.
pub(super) fn missing(view: &View<'_>) -> Option<Finding> {
    let share = |at: usize| {
        let sums = view.columns[at].sums;
        sums.missing / (sums.missing + sums.count).max(1.0)
    };
    let width = view.columns.len();
    let worst = (0..width).max_by(|&a, &b| share(a).total_cmp(&share(b)))?;
    let all = (0..width).map(share).sum::<f64>() / width as f64;
    let most = share(worst);
    if most == 0.0 {
        return None;
    }
    let refused = view.scaler.missing == MissingPolicy::Error;
    let confidence = match all {
        _ if refused || all >= 0.3 || most >= 0.8 => Confidence::High,
        _ if all >= 0.1 || most >= 0.3 => Confidence::Medium,
        _ if most >= 0.01 => Confidence::Low,
        _ => return None,
    };
    let empty: Vec<usize> = (0..width).filter(|&at| share(at) >= 0.8).collect();
    let fix = match view.scaler.missing {
        _ if !empty.is_empty() && empty.len() < width && !refused => without(view, &empty),
        MissingPolicy::HoldLast => Fix::advice(
            "They are already filled with the last value. Look at why they are missing; a channel that is mostly missing is \
             better left out (data.channels).",
        ),
        MissingPolicy::Error | MissingPolicy::Mean => Fix::set("scaler.missing", "hold_last"),
    };
    Some(
        Said {
            id: Cause::ValuesMissing,
            confidence,
            score: (0.4 + all.max(most / 2.0)).min(0.9),
            summary: format!(
                "{} of the input values are missing, most of them in channel {:?}: {}",
                percent(all),
                view.columns[worst].name,
                percent(most)
            ),
            evidence: &[
                ("share", all.into()),
                ("largest_share", most.into()),
                ("channels_mostly_missing", empty.len().into()),
            ],
            explanation: "A value that is filled in looks like a measured one. The mean in the middle of a signal is a jump \
                          that was never there; the last value held is closer to what happened. The more is filled in, the \
                          less is left to learn from.",
            fix,
        }
        .into(),
    )
}
