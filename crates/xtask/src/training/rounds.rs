//! The contenders in turn, in short rounds, so that whatever else the machine does hits all of them alike.

use std::thread::sleep;
use std::time::Duration;

use crate::Result;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub rounds: usize,
    /// Milliseconds that a contender computes before the next one has its turn, about.
    pub turn: f64,
}

/// A contender in a case.
pub struct Contender<'a> {
    /// Milliseconds of so many repetitions.
    pub run: Box<dyn FnMut(usize) -> Result<Vec<f64>> + 'a>,
    /// Of one repetition, about, in ms.
    pub estimate: f64,
    /// Takes part in every so many rounds: slow ones need not be known so well.
    pub every: usize,
}

/// What one contender took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Median over the rounds of the rounds' medians, ms.
    pub median: f64,
    /// The fastest of all, ms.
    pub least: f64,
    /// Mean of the rounds' means, by median: what an epoch shows, the seldom slow ones included, ms.
    pub mean: f64,
    /// Number of repetitions.
    pub count: usize,
}

impl Timing {
    /// Of the times of each round; `None` without any.
    pub fn new(rounds: &[Vec<f64>]) -> Option<Self> {
        let rounds: Vec<&Vec<f64>> = rounds.iter().filter(|round| !round.is_empty()).collect();
        let medians = rounds.iter().filter_map(|round| median(round)).collect::<Vec<_>>();
        let means: Vec<f64> = rounds.iter().map(|round| round.iter().sum::<f64>() / round.len() as f64).collect();
        Some(Self {
            median: median(&medians)?,
            least: rounds.iter().copied().flatten().copied().fold(f64::INFINITY, f64::min),
            mean: median(&means)?,
            count: rounds.iter().map(|round| round.len()).sum(),
        })
    }
}

/// The middle one, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Runs the contenders in turn; who begins changes from round to round.
pub fn alternate(contenders: &mut [Contender<'_>], pace: Pace) -> Result<Vec<Timing>> {
    let mut times = vec![Vec::new(); contenders.len()];
    for round in 0..pace.rounds {
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            let contender = &mut contenders[index];
            if round.is_multiple_of(contender.every) {
                // The other's threads spin for a moment after their last loop.
                sleep(BETWEEN);
                times[index].push((contender.run)(repetitions(contender.estimate, pace.turn))?);
            }
        }
    }
    times.iter().map(|rounds| Timing::new(rounds).ok_or_else(|| "nothing was measured".into())).collect()
}

const BETWEEN: Duration = Duration::from_millis(10);

/// As many as fit into a turn: at least one, and no more than say something new.
fn repetitions(estimate: f64, turn: f64) -> usize {
    (turn / estimate.max(1e-3)).round().clamp(1.0, 100.0) as usize
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_round_that_was_disturbed_does_not_count() {
        let timing = Timing::new(&[vec![1.0, 2.0, 9.0], vec![80.0, 90.0], vec![], vec![2.0, 3.0]]).unwrap();
        assert_eq!(timing, Timing { median: 2.5, least: 1.0, mean: 4.0, count: 7 });
        assert_eq!(Timing::new(&[vec![]]), None);
    }

    #[test]
    fn everyone_has_turns_of_equal_length_and_begins_in_turn() {
        let log = RefCell::new(String::new());
        let contender = |name: char, estimate: f64, every: usize| Contender {
            run: Box::new({
                let log = &log;
                move |count| {
                    *log.borrow_mut() += &format!("{name}{count} ");
                    Ok(vec![estimate; count])
                }
            }),
            estimate,
            every,
        };
        let mut contenders = [contender('a', 2.0, 1), contender('b', 5.0, 1), contender('c', 50.0, 2)];
        let timings = alternate(&mut contenders, Pace { rounds: 3, turn: 10.0 }).unwrap();
        assert_eq!(timings.iter().map(|timing| timing.median).collect::<Vec<_>>(), [2.0, 5.0, 50.0]);
        assert_eq!(timings[2].count, 2);
        drop(contenders);
        assert_eq!(log.into_inner(), "a5 b2 c1 b2 a5 c1 a5 b2 ");
    }

    #[test]
    fn an_error_ends_it() {
        let mut failing = [Contender { run: Box::new(|_| Err("it broke".into())), estimate: 1.0, every: 1 }];
        let error = alternate(&mut failing, Pace { rounds: 1, turn: 1.0 }).unwrap_err();
        assert_eq!(error.to_string(), "it broke");
    }
}
