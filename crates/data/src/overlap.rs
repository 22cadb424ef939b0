//! Sequences that share content, on two sides of a split and within one file.

use crate::content::{Content, Marks};
use crate::dataset::{Dataset, Inputs};
use crate::error::DataError;

/// What one side of a split has of another: see [`shared_content`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SharedContent {
    /// How many sequences of the other side were looked at.
    pub looked_at: usize,
    /// How many of them are in training, whole or a telling run of theirs.
    pub shared: usize,
    /// How many of them are in training whole, and say enough for that to be no chance.
    pub whole: usize,
    /// How many of them are in training whole, but are so short or so plain that this may be chance.
    pub plain: usize,
    /// How many training sequences were looked at.
    pub training: usize,
    /// How many of those are in training twice.
    pub repeated: usize,
    /// Rows of a run that cannot be there twice by chance; 0 where only whole sequences were compared.
    pub run: usize,
}

/// Rows of the other side that are looked for.
const SOUGHT_ROWS: usize = 1 << 17;

/// Rows of the training split among which they are looked for.
const TRAINING_ROWS: usize = 1 << 22;

/// Numbers of streamed data that are looked at.
const STREAMED: usize = 1 << 22;

/// Looks for the sequences of each of `others` in `train`. A sequence is shared if it is there whole, or if a run of its rows
/// is that is too surprising to be there twice by chance: four rows of many measured channels, more of a quantised signal,
/// phrases of tokens. Of large data a sample is looked at, taken evenly.
///
/// # Errors
/// If a file cannot be read any more.
pub fn shared_content(train: &Dataset, others: &[&Dataset]) -> Result<Vec<SharedContent>, DataError> {
    let train = train.sample(STREAMED)?;
    let content = content(&train)?;
    let rows = |dataset: &Dataset| dataset.sequences.iter().map(|sequence| sequence.steps).sum::<usize>();
    let mut sought = Sought::default();
    // Where the sequences of each of the others end among all that are sought.
    let mut ends = Vec::new();
    for other in others {
        let other = other.sample(STREAMED)?;
        for sequence in other.sequences.iter().step_by(rows(&other).div_ceil(SOUGHT_ROWS / others.len()).max(1)) {
            sought.add(content.marks(&sequence.values.read()?));
        }
        ends.push(sought.met.len());
    }
    sought.finish();
    let mut wholes = Vec::with_capacity(train.sequences.len());
    for sequence in train.sequences.iter().step_by(rows(&train).div_ceil(TRAINING_ROWS).max(1)) {
        let own = sequence.values.read()?;
        let whole = content.each_run(&own, |_, mark| sought.meet(mark));
        sought.meet_whole(whole);
        wholes.push(whole);
    }
    wholes.sort_unstable();
    let repeated = wholes.chunk_by(|a, b| a == b).filter(|equal| equal.len() > 1).map(<[u64]>::len).sum();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let of = |(start, &end): (usize, &usize)| {
        let met = &sought.met[start..end];
        let count = |wanted: fn(&Met) -> bool| met.iter().filter(|met| wanted(met)).count();
        SharedContent {
            looked_at: met.len(),
            shared: count(|met| met.run || met.whole && met.telling),
            whole: count(|met| met.whole && met.telling),
            plain: count(|met| met.whole && !met.telling && !met.run),
            training: wholes.len(),
            repeated,
            run: content.run().unwrap_or(0),
        }
    };
    Ok(starts.zip(&ends).map(of).collect())
}

/// What became of a sequence that was sought.
#[derive(Default)]
pub(crate) struct Met {
    /// A run of it was met.
    pub(crate) run: bool,
    /// All of it was.
    pub(crate) whole: bool,
    /// Whether all of it says enough for that to be no chance.
    pub(crate) telling: bool,
}

/// Marks that are looked for, and which were met.
#[derive(Default)]
pub(crate) struct Sought {
    /// Marks in order, and whose they are.
    marks: Vec<(u64, u32)>,
    wholes: Vec<(u64, u32)>,
    /// One bit for each value of a mark's upper bits: most marks that are met are none that is sought.
    filter: Vec<u64>,
    pub(crate) met: Vec<Met>,
}

/// Bits of the filter, as a power of two: 512 KiB, which a core's cache holds.
const FILTER: u32 = 22;

impl Sought {
    pub(crate) fn add(&mut self, marks: Marks) {
        let number = self.met.len() as u32;
        self.marks.extend(marks.runs.into_iter().map(|mark| (mark, number)));
        self.wholes.push((marks.whole, number));
        self.met.push(Met { telling: marks.telling, ..Met::default() });
    }

    pub(crate) fn finish(&mut self) {
        self.marks.sort_unstable();
        self.wholes.sort_unstable();
        self.filter = vec![0; 1 << (FILTER - 6)];
        for &(mark, _) in self.marks.iter().chain(&self.wholes) {
            let bit = mark >> (64 - FILTER);
            self.filter[(bit >> 6) as usize] |= 1 << (bit & 63);
        }
    }

    fn may_have(&self, mark: u64) -> bool {
        let bit = mark >> (64 - FILTER);
        self.filter[(bit >> 6) as usize] >> (bit & 63) & 1 == 1
    }

    pub(crate) fn meet(&mut self, mark: u64) {
        if self.may_have(mark) {
            let first = self.marks.partition_point(|&(sought, _)| sought < mark);
            for &(_, number) in self.marks[first..].iter().take_while(|&&(sought, _)| sought == mark) {
                self.met[number as usize].run = true;
            }
        }
    }

    pub(crate) fn meet_whole(&mut self, mark: u64) {
        if self.may_have(mark) {
            let first = self.wholes.partition_point(|&(sought, _)| sought < mark);
            for &(_, number) in self.wholes[first..].iter().take_while(|&&(sought, _)| sought == mark) {
                self.met[number as usize].whole = true;
            }
        }
    }
}

fn content(dataset: &Dataset) -> Result<Content, DataError> {
    let tokens = matches!(dataset.inputs, Inputs::Tokens { .. });
    Content::learn(&dataset.sequences, dataset.channels(), tokens)
}
