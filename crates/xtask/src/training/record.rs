//! The figures as JSON lines.

use serde_json::{Value, json};

use super::plan::{BATCH, INPUTS, Measurement, name};
use super::{Findings, Memory, Timed, Trained, Used};

/// One object for each row, those of the training steps first.
pub fn records(found: &Findings) -> Vec<Value> {
    let timed = found.timed.iter().map(timed);
    timed.chain(found.used.iter().map(used)).chain(found.trained.iter().map(trained)).collect()
}

fn timed(row: &Timed) -> Value {
    let case = &row.case;
    let mut record = json!({
        "cell": name(case.cell),
        "hidden": case.hidden,
        "threads": case.threads,
        "loss": name(case.loss),
        "ours_ms": rounded(row.ours.median),
        "pytorch_ms": row.pytorch.map(|pytorch| rounded(pytorch.median)),
        "ratio": row.ratio().map(rounded),
        "measurement": name(row.pass),
        "isa": name(case.isa),
        "steps": case.steps,
        "inputs": INPUTS,
        "kernels_ms": row.kernels.map(|kernels| rounded(kernels.median)),
        "ratio_of_least": row.pytorch.map(|pytorch| rounded(row.ours.least / pytorch.least)),
        "ours_least_ms": rounded(row.ours.least),
        "ours_mean_ms": rounded(row.ours.mean),
        "pytorch_least_ms": row.pytorch.map(|pytorch| rounded(pytorch.least)),
        "pytorch_variant": row.pytorch.map(|_| row.variant.as_str()),
    });
    match row.pass {
        Measurement::Step => {
            record["batch"] = BATCH.into();
            record["burn_ms"] = json!(row.burn.map(|burn| rounded(burn.median)));
        }
        _ => {
            record["loss"] = Value::Null;
            record["sequences"] = case.sequences().into();
        }
    }
    record
}

fn used(row: &Used) -> Value {
    let mib = |kib: u64| rounded(kib as f64 / 1024.0);
    let (Memory { added, whole }, peer) = (row.ours, row.pytorch);
    json!({
        "cell": name(row.case.cell),
        "hidden": row.case.hidden,
        "threads": row.case.threads,
        "loss": name(row.case.loss),
        "ours_mib": mib(added),
        "pytorch_mib": mib(peer.added),
        "ratio": rounded(row.ratio()),
        "measurement": name(Measurement::Memory),
        "isa": name(row.case.isa),
        "steps": row.case.steps,
        "batch": BATCH,
        "inputs": INPUTS,
        "ours_process_mib": mib(whole),
        "pytorch_process_mib": mib(peer.whole),
    })
}

fn trained(row: &Trained) -> Value {
    let [ours, pytorch] = [Trained::epoch(&row.ours), Trained::epoch(&row.pytorch)];
    json!({
        "cell": "gru",
        "hidden": 32,
        "threads": row.threads,
        "loss": "last",
        "ours_ms": ours.map(rounded),
        "pytorch_ms": pytorch.map(rounded),
        "ratio": row.ratio().map(rounded),
        "measurement": name(Measurement::EndToEnd),
        "isa": name(row.isa),
        "data": "ecg-beats",
        "ours_epochs_per_second": ours.map(|epoch| rounded(1000.0 / epoch)),
        "pytorch_epochs_per_second": pytorch.map(|epoch| rounded(1000.0 / epoch)),
        "ours_sequences_per_second": ours.and_then(|epoch| Some((1000.0 * row.ours["sequences"].as_f64()? / epoch).round())),
        "lost": row.lost().map(rounded),
        "ours": row.ours,
        "pytorch": row.pytorch,
    })
}

/// Four digits are more than a measurement is worth.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

impl Timed {
    /// Of our time to PyTorch's.
    pub fn ratio(&self) -> Option<f64> {
        self.pytorch.map(|pytorch| self.ours.median / pytorch.median)
    }
}

impl Timed {
    /// The share of our time that is not in the kernels.
    pub fn lost(&self) -> Option<f64> {
        self.kernels.map(|kernels| 1.0 - kernels.median / self.ours.median)
    }
}

impl Used {
    /// Of our memory to PyTorch's.
    pub fn ratio(&self) -> f64 {
        self.ours.added as f64 / self.pytorch.added.max(1) as f64
    }
}

impl Trained {
    /// Milliseconds of an epoch: the faster one, as the first also warms up.
    pub fn epoch(side: &Value) -> Option<f64> {
        let epochs = side["epoch_ms"].as_array()?;
        epochs.iter().filter_map(Value::as_f64).min_by(f64::total_cmp)
    }

    /// Of our time to PyTorch's.
    pub fn ratio(&self) -> Option<f64> {
        Some(Self::epoch(&self.ours)? / Self::epoch(&self.pytorch)?)
    }

    /// The share of our epoch that is not in the kernels.
    pub fn lost(&self) -> Option<f64> {
        Some(1.0 - self.ours["kernels_ms"].as_f64()? / Self::epoch(&self.ours)?)
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::plan::{Case, Cell, Isa, Loss};
    use super::super::rounds::Timing;
    use super::*;

    pub fn row(case: Case, ours: f64, pytorch: Option<f64>) -> Timed {
        let timing = |median| Timing { median, least: 0.9 * median, mean: 1.1 * median, count: 9 };
        let variant = "oneDNN on".into();
        let pass = Measurement::Step;
        Timed {
            pass,
            case,
            ours: timing(ours),
            pytorch: pytorch.map(timing),
            variant,
            burn: Some(timing(70.0)),
            kernels: Some(timing(ours / 1.25)),
        }
    }

    pub fn case() -> Case {
        Case { cell: Cell::Lstm, hidden: 32, threads: 1, isa: Isa::Avx512, loss: Loss::Last, steps: 100 }
    }

    #[test]
    fn a_step_has_the_keys_that_were_asked_for() {
        let record = timed(&row(case(), 2.00006, Some(8.0)));
        let text = record.to_string();
        let begin =
            r#"{"cell":"lstm","hidden":32,"threads":1,"loss":"last","ours_ms":2.0,"pytorch_ms":8.0,"ratio":0.25,"#;
        assert!(text.starts_with(begin), "{text}");
        assert!(!text.contains('\n'));
        assert_eq!((&record["isa"], &record["burn_ms"]), (&json!("avx512"), &json!(70.0)));
    }

    #[test]
    fn without_a_peer_there_is_no_ratio() {
        let record = timed(&row(Case { cell: Cell::GruResetBefore, ..case() }, 2.0, None));
        assert_eq!((&record["cell"], &record["ratio"]), (&json!("gru-reset-before"), &Value::Null));
        assert_eq!((&record["pytorch_ms"], &record["pytorch_variant"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn an_epoch_is_the_faster_one_and_what_is_lost_is_the_rest() {
        let row = Trained {
            threads: 1,
            isa: Isa::Avx512,
            ours: json!({"epoch_ms": [2500.0, 2000.0], "kernels_ms": 1900.0, "sequences": 30000}),
            pytorch: json!({"epoch_ms": [4000.0, 5000.0]}),
        };
        let record = trained(&row);
        assert_eq!((&record["ratio"], &record["ours_epochs_per_second"]), (&json!(0.5), &json!(0.5)));
        assert_eq!((&record["ours_sequences_per_second"], &record["lost"]), (&json!(15000.0), &json!(0.05)));
        let without = Trained { ours: json!({"epoch_ms": [1.0]}), pytorch: Value::Null, ..row };
        assert_eq!((without.lost(), without.ratio()), (None, None));
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!([1234.56, 0.123456, 9.99999, 0.0, 70.0].map(rounded), [1235.0, 0.1235, 10.0, 0.0, 70.0]);
    }
}
