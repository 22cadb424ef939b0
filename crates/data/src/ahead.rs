//! Batches made on a thread of their own while others are trained on.

use std::sync::mpsc::sync_channel;

use crate::batch::Batch;
use crate::error::DataError;
use crate::prepared::Prepared;

/// Batches that wait to be used.
const WAITING: usize = 2;

/// Calls `work` with the batches of `groups` (each a list of sequences), in order. Those of streamed data are read and
/// scaled on another thread while earlier ones are worked on; what comes out is the same to the bit. Batches of loaded data
/// are a copy, and are made when they are asked for.
///
/// # Panics
/// If a group names a sequence that is not there.
pub fn ahead<R>(
    prepared: &Prepared,
    groups: &[Vec<usize>],
    work: impl FnOnce(&mut dyn Iterator<Item = Result<Batch, DataError>>) -> R,
) -> R {
    let mut batches = groups.iter().map(|group| prepared.batch(group));
    if prepared.locality().is_none() {
        return work(&mut batches);
    }
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        // Nobody takes another batch when `work` is done early: then sending fails, and the thread ends.
        scope.spawn(move || batches.try_for_each(|batch| sender.send(batch)));
        work(&mut receiver.into_iter())
    })
}
