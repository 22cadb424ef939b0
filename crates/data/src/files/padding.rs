//! Rows at the end of a sequence that are no data.

use super::array::{Array, Items};
use super::rows::Track;
use super::table::Table;
use super::{Request, SourceInputs};
use crate::config::Padding;

impl Padding {
    /// Whether a channel's value is padding; both as float32, which is what values are read as.
    fn is_value(&self, value: f32) -> bool {
        match self {
            Padding::Value(padding) => value == *padding as f32 || value.is_nan() && padding.is_nan(),
            Padding::Token(_) => false,
        }
    }

    /// The token that is padding, in the words of the file: 0 and "0" are the same.
    fn token(&self) -> String {
        match self {
            Padding::Value(value) => value.to_string(),
            Padding::Token(text) => text.clone(),
        }
    }
}

/// How many of `steps` are left if those at the end that are padding are cut off; at least one.
fn kept(steps: usize, is_padding: impl Fn(usize) -> bool) -> usize {
    (1..steps).rev().find(|&step| !is_padding(step)).map_or(1, |last| last + 1)
}

/// Cuts padding off the tracks of a table.
pub(crate) fn cut_tracks(table: &Table, tracks: &mut [Track], padding: &Padding) {
    let width = table.width();
    let token = match &table.inputs {
        SourceInputs::Channels(_) => None,
        SourceInputs::Tokens { tokens, .. } => Some(tokens.texts().iter().position(|text| *text == padding.token())),
    };
    for track in tracks {
        let row = |step: usize| &table.values[track.rows[step] * width..][..width];
        let steps = match token {
            None => kept(track.len(), |step| row(step).iter().all(|&value| padding.is_value(value))),
            Some(None) => track.len(),
            Some(Some(token)) => kept(track.len(), |step| row(step)[0] as usize == token),
        };
        track.rows.truncate(steps);
    }
}

/// Cuts padding off the sequences of an array `[lengths.len(), steps, width]`.
pub(crate) fn cut_lengths(
    x: &Array,
    lengths: &mut [usize],
    (steps, width): (usize, usize),
    padding: &Padding,
    request: Request<'_>,
) {
    let value = |index: usize| match &x.items {
        Items::Single(items) => items[index],
        Items::Double(items) => items[index] as f32,
        Items::Integers(items) => items[index] as f32,
        // An error where they are read as numbers.
        Items::Texts(_) => f32::NAN,
    };
    let token = request.token().map(|_| padding.token());
    for (sequence, length) in lengths.iter_mut().enumerate() {
        let first = sequence * steps * width;
        *length = match &token {
            None => kept(*length, |step| {
                (first + step * width..first + (step + 1) * width).all(|index| padding.is_value(value(index)))
            }),
            Some(token) => {
                // A token that cannot be read is an error where all are read.
                kept(*length, |step| x.text(first + step).is_ok_and(|text| text == *token))
            }
        };
    }
}
