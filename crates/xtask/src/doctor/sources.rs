//! The data sets: read once, then divided anew for each seed.

use std::collections::BTreeMap;
use std::path::Path;

use clap::ValueEnum;
use emberloop_data::{DataConfig, Dataset, SequenceTarget};

use super::random::Random;
use super::series::{Kind, LENGTHS, Sequence, Splits, by_class};
use super::words::{self, Words};
use crate::Result;

/// A data set of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Set {
    /// Nine speakers by how they say a vowel: 640 sequences of 7 to 29 steps, 12 channels
    JapaneseVowels,
    /// Four motions of a wrist: 80 sequences of 100 steps, 6 channels
    BasicMotions,
    /// Normal, supraventricular and ventricular heart beats; no stretch of a record is on two sides
    EcgBeats,
    /// Fine dust some hours ahead, in windows of hourly rows
    BeijingPm25,
    /// Words of five languages, letter by letter
    Tokens,
}

impl Set {
    pub const ALL: [Set; 5] = [Set::JapaneseVowels, Set::BasicMotions, Set::EcgBeats, Set::BeijingPm25, Set::Tokens];

    pub fn name(self) -> &'static str {
        match self {
            Set::JapaneseVowels => "japanese_vowels",
            Set::BasicMotions => "basic_motions",
            Set::EcgBeats => "ecg_beats",
            Set::BeijingPm25 => "beijing_pm25",
            Set::Tokens => "tokens",
        }
    }

    pub fn is_classes(self) -> bool {
        self != Set::BeijingPm25
    }
}

/// What was read of a data set.
pub enum Source {
    /// Sequences with a class each.
    Pool { channels: usize, classes: usize, sequences: Vec<Sequence> },
    /// The same, and whose each is.
    Records { sequences: Vec<(Sequence, String)> },
    /// `[rows, channels]`; the first channel is the target, NaN where it is missing.
    Rows { channels: usize, rows: Vec<f32> },
    /// Words by language.
    Words(Vec<Words>),
}

impl Source {
    /// Reads a data set from the folder that `--data` names; words come from Debian's packages by way of `cache`.
    pub fn read(set: Set, data: &Path, cache: &Path) -> Result<Source> {
        let folder = data.join(set.name());
        match set {
            Set::JapaneseVowels | Set::BasicMotions => {
                let config = DataConfig {
                    test: Some("test.csv".into()),
                    sequence: Some("sequence".into()),
                    step: Some("step".into()),
                    validation_fraction: 0.0,
                    ..DataConfig::new("train.csv")
                };
                let splits = emberloop_data::load(&config, &folder, 1)?;
                let mut sequences = classed(&splits.train)?;
                sequences.extend(classed(splits.test.as_ref().ok_or("there is no test.csv")?)?);
                let (channels, classes) = (splits.train.inputs.width(), splits.train.targets.outputs());
                Ok(Source::Pool { channels, classes, sequences })
            }
            Set::EcgBeats => read_beats(&folder),
            Set::BeijingPm25 => read_rows(&folder.join("pollution.csv")),
            Set::Tokens => Ok(Source::Words(words::read(cache)?)),
        }
    }

    /// The sides for one seed.
    pub fn divide(&self, seed: u64) -> Splits {
        let mut random = Random::of(&["division", &seed.to_string()]);
        match self {
            Source::Pool { channels, classes, sequences } => {
                let each = sequences.len() / classes;
                let train = each / 2;
                let validation = each / 5;
                let sides = by_class(sequences.clone(), [train, validation, usize::MAX], &mut random);
                splits(*channels, false, Kind::Classes(*classes), sides)
            }
            Source::Records { sequences } => divide_records(sequences, &mut random),
            Source::Rows { channels, rows } => divide_rows(*channels, rows, &mut random),
            Source::Words(languages) => {
                let pool = words::draw(languages, 560, &mut random);
                let sides = by_class(pool, [360, 80, 120], &mut random);
                splits(1, true, Kind::Classes(languages.len()), sides)
            }
        }
    }
}

fn splits(channels: usize, tokens: bool, kind: Kind, [train, validation, test]: [Vec<Sequence>; 3]) -> Splits {
    Splits { channels, tokens, kind, lengths_name: LENGTHS, train, validation, test }
}

fn classed(dataset: &Dataset) -> Result<Vec<Sequence>> {
    let sequence = |sequence: &emberloop_data::Sequence| match (&sequence.target, sequence.values.loaded()) {
        (SequenceTarget::Class(class), Some(values)) => Ok(Sequence::new(values.to_vec(), *class as f32)),
        _ => Err(format!("{}: expected one class per sequence", dataset.path.display()).into()),
    };
    dataset.sequences.iter().map(sequence).collect()
}

/// Beats as two channels: the curve at a quarter of the rate without its offset, and the time since the beat before, at every
/// step (the curve ends before the next beat, and a supraventricular beat is told by when it comes).
fn read_beats(folder: &Path) -> Result<Source> {
    let config = DataConfig {
        group: Some("record".into()),
        validation_fraction: 0.0,
        labels: Some(["N", "S", "V", "F", "Q"].map(String::from).to_vec()),
        ..DataConfig::new("train.npz")
    };
    let curves = emberloop_data::load(&config, folder, 1)?.train;
    let intervals = DataConfig { inputs: "rr".into(), ..config };
    let intervals = emberloop_data::load(&intervals, folder, 1)?.train;
    let records = curves.sequences.iter().map(|sequence| sequence.group.as_deref().unwrap_or_default().to_owned());
    let mut beats: Vec<(Sequence, f32, String)> = Vec::with_capacity(curves.sequences.len());
    for ((curve, interval), record) in classed(&curves)?.into_iter().zip(classed(&intervals)?).zip(records) {
        let before = interval.values[0];
        // At the start of a record there is no interval.
        if before <= 0.0 {
            continue;
        }
        let offset = middle(curve.values.clone());
        let slow = curve.values.chunks_exact(4).map(|four| four.iter().sum::<f32>() / 4.0 - offset);
        beats.push((Sequence::new(slow.collect(), curve.target), before, record));
    }
    // A record's own units: an electrode's gain and a heart's usual rate say nothing about a beat.
    let mut records: BTreeMap<&str, (Vec<f32>, Vec<f32>)> = BTreeMap::new();
    for (beat, before, record) in &beats {
        let (values, intervals) = records.entry(record).or_default();
        values.extend(beat.values.iter().map(|value| value.abs()));
        intervals.push(*before);
    }
    let units: BTreeMap<String, (f32, f32)> = records
        .into_iter()
        .map(|(record, (values, intervals))| {
            let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
            (record.to_owned(), (mean as f32 / 10.0, middle(intervals)))
        })
        .collect();
    let rows = |(beat, before, record): (Sequence, f32, String)| {
        let (unit, usual) = units[&record];
        let values = beat.values.iter().flat_map(|value| [value / unit, (before / usual).min(2.0)]).collect();
        (Sequence::new(values, beat.target), record)
    };
    let sequences = beats.into_iter().map(rows).collect();
    Ok(Source::Records { sequences })
}

fn middle(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

/// Beats of each kind on each side; N, S, V.
const BEATS: [[usize; 3]; 3] = [[200, 150, 160], [80, 60, 60], [160, 120, 120]];
/// Stretches of a record, each of some minutes.
const STRETCHES: usize = 20;

/// Stretches of each record in turn to each side: nobody's beat has its neighbour on another side. (Whole records would be
/// stricter, but four people have nearly all of the supraventricular beats: who is validated on would decide everything.)
fn divide_records(sequences: &[(Sequence, String)], random: &mut Random) -> Splits {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    sequences.iter().for_each(|(_, record)| *counts.entry(record).or_default() += 1);
    let mut turns: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for record in counts.keys() {
        let mut own: Vec<usize> = TURNS.into_iter().cycle().take(STRETCHES).collect();
        random.shuffle(&mut own);
        turns.insert(record, own);
    }
    let mut pools = [Vec::new(), Vec::new(), Vec::new()];
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (sequence, record) in sequences {
        let place = seen.entry(record).or_default();
        let side = turns[record.as_str()][*place * STRETCHES / counts[record.as_str()]];
        *place += 1;
        pools[side].push(sequence);
    }
    let mut side = 0;
    let sides = pools.map(|mut pool| {
        random.shuffle(&mut pool);
        let mut left = BEATS[side];
        side += 1;
        let mut wanted = |sequence: &&Sequence| {
            let left = left.get_mut(sequence.target as usize).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        };
        let mut drawn: Vec<Sequence> = pool.into_iter().filter(|sequence| wanted(sequence)).cloned().collect();
        // The rarest kind was complete last.
        random.shuffle(&mut drawn);
        drawn
    });
    splits(2, false, Kind::Classes(3), sides)
}

/// The columns; the first is the target.
const COLUMNS: [&str; 5] = ["pm2.5", "DEWP", "TEMP", "PRES", "Iws"];

fn read_rows(path: &Path) -> Result<Source> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut reader = csv::Reader::from_path(path).map_err(|error| wrong(&error))?;
    let headers = reader.headers()?.clone();
    let place =
        |name: &&str| headers.iter().position(|own| own == *name).ok_or_else(|| wrong(&format!("no column {name}")));
    let places = COLUMNS.iter().map(place).collect::<std::result::Result<Vec<usize>, String>>()?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        rows.extend(places.iter().map(|&place| record[place].parse().unwrap_or(f32::NAN)));
    }
    Ok(Source::Rows { channels: COLUMNS.len(), rows })
}

/// Rows in a window, from one window to the next, and from a window's last row to its target.
pub const WINDOW: [usize; 3] = [12, 5, 3];
/// Rows of a stretch, of one block of it, and how many blocks in turn go to each side.
const STRETCH: usize = 9600;
const BLOCK: usize = 120;
const TURNS: [usize; 10] = [0, 0, 1, 0, 2, 0, 0, 2, 0, 1];

/// A stretch of time in blocks of five days; windows do not leave their block, so none overlaps with one of another side.
fn divide_rows(channels: usize, rows: &[f32], random: &mut Random) -> Splits {
    let start = random.below(rows.len() / channels - STRETCH);
    let mut sides = [Vec::new(), Vec::new(), Vec::new()];
    for (block, side) in (0..STRETCH / BLOCK).zip(TURNS.into_iter().cycle()) {
        let from = start + block * BLOCK;
        sides[side].extend(windows(&rows[from * channels..(from + BLOCK) * channels], channels, WINDOW[1]));
    }
    sides.iter_mut().for_each(|side| random.shuffle(side));
    splits(channels, false, Kind::Values, sides)
}

/// The windows of rows that follow each other; those without a target are left out.
fn windows(rows: &[f32], channels: usize, stride: usize) -> Vec<Sequence> {
    let [length, _, horizon] = WINDOW;
    let count = rows.len() / channels;
    (0..(count + 1).saturating_sub(length + horizon))
        .step_by(stride)
        .map(|from| {
            let target = rows[(from + length - 1 + horizon) * channels];
            Sequence::new(rows[from * channels..(from + length) * channels].to_vec(), target)
        })
        .filter(|window| !window.target.is_nan())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stop_where_their_target_does() {
        let rows: Vec<f32> = (0..40).map(|row| row as f32).collect();
        let [length, _, horizon] = WINDOW;
        let found = windows(&rows, 1, 1);
        assert_eq!(found.len(), 40 - length - horizon + 1);
        assert_eq!(found[0].values, rows[..length]);
        assert_eq!(found.last().unwrap().target, 39.0);
    }

    #[test]
    fn no_row_is_on_two_sides() {
        let rows: Vec<f32> = (0..20_000).map(|row| row as f32).collect();
        let splits = divide_rows(1, &rows, &mut Random::of(&["test"]));
        let of = |side: &[Sequence]| {
            let mut rows: Vec<u32> = side.iter().flat_map(|s| s.values.iter().map(|row| *row as u32)).collect();
            rows.sort_unstable();
            rows.dedup();
            rows
        };
        let [train, validation, test] = [of(&splits.train), of(&splits.validation), of(&splits.test)];
        assert!(train.iter().all(|row| validation.binary_search(row).is_err() && test.binary_search(row).is_err()));
        assert!(validation.iter().all(|row| test.binary_search(row).is_err()));
    }
}
