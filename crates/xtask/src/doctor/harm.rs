//! What the faults cost: the skill of healthy and faulty trainings, without a doctor.

use std::collections::BTreeMap;
use std::fmt::Write;

use rayon::prelude::*;

use super::case::Trial;
use super::score::median;
use super::suite::Suite;
use crate::Result;

/// The skills of a trial's two trainings.
pub struct Cost {
    trial: Trial,
    healthy: f64,
    faulty: f64,
}

impl Suite<'_> {
    /// Trains both sides of each trial.
    pub fn harm(&self, trials: &[Trial]) -> Result<Vec<Cost>> {
        let cost = |trial: &Trial| -> std::result::Result<Cost, String> {
            let skill = |healthy| {
                let written = self.write(*trial, healthy)?;
                self.train(*trial, &written, "trained").map(|trained| trained.skill)
            };
            let both = skill(true).and_then(|healthy| Ok((healthy, skill(false)?)));
            let (healthy, faulty) = both.map_err(|error: Box<dyn std::error::Error>| error.to_string())?;
            eprintln!("{}: {healthy:.3} -> {faulty:.3}", trial.name());
            Ok(Cost { trial: *trial, healthy, faulty })
        };
        Ok(trials.par_iter().with_max_len(1).map(cost).collect::<std::result::Result<_, _>>()?)
    }
}

/// Medians over the seeds.
pub fn table(costs: &[Cost]) -> String {
    let mut cells: BTreeMap<(usize, &str), Vec<&Cost>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for cost in costs {
        let name = cost.trial.fault.name;
        let place = order.iter().position(|own| *own == name).unwrap_or_else(|| {
            order.push(name);
            order.len() - 1
        });
        cells.entry((place, cost.trial.set.name())).or_default().push(cost);
    }
    let mut text = String::from("| fault | data set | healthy | faulty |\n|---|---|--:|--:|\n");
    for ((fault, set), costs) in cells {
        let middle =
            |of: fn(&Cost) -> f64| median(&costs.iter().map(|cost| of(cost)).collect::<Vec<_>>()).unwrap_or(f64::NAN);
        let (healthy, faulty) = (middle(|cost| cost.healthy), middle(|cost| cost.faulty));
        let _ = writeln!(text, "| {} | {set} | {healthy:.3} | {faulty:.3} |", order[fault]);
    }
    text
}
