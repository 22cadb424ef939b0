//! An array that stays in its file: sequences are read where they stand, by positioned reads.
//!
//! No memory is mapped: a file that is cut short while it is read is an error in one line, and no signal; and numbers may
//! stand at any address and be of any type.

use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::SystemTime;

use super::element::Element;
use crate::error::DataError;

/// Sequences that lie no further apart are read at once, and what lies between them is read in vain.
const GAP: u64 = 1 << 16;

/// Bytes of one read at most, unless a sequence is longer.
const READ: u64 = 1 << 22;

/// An array `[count, steps, width]` in C order, somewhere in a file.
#[derive(Debug)]
pub(crate) struct StoredArray {
    path: PathBuf,
    /// Its name in the archive, or "array" for a file that is one.
    name: String,
    file: File,
    stamp: Stamp,
    /// The byte where its numbers begin.
    start: u64,
    element: Element,
    /// Numbers of a sequence, padding included.
    stride: usize,
    /// The `shuffle_block` of the configuration.
    pub(crate) block: Option<usize>,
    contents: OnceLock<Contents>,
}

/// What was found when the array was first read through, padding left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contents {
    /// Whether a value is missing anywhere.
    pub(crate) missing: bool,
    /// Least and largest value of each channel that is not missing; infinite the wrong way round where there is none.
    pub(crate) extremes: Vec<(f32, f32)>,
}

impl Contents {
    pub(crate) fn new(channels: usize) -> Contents {
        Contents { missing: false, extremes: vec![(f32::INFINITY, f32::NEG_INFINITY); channels] }
    }

    /// Takes `[steps, channels]` into account.
    pub(crate) fn add(&mut self, values: &[f32]) {
        for row in values.chunks_exact(self.extremes.len()) {
            for ((low, high), &value) in self.extremes.iter_mut().zip(row) {
                // NaN is passed over by both.
                (*low, *high) = (low.min(value), high.max(value));
                self.missing |= value.is_nan();
            }
        }
    }
}

/// What changes when a file is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp { length: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// Where an array stands in a file.
pub(crate) struct Location {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) file: File,
    /// The byte where its numbers begin.
    pub(crate) start: u64,
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
}

impl StoredArray {
    /// `stride` is the numbers of a sequence, padding included.
    pub(crate) fn new(location: Location, stride: usize, block: Option<usize>) -> Result<StoredArray, DataError> {
        let Location { path, name, file, start, element, .. } = location;
        let metadata = file.metadata().map_err(|source| DataError::Io { path: path.clone(), source })?;
        Ok(StoredArray {
            stamp: Stamp::of(&metadata),
            path,
            name,
            file,
            start,
            element,
            stride,
            block,
            contents: OnceLock::new(),
        })
    }

    /// What it was found to hold, once it has been read through.
    pub(crate) fn contents(&self) -> Option<&Contents> {
        self.contents.get()
    }

    /// Remembers what it holds.
    pub(crate) fn set_contents(&self, contents: Contents) {
        self.contents.get_or_init(|| contents);
    }

    /// Appends the first `count` numbers of each sequence of `wanted`, `(sequence, count)`, as f32.
    ///
    /// Sequences that follow one another in the file are read together.
    pub(crate) fn read(&self, wanted: &[(usize, usize)], out: &mut Vec<f32>) -> Result<(), DataError> {
        self.check_stamp()?;
        let size = self.element.size();
        let range = |(sequence, count): (usize, usize)| {
            let first = sequence as u64 * (self.stride * size) as u64;
            first..first + (count * size) as u64
        };
        let (mut bytes, mut at) = (Vec::new(), 0);
        while at < wanted.len() {
            let (from, mut run) = (at, range(wanted[at]));
            at += 1;
            while let Some(next) = wanted.get(at).map(|&next| range(next)) {
                if next.start < run.end || next.start - run.end > GAP || next.end - run.start > READ {
                    break;
                }
                run.end = next.end;
                at += 1;
            }
            bytes.resize((run.end - run.start) as usize, 0);
            self.read_exact(&mut bytes, run.start)?;
            for &sequence in &wanted[from..at] {
                let own = range(sequence);
                let own = &bytes[(own.start - run.start) as usize..(own.end - run.start) as usize];
                self.element.decode(own, out).map_err(|found| self.wrong("numbers", found))?;
            }
        }
        Ok(())
    }

    /// Fills `bytes` from `offset` bytes behind the array's first.
    fn read_exact(&self, bytes: &mut [u8], offset: u64) -> Result<(), DataError> {
        let mut done = 0;
        while done < bytes.len() {
            match read_at(&self.file, &mut bytes[done..], self.start + offset + done as u64) {
                Ok(0) => return Err(self.wrong("the whole array", "the end of the file: it was cut short")),
                Ok(read) => done += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(DataError::Io { path: self.path.clone(), source }),
            }
        }
        Ok(())
    }

    /// Refuses a file that has been written to since: what was fitted on it and what is read would not belong together.
    fn check_stamp(&self) -> Result<(), DataError> {
        let metadata = self.file.metadata().map_err(|source| DataError::Io { path: self.path.clone(), source })?;
        let now = Stamp::of(&metadata);
        if now == self.stamp {
            return Ok(());
        }
        let found = match now.length == self.stamp.length {
            true => "one that has been written to since".into(),
            false => format!("one of {} bytes, where there were {}", now.length, self.stamp.length),
        };
        Err(self.wrong("the file as it was when it was opened", &found))
    }

    fn wrong(&self, expected: &str, found: &str) -> DataError {
        super::array::wrong(&self.path, &self.name, "", expected, found)
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}
