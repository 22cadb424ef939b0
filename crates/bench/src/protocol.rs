//! What `cargo xtask bench-training` and its workers say to each other: one JSON object a line, a question on standard
//! input, its answer on standard output. `pytorch.py` speaks the same.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use emberloop_core::config::CellName;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Result;

/// What a worker is asked for.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Make model and data, and warm up. Answered with the time of one run, in ms, and the contender's `variant`.
    Prepare {
        /// Of what.
        case: Case,
    },
    /// Repeat the prepared case. Answered with the time of each repetition in ms.
    Run {
        /// How often.
        count: usize,
    },
    /// Forget the highest memory use so far.
    ResetMemory,
    /// Answered with the memory in use and its highest since the last [`Request::ResetMemory`], in KiB.
    Memory,
    /// Train from files as a user does.
    EndToEnd {
        /// The configuration; its data are where it says.
        config: PathBuf,
        /// How many.
        epochs: usize,
    },
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// One step of the optimizer: batch, forward, loss, backward, clip, Adam.
    Train,
    /// The outputs of every sequence.
    Infer,
}

/// What the loss looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossOn {
    /// The last step.
    Last,
    /// Every step.
    Every,
}

/// One shape.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is timed.
    pub pass: Pass,
    /// The cell.
    pub cell: CellName,
    /// Of a GRU.
    pub reset_after: bool,
    /// Units of the one layer.
    pub hidden: usize,
    /// Last or every step.
    pub loss: LossOn,
    /// Of every sequence.
    pub steps: usize,
    /// Sequences per step of the optimizer.
    pub batch: usize,
    /// Features.
    pub inputs: usize,
    /// Classes.
    pub classes: usize,
    /// Sequences in all.
    pub sequences: usize,
}

/// The answer to [`Request::Prepare`].
#[derive(Debug, Serialize)]
pub struct Prepared {
    /// Of one repetition, about.
    pub ms: f64,
    /// Which of its ways the contender took.
    pub variant: String,
}

/// A contender.
pub trait Worker {
    /// Makes model and data and warms up.
    fn prepare(&mut self, case: &Case) -> Result<Prepared>;

    /// Milliseconds of each repetition.
    fn run(&mut self, count: usize) -> Result<Vec<f64>>;

    /// Trains from files.
    fn end_to_end(&mut self, config: PathBuf, epochs: usize) -> Result<Value>;
}

/// Answers questions until there are none. What goes wrong is an answer, too: `{"error": ...}`.
pub fn serve(worker: &mut dyn Worker, hello: &Value) -> Result {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{hello}")?;
    output.flush()?;
    for line in std::io::stdin().lock().lines() {
        let answer = serde_json::from_str(&line?).map_err(Into::into).and_then(|request| answer(worker, request));
        let answer = answer.unwrap_or_else(|error| json!({"error": error.to_string()}));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(worker: &mut dyn Worker, request: Request) -> Result<Value> {
    Ok(match request {
        Request::Prepare { case } => serde_json::to_value(worker.prepare(&case)?)?,
        Request::Run { count } => json!({"ms": worker.run(count)?}),
        Request::ResetMemory => {
            crate::memory::reset();
            json!({})
        }
        Request::Memory => json!({"rss_kib": crate::memory::current(), "peak_kib": crate::memory::peak()}),
        Request::EndToEnd { config, epochs } => worker.end_to_end(config, epochs)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counts;

    impl Worker for Counts {
        fn prepare(&mut self, case: &Case) -> Result<Prepared> {
            Ok(Prepared { ms: case.hidden as f64, variant: "none".into() })
        }

        fn run(&mut self, count: usize) -> Result<Vec<f64>> {
            Ok(vec![0.5; count])
        }

        fn end_to_end(&mut self, _config: PathBuf, _epochs: usize) -> Result<Value> {
            Err("there is no such thing".into())
        }
    }

    fn asked(line: &str) -> Result<Value> {
        answer(&mut Counts, serde_json::from_str(line)?)
    }

    #[test]
    fn questions_have_answers() {
        let prepare = r#"{"do":"prepare","case":{"pass":"train","cell":"gru","reset_after":true,"hidden":32,
            "loss":"last","steps":100,"batch":64,"inputs":6,"classes":5,"sequences":1024}}"#;
        assert_eq!(asked(prepare).unwrap(), json!({"ms": 32.0, "variant": "none"}));
        assert_eq!(asked(r#"{"do":"run","count":2}"#).unwrap(), json!({"ms": [0.5, 0.5]}));
        assert!(asked(r#"{"do":"run"}"#).unwrap_err().to_string().contains("count"));
        assert!(asked(r#"{"do":"sleep"}"#).unwrap_err().to_string().contains("sleep"));
    }
}
