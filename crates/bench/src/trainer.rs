//! `emberloop_core::train` in a thread of its own, which stands still between two steps while another contender runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use emberloop_core::{BatchReport, Options, Progress, TrainError, train};

use crate::Result;
use crate::clock;
use crate::protocol::Case;
use crate::synthetic;

/// A training that goes on when asked.
pub struct Training {
    /// Says how many steps to run.
    steps: Sender<usize>,
    /// Milliseconds of each.
    times: Receiver<Vec<f64>>,
    cancel: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<String>>>,
}

impl Training {
    /// Begins, and stands still before the first step.
    pub fn start(case: &Case, options: Options) -> Self {
        let (steps, asked) = channel();
        let (done, times) = channel();
        let cancel = Arc::new(AtomicBool::new(false));
        let options = Options { cancel: Some(cancel.clone()), ..options };
        let case = case.clone();
        let stop = cancel.clone();
        let thread = thread::spawn(move || {
            let config = synthetic::config(&case, usize::MAX);
            let splits = synthetic::splits(&case);
            let mut watch = Watch { asked, done, stop, left: 0, times: Vec::new(), began: 0.0 };
            watch.wait();
            match train(&config, &splits, &options, &mut watch) {
                Ok(_) => Some("the training came to an end".into()),
                Err(TrainError::Interrupted { .. }) => None,
                Err(error) => Some(error.to_string()),
            }
        });
        Self { steps, times, cancel, thread: Some(thread) }
    }

    /// Milliseconds of each of the next `count` steps: of all that the trainer does from one step's end to the next.
    pub fn run(&mut self, count: usize) -> Result<Vec<f64>> {
        let ended = self.steps.send(count).is_err();
        match self.times.recv() {
            Ok(times) if !ended => Ok(times),
            _ => Err(self.end().unwrap_or_else(|| "the training was interrupted".into()).into()),
        }
    }

    fn end(&mut self) -> Option<String> {
        self.cancel.store(true, Ordering::Relaxed);
        let _ = self.steps.send(0);
        let thread = self.thread.take()?;
        thread.join().unwrap_or_else(|_| Some("the training panicked".into()))
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        self.end();
    }
}

/// Times the steps from inside.
struct Watch {
    asked: Receiver<usize>,
    done: Sender<Vec<f64>>,
    stop: Arc<AtomicBool>,
    left: usize,
    times: Vec<f64>,
    began: f64,
}

impl Watch {
    /// Stands still until steps are wanted.
    fn wait(&mut self) {
        while self.left == 0 && !self.stop.load(Ordering::Relaxed) {
            match self.asked.recv() {
                Ok(count) => self.left = count,
                Err(_) => self.stop.store(true, Ordering::Relaxed),
            }
        }
        self.began = clock::now();
    }
}

impl Progress for Watch {
    fn on_batch(&mut self, _batch: &BatchReport) {
        let now = clock::now();
        self.times.push(now - self.began);
        self.began = now;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            let _ = self.done.send(std::mem::take(&mut self.times));
            self.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{LossOn, Pass};
    use emberloop_core::config::CellName;

    fn case(loss: LossOn) -> Case {
        Case {
            pass: Pass::Train,
            cell: CellName::Gru,
            reset_after: true,
            hidden: 3,
            loss,
            steps: 4,
            batch: 8,
            inputs: 2,
            classes: 2,
            sequences: 20,
        }
    }

    #[test]
    fn it_runs_as_many_steps_as_asked_over_the_ends_of_epochs() {
        for loss in [LossOn::Last, LossOn::Every] {
            let mut training = Training::start(&case(loss), Options::default());
            for count in [1, 7, 3] {
                let times = training.run(count).unwrap();
                assert_eq!(times.len(), count);
                assert!(times.iter().all(|&time| time > 0.0));
            }
        }
    }

    #[test]
    fn what_stops_the_training_is_said() {
        let mut training = Training::start(&Case { sequences: 0, ..case(LossOn::Last) }, Options::default());
        let error = training.run(1).unwrap_err().to_string();
        assert!(error.contains("training split"), "{error}");
        assert!(training.run(1).is_err());
    }
}
