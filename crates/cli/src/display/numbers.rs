//! Where a training stands: what its observer was told, and the time left that follows from it.

use std::time::{Duration, Instant};

use emberloop_core::{BatchReport, EpochReport, Start};

/// What is known so far. To note a batch costs some additions: clocks are read by who looks, not by who trains.
pub struct Numbers {
    pub start: Start,
    /// The running epoch, counted from 1.
    pub epoch: usize,
    /// Its finished batches.
    pub batch: usize,
    /// Batches in it.
    pub batches: usize,
    pub learning_rate: f64,
    /// Of the last batch, before clipping.
    pub gradient_norm: f64,
    /// The monitored metric of the last finished epoch.
    pub monitored: Option<f64>,
    /// The best epoch so far, with its monitored metric.
    pub best: Option<(usize, f64)>,
    /// Sum of the losses of the running epoch's batches, and their number: a batch without a target that counts has none.
    losses: (f64, usize),
    /// When the running epoch began.
    began: Instant,
    /// Of an epoch, by those that ran in this process; the recent ones count most.
    epoch_seconds: Option<f64>,
    /// Of an epoch's validation, in the last one.
    validation_seconds: f64,
}

/// The weight of the last epoch in the expectation of the next.
const RECENT: f64 = 0.3;

impl Numbers {
    pub fn new(start: Start, now: Instant) -> Self {
        Self {
            epoch: start.finished + 1,
            batch: 0,
            batches: start.batches,
            learning_rate: 0.0,
            gradient_norm: 0.0,
            monitored: None,
            best: None,
            losses: (0.0, 0),
            began: now,
            epoch_seconds: None,
            validation_seconds: 0.0,
            start,
        }
    }

    /// Takes over what an interrupted run had logged.
    pub fn logged(&mut self, report: &EpochReport) {
        self.monitored = report.metrics.get(&self.start.monitor).copied();
        if let Some(value) = self.monitored.filter(|_| report.best) {
            self.best = Some((report.epoch, value));
        }
    }

    pub fn batch_ended(&mut self, report: &BatchReport) {
        self.epoch = report.epoch;
        self.batch = report.batch;
        self.batches = report.batches;
        self.losses.0 += report.loss;
        self.losses.1 += 1;
        self.gradient_norm = report.gradient_norm;
        self.learning_rate = report.learning_rate;
    }

    pub fn epoch_ended(&mut self, report: &EpochReport, now: Instant) {
        self.logged(report);
        self.epoch = report.epoch + 1;
        self.batch = 0;
        self.losses = (0.0, 0);
        self.learning_rate = report.learning_rate;
        let before = self.epoch_seconds.unwrap_or(report.seconds);
        self.epoch_seconds = Some(before + RECENT * (report.seconds - before));
        let training = self.start.sequences as f64 / report.sequences_per_second;
        self.validation_seconds = (report.seconds - training).max(0.0);
        self.began = now;
    }

    /// Mean over the batches of the running epoch.
    pub fn loss(&self) -> Option<f64> {
        (self.losses.1 > 0).then(|| self.losses.0 / self.losses.1 as f64)
    }

    /// Share of the running epoch's batches that is done.
    pub fn epoch_share(&self) -> f64 {
        self.batch as f64 / self.batches.max(1) as f64
    }

    /// Share of the epochs that is done.
    pub fn share(&self) -> f64 {
        (self.epoch as f64 - 1.0 + self.epoch_share()).max(0.0) / self.start.epochs.max(1) as f64
    }

    /// Training sequences per second in the running epoch.
    pub fn sequences_per_second(&self, now: Instant) -> Option<f64> {
        let seconds = self.seconds(now);
        (self.batch > 0 && seconds > 0.0).then(|| self.start.sequences as f64 * self.epoch_share() / seconds)
    }

    /// Until the running epoch is validated.
    pub fn epoch_left(&self, now: Instant) -> Option<Duration> {
        let seconds = self.seconds(now);
        let left = match self.batch {
            0 => self.epoch_seconds? - seconds,
            // The last validation says how long this one takes; while it runs, nobody tells how far it is.
            _ => seconds / self.epoch_share() * (1.0 - self.epoch_share()) + self.validation_seconds,
        };
        Some(duration(left))
    }

    /// Until the last epoch has ended. Early stopping may come before.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let epochs = self.start.epochs.saturating_sub(self.epoch) as f64;
        let epoch = match (self.epoch_seconds, self.batch) {
            (Some(seconds), _) => seconds,
            (None, 0) => return None,
            (None, _) => self.seconds(now) / self.epoch_share(),
        };
        Some(self.epoch_left(now)? + duration(epochs * epoch))
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.began).as_secs_f64()
    }
}

fn duration(seconds: f64) -> Duration {
    // A century is no forecast, but it is a duration.
    Duration::from_secs_f64(if seconds.is_finite() { seconds.clamp(0.0, 3e9) } else { 0.0 })
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use super::*;

    pub fn start(epochs: usize, batches: usize) -> Start {
        Start {
            epochs,
            finished: 0,
            batches,
            sequences: 32 * batches,
            validation_sequences: 10,
            parameters: 1234,
            device: "cpu".into(),
            monitor: "val_loss".into(),
        }
    }

    pub fn batch(epoch: usize, batch: usize, batches: usize, loss: f64) -> BatchReport {
        BatchReport { epoch, batch, batches, loss, gradient_norm: 0.517, learning_rate: 2e-3 }
    }

    pub fn epoch(epoch: usize, epochs: usize, value: f64, best: bool) -> EpochReport {
        EpochReport {
            epoch,
            epochs,
            metrics: BTreeMap::from([("loss".into(), 0.2), ("val_loss".into(), value), ("val_accuracy".into(), 0.9)]),
            learning_rate: 2e-3,
            gradient_norm: 0.5,
            seconds: 10.0,
            sequences_per_second: 400.0,
            best,
        }
    }

    fn seconds(duration: Option<Duration>) -> Option<f64> {
        duration.map(|duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0)
    }

    #[test]
    fn time_left_follows_from_what_was_seen() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut numbers = Numbers::new(start(5, 100), began);
        assert_eq!((numbers.left(at(1)), numbers.epoch_left(at(1)), numbers.loss()), (None, None, None));
        // A quarter in two seconds: six more for this epoch, eight for each of the other four.
        (1..=25).for_each(|index| numbers.batch_ended(&batch(1, index, 100, if index <= 5 { 3.0 } else { 0.5 })));
        assert_eq!((seconds(numbers.epoch_left(at(2))), seconds(numbers.left(at(2)))), (Some(6.0), Some(38.0)));
        assert_eq!(numbers.loss(), Some(1.0));
        assert_eq!(numbers.sequences_per_second(at(2)), Some(400.0));
        assert_eq!((numbers.epoch_share(), numbers.share()), (0.25, 0.05));
        // It took ten in the end, two of them for the validation.
        numbers.epoch_ended(&epoch(1, 5, 0.3, true), at(10));
        assert_eq!((seconds(numbers.epoch_left(at(11))), seconds(numbers.left(at(11)))), (Some(9.0), Some(39.0)));
        (1..=50).for_each(|index| numbers.batch_ended(&batch(2, index, 100, 0.1)));
        assert_eq!((seconds(numbers.epoch_left(at(14))), seconds(numbers.left(at(14)))), (Some(6.0), Some(36.0)));
        assert_eq!((numbers.best, numbers.monitored), (Some((1, 0.3)), Some(0.3)));
        numbers.epoch_ended(&epoch(2, 5, 0.4, false), at(20));
        assert_eq!((numbers.best, numbers.monitored), (Some((1, 0.3)), Some(0.4)));
        // The last one has only itself before it.
        (3..5).for_each(|index| numbers.epoch_ended(&epoch(index, 5, 0.4, false), at(10 * index as u64)));
        assert_eq!(seconds(numbers.left(at(41))), Some(9.0));
        numbers.epoch_ended(&epoch(5, 5, 0.4, false), at(50));
        assert_eq!(numbers.share(), 1.0);
    }
}
