//! The order of an epoch: which sequences make a batch, and which batch comes when.
//!
//! Drawn from the seed and the epoch alone, so that a resumed run finds its place again.

use emberloop_data::{Locality, Prepared};

use crate::{
    config::TrainingConfig,
    rng::{Purpose, Rng},
};

/// A bucket holds this many batches.
const BUCKET_BATCHES: usize = 50;

/// The batches of epoch `epoch`, counted from 0: each a list of sequences, every one of them once.
pub(super) fn groups(train: &Prepared, training: &TrainingConfig, epoch: usize) -> Vec<Vec<usize>> {
    let mut rng = Rng::keyed(&[Purpose::Shuffle as u64, training.seed, epoch as u64]);
    let steps = |sequence: usize| train.steps(sequence);
    let steps = training.bucket_by_length.then_some(&steps as &dyn Fn(usize) -> usize);
    groups_of(train.len(), train.locality(), training.batch, steps, &mut rng)
}

/// The same for `count` sequences; with `steps`, those of similar length share a batch.
fn groups_of(
    count: usize,
    locality: Option<Locality>,
    batch: usize,
    steps: Option<&dyn Fn(usize) -> usize>,
    rng: &mut Rng,
) -> Vec<Vec<usize>> {
    let windows = windows(count, locality, rng);
    match steps {
        None => windows.concat().chunks(batch).map(<[usize]>::to_vec).collect(),
        Some(steps) => by_length(windows, batch, steps, rng),
    }
}

/// Every sequence once, shuffled within windows: what is loaded is one window. What is streamed comes in blocks of
/// neighbours: the blocks are shuffled, and as many as are in memory at once are a window.
///
/// One window of one block is shuffled as what is loaded.
fn windows(count: usize, locality: Option<Locality>, rng: &mut Rng) -> Vec<Vec<usize>> {
    let Locality { block, window } = locality.unwrap_or(Locality { block: count.max(1), window: 1 });
    let mut blocks: Vec<usize> = (0..count.div_ceil(block)).collect();
    rng.shuffle(&mut blocks);
    let sequences = |&number: &usize| number * block..((number + 1) * block).min(count);
    let shuffled = |blocks: &[usize]| {
        let mut order: Vec<usize> = blocks.iter().flat_map(sequences).collect();
        rng.shuffle(&mut order);
        order
    };
    blocks.chunks(window.max(1)).map(shuffled).collect()
}

/// Batches of sequences of similar length. Sorting within large random buckets keeps most of the randomness and wastes
/// little on padding.
fn by_length(windows: Vec<Vec<usize>>, batch: usize, steps: impl Fn(usize) -> usize, rng: &mut Rng) -> Vec<Vec<usize>> {
    let (mut all, mut left) = (Vec::new(), Vec::new());
    let last = windows.len().saturating_sub(1);
    for (number, mut order) in windows.into_iter().enumerate() {
        for bucket in order.chunks_mut(BUCKET_BATCHES * batch) {
            bucket.sort_by_key(|&sequence| steps(sequence));
        }
        // What is no whole batch goes to the next window, and first: until then its blocks are still in memory.
        let carried = usize::from(!left.is_empty());
        left.append(&mut order);
        let whole = if number == last { left.len() } else { left.len() - left.len() % batch };
        let mut groups: Vec<Vec<usize>> = left[..whole].chunks(batch).map(<[usize]>::to_vec).collect();
        rng.shuffle(groups.get_mut(carried..).unwrap_or_default());
        all.append(&mut groups);
        left.drain(..whole);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn rng(epoch: u64) -> Rng {
        Rng::keyed(&[Purpose::Shuffle as u64, 7, epoch])
    }

    fn steps(sequence: usize) -> usize {
        1 + sequence * 31 % 17
    }

    /// What earlier versions did, and what resumes their runs.
    fn loaded_before(count: usize, batch: usize, bucket: bool, epoch: u64) -> Vec<Vec<usize>> {
        let mut rng = rng(epoch);
        let mut order: Vec<usize> = (0..count).collect();
        rng.shuffle(&mut order);
        if bucket {
            for bucket in order.chunks_mut(BUCKET_BATCHES * batch) {
                bucket.sort_by_key(|&sequence| steps(sequence));
            }
        }
        let mut groups: Vec<Vec<usize>> = order.chunks(batch).map(<[usize]>::to_vec).collect();
        if bucket {
            rng.shuffle(&mut groups);
        }
        groups
    }

    fn order(count: usize, locality: Option<Locality>, batch: usize, bucket: bool, epoch: u64) -> Vec<Vec<usize>> {
        groups_of(count, locality, batch, bucket.then_some(&steps as &dyn Fn(usize) -> usize), &mut rng(epoch))
    }

    #[test]
    fn what_is_loaded_is_ordered_as_ever() {
        let whole = [None, Some(Locality { block: 1000, window: 64 })];
        for (count, batch, bucket) in [(1000, 32, true), (1000, 32, false), (7, 3, true), (900, 4, true), (0, 3, true)]
        {
            for epoch in 0..3 {
                for locality in whole {
                    let expected = loaded_before(count, batch, bucket, epoch);
                    assert_eq!(order(count, locality, batch, bucket, epoch), expected, "{count} {batch} {bucket}");
                }
            }
        }
    }

    #[test]
    fn every_sequence_once_in_full_batches_and_the_same_by_the_same_key() {
        for (block, window) in [(1, 1), (1, 64), (5, 2), (10, 7), (64, 3), (5000, 2)] {
            for bucket in [false, true] {
                let of = |epoch| order(1003, Some(Locality { block, window }), 16, bucket, epoch);
                let groups = of(4);
                let mut seen = groups.concat();
                seen.sort_unstable();
                assert_eq!(seen, (0..1003).collect::<Vec<_>>(), "{block} {window} {bucket}");
                assert_eq!(groups.len(), 1003usize.div_ceil(16));
                assert_eq!(groups.iter().filter(|group| group.len() < 16).count(), 1, "{block} {window} {bucket}");
                assert_eq!(groups, of(4));
                assert_ne!(groups, of(5));
            }
        }
    }

    /// Reads blocks as the data crate does: the least recently used goes when a window is full.
    fn reads(order: &[usize], Locality { block, window }: Locality) -> usize {
        let (mut recent, mut reads): (Vec<usize>, usize) = (Vec::new(), 0);
        for number in order.iter().map(|sequence| sequence / block) {
            match recent.iter().position(|&known| known == number) {
                Some(place) => drop(recent.remove(place)),
                None => {
                    reads += 1;
                    if recent.len() == window {
                        recent.remove(0);
                    }
                }
            }
            recent.push(number);
        }
        reads
    }

    #[test]
    fn hardly_a_block_is_read_twice() {
        for bucket in [false, true] {
            for (block, window, batch) in [(20, 8, 16), (50, 4, 32), (7, 16, 10)] {
                let locality = Locality { block, window };
                let blocks = 4000usize.div_ceil(block);
                let streamed = reads(&order(4000, Some(locality), batch, bucket, 1).concat(), locality);
                assert!(streamed <= blocks + blocks / 4, "{streamed} reads of {blocks} blocks, {locality:?} {bucket}");
                let shuffled = reads(&order(4000, None, batch, bucket, 1).concat(), locality);
                assert!(shuffled > 10 * blocks, "the test tells nothing: {shuffled} reads of {blocks} blocks");
            }
        }
    }

    #[test]
    fn neighbours_are_parted() {
        let groups = order(4000, Some(Locality { block: 20, window: 8 }), 16, false, 1);
        let blocks = |group: &Vec<usize>| group.iter().map(|sequence| sequence / 20).collect::<HashSet<_>>().len();
        let mean = groups.iter().map(blocks).sum::<usize>() as f64 / groups.len() as f64;
        assert!(mean > 6.0, "a batch of 16 has sequences of {mean} blocks of 8");
    }
}
