//! Sequences in memory, divided, and written for `[data]` to read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use npyz::WriterBuilder;

use super::random::Random;
use crate::Result;

/// The array of lengths that `[data]` finds by itself.
pub const LENGTHS: &str = "lengths";

/// One sequence with its target.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// `[steps, channels]` row-major; for tokens their codes.
    pub values: Vec<f32>,
    /// The class's code, or the value.
    pub target: f32,
    /// A length to be written in place of the number of steps.
    pub stated: Option<usize>,
}

/// What the targets are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Codes from 0 to below this.
    Classes(usize),
    /// Numbers.
    Values,
}

/// The sides of a division; the doctor sees all of them, as a user's doctor would.
#[derive(Clone, Debug)]
pub struct Splits {
    /// Numbers per step.
    pub channels: usize,
    /// Whether the one number is the code of a token; 0 is padding and nothing else.
    pub tokens: bool,
    pub kind: Kind,
    /// What the array of lengths is called; `lengths` is found without being named.
    pub lengths_name: &'static str,
    pub train: Vec<Sequence>,
    pub validation: Vec<Sequence>,
    pub test: Vec<Sequence>,
}

impl Sequence {
    pub fn new(values: Vec<f32>, target: f32) -> Sequence {
        Sequence { values, target, stated: None }
    }
}

impl Splits {
    /// Every sequence of every side.
    pub fn each(&mut self) -> impl Iterator<Item = &mut Sequence> {
        self.train.iter_mut().chain(&mut self.validation).chain(&mut self.test)
    }

    /// Those that are learned from or chosen by.
    pub fn seen(&mut self) -> impl Iterator<Item = &mut Sequence> {
        self.train.iter_mut().chain(&mut self.validation)
    }

    pub fn steps(&self, sequence: &Sequence) -> usize {
        sequence.values.len() / self.channels
    }

    /// Steps of the longest sequence of any side.
    pub fn longest(&self) -> usize {
        let sides = [&self.train, &self.validation, &self.test];
        sides.into_iter().flatten().map(|sequence| self.steps(sequence)).max().unwrap_or(0)
    }

    /// Mean and deviation of each channel over the training side; NaN is left out.
    pub fn scale(&self) -> Vec<(f64, f64)> {
        statistics(&self.train, self.channels)
    }

    /// Takes a mean from each channel of every side and divides by a deviation.
    pub fn standardise(&mut self, scale: &[(f64, f64)]) {
        let channels = self.channels;
        for sequence in self.each() {
            for (place, value) in sequence.values.iter_mut().enumerate() {
                let (mean, deviation) = scale[place % channels];
                *value = ((f64::from(*value) - mean) / deviation) as f32;
            }
        }
    }

    /// Writes `train.npz`, `test.npz` and, unless it is empty, `validation.npz`.
    pub fn write(&self, folder: &Path) -> Result {
        let sides = [("train", &self.train), ("validation", &self.validation), ("test", &self.test)];
        for (name, side) in sides.into_iter().filter(|(_, side)| !side.is_empty()) {
            let path = folder.join(name).with_extension("npz");
            self.write_side(&path, side).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    fn write_side(&self, path: &Path, side: &[Sequence]) -> Result {
        let steps = side.iter().map(|sequence| self.steps(sequence)).max().unwrap_or(0);
        let lengths: Vec<i64> =
            side.iter().map(|sequence| sequence.stated.unwrap_or(self.steps(sequence)) as i64).collect();
        let padded = side.iter().flat_map(|sequence| {
            let padding = steps * self.channels - sequence.values.len();
            sequence.values.iter().copied().chain(std::iter::repeat_n(0.0, padding))
        });
        let mut archive = zip::ZipWriter::new(BufWriter::new(File::create(path)?));
        let count = side.len() as u64;
        if self.tokens {
            array(&mut archive, "x", &[count, steps as u64], padded.map(|value| value as i64))?;
        } else {
            array(&mut archive, "x", &[count, steps as u64, self.channels as u64], padded)?;
        }
        match self.kind {
            Kind::Classes(_) => array(&mut archive, "y", &[count], side.iter().map(|s| s.target as i64))?,
            Kind::Values => array(&mut archive, "y", &[count], side.iter().map(|s| s.target))?,
        }
        if lengths.iter().any(|&length| length != steps as i64) {
            array(&mut archive, self.lengths_name, &[count], lengths.into_iter())?;
        }
        archive.finish()?.flush()?;
        Ok(())
    }
}

fn array<T: npyz::AutoSerialize>(
    archive: &mut zip::ZipWriter<BufWriter<File>>,
    name: &str,
    shape: &[u64],
    values: impl Iterator<Item = T>,
) -> Result {
    // No time of day in the file: the same case is the same bytes.
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file(format!("{name}.npy"), options)?;
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(archive).begin_nd()?;
    writer.extend(values)?;
    Ok(writer.finish()?)
}

/// Mean and deviation of each channel; NaN is left out.
pub fn statistics(side: &[Sequence], channels: usize) -> Vec<(f64, f64)> {
    (0..channels)
        .map(|channel| {
            let values = || {
                let own = side.iter().flat_map(move |sequence| sequence.values.iter().skip(channel).step_by(channels));
                own.map(|&value| f64::from(value)).filter(|value| !value.is_nan())
            };
            let count = values().count().max(1) as f64;
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            (mean, variance.sqrt().max(1e-12))
        })
        .collect()
}

/// Sides of so many sequences per class, drawn from a pool; what is left over goes to the last.
pub fn by_class(pool: Vec<Sequence>, counts: [usize; 3], random: &mut Random) -> [Vec<Sequence>; 3] {
    let classes = pool.iter().map(|sequence| sequence.target as usize + 1).max().unwrap_or(0);
    let mut members = vec![Vec::new(); classes];
    for sequence in pool {
        members[sequence.target as usize].push(sequence);
    }
    let mut sides = [Vec::new(), Vec::new(), Vec::new()];
    for own in &mut members {
        random.shuffle(own);
        for (side, count) in sides.iter_mut().zip(counts) {
            side.extend(own.drain(..count.min(own.len())));
        }
    }
    // Neighbours of one class would make every unshuffled look at the data one of that class.
    sides.iter_mut().for_each(|side| random.shuffle(side));
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_have_their_counts_of_every_class_and_share_nothing() {
        let pool: Vec<Sequence> = (0..60).map(|i| Sequence::new(vec![i as f32], (i % 3) as f32)).collect();
        let sides = by_class(pool, [10, 4, 6], &mut Random::of(&["test"]));
        let mut all: Vec<f32> = sides.iter().flatten().map(|sequence| sequence.values[0]).collect();
        all.sort_by(f32::total_cmp);
        all.dedup();
        assert_eq!(all.len(), 60);
        for (side, count) in sides.iter().zip([10, 4, 6]) {
            for class in 0..3 {
                assert_eq!(side.iter().filter(|sequence| sequence.target == class as f32).count(), count);
            }
        }
    }

    #[test]
    fn files_are_read_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let sequences = vec![Sequence::new(vec![1.0, 2.0, 3.0, 4.0], 1.0), Sequence::new(vec![5.0, f32::NAN], 0.0)];
        let splits = Splits {
            channels: 2,
            tokens: false,
            kind: Kind::Classes(2),
            lengths_name: LENGTHS,
            train: sequences.clone(),
            validation: sequences.clone(),
            test: sequences,
        };
        splits.write(folder.path()).unwrap();
        let config = emberloop_data::DataConfig {
            validation: Some("validation.npz".into()),
            test: Some("test.npz".into()),
            ..emberloop_data::DataConfig::new("train.npz")
        };
        let loaded = emberloop_data::load(&config, folder.path(), 1).unwrap();
        let read: Vec<(usize, Vec<f32>)> =
            loaded.train.sequences.iter().map(|s| (s.steps, s.values.loaded().unwrap().to_vec())).collect();
        assert_eq!(read[0], (2, vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!((read[1].0, read[1].1[0]), (1, 5.0));
        assert!(read[1].1[1].is_nan());
    }
}
