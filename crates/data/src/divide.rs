//! One file into training, validation and test.

use std::collections::BTreeMap;

use crate::config::{DataConfig, Overlap, WindowConfig};
use crate::dataset::Sequence;
use crate::error::DataError;
use crate::files::Source;
use crate::files::rows::Windows;
use crate::files::table::Table;
use crate::names::nearest;
use crate::random::Random;
use crate::separate;
use crate::split::{self, Shares, TEST, TRAIN, VALIDATION};

/// The sequences of the three sides.
pub(crate) struct Parts {
    pub(crate) train: Vec<Sequence>,
    pub(crate) validation: Vec<Sequence>,
    pub(crate) test: Option<Vec<Sequence>>,
}

pub(crate) fn no_sequences() -> DataError {
    DataError::Config {
        key: "sequence".into(),
        problem: "expected the column that groups rows into sequences, or [data.window] to cut one long series, \
                  found neither"
            .into(),
    }
}

/// The shares that come from the training file itself.
fn shares(config: &DataConfig) -> Shares {
    let validation = config.validation.is_none() && config.validation_groups.is_none();
    let test = config.test.is_none() && config.test_groups.is_none();
    Shares::new(
        if validation { config.validation_fraction } else { 0.0 },
        if test { config.test_fraction } else { 0.0 },
    )
}

/// Divides the sequences by group where groups are named, otherwise by class.
pub(crate) fn at_random(source: &mut Source, config: &DataConfig, seed: u64) -> Result<Parts, DataError> {
    let mut random = Random::new(seed);
    let sequences = std::mem::take(&mut source.sequences);
    let strata: Vec<usize> = sequences.iter().map(|sequence| sequence.target.stratum()).collect();
    let grouped = sequences.iter().all(|sequence| sequence.group.is_some());
    let sides = match grouped {
        true => group_sides(source, &sequences, &strata, config, &mut random)?,
        false if config.overlap == Overlap::Separate => {
            separate::sides(source, &sequences, &strata, shares(config), &mut random)?
        }
        false => split::by_stratum(&strata, shares(config), &mut random),
    };
    // Taken out of the one list, so that millions of sequences are not in memory twice.
    let mut train = sequences;
    let mut take = |side: usize, gone: Option<usize>| -> Vec<Sequence> {
        let mut left = sides.iter().filter(|&&other| Some(other) != gone);
        train.extract_if(.., |_| left.next() == Some(&side)).collect()
    };
    let (validation, test) = (take(VALIDATION, None), take(TEST, Some(VALIDATION)));
    if train.is_empty() {
        return Err(DataError::TooLittle {
            path: source.path.clone(),
            what: "the training split".into(),
            expected: "at least one sequence".into(),
            found: "none".into(),
        });
    }
    let wants_test = config.test_groups.is_some() || shares(config).0[TEST] > 0.0;
    Ok(Parts { train, validation, test: wants_test.then_some(test) })
}

/// The side of each sequence, decided for whole groups.
fn group_sides(
    source: &Source,
    sequences: &[Sequence],
    strata: &[usize],
    config: &DataConfig,
    random: &mut Random,
) -> Result<Vec<usize>, DataError> {
    let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
    sequences.iter().filter_map(|sequence| sequence.group.as_deref()).for_each(|group| {
        ids.insert(group, 0);
    });
    ids.values_mut().enumerate().for_each(|(place, id)| *id = place);
    let names: Vec<String> = ids.keys().map(|name| (*name).to_owned()).collect();

    let mut fixed = vec![None; names.len()];
    for (side, groups) in [(VALIDATION, &config.validation_groups), (TEST, &config.test_groups)] {
        for group in groups.iter().flatten() {
            let Some(&id) = ids.get(group.as_str()) else {
                return Err(DataError::NotThere {
                    path: source.path.clone(),
                    what: "group",
                    name: group.clone(),
                    nearest: nearest(group, &names),
                    known: names,
                });
            };
            fixed[id] = Some(side);
        }
    }
    let shares = shares(config);
    let free = fixed.iter().filter(|side| side.is_none()).count();
    let wanted = shares.sides();
    if free < wanted {
        return Err(DataError::TooLittle {
            path: source.path.clone(),
            what: "a split by group".into(),
            expected: format!("at least {wanted} groups for {wanted} sides"),
            found: format!("{free}"),
        });
    }

    let group_of = |sequence: &Sequence| sequence.group.as_deref().map_or(0, |group| ids[group]);
    let width = strata.iter().max().map_or(0, |&most| most + 1);
    let mut counts = vec![vec![0; width]; names.len()];
    sequences.iter().zip(strata).for_each(|(sequence, &stratum)| counts[group_of(sequence)][stratum] += 1);
    let sides = split::by_group(&counts, &fixed, shares, random);
    Ok(sequences.iter().map(|sequence| sides[group_of(sequence)]).collect())
}

/// Divides one long series in time order and cuts each part into windows, so that no window reaches from one part into
/// another and nothing is tested on that lies before what was trained on.
pub(crate) fn in_time_order(
    table: Table,
    config: &DataConfig,
    window: WindowConfig,
) -> Result<(Source, Parts), DataError> {
    let track = &table.tracks(config.padding.as_ref())?[0];
    let shares = shares(config);
    let [train_rows, validation_rows, _] = shares.counts(track.len());
    let ends = [0, train_rows, train_rows + validation_rows, track.len()];
    let cut = |side: usize| table.windows(track, ends[side]..ends[side + 1], window, config.target_per);
    let (train, validation, test) = (cut(TRAIN), cut(VALIDATION), cut(TEST));

    let mut notes = Vec::new();
    let dropped = train.dropped + validation.dropped + test.dropped;
    notes.extend(Windows { sequences: Vec::new(), dropped }.note(&table));
    let sides = [("training", &train, TRAIN), ("validation", &validation, VALIDATION), ("test", &test, TEST)];
    for (name, windows, side) in sides {
        if shares.0[side] == 0.0 || !windows.sequences.is_empty() {
            continue;
        }
        let rows = ends[side + 1] - ends[side];
        let error = table.no_windows(window, &format!("the {name} part"), rows);
        if side == TRAIN {
            return Err(error);
        }
        notes.push(error.to_string());
    }
    let test = (shares.0[TEST] > 0.0).then_some(test.sequences);
    let parts = Parts { train: train.sequences, validation: validation.sequences, test };
    Ok((table.into_source(Vec::new(), config.target_per, notes), parts))
}
