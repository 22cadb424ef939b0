//! Without a terminal: plain lines, no more of them than were asked for.

use std::time::{Duration, Instant};

use emberloop_core::EpochReport;

use super::numbers::Numbers;
use super::{metrics_line, rough, time};

/// Decides when a line is due, and what it says.
pub struct Lines {
    title: String,
    /// Between two lines at least; zero gives every epoch one, and none within it.
    interval: Duration,
    last: Option<Instant>,
    /// Whether the running epoch has lines of its own.
    within: bool,
    /// The last epoch, while it has no line.
    untold: Option<String>,
}

impl Lines {
    pub fn new(title: String, interval: Duration) -> Self {
        Self { title, interval, last: None, within: false, untold: None }
    }

    /// The time from which lines count.
    pub fn started(&mut self, now: Instant) {
        self.last.get_or_insert(now);
    }

    /// Whether a batch that ends now may have a line. Cheap, as there can be a million batches a minute.
    pub fn due(&self, now: Instant) -> bool {
        !self.interval.is_zero() && self.last.is_some_and(|last| now.saturating_duration_since(last) >= self.interval)
    }

    /// A line within an epoch that takes long. Where the epoch's own line is near, there is none.
    pub fn batch_ended(&mut self, numbers: &Numbers, now: Instant) -> Option<String> {
        let left = numbers.epoch_left(now).filter(|left| self.due(now) && *left >= self.interval)?;
        self.last = Some(now);
        self.within = true;
        let mut line = format!(
            "{}: epoch {}/{}, batch {}/{}",
            self.title, numbers.epoch, numbers.start.epochs, numbers.batch, numbers.batches
        );
        line += &format!("  loss {:.4}  |g| {}", numbers.loss()?, rough(numbers.gradient_norm));
        line += &format!("  lr {:.1e}", numbers.learning_rate);
        if let Some(rate) = numbers.sequences_per_second(now) {
            line += &format!("  {rate:.0} seq/s");
        }
        line += &format!("  {} left in this epoch", time(left));
        if let Some(left) = numbers.left(now) {
            line += &format!(", {} in all", time(left));
        }
        Some(line)
    }

    /// A line for an epoch: short ones share theirs, those that have lines within them and the last one have it always.
    pub fn epoch_ended(&mut self, report: &EpochReport, numbers: &Numbers, now: Instant) -> Option<String> {
        let mut line = format!(
            "{}: epoch {}/{}  {}  lr {:.1e}  {:.0} seq/s",
            self.title,
            report.epoch,
            report.epochs,
            metrics_line(&report.metrics),
            report.learning_rate,
            report.sequences_per_second
        );
        if let Some((best, _)) = numbers.best {
            line += &format!("  best {best}");
        }
        let last = report.epoch == report.epochs;
        if let Some(left) = numbers.left(now).filter(|_| !last) {
            line += &format!("  {} left", time(left));
        }
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        if due || self.within || last {
            self.last = Some(now);
            self.within = false;
            self.untold = None;
            return Some(line);
        }
        self.untold = Some(line);
        None
    }

    /// What is still to be said when all is over.
    pub fn finish(&mut self) -> Option<String> {
        self.untold.take()
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers::tests::{batch, epoch, start};
    use super::*;

    /// Epochs of 100 batches in `seconds` each: the lines, with the time of each in milliseconds.
    fn lines(epochs: usize, seconds: f64, every: f64) -> Vec<(u128, String)> {
        let began = Instant::now();
        let mut numbers = Numbers::new(start(epochs, 100), began);
        let mut lines = Lines::new("run".into(), Duration::from_secs_f64(every));
        lines.started(began);
        let mut said = Vec::new();
        for index in 1..=epochs {
            let at = |share: f64| began + Duration::from_secs_f64(((index - 1) as f64 + share) * seconds);
            for step in 1..=100 {
                numbers.batch_ended(&batch(index, step, 100, 0.5));
                let now = at(0.99 * step as f64 / 100.0);
                if lines.due(now) {
                    said.extend(lines.batch_ended(&numbers, now).map(|line| (now, line)));
                }
            }
            let report = EpochReport {
                seconds,
                sequences_per_second: 3200.0 / (0.99 * seconds),
                ..epoch(index, epochs, 0.4, index == 1)
            };
            numbers.epoch_ended(&report, at(1.0));
            said.extend(lines.epoch_ended(&report, &numbers, at(1.0)).map(|line| (at(1.0), line)));
        }
        said.extend(lines.finish().map(|line| (began, line)));
        said.into_iter().map(|(at, line)| ((at - began).as_millis(), line)).collect()
    }

    #[test]
    fn short_epochs_share_a_line() {
        let said = lines(100, 0.03, 1.0);
        assert_eq!(said.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1020, 2040, 3000]);
        assert!(said[0].1.starts_with("run: epoch 34/100  loss 0.2000  val_loss 0.4000"), "{said:?}");
        assert!(said[0].1.ends_with("best 1  0:02 left"), "{said:?}");
        assert!(said[2].1.ends_with("best 1"), "{said:?}");
    }

    #[test]
    fn long_epochs_have_lines_within() {
        let said = lines(2, 10.0, 3.0);
        let text: Vec<&str> = said.iter().map(|(_, line)| line.split("  ").next().unwrap()).collect();
        let expected = [
            "run: epoch 1/2, batch 31/100",
            "run: epoch 1/2, batch 62/100",
            "run: epoch 1/2",
            "run: epoch 2/2, batch 31/100",
            "run: epoch 2/2, batch 62/100",
            "run: epoch 2/2",
        ];
        assert_eq!(text, expected);
        assert!(said[0].1.ends_with("lr 2.0e-3  323 seq/s  0:07 left in this epoch, 0:17 in all"), "{}", said[0].1);
        assert!(said.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 3000), "{said:?}");
    }

    #[test]
    fn zero_is_every_epoch() {
        let said = lines(5, 10.0, 0.0);
        assert_eq!(said.len(), 5);
        assert!(said.iter().all(|(_, line)| !line.contains("batch")));
    }

    #[test]
    fn the_last_epoch_is_told_even_if_it_was_not_meant_to_be_the_last() {
        assert_eq!(lines(3, 0.01, 1e6).len(), 1);
        let began = Instant::now();
        let mut numbers = Numbers::new(start(50, 1), began);
        let mut lines = Lines::new("run".into(), Duration::from_secs(100));
        lines.started(began);
        for index in 1..=7 {
            let report = epoch(index, 50, 0.4, index == 1);
            numbers.epoch_ended(&report, began);
            assert_eq!(lines.epoch_ended(&report, &numbers, began), None);
        }
        assert!(lines.finish().unwrap().starts_with("run: epoch 7/50"));
        assert_eq!(lines.finish(), None);
    }
}
