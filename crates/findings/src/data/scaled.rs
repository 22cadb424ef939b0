//! Data that were scaled before they came here, by numbers that include what a model must not know.

use std::path::Path;

use emberloop_data::{DataConfig, DataError, Dataset, ScalerKind, TargetColumns, Task, WindowConfig, load};

use super::view::{Sums, View, sums};
use super::{Said, short};
use crate::{Cause, Confidence, Finding, Fix};

/// Rounding of float32 and of a few decimals in a CSV.
const EXACT: f64 = 1e-4;

/// How a set of data looks scaled, and how far its channels are from that at most.
fn distances(sums: &[Sums]) -> [(&'static str, f64); 2] {
    let most = |distance: fn(&Sums) -> f64| sums.iter().map(distance).fold(0.0, f64::max);
    [
        ("mean 0 and deviation 1", most(|sums| sums.mean().abs().max((sums.deviation() - 1.0).abs()))),
        ("minimum 0 and maximum 1", most(|sums| sums.minimum.abs().max((sums.maximum - 1.0).abs()))),
    ]
}

/// How near to being scaled windows are, if the rows of which they were cut are.
const NEAR: f64 = 0.2;

/// Sums of every row of a training file that was cut into windows: the rows whose target is missing are in few of those.
/// `None` of other data, where the windows are not even nearly scaled, and where the file is gone by now.
fn every_row(view: &View<'_>) -> Option<Vec<Sums>> {
    let near = |sums: &Sums| sums.mean().abs() < NEAR && (sums.deviation() - 1.0).abs() < NEAR;
    let bounded = |sums: &Sums| sums.minimum.abs() < NEAR && (sums.maximum - 1.0).abs() < NEAR;
    let all = |of: &dyn Fn(&Sums) -> bool| view.columns.iter().all(|column| column.is_constant() || of(&column.sums));
    let complete = view.columns.iter().find(|column| column.sums.missing == 0.0);
    let (Some(complete), true, true) = (complete, view.config.window.is_some(), all(&near) || all(&bounded)) else {
        return None;
    };
    let config = DataConfig {
        channels: Some(view.columns.iter().map(|column| column.name.clone()).collect()),
        // Any number will do: every row has this one.
        target: Some(TargetColumns::One(complete.name.clone())),
        task: Task::Regression,
        window: Some(WindowConfig { length: 1, stride: 1, horizon: 0 }),
        missing_values: view.config.missing_values.clone(),
        validation_fraction: 0.0,
        ..DataConfig::new(view.splits.train.path.clone())
    };
    let rows = load(&config, Path::new(""), 0).ok()?.train;
    sums(&config, &rows).ok()
}

fn together(a: &[Sums], b: &[Sums]) -> Vec<Sums> {
    a.iter().zip(b).map(|(a, b)| a.with(b)).collect()
}

/// Validation or test data alone, or training with them, that are exactly scaled where training alone is not.
pub(super) fn leak(view: &View<'_>) -> Result<Option<Finding>, DataError> {
    // A constant channel is 0 however it was scaled.
    let varied: Vec<usize> = (0..view.columns.len()).filter(|&at| !view.columns[at].is_constant()).collect();
    let train: Vec<Sums> = varied.iter().map(|&at| view.columns[at].sums).collect();
    // Of streamed data only a sample was looked at, whose mean is not exactly anything.
    if train.is_empty() || view.splits.train.is_streamed() {
        return Ok(None);
    }
    // What is far from being scaled in the training split is not scaled with a little more data, either.
    let [(_, standard), (_, range)] = distances(&train);
    if standard > 2.0 && range > 0.95 {
        return Ok(None);
    }
    let of = |dataset: &Dataset| -> Result<Option<Vec<Sums>>, DataError> {
        if dataset.sequences.len() < 2 || dataset.is_streamed() {
            return Ok(None);
        }
        let all = sums(view.config, dataset)?;
        Ok(Some(varied.iter().map(|&at| all[at]).collect()))
    };
    let validation = of(&view.splits.validation)?;
    let test = view.splits.test.as_ref().map(of).transpose()?.flatten();
    let mut sets: Vec<(&str, Vec<Sums>)> = Vec::new();
    if let Some(validation) = &validation {
        sets.push(("training and validation together", together(&train, validation)));
    }
    if let Some(test) = &test {
        sets.push(("training and test together", together(&train, test)));
        if let Some(validation) = &validation {
            sets.push(("all of it together", together(&together(&train, validation), test)));
        }
    }
    if let (Some(validation), Some(test)) = (&validation, &test) {
        sets.push(("validation and test together", together(validation, test)));
    }
    sets.extend(
        every_row(view).map(|all| ("all rows of the file together", varied.iter().map(|&at| all[at]).collect())),
    );
    sets.extend(validation.into_iter().map(|own| ("validation alone", own)));
    sets.extend(test.into_iter().map(|own| ("test alone", own)));
    let own = distances(&train);
    let found = sets.iter().flat_map(|(set, sums)| {
        distances(sums)
            .into_iter()
            .zip(own)
            .enumerate()
            .map(move |(at, ((how, joint), (_, alone)))| (*set, at, how, joint, alone))
    });
    // Exactly scaled: closer than chance would have it, and far closer than training by itself.
    let found = found.filter(|&(.., joint, alone)| joint < 10.0 * EXACT && alone > 20.0 * joint.max(EXACT / 20.0));
    let Some((set, how_at, how, joint, alone)) = found.min_by(|a, b| a.3.total_cmp(&b.3)) else { return Ok(None) };
    let standard = how_at == 0;
    // The bounds 0 and 1 are where many quantities end by nature.
    let exact = match varied.len() {
        1 => standard && joint < EXACT,
        2 => joint < EXACT,
        _ => joint < EXACT || alone > 100.0 * joint,
    };
    let scaled_anew = view.scaler.kind != ScalerKind::None;
    let confidence = match (exact, scaled_anew) {
        (_, true) => Confidence::Low,
        (true, false) => Confidence::High,
        (false, false) => Confidence::Medium,
    };
    let harmless =
        if scaled_anew { "; [scaler] scales it anew from the training split, which undoes that" } else { "" };
    Ok(Some(
        Said {
            id: Cause::ScalerLeak,
            confidence,
            score: if exact { 0.9 } else { 0.6 },
            summary: format!(
                "{set}, every channel has {how} to within {}, while training by itself is off by up to {}: it was scaled by \
                 numbers that training must not know{harmless}",
                short(joint.max(1e-9)),
                short(alone)
            ),
            evidence: &[
                ("largest_difference_together", joint.into()),
                ("largest_difference_training", alone.into()),
                ("channels", varied.len().into()),
                ("standardised", standard.into()),
            ],
            explanation: "A scaler that was fitted on validation or test data has told the model something about them, so \
                          their numbers are too good; on the device nothing is known in advance. A scaler fitted on the \
                          training split alone, over what is here, gives what it would have given on the raw data.",
            fix: Fix::set("scaler.kind", if standard { "standard" } else { "minmax" }).with_advice(
                "Better still: give Emberloop the raw values, and let [scaler] do it, so that the device gets the same numbers.",
            ),
        }
        .into(),
    ))
}
