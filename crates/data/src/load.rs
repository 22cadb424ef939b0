//! From a configuration to datasets.

use std::path::Path;
use std::sync::Arc;

use crate::check::check;
use crate::config::{DataConfig, Memory, Overlap};
use crate::dataset::{Dataset, Schema, Sequence, SequenceTarget, Splits, Targets};
use crate::divide::{self, Parts};
use crate::error::DataError;
use crate::files::table::Table;
use crate::files::{Format, Request, Source, numpy};
use crate::resolve::{self, Resolver};
use crate::separate;

/// Reads the training data and divides it; the same `seed` gives the same division.
///
/// `base` is the folder that the configuration's paths are relative to.
pub fn load(config: &DataConfig, base: &Path, seed: u64) -> Result<Splits, DataError> {
    check(config)?;
    let path = base.join(&config.train);
    let request = Request { config, schema: None, targets: true };
    let (source, parts) = match Format::of(&path)? {
        Format::Csv { .. } if config.memory == Memory::Stream => {
            return Err(DataError::Config {
                key: "memory".into(),
                problem: "expected an .npz or .npy to stream, found a CSV, which is always read whole".into(),
            });
        }
        Format::Csv { delimiter } => {
            let table = Table::read(&path, delimiter, request)?;
            let mut notes = table_notes(&table, config);
            let (mut source, parts) = match (&config.sequence, config.window) {
                (None, Some(window)) => divide::in_time_order(table, config, window)?,
                (None, None) => return Err(divide::no_sequences()),
                (Some(_), _) => {
                    let mut source = table.sequences(request)?;
                    let parts = divide::at_random(&mut source, config, seed)?;
                    (source, parts)
                }
            };
            notes.append(&mut source.notes);
            source.notes = notes;
            (source, parts)
        }
        format => {
            no_window(config)?;
            let mut source = numpy::read(&path, base, format, request)?;
            let parts = divide::at_random(&mut source, config, seed)?;
            (source, parts)
        }
    };
    let mut notes = source.notes.clone();
    let Parts { train, validation, test } = parts;
    let schema = resolve::schema(&source, &train, config.labels.as_deref());
    let resolver = Resolver::new(&source, &schema);
    let train = resolver.dataset(train)?;
    check_classes(&train)?;
    let validation = match &config.validation {
        None => resolver.dataset(validation)?,
        Some(file) => read_whole(config, &base.join(file), &schema, true, &mut notes)?,
    };
    let test = match (&config.test, test) {
        (None, None) => None,
        (None, Some(sequences)) => Some(resolver.dataset(sequences)?),
        (Some(file), _) => Some(read_whole(config, &base.join(file), &schema, true, &mut notes)?),
    };
    let (mut validation, mut test) = (validation, test);
    if config.overlap == Overlap::Separate {
        separate::leave_out(&[&train], "training", &mut validation, "validation", &mut notes)?;
        if let Some(test) = &mut test {
            separate::leave_out(&[&train, &validation], "training or validation", test, "test", &mut notes)?;
        }
    }
    let wants_validation =
        config.validation.is_some() || config.validation_groups.is_some() || config.validation_fraction > 0.0;
    add_class_notes(&train, wants_validation.then_some(&validation), test.as_ref(), &mut notes);
    add_group_notes(&train, &validation, test.as_ref(), &mut notes);
    Ok(Splits { train, validation, test, notes })
}

/// Reads another file in the terms of a trained model: its channels, labels and vocabulary.
pub fn load_one(config: &DataConfig, path: &Path, schema: &Schema) -> Result<Dataset, DataError> {
    check(config)?;
    read_whole(config, path, schema, true, &mut Vec::new())
}

/// Reads another file for inference alone: no target is looked for, and every [`SequenceTarget`] is `Absent`.
pub fn load_inputs(config: &DataConfig, path: &Path, schema: &Schema) -> Result<Dataset, DataError> {
    check(config)?;
    read_whole(config, path, schema, false, &mut Vec::new())
}

/// Every sequence of one file, in the terms of a schema.
fn read_whole(
    config: &DataConfig,
    path: &Path,
    schema: &Schema,
    targets: bool,
    notes: &mut Vec<String>,
) -> Result<Dataset, DataError> {
    let request = Request { config, schema: Some(schema), targets };
    let mut source: Source = match Format::of(path)? {
        Format::Csv { delimiter } => {
            let table = Table::read(path, delimiter, request)?;
            if config.sequence.is_none() && config.window.is_none() {
                return Err(divide::no_sequences());
            }
            table.sequences(request)?
        }
        // The one key `target` already names the file of the training targets.
        Format::Npy if targets => {
            return Err(DataError::Content {
                path: path.to_owned(),
                place: "file name".into(),
                expected: "an .npz with inputs and targets in one file".into(),
                found: ".npy, which holds one array".into(),
            });
        }
        format => {
            no_window(config)?;
            numpy::read(path, Path::new("."), format, request)?
        }
    };
    notes.append(&mut source.notes);
    let sequences = std::mem::take(&mut source.sequences);
    Resolver::new(&source, schema).dataset(sequences)
}

fn no_window(config: &DataConfig) -> Result<(), DataError> {
    match config.window {
        None => Ok(()),
        Some(_) => Err(DataError::Config {
            key: "window".into(),
            problem: "expected none beside NPZ or .npy, whose array already has sequences".into(),
        }),
    }
}

/// What the columns give reason to say.
fn table_notes(table: &Table, config: &DataConfig) -> Vec<String> {
    let mut notes = Vec::new();
    let path = table.path.display();
    if !table.left_out.is_empty() {
        notes.push(format!("{path}: columns that are not numeric are no channels: {}", table.left_out.join(", ")));
    }
    let now = config.window.is_none_or(|window| window.horizon == 0);
    let channels = config.channels.iter().flatten();
    for name in channels.filter(|name| config.target.iter().any(|target| target.names().contains(name))) {
        if now {
            notes.push(format!(
                "{path}: column {name:?} is a channel and, at the same row, the target: the answer is an input"
            ));
        }
    }
    notes
}

/// Names in one note; the others are counted.
const NAMES_SHOWN: usize = 10;

/// Labels that are numbers with fractions, and more of them than this, are a quantity and no classes.
const FRACTIONAL_LABELS_MAX: usize = 20;

/// Refuses a quantity taken for names.
fn check_classes(train: &Dataset) -> Result<(), DataError> {
    let Targets::Classes { labels } = &train.targets else { return Ok(()) };
    let fractional = |label: &String| label.parse::<f64>().is_ok_and(|value| value.fract() != 0.0);
    let numeric = labels.iter().all(|label| label.parse::<f64>().is_ok());
    if numeric && labels.len() > FRACTIONAL_LABELS_MAX && labels.iter().any(fractional) {
        let found =
            format!("{} different numbers; for a quantity set task = \"regression\" under [data]", labels.len());
        let (what, expected) = ("labels".into(), "the names of classes".into());
        return Err(DataError::TooLittle { path: train.path.clone(), what, expected, found });
    }
    Ok(())
}

/// Says which class lacks where.
fn add_class_notes(train: &Dataset, validation: Option<&Dataset>, test: Option<&Dataset>, notes: &mut Vec<String>) {
    let Targets::Classes { labels } = &train.targets else { return };
    if let [only] = labels.as_slice() {
        notes.push(format!("{}: {only:?} is the only class: there is nothing to tell apart", train.path.display()));
    }
    let sides = [("training", Some(train)), ("validation", validation), ("test", test)];
    for (side, dataset) in sides {
        let Some(dataset) = dataset.filter(|dataset| !dataset.sequences.is_empty()) else { continue };
        let counts = dataset.class_counts();
        let lacking: Vec<String> =
            labels.iter().zip(counts).filter(|(_, count)| *count == 0).map(|(label, _)| format!("{label:?}")).collect();
        if !lacking.is_empty() {
            let more = match lacking.len().saturating_sub(NAMES_SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let shown = &lacking[..lacking.len().min(NAMES_SHOWN)];
            notes.push(format!(
                "{}: the {side} split has nothing of class {}{more}",
                dataset.path.display(),
                shown.join(", ")
            ));
        }
    }
    if validation.is_some_and(|validation| validation.sequences.is_empty()) {
        notes.push(format!("{}: the validation split is empty", train.path.display()));
    }
    if test.is_some_and(|test| test.sequences.is_empty()) {
        notes.push(format!("{}: the test split is empty", train.path.display()));
    }
}

/// Says which groups stand in two files: the split inside one file sees to it, another file may not.
fn add_group_notes(train: &Dataset, validation: &Dataset, test: Option<&Dataset>, notes: &mut Vec<String>) {
    let groups = |dataset: &Dataset| -> std::collections::BTreeSet<Arc<str>> {
        dataset.sequences.iter().filter_map(|sequence: &Sequence| sequence.group.clone()).collect()
    };
    let train_groups = groups(train);
    for (side, dataset) in [("validation", Some(validation)), ("test", test)] {
        let Some(dataset) = dataset else { continue };
        let shared: Vec<Arc<str>> = groups(dataset).intersection(&train_groups).cloned().collect();
        if !shared.is_empty() {
            let shown = shared.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let more = if shared.len() > 5 { ", ..." } else { "" };
            notes.push(format!(
                "{}: {} groups of the {side} split are in training too: {shown}{more}",
                dataset.path.display(),
                shared.len()
            ));
        }
    }
}

impl SequenceTarget {
    /// The class that a split is stratified by: the sequence's own, or the most frequent of its steps.
    pub(crate) fn stratum(&self) -> usize {
        match self {
            SequenceTarget::Class(class) => *class,
            SequenceTarget::Classes(classes) => {
                let mut counts = std::collections::BTreeMap::new();
                classes.iter().for_each(|class| *counts.entry(*class).or_insert(0usize) += 1);
                // The first of equals, so that the order of a map decides nothing.
                counts.iter().rev().max_by_key(|(_, count)| **count).map_or(0, |(class, _)| *class)
            }
            SequenceTarget::Values(_) | SequenceTarget::StepValues(_) | SequenceTarget::Absent => 0,
        }
    }
}
