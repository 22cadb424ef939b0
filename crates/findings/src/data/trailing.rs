//! What stands at the end of sequences: padding that counts as data, and data that lengths cut off.

use std::collections::BTreeMap;

use emberloop_data::{Inputs, Padding, beyond_lengths};
use serde_json::Value;

use super::view::View;
use super::{Said, percent, short};
use crate::{Cause, Confidence, Finding, Fix};

/// Sequences that are looked at.
const SEQUENCES: usize = 2048;

/// The rows at the end of a sequence that are equal to its last one, itself included.
fn trailing(own: &[f32], width: usize) -> usize {
    let last = &own[own.len() - width..];
    own.chunks_exact(width).rev().take_while(|row| is_same(row, last)).count()
}

fn is_same(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
}

/// A row that is the last one of many sequences, several times over.
#[derive(Default)]
struct Ending {
    row: Vec<f32>,
    sequences: usize,
    steps: usize,
}

/// Sequences that end in rows which are no data.
pub(super) fn padding(view: &View<'_>) -> Option<Finding> {
    // What is cut out of one long recording is not padded.
    if view.config.window.is_some() || view.train.is_streamed() {
        return None;
    }
    let width = view.train.channels();
    let tokens = matches!(view.train.inputs, Inputs::Tokens { .. });
    let least = if tokens { 2 } else { 3 };
    let stride = view.train.sequences.len().div_ceil(SEQUENCES).max(1);
    let looked_at: Vec<&[f32]> =
        view.train.sequences.iter().step_by(stride).filter_map(|sequence| sequence.values.loaded()).collect();
    // In order, so that of equally common ones it is always the same that counts: the first, which zeros are.
    let mut endings: BTreeMap<Vec<u32>, Ending> = BTreeMap::new();
    let (mut held, mut held_steps) = (0usize, 0usize);
    for own in &looked_at {
        let (steps, run) = (own.len() / width, trailing(own, width));
        // A sequence of one row again and again says nothing about its end.
        if run < least || run == steps {
            continue;
        }
        held += 1;
        held_steps += run;
        let row = &own[own.len() - width..];
        let ending = endings.entry(row.iter().map(|value| value.to_bits()).collect()).or_default();
        *ending = Ending { row: row.to_vec(), sequences: ending.sequences + 1, steps: ending.steps + run };
    }
    let all: usize = looked_at.iter().map(|own| own.len() / width).sum();
    let most = endings.into_values().rev().max_by_key(|ending| ending.steps)?;
    // How often such a row stands where there is data, and how often a row there is the one before again.
    let (mut inside, mut still, mut rest) = (0usize, 0usize, 0usize);
    for own in &looked_at {
        let data = &own[..own.len() - trailing(own, width) * width];
        rest += data.len() / width;
        inside += data.chunks_exact(width).filter(|row| is_same(row, &most.row)).count();
        still += data.chunks_exact(width).zip(data.chunks_exact(width).skip(1)).filter(|(a, b)| is_same(a, b)).count();
    }
    let part = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let seen = Seen {
        looked_at: looked_at.len(),
        share: part(most.sequences, looked_at.len()),
        steps: part(most.steps, all),
        inside: part(inside, rest),
        mean: part(most.steps, most.sequences),
    };
    let common = match (seen.share, seen.steps) {
        _ if seen.inside > 0.05 => None,
        (share, steps) if share >= 0.5 && steps >= 0.1 && seen.inside < 0.02 => Some(Confidence::High),
        (share, steps) if share >= 0.2 && steps >= 0.03 => Some(Confidence::Medium),
        _ => None,
    };
    if let Some(confidence) = common {
        return seen.finding(view, confidence, &most.row);
    }
    let (share, steps) = (part(held, looked_at.len()), part(held_steps, all));
    let still = part(still, rest);
    (share >= 0.5 && steps >= 0.15 && still < 0.05).then(|| held_finding(share, steps, still))
}

/// Numbers of padding by one row.
struct Seen {
    looked_at: usize,
    share: f64,
    steps: f64,
    inside: f64,
    mean: f64,
}

impl Seen {
    fn finding(&self, view: &View<'_>, confidence: Confidence, row: &[f32]) -> Option<Finding> {
        let (what, fix) = match &view.train.inputs {
            Inputs::Tokens { vocabulary, .. } => {
                let token = vocabulary.get(row[0] as usize).filter(|_| row[0] > 0.0)?;
                (format!("token {token:?}"), Fix::set("data.padding", token.clone()))
            }
            Inputs::Channels(_) if row.iter().all(|value| *value == row[0]) => {
                let what = format!("rows whose every value is {}", row[0]);
                (what, Fix::set("data.padding", f64::from(row[0])))
            }
            Inputs::Channels(_) if row.iter().all(|value| value.is_nan()) => {
                let advice = "They are rows without any value: save the true lengths, or set data.padding = nan.";
                ("rows without any value".into(), Fix::advice(advice))
            }
            Inputs::Channels(_) => {
                let advice =
                    "Take these rows off before they are saved, or save the true lengths as an array (data.lengths).";
                ("one and the same row".into(), Fix::advice(advice))
            }
        };
        Some(
            Said {
                id: Cause::Padding,
                confidence,
                score: 0.6 + 0.3 * self.share + 0.1 * self.steps,
                summary: format!(
                    "{} of the sequences end in {what}, {} steps on average, {} of all steps; elsewhere there is hardly any \
                     ({} of the steps)",
                    percent(self.share),
                    short(self.mean),
                    percent(self.steps),
                    percent(self.inside)
                ),
                evidence: &[
                    ("share_sequences", self.share.into()),
                    ("share_steps", self.steps.into()),
                    ("mean_steps", self.mean.into()),
                    ("share_elsewhere", self.inside.into()),
                    ("looked_at", self.looked_at.into()),
                ],
                explanation: EXPLANATION,
                fix,
            }
            .into(),
        )
    }
}

const EXPLANATION: &str = "The model's answer is read off its last state, and by then it has seen nothing but padding for many \
                           steps and has forgotten what came before. The scaler's statistics are of padding, too. Sequences \
                           may be of any length: Emberloop pads them by itself, and knows where each ends.";

fn held_finding(share: f64, steps: f64, still: f64) -> Finding {
    Said {
        id: Cause::Padding,
        confidence: Confidence::Medium,
        score: 0.5 + 0.3 * share,
        summary: format!(
            "{} of the sequences end in a row that is repeated, {} of all steps, though rows elsewhere hardly ever repeat ({})",
            percent(share),
            percent(steps),
            percent(still)
        ),
        evidence: &[("share_sequences", share.into()), ("share_steps", steps.into()), ("share_elsewhere", still.into())],
        explanation: EXPLANATION,
        fix: Fix::advice(
            "They look as if their last row had been repeated up to one length: save them without it, or save the true lengths \
             as an array (data.lengths).",
        ),
    }
    .into()
}

/// Lengths behind which the sequences go on. The file is read again: nothing is said where it is gone by now.
pub(super) fn lengths(view: &View<'_>) -> Option<Finding> {
    let extension = view.splits.train.path.extension();
    if !extension.is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) || view.splits.train.is_streamed() {
        return None;
    }
    let found = beyond_lengths(view.config, &view.splits.train.path).ok().flatten()?;
    let share = found.cut as f64 / found.sequences as f64;
    let lost = found.lost as f64 / (found.lost + found.used) as f64;
    let confidence = match share {
        _ if share >= 0.5 && lost >= 0.2 => Confidence::High,
        _ if share >= 0.2 && lost >= 0.05 => Confidence::Medium,
        _ if share >= 0.05 => Confidence::Low,
        _ => return None,
    };
    let mut fix = Fix::set("data.lengths", "none");
    if let Some(padding) = &found.padding {
        let value = match padding {
            Padding::Value(value) => Value::from(*value),
            Padding::Token(token) => Value::from(token.as_str()),
        };
        // JSON has no NaN.
        fix = if value.is_null() { fix } else { fix.and("data.padding", value) };
    }
    Some(
        Said {
            id: Cause::LengthsWrong,
            confidence,
            score: 0.6 + 0.35 * lost,
            summary: format!(
                "{} of {} sequences go on behind the length that the file gives them: {} of the steps with data are cut off",
                found.cut,
                found.sequences,
                percent(lost)
            ),
            evidence: &[
                ("share_sequences", share.into()),
                ("share_steps_lost", lost.into()),
                ("steps_used", found.used.into()),
                ("steps_lost", found.lost.into()),
            ],
            explanation: "What lies behind a sequence's length is never looked at. If the lengths are wrong (of another file, \
                          in another unit, shuffled), the model never sees most of the data.",
            fix,
        }
        .into(),
    )
}
