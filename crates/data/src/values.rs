//! The numbers of a sequence: in memory, or at a place in a file.

use std::borrow::Cow;
use std::sync::Arc;

use crate::dataset::{Dataset, Sequence};
use crate::error::DataError;
use crate::files::stored::StoredArray;

/// `[steps, channels]` row-major in raw units, NaN where a value is missing; for tokens their ids.
///
/// They are in memory, or (streamed data) in the file, to be read when they are wanted.
#[derive(Clone, Debug)]
pub struct Values(Place);

#[derive(Clone, Debug)]
enum Place {
    Loaded(Vec<f32>),
    Stored {
        array: Arc<StoredArray>,
        /// Which sequence of the array. (There are many of these: they are kept small.)
        sequence: u32,
        /// How many numbers are its own.
        count: u32,
    },
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Values {
        Values(Place::Loaded(values))
    }
}

/// Two places in files are equal if they are the same place of the same open array.
impl PartialEq for Values {
    fn eq(&self, other: &Values) -> bool {
        match (&self.0, &other.0) {
            (Place::Loaded(own), Place::Loaded(others)) => own == others,
            (Place::Stored { array, sequence, count }, Place::Stored { array: others, sequence: place, count: n }) => {
                Arc::ptr_eq(array, others) && (sequence, count) == (place, n)
            }
            _ => false,
        }
    }
}

impl Values {
    /// # Panics
    /// If a number is beyond 32 bits.
    pub(crate) fn stored(array: Arc<StoredArray>, sequence: usize, count: usize) -> Values {
        let narrow = |number: usize| u32::try_from(number).expect("larger arrays are not streamed");
        Values(Place::Stored { array, sequence: narrow(sequence), count: narrow(count) })
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Loaded(values) => values.len(),
            Place::Stored { count, .. } => *count as usize,
        }
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers, if they are in memory.
    pub fn loaded(&self) -> Option<&[f32]> {
        match &self.0 {
            Place::Loaded(values) => Some(values),
            Place::Stored { .. } => None,
        }
    }

    /// The numbers, from memory or from the file. To read many sequences, [`Dataset::each`] is faster.
    ///
    /// # Errors
    /// If they are in a file that cannot be read any more, or has been written to since it was opened.
    pub fn read(&self) -> Result<Cow<'_, [f32]>, DataError> {
        match &self.0 {
            Place::Loaded(values) => Ok(Cow::Borrowed(values)),
            Place::Stored { array, sequence, count } => {
                let mut values = Vec::with_capacity(*count as usize);
                array.read(&[(*sequence as usize, *count as usize)], &mut values)?;
                Ok(Cow::Owned(values))
            }
        }
    }

    /// The numbers to be changed; from here on they are in memory.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn to_mut(&mut self) -> Result<&mut Vec<f32>, DataError> {
        if let Place::Stored { .. } = self.0 {
            self.0 = Place::Loaded(self.read()?.into_owned());
        }
        match &mut self.0 {
            Place::Loaded(values) => Ok(values),
            Place::Stored { .. } => unreachable!("they were read above"),
        }
    }

    /// Which sequence of its array it is, and the array; `None` in memory.
    pub(crate) fn place(&self) -> Option<(&Arc<StoredArray>, usize)> {
        match &self.0 {
            Place::Loaded(_) => None,
            Place::Stored { array, sequence, .. } => Some((array, *sequence as usize)),
        }
    }
}

/// Appends the numbers of all of `values`, those that follow one another in a file read together.
pub(crate) fn read_all<'a>(values: impl IntoIterator<Item = &'a Values>, out: &mut Vec<f32>) -> Result<(), DataError> {
    let mut waiting: Option<(&Arc<StoredArray>, Vec<(usize, usize)>)> = None;
    for values in values {
        match (&values.0, &mut waiting) {
            (Place::Stored { array, sequence, count }, Some((open, wanted))) if Arc::ptr_eq(array, open) => {
                wanted.push((*sequence as usize, *count as usize));
                continue;
            }
            _ => {}
        }
        if let Some((array, wanted)) = waiting.take() {
            array.read(&wanted, out)?;
        }
        match &values.0 {
            Place::Loaded(values) => out.extend_from_slice(values),
            Place::Stored { array, sequence, count } => {
                waiting = Some((array, vec![(*sequence as usize, *count as usize)]));
            }
        }
    }
    match waiting {
        Some((array, wanted)) => array.read(&wanted, out),
        None => Ok(()),
    }
}

/// Numbers that a pass over streamed data holds at once, unless a sequence is longer.
const PASS: usize = 1 << 18;

/// Shows the numbers of each of `values` in turn, with its place among them. Of those in files, [`PASS`] are in memory
/// at once.
pub(crate) fn each<'a, E: From<DataError>>(
    values: impl IntoIterator<Item = &'a Values>,
    mut look: impl FnMut(usize, &[f32]) -> Result<(), E>,
) -> Result<(), E> {
    let mut values = values.into_iter().enumerate().peekable();
    let (mut block, mut buffer) = (Vec::new(), Vec::new());
    while let Some((place, first)) = values.next() {
        if let Some(own) = first.loaded() {
            look(place, own)?;
            continue;
        }
        let mut total = first.len();
        block.clear();
        block.push(first);
        while let Some((_, next)) = values.next_if(|(_, next)| next.loaded().is_none() && total + next.len() <= PASS) {
            total += next.len();
            block.push(next);
        }
        buffer.clear();
        read_all(block.iter().copied(), &mut buffer)?;
        let mut rest = buffer.as_slice();
        for (place, values) in (place..).zip(&block) {
            let (own, after) = rest.split_at(values.len());
            look(place, own)?;
            rest = after;
        }
    }
    Ok(())
}

impl Dataset {
    /// Shows every sequence with its raw values, in order. Of streamed data about 1 MiB is in memory at once.
    ///
    /// # Errors
    /// The first one of `look`, or if a file cannot be read any more.
    pub fn each<E: From<DataError>>(&self, mut look: impl FnMut(&Sequence, &[f32]) -> Result<(), E>) -> Result<(), E> {
        let values = self.sequences.iter().map(|sequence| &sequence.values);
        each(values, |place, own| look(&self.sequences[place], own))
    }

    /// Whether sequences are read from a file when they are wanted.
    pub fn is_streamed(&self) -> bool {
        self.sequences.iter().any(|sequence| sequence.values.loaded().is_none())
    }

    /// The dataset itself if it is in memory; of a streamed one sequences taken evenly from the first to the last that
    /// together have about `numbers` numbers, loaded.
    ///
    /// # Errors
    /// If a file cannot be read any more.
    pub fn sample(&self, numbers: usize) -> Result<Cow<'_, Dataset>, DataError> {
        if !self.is_streamed() {
            return Ok(Cow::Borrowed(self));
        }
        let total: usize = self.sequences.iter().map(|sequence| sequence.values.len()).sum();
        let stride = total.div_ceil(numbers.max(1)).max(1);
        let mut sequences: Vec<Sequence> = self.sequences.iter().step_by(stride).cloned().collect();
        for sequence in &mut sequences {
            sequence.values.to_mut()?;
        }
        let Dataset { inputs, targets, target_per, hash, path, .. } = self;
        Ok(Cow::Owned(Dataset {
            inputs: inputs.clone(),
            targets: targets.clone(),
            target_per: *target_per,
            sequences,
            hash: hash.clone(),
            path: path.clone(),
        }))
    }
}
