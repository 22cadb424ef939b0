//! When two sequences have the same content: they are equal, or a run of rows stands in both that cannot be there twice by
//! chance.
//!
//! Four equal rows of twelve measured channels are no chance; four equal samples of a quantised signal are, and so are the
//! zeros at the end of many recordings. So a run counts by how surprising its steps are, in bits: minus the binary logarithm
//! of how frequent such a change from one row to the next is in the data, or such a change of the change, whichever is
//! less surprising. Among N rows there are N² pairs, so a run needs 2·log2(N) bits, and 20 more.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::dataset::Sequence;
use crate::error::DataError;
use crate::values;

/// Steps from which it is learned how frequent a change is.
const LEARNED_STEPS: usize = 1 << 15;

/// Bits beyond those of a pair of rows that agree by chance: one in a million sets of data has such a pair.
const MARGIN: f64 = 20.0;

/// The shortest run, in rows.
const RUN_LEAST: usize = 4;

/// An amount of change is told from another one if they differ by this part of the mean change.
const FINENESS: f64 = 32.0;

/// The rule, fitted to one set of data.
#[derive(Debug)]
pub(crate) struct Content {
    width: usize,
    tokens: bool,
    /// An odd number for each channel, so that a row's mark knows which value is whose.
    factors: Vec<u64>,
    /// One over the amount of each channel that is told apart.
    fineness: Vec<f64>,
    /// How often each change, and each change of the change, was seen. Of tokens: each token, and each pair of them.
    first: Counts,
    second: Counts,
    seen: f64,
    /// Bits that a run needs.
    bits: f64,
    /// Rows of a run; `None` where no number of them would say enough.
    run: Option<usize>,
}

/// What the content of a sequence is known by.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// A number for each run of rows that says enough.
    pub(crate) runs: Vec<u64>,
    /// A number for all rows together.
    pub(crate) whole: u64,
    /// Whether all rows together say enough.
    pub(crate) telling: bool,
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

const BASE: u64 = 0x2545_F491_4F6C_DD1D;

/// Of numbers that are mixed already.
#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers of 64 bits")
    }

    fn write_u64(&mut self, mixed: u64) {
        self.0 = mixed;
    }
}

type Counts = HashMap<u64, f64, BuildHasherDefault<Mixed>>;

impl Content {
    /// Learns from some of the sequences how frequent changes are; `width` is how many numbers a row has.
    ///
    /// # Errors
    /// If a file cannot be read any more.
    pub(crate) fn learn(sequences: &[Sequence], width: usize, tokens: bool) -> Result<Content, DataError> {
        let rows: usize = sequences.iter().map(|sequence| sequence.steps).sum();
        let stride = rows.div_ceil(LEARNED_STEPS).max(1);
        let mut sample: Vec<Vec<f32>> = Vec::new();
        values::each(sequences.iter().step_by(stride).map(|sequence| &sequence.values), |_, own| {
            sample.push(own.to_vec());
            Ok::<(), DataError>(())
        })?;
        let mut content = Content {
            width,
            tokens,
            factors: (1..=width as u64).map(|channel| mix(channel.wrapping_mul(BASE)) | 1).collect(),
            fineness: fineness(&sample, width),
            first: Counts::default(),
            second: Counts::default(),
            seen: 0.0,
            bits: 2.0 * (rows.max(2) as f64).log2() + MARGIN,
            run: None,
        };
        for own in &sample {
            for step in 1..own.len() / width {
                let (first, second) = content.changes(own, step);
                *content.first.entry(first).or_insert(0.0) += 1.0;
                *content.second.entry(second).or_insert(0.0) += 1.0;
                content.seen += 1.0;
            }
        }
        content.run = content.shortest_run(&sample);
        Ok(content)
    }

    /// Rows of a run.
    pub(crate) fn run(&self) -> Option<usize> {
        self.run
    }

    /// A number for one row: equal rows have equal ones.
    fn row_mark(&self, row: &[f32]) -> u64 {
        // Every NaN is "no value", and -0 is 0.
        let bits = |value: f32| if value.is_nan() { f32::NAN.to_bits() } else { (value + 0.0).to_bits() };
        let products =
            row.iter().zip(&self.factors).map(|(&value, &factor)| factor.wrapping_mul(u64::from(bits(value))));
        products.fold(BASE, u64::wrapping_add)
    }

    /// What changes from the row before to this one, and how that change is another one than the last.
    fn changes(&self, own: &[f32], step: usize) -> (u64, u64) {
        let at = |step: usize| &own[step * self.width..][..self.width];
        if self.tokens {
            let token = mix(self.row_mark(at(step)));
            return (token, mix(token ^ self.row_mark(at(step - 1)).rotate_left(17)));
        }
        let (mut first, mut second) = (0u64, 0u64);
        for (channel, fineness) in self.fineness.iter().enumerate() {
            let value = |step: usize| f64::from(at(step)[channel]);
            let change = value(step) - value(step - 1);
            let last = if step > 1 { value(step - 1) - value(step - 2) } else { 0.0 };
            let code =
                |amount: f64| if amount.is_nan() { i64::MAX as u64 } else { (amount * fineness).round() as i64 as u64 };
            first = mix(first ^ code(change)).wrapping_add(BASE);
            second = mix(second ^ code(change - last)).wrapping_add(BASE);
        }
        (first, second)
    }

    /// How surprising a step is, in bits.
    fn surprise(&self, own: &[f32], step: usize) -> f64 {
        let (first, second) = self.changes(own, step);
        let count = |counts: &Counts, code: u64| counts.get(&code).copied().unwrap_or(0.0) + 0.25;
        let bits = |count: f64, of: f64| ((of + 1.0) / count).log2().max(0.0);
        let own_bits = bits(count(&self.first, first), self.seen);
        let other = match self.tokens {
            // A token, given the one before it.
            true => bits(count(&self.second, second), self.before(own, step)),
            false => bits(count(&self.second, second), self.seen),
        };
        own_bits.min(other)
    }

    /// How often the token before this one was seen.
    fn before(&self, own: &[f32], step: usize) -> f64 {
        self.first.get(&mix(self.row_mark(&own[step - 1..step]))).copied().unwrap_or(0.0)
    }

    /// The shortest run that says enough in most places.
    fn shortest_run(&self, sample: &[Vec<f32>]) -> Option<usize> {
        let sums: Vec<Vec<f64>> = sample.iter().map(|own| self.sums(own)).collect();
        let longest = sums.iter().map(Vec::len).max()?;
        // Of tokens, phrases are said again and again.
        let (least, bits) = if self.tokens { (2 * RUN_LEAST, 2.0 * self.bits) } else { (RUN_LEAST, self.bits) };
        let mut run = least;
        while run <= longest {
            let (mut telling, mut all) = (0usize, 0usize);
            for sums in &sums {
                for (first, last) in sums.iter().zip(sums.iter().skip(run - 1)) {
                    all += 1;
                    telling += usize::from(last - first >= bits);
                }
            }
            if all > 0 && 2 * telling >= all {
                return Some(run);
            }
            run = (run + 1).max(run * 5 / 4);
        }
        None
    }

    /// The bits of all steps up to each one.
    fn sums(&self, own: &[f32]) -> Vec<f64> {
        let mut sum = 0.0;
        let steps = own.len() / self.width;
        let mut sums = Vec::with_capacity(steps);
        for step in 0..steps {
            sum += if step == 0 { 0.0 } else { self.surprise(own, step) };
            sums.push(sum);
        }
        sums
    }

    /// The marks of a sequence.
    pub(crate) fn marks(&self, own: &[f32]) -> Marks {
        let sums = self.sums(own);
        let mut marks = Marks { telling: sums.last().is_some_and(|&bits| bits >= self.bits), ..Marks::default() };
        let needed = if self.tokens { 2.0 * self.bits } else { self.bits };
        let run = self.run.unwrap_or(0);
        let Marks { runs, .. } = &mut marks;
        let whole = self.each_run(own, |first, mark| {
            if sums[first + run - 1] - sums[first] >= needed {
                runs.push(mark);
            }
        });
        marks.whole = whole;
        marks
    }

    /// Shows the first row and the mark of each run, whether it says much or not, and returns the mark of the whole.
    pub(crate) fn each_run(&self, own: &[f32], mut look: impl FnMut(usize, u64)) -> u64 {
        let marks: Vec<u64> = own.chunks_exact(self.width).map(|row| self.row_mark(row)).collect();
        let whole = marks.iter().fold(0u64, |whole, mark| whole.wrapping_mul(BASE).wrapping_add(*mark));
        if let Some(run) = self.run.filter(|&run| run <= marks.len()) {
            let leaving = (0..run).fold(1u64, |power, _| power.wrapping_mul(BASE));
            let mut rolling =
                marks[..run - 1].iter().fold(0u64, |rolling, mark| rolling.wrapping_mul(BASE).wrapping_add(*mark));
            let mut left = 0;
            for (first, (&entering, &next_left)) in marks[run - 1..].iter().zip(&marks).enumerate() {
                rolling = rolling.wrapping_mul(BASE).wrapping_add(entering).wrapping_sub(leaving.wrapping_mul(left));
                left = next_left;
                look(first, mix(rolling));
            }
        }
        mix(whole ^ (own.len() as u64))
    }
}

/// One over the amount of each channel that is told apart: a part of its mean change, where it changes.
fn fineness(sample: &[Vec<f32>], width: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); width];
    for own in sample {
        for (before, row) in own.chunks_exact(width).zip(own.chunks_exact(width).skip(1)) {
            for ((sum, before), value) in sums.iter_mut().zip(before).zip(row) {
                let change = (f64::from(*value) - f64::from(*before)).abs();
                if change > 0.0 {
                    *sum = (sum.0 + change, sum.1 + 1.0);
                }
            }
        }
    }
    sums.into_iter().map(|(sum, count)| if sum > 0.0 { FINENESS * count / sum } else { 1.0 }).collect()
}
