//! `emberloop compare`: float against fixed point, on the same data.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use emberloop_data::metrics::Metrics;
use emberloop_quantize::{CompareOptions, Comparison, QuantizeError};

use crate::compute::Threads;
use crate::model::{self, ImageFile};
use crate::output::{self, bytes, percent};
use crate::source::{self, Reader, Source};

/// Compare a float checkpoint with the image made of it: accuracy of both, share of predictions that differ, error.
#[derive(Args)]
pub struct Compare {
    /// The float checkpoint.
    checkpoint: PathBuf,
    /// The image (.ember, or .q.safetensors).
    image: PathBuf,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    threads: Threads,
    /// Compare even if the image was made of another checkpoint.
    #[arg(long)]
    force: bool,
}

impl Compare {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let checkpoint = model::read_checkpoint(&self.checkpoint)?;
        let file = ImageFile::read(&self.image)?;
        let reader = Reader::of_checkpoint(&checkpoint);
        let dataset = self.source.load(&reader)?;
        if model::refuses_missing(&checkpoint) || file.refuses_missing()? {
            source::refuse_missing(&dataset)?;
        }
        let options = CompareOptions { another_checkpoint: self.force };
        let compare = || emberloop_quantize::compare(&checkpoint, &file.bytes, &dataset, options);
        let comparison = self.threads.run(compare)?.map_err(|error| match error {
            QuantizeError::AnotherCheckpoint { expected, found } => anyhow!(
                "{}: expected an image of {} (hash {expected:.12}), found one of another checkpoint (hash \
                     {found:.12}); quantize this one, or compare them anyway by --force",
                self.image.display(),
                self.checkpoint.display()
            ),
            error => error.into(),
        })?;
        if json { output::print_json(&comparison) } else { output::print(&text(&comparison)) }
    }
}

/// For a person.
pub fn text(comparison: &Comparison) -> String {
    let score = |metrics: &Metrics| match metrics {
        Metrics::Classes(metrics) => format!("accuracy {}", percent(metrics.accuracy)),
        Metrics::Values(metrics) => format!("RMSE {:.5}", metrics.rmse),
    };
    let mut text = format!("{} sequences\n", comparison.sequences);
    text += &format!("  float        {}\n", score(&comparison.float));
    text += &format!("  fixed point  {}\n", score(&comparison.fixed));
    if let Some(disagreement) = comparison.disagreement {
        text += &format!("  disagreement {} of the predictions\n", percent(disagreement));
    }
    text += &format!(
        "  error        {:.4} (RMS difference of the outputs over their standard deviation)\n",
        comparison.logit_error
    );
    text += &format!("  image        {}\n", bytes(comparison.image_bytes));
    text += &format!("  RAM          {}\n", bytes(comparison.ram_bytes));
    if comparison.clipped > 0 {
        text += &format!("  clipped      {} input numbers beyond the scaler's range\n", comparison.clipped);
    }
    if comparison.missing > 0 {
        text += &format!("  missing      {} input numbers filled in by the model's policy\n", comparison.missing);
    }
    text
}
