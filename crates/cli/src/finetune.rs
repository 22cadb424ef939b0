//! `emberloop finetune`: checkpoint and new data → checkpoint.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use emberloop_core::FinetuneOptions;

use crate::model;
use crate::train::{How, train_into_folder};

/// Train on from a model: new data, fewer free layers, new classes.
///
/// Cell, layers and embedding are the parent's. The head is kept where the classes are the same, and new otherwise.
#[derive(Args)]
pub struct Finetune {
    /// The configuration of the new training (TOML); [model] may be left out.
    config: PathBuf,
    /// The checkpoint to start from.
    #[arg(long, value_name = "MODEL.safetensors")]
    from: PathBuf,
    /// Parts that stay as they are: embedding, rnn.l0, rnn.l1, ..., rnn (all layers), head.
    #[arg(long, value_delimiter = ',', value_name = "PART,...")]
    freeze: Vec<String>,
    /// Start with a new head even if the classes are the same.
    #[arg(long)]
    new_head: bool,
    /// Keep the parent's scaler, or fit one on the new training split.
    #[arg(long, value_enum, default_value_t = ScalerChoice::Keep)]
    scaler: ScalerChoice,
    #[command(flatten)]
    how: How,
}

/// Which scaler a fine-tune uses.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScalerChoice {
    /// The parent's.
    Keep,
    /// Fitted on the new training split.
    Refit,
}

impl Finetune {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let parent = model::read_checkpoint(&self.from)?;
        let options = FinetuneOptions {
            freeze: self.freeze.clone(),
            new_head: self.new_head,
            refit_scaler: self.scaler == ScalerChoice::Refit,
        };
        let command = self.command();
        train_into_folder(&command, &self.config, &self.how, json, |config, splits, how, progress| {
            emberloop_core::finetune(config, splits, &parent, &options, how, progress)
        })
    }

    /// What to type to go on.
    fn command(&self) -> String {
        let mut line = format!("finetune --from {}", self.from.display());
        if !self.freeze.is_empty() {
            line += &format!(" --freeze {}", self.freeze.join(","));
        }
        if self.new_head {
            line += " --new-head";
        }
        if self.scaler == ScalerChoice::Refit {
            line += " --scaler refit";
        }
        line
    }
}
