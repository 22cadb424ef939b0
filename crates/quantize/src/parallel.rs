//! Work on sequences in parallel, with results that do not depend on the number of threads.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Sequences that one accumulator takes in, in order.
const CHUNK: usize = 16;

/// Applies `work` to chunks of `count` items (given as ranges) and returns the results in the order of the chunks.
///
/// The chunks are of fixed size, so that sums over them are the same on every machine.
pub(crate) fn map_chunks<R: Send>(count: usize, work: impl Fn(std::ops::Range<usize>) -> R + Sync) -> Vec<R> {
    let chunks = count.div_ceil(CHUNK);
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new((0..chunks).map(|_| None).collect());
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(chunks);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let chunk = next.fetch_add(1, Ordering::Relaxed);
                    if chunk >= chunks {
                        return;
                    }
                    let result = work(chunk * CHUNK..count.min((chunk + 1) * CHUNK));
                    // A panic in another thread is passed on when the scope ends.
                    if let Ok(mut results) = results.lock() {
                        results[chunk] = Some(result);
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::map_chunks;

    #[test]
    fn every_item_once_and_in_order() {
        for count in [0, 1, 15, 16, 17, 1000] {
            let items: Vec<usize> =
                map_chunks(count, |range| range.collect::<Vec<_>>()).into_iter().flatten().collect();
            assert_eq!(items, (0..count).collect::<Vec<_>>());
        }
    }
}
