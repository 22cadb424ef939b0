//! What time is: the wall's, or what the processors of this process have computed.

use std::sync::OnceLock;
use std::time::Instant;

use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// Of the wall
    Wall,
    /// The time of all threads of this process: undisturbed by other processes, but for caches
    Cpu,
}

static CLOCK: OnceLock<(Clock, Instant)> = OnceLock::new();

/// Chooses, once, before anything is timed.
pub fn choose(clock: Clock) {
    CLOCK.get_or_init(|| (clock, Instant::now()));
}

/// A moment, in ms; only differences mean something.
pub fn now() -> f64 {
    let (clock, origin) = CLOCK.get_or_init(|| (Clock::Wall, Instant::now()));
    match clock {
        Clock::Wall => origin.elapsed().as_secs_f64() * 1000.0,
        Clock::Cpu => {
            let time = clock_gettime(ClockId::ProcessCPUTime);
            time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1e6
        }
    }
}

/// Milliseconds since a moment.
pub fn since(moment: f64) -> f64 {
    now() - moment
}
