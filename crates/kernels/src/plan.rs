//! Which sequence is computed where, and in which order its steps are read.

use std::ops::Range;

use crate::Sequences;

/// Sequences in a chunk, at most. A chunk is computed by one thread, from the first step to the last, without waiting for another.
/// 16 rows use the registers well, and leave something to do for four threads at the usual batch of 64.
pub(crate) const CHUNK: usize = 16;

/// The sequences of a batch by length, the longest first, cut into chunks. So the sequences that still have steps are always the first rows
/// of a chunk, and nothing is computed for padding. The cut depends on the batch alone, never on the number of threads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    reverse: bool,
    /// The sequence that stands in each row.
    order: Vec<usize>,
    /// The steps of the sequence in each row.
    lengths: Vec<usize>,
    /// Whether rows stand in the order of the sequences and all have all steps.
    whole: bool,
}

impl Plan {
    pub(crate) fn new(sequences: &Sequences<'_>) -> Self {
        let (steps, batch) = (sequences.steps, sequences.batch);
        let length = |sequence: usize| sequences.lengths.map_or(steps, |lengths| lengths[sequence]);
        let whole = (0..batch).all(|sequence| length(sequence) == steps);
        let mut order: Vec<usize> = (0..batch).collect();
        order.sort_by_key(|&sequence| std::cmp::Reverse(length(sequence)));
        let lengths = order.iter().map(|&sequence| length(sequence)).collect();
        Self { steps, batch, reverse: sequences.reverse, order, lengths, whole }
    }

    /// The rows of each chunk: as few chunks as possible, of sizes as equal as possible.
    pub(crate) fn chunks(&self) -> Vec<Range<usize>> {
        let mut start = 0;
        let mut chunks = Vec::new();
        for rows in split(self.batch, CHUNK) {
            chunks.push(start..start + rows);
            start += rows;
        }
        chunks
    }

    pub(crate) fn rows(&self, rows: Range<usize>) -> Rows<'_> {
        let first = self.whole.then_some(rows.start);
        Rows { plan: self, order: &self.order[rows.clone()], lengths: &self.lengths[rows], first }
    }

    /// Whether every place of a `[T, B, ..]` array is some sequence's own step.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }
}

/// One chunk's rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    plan: &'a Plan,
    order: &'a [usize],
    lengths: &'a [usize],
    /// If rows are consecutive sequences with all steps: the first of them.
    first: Option<usize>,
}

impl Rows<'_> {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Steps of the longest sequence.
    pub(crate) fn steps(&self) -> usize {
        self.lengths[0]
    }

    /// Steps of the sequence in this row.
    pub(crate) fn length(&self, row: usize) -> usize {
        self.lengths[row]
    }

    /// The rows `0..active` have a step `step`, counted in the order of reading.
    pub(crate) fn active(&self, step: usize) -> usize {
        if self.lengths[self.len() - 1] > step {
            self.len()
        } else {
            self.lengths.partition_point(|&length| length > step)
        }
    }

    /// The sequence in this row.
    pub(crate) fn sequence(&self, row: usize) -> usize {
        self.order[row]
    }

    /// The place in a `[T, B]` array of the row's step `step`, counted in the order of reading.
    pub(crate) fn place(&self, row: usize, step: usize) -> usize {
        let time = if self.plan.reverse { self.lengths[row] - 1 - step } else { step };
        time * self.plan.batch + self.order[row]
    }

    /// Where all rows' step `step` stand side by side in a `[T, B]` array, if they do.
    pub(crate) fn block(&self, step: usize) -> Option<Range<usize>> {
        self.first.map(|_| {
            let place = self.place(0, step);
            place..place + self.len()
        })
    }
}

/// `count` in parts of at most `most`: as few as possible, of sizes as equal as possible.
#[inline(always)]
pub(crate) fn split(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let parts = count.div_ceil(most).max(1);
    let (size, larger) = (count / parts, count % parts);
    (0..parts).map(move |part| size + usize::from(part < larger)).filter(|&size| size > 0)
}
