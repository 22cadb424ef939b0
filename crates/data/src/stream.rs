//! Streamed sequences, scaled, a few blocks of neighbours in memory at a time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::scaler::{MissingPolicy, Scaler};
use crate::values::{Values, read_all};

/// Numbers of a block, where the configuration does not say how many sequences it has: 1 MiB of float32. Long enough for a
/// disk that turns, short enough that 64 of them come from 64 places of the file.
const BLOCK: usize = 1 << 18;

/// Blocks that are in memory at once.
const WINDOW: usize = 64;

/// In which order streamed sequences can be read without reading much twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locality {
    /// Neighbouring sequences that are read at once: the sequences `block * n..block * (n + 1)` are block `n`.
    pub block: usize,
    /// How many blocks are in memory at once. An order that goes through so many blocks, in any order, before it takes the
    /// next so many reads each block once.
    pub window: usize,
}

impl Locality {
    /// For sequences of so many numbers; `block` is the configuration's.
    fn new(lengths: impl ExactSizeIterator<Item = usize>, block: Option<usize>) -> Locality {
        let count = lengths.len().max(1);
        let mean = lengths.sum::<usize>().div_ceil(count).max(1);
        // Sequences that are blocks of their own need no window to be mixed.
        let window = if mean > BLOCK { (WINDOW * BLOCK / mean).max(2) } else { WINDOW };
        match block {
            Some(block) => Locality { block, window: WINDOW },
            None => Locality { block: (BLOCK / mean).max(1), window },
        }
    }
}

/// The sequences of a dataset that are in a file, scaled when they are read.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) locality: Locality,
    places: Vec<Values>,
    scaler: Scaler,
    path: PathBuf,
    channels: Vec<String>,
    cache: Mutex<Cache>,
}

/// The blocks in memory, by number.
#[derive(Debug, Default)]
struct Cache {
    blocks: HashMap<usize, Block>,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Block {
    /// `[all steps, channels]`, scaled.
    values: Vec<f32>,
    /// When it was used last.
    used: u64,
}

impl Stream {
    /// Looks for what cannot be scaled before any of it is trained on: in the whole dataset only if what the array was
    /// found to hold leaves it open.
    pub(crate) fn new(dataset: &Dataset, scaler: &Scaler) -> Result<Stream, DataError> {
        let places: Vec<Values> = dataset.sequences.iter().map(|sequence| sequence.values.clone()).collect();
        let array = places.iter().find_map(Values::place).map(|(array, _)| array);
        let locality = Locality::new(places.iter().map(Values::len), array.and_then(|array| array.block));
        let stream = Stream {
            locality,
            scaler: scaler.clone(),
            path: dataset.path.clone(),
            channels: (0..dataset.channels()).map(|channel| dataset.channel_name(channel)).collect(),
            cache: Mutex::default(),
            places,
        };
        if !stream.is_known_sound() {
            dataset.each(|sequence, values| stream.scale(&sequence.name, sequence.steps, &mut values.to_vec()))?;
        }
        Ok(stream)
    }

    /// Whether the extremes of the arrays say that every value can be scaled.
    fn is_known_sound(&self) -> bool {
        let mut known = None;
        for values in &self.places {
            let Some((array, _)) = values.place() else { return false };
            if known.is_some_and(|known| std::sync::Arc::ptr_eq(known, array)) {
                continue;
            }
            known = Some(array);
            let Some(contents) = array.contents() else { return false };
            let channels = 0..self.scaler.features.len();
            if contents.missing && self.scaler.missing == MissingPolicy::Error
                || contents.extremes.len() != self.scaler.features.len()
                || channels
                    .zip(&contents.extremes)
                    .any(|(at, &(low, high))| !self.scaler.is_finite_within(at, low, high))
            {
                return false;
            }
        }
        true
    }

    fn scale(&self, name: &str, steps: usize, values: &mut [f32]) -> Result<(), DataError> {
        self.scaler.apply_in_place(steps, values).map_err(|fault| {
            let channel = self.channels[fault.channel()].clone();
            fault.into_error(&self.path, name, channel)
        })
    }

    /// Shows the scaled values of a sequence; `starts` are the first steps of every sequence.
    pub(crate) fn show<R>(
        &self,
        sequence: usize,
        starts: &[usize],
        look: impl FnOnce(&[f32]) -> R,
    ) -> Result<R, DataError> {
        // What a panic of `look` left behind is whole: blocks are put in when they are complete.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.clock += 1;
        let (clock, number) = (cache.clock, sequence / self.locality.block);
        if !cache.blocks.contains_key(&number) {
            while cache.blocks.len() >= self.locality.window {
                let oldest = cache.blocks.iter().min_by_key(|(_, block)| block.used).map(|(&number, _)| number);
                oldest.and_then(|number| cache.blocks.remove(&number));
            }
            let values = self.read(number, starts)?;
            cache.blocks.insert(number, Block { values, used: clock });
        }
        let block = cache.blocks.get_mut(&number).expect("it was put in above");
        block.used = clock;
        let width = self.channels.len();
        let first = starts[number * self.locality.block];
        Ok(look(&block.values[(starts[sequence] - first) * width..(starts[sequence + 1] - first) * width]))
    }

    /// The values of a block, scaled.
    fn read(&self, number: usize, starts: &[usize]) -> Result<Vec<f32>, DataError> {
        let first = number * self.locality.block;
        let last = (first + self.locality.block).min(self.places.len());
        let width = self.channels.len();
        let mut values = Vec::with_capacity((starts[last] - starts[first]) * width);
        read_all(&self.places[first..last], &mut values)?;
        let mut rest = values.as_mut_slice();
        for sequence in first..last {
            let steps = starts[sequence + 1] - starts[sequence];
            let (own, after) = rest.split_at_mut(steps * width);
            let name = self.places[sequence].place().map_or(sequence, |(_, place)| place);
            self.scale(&name.to_string(), steps, own)?;
            rest = after;
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_a_mebibyte_and_long_sequences_are_few() {
        let of = |numbers: usize, block| Locality::new([numbers; 10].into_iter(), block);
        assert_eq!(of(100, None), Locality { block: 2621, window: 64 });
        assert_eq!(of(BLOCK, None), Locality { block: 1, window: 64 });
        assert_eq!(of(8 * BLOCK, None), Locality { block: 1, window: 8 });
        assert_eq!(of(1000 * BLOCK, None), Locality { block: 1, window: 2 });
        assert_eq!(of(100, Some(7)), Locality { block: 7, window: 64 });
        assert_eq!(Locality::new([].into_iter(), None).window, 64);
    }
}
