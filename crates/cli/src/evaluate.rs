//! `emberloop evaluate`: a model of any kind on labelled data.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use emberloop_core::Device;
use emberloop_data::metrics::{ClassMetrics, Metrics, ValueMetrics};
use emberloop_data::{Dataset, Targets};
use emberloop_image::Image;
use emberloop_quantize::{Evaluation, EvaluationWorker};
use rayon::prelude::*;
use serde::Serialize;

use crate::compute::Threads;
use crate::model::Model;
use crate::output::{self, percent};
use crate::source::{self, Reader, Source};

/// Evaluate a model: accuracy, F1 and confusion matrix, or RMSE, MAE and R².
///
/// A checkpoint computes in float; an image in the board's own integers, on all cores.
#[derive(Args)]
pub struct Evaluate {
    /// The model: .safetensors, .ember or .q.safetensors.
    model: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Where a float checkpoint computes: cpu, cuda, cuda:1, vulkan, ... An image always computes on the CPU.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: Device,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Serialize)]
struct Report<'a> {
    arithmetic: &'static str,
    #[serde(flatten)]
    metrics: &'a Metrics,
    names: &'a [String],
    #[serde(flatten)]
    speed: Speed,
    /// A forecast's yardstick: the last value seen, taken as the forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence: Option<ValueMetrics>,
}

/// How fast the model ran; reading files is no part of it.
#[derive(Serialize)]
struct Speed {
    steps: usize,
    seconds: f64,
    steps_per_second: f64,
}

impl Evaluate {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        emberloop_core::check_device(self.device)?;
        let model = Model::read(&self.model)?;
        let dataset = self.source.load(&Reader::of(&model)?)?;
        if model.refuses_missing()? {
            source::refuse_missing(&dataset)?;
        }
        let start = Instant::now();
        let (arithmetic, metrics) = self.threads.run(|| -> Result<_> {
            Ok(match &model {
                Model::Float(checkpoint) => {
                    ("float", emberloop_core::evaluate(checkpoint, &dataset, self.device)?.metrics)
                }
                Model::Image(file) | Model::Quantized(file, _) => ("fixed point", of_image(&file.parse()?, &dataset)?),
            })
        })??;
        let speed = Speed::new(&dataset, start.elapsed().as_secs_f64());
        let names = match &dataset.targets {
            Targets::Classes { labels } => labels,
            Targets::Values { names } => names,
        };
        let persistence = emberloop_data::baseline::persistence(&dataset)?;
        if json {
            return output::print_json(&Report { arithmetic, metrics: &metrics, names, speed, persistence });
        }
        output::print(&match &metrics {
            Metrics::Classes(metrics) => classes(arithmetic, metrics, names),
            Metrics::Values(metrics) => values(arithmetic, metrics),
        })?;
        output::print(&speed.line())?;
        match &persistence {
            Some(metrics) => output::print(&values("persistence (the last value seen)", metrics)),
            None => Ok(()),
        }
    }
}

impl Speed {
    fn new(dataset: &Dataset, seconds: f64) -> Self {
        let steps = dataset.sequences.iter().map(|sequence| sequence.steps).sum();
        Self { steps, seconds, steps_per_second: steps as f64 / seconds.max(f64::MIN_POSITIVE) }
    }

    fn line(&self) -> String {
        format!("{} steps in {:.3} s: {:.0} steps/s\n", self.steps, self.seconds, self.steps_per_second)
    }
}

/// Sequences that a thread takes at a time.
const CHUNK: usize = 16;

/// Runs the sequences on the threads there are, a network for each. The parts are
/// put together in the order of the data: the metrics do not depend on the number of threads.
fn of_image(image: &Image<'_>, dataset: &Dataset) -> Result<Metrics> {
    let worker = EvaluationWorker::new(image, dataset)?;
    let sequences = dataset.sequences.len();
    let chunks = (0..sequences.div_ceil(CHUNK)).into_par_iter();
    let parts: Vec<_> = chunks
        .map_with(worker, |worker, chunk| worker.run(chunk * CHUNK..sequences.min((chunk + 1) * CHUNK)))
        .collect();
    Ok(Evaluation::of_parts(dataset, parts)?.metrics)
}

fn values(arithmetic: &str, metrics: &ValueMetrics) -> String {
    format!(
        "{arithmetic}, {} values: RMSE {:.5}, MAE {:.5}, R² {:.4}\n",
        metrics.n, metrics.rmse, metrics.mae, metrics.r2
    )
}

/// Totals, F1 per class, and the confusion matrix where it is small enough to be read.
pub fn classes(arithmetic: &str, metrics: &ClassMetrics, names: &[String]) -> String {
    let mut text = format!(
        "{arithmetic}, {} predictions: accuracy {}, balanced {}, macro F1 {:.4}\n",
        metrics.n,
        percent(metrics.accuracy),
        percent(metrics.balanced_accuracy),
        metrics.macro_f1
    );
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    text += &format!("  {:<width$} {:>7} {:>7}", "class", "count", "F1");
    let show_matrix = names.len() <= 20;
    if show_matrix {
        text += "   predicted as";
    }
    text.push('\n');
    for (class, name) in names.iter().enumerate() {
        let row = &metrics.confusion[class];
        text += &format!("  {name:<width$} {:>7} {:>7.4}  ", row.iter().sum::<usize>(), metrics.f1[class]);
        if show_matrix {
            text += &row.iter().map(|count| format!("{count:>6}")).collect::<String>();
        }
        text.push('\n');
    }
    text
}
