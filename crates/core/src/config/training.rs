//! `[training]`: optimizer, loss, clipping, schedule, stopping.

use serde::{Deserialize, Serialize};

use crate::monitor::Monitor;

/// `[training]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Passes over the training split, at most. Default 60.
    pub epochs: usize,
    /// Sequences per step of the optimizer. Default 32.
    pub batch: usize,
    /// Batches whose gradients are added up for one step of the optimizer: a step then sees `accumulate * batch`
    /// sequences, and holds the states and gradients of `batch` of them at a time. Default 1.
    #[serde(skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Truncated back-propagation through time: gradients do not pass the borders of blocks of this many steps, counted
    /// back from each sequence's last step. Default none: they pass whole sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate: Option<usize>,
    /// Default Adam with PyTorch's values.
    pub optimizer: OptimizerConfig,
    /// Default cross-entropy for classes, mean squared error for values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossConfig>,
    /// Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<ClipConfig>,
    /// Default none: the learning rate stays.
    pub schedule: ScheduleConfig,
    /// Default none: all epochs run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStoppingConfig>,
    /// Whose weights the checkpoint gets: the `"best"` epoch's by the metric of `early_stopping` (default; without a
    /// validation split, the training loss), or the `"last"` epoch's.
    pub keep: Keep,
    /// Adds `l1 * sum |w|` over all weight matrices (no biases) to the loss that is minimised. Default 0.
    pub l1: f64,
    /// Adds `l2 * sum w^2` over all weight matrices (no biases), as Keras's regularizer. Default 0.
    pub l2: f64,
    /// Draws batches of sequences of similar length, so that little is computed on padding. Default false: batches are
    /// drawn from all sequences alike.
    pub bucket_by_length: bool,
    /// Of splits, initial weights, order and dropout. Default 1.
    pub seed: u64,
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 60,
            batch: 32,
            accumulate: 1,
            truncate: None,
            optimizer: OptimizerConfig::default(),
            loss: None,
            clip: None,
            schedule: ScheduleConfig::default(),
            early_stopping: None,
            keep: Keep::Best,
            l1: 0.0,
            l2: 0.0,
            bucket_by_length: false,
            seed: 1,
        }
    }
}

/// `optimizer = { kind = "adam", learning_rate = 1e-3 }`; the defaults are PyTorch's, but for SGD's: momentum
/// 0.9 (PyTorch 0), and a rate of 1e-2 where PyTorch once had none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Kingma and Ba 2015.
    Adam {
        /// Default 1e-3.
        #[serde(default = "defaults::milli")]
        learning_rate: f64,
        /// Decay of the first and second moment. Default `[0.9, 0.999]`.
        #[serde(default = "defaults::betas")]
        betas: [f64; 2],
        /// Added to the root of the second moment. Default 1e-8.
        #[serde(default = "defaults::eps")]
        eps: f64,
        /// Adds `weight_decay * w` to the gradient. Default 0.
        #[serde(default)]
        weight_decay: f64,
    },
    /// Loshchilov and Hutter 2019: decay apart from the gradient.
    Adamw {
        /// Default 1e-3.
        #[serde(default = "defaults::milli")]
        learning_rate: f64,
        /// Decay of the first and second moment. Default `[0.9, 0.999]`.
        #[serde(default = "defaults::betas")]
        betas: [f64; 2],
        /// Added to the root of the second moment. Default 1e-8.
        #[serde(default = "defaults::eps")]
        eps: f64,
        /// Shrinks weights by `learning_rate * weight_decay` per step. Default 1e-2.
        #[serde(default = "defaults::centi")]
        weight_decay: f64,
    },
    /// Tieleman and Hinton 2012.
    Rmsprop {
        /// Default 1e-2.
        #[serde(default = "defaults::centi")]
        learning_rate: f64,
        /// Decay of the mean square. Default 0.99.
        #[serde(default = "defaults::alpha")]
        alpha: f64,
        /// Added to the root of the mean square. Default 1e-8.
        #[serde(default = "defaults::eps")]
        eps: f64,
        /// Default 0.
        #[serde(default)]
        momentum: f64,
        /// Adds `weight_decay * w` to the gradient. Default 0.
        #[serde(default)]
        weight_decay: f64,
    },
    /// Stochastic gradient descent.
    Sgd {
        /// Default 1e-2 (PyTorch asks for one, Keras has this).
        #[serde(default = "defaults::centi")]
        learning_rate: f64,
        /// Default 0.9 (PyTorch and Keras: 0, which recurrent networks seldom want).
        #[serde(default = "defaults::momentum")]
        momentum: f64,
        /// Default false.
        #[serde(default)]
        nesterov: bool,
        /// Adds `weight_decay * w` to the gradient. Default 0.
        #[serde(default)]
        weight_decay: f64,
    },
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig::Adam {
            learning_rate: defaults::milli(),
            betas: defaults::betas(),
            eps: defaults::eps(),
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig {
    /// The rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            OptimizerConfig::Adam { learning_rate, .. }
            | OptimizerConfig::Adamw { learning_rate, .. }
            | OptimizerConfig::Rmsprop { learning_rate, .. }
            | OptimizerConfig::Sgd { learning_rate, .. } => *learning_rate,
        }
    }
}

/// `loss = { kind = "cross_entropy", label_smoothing = 0.1 }`; definitions as PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LossConfig {
    /// For classes.
    CrossEntropy {
        /// `"balanced"`, or one weight per class in the order of the labels. Default none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class_weights: Option<ClassWeights>,
        /// Share of the target spread evenly over all classes. Default 0.
        #[serde(default)]
        label_smoothing: f64,
    },
    /// Mean squared error.
    Mse {},
    /// Mean absolute error.
    Mae {},
    /// Squared near 0, absolute beyond `delta`.
    Huber {
        /// In scaled units. Default 1.
        #[serde(default = "defaults::delta")]
        delta: f64,
    },
}

/// Weights of the classes in the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected class_weights to be \"balanced\" or a list with one weight per class")]
pub enum ClassWeights {
    /// `"balanced"`: inverse to the frequency in the training split, `n / (classes * count)` as scikit-learn's.
    Named(Balanced),
    /// One per class.
    List(Vec<f64>),
}

/// The one name a rule for class weights has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balanced {
    /// Inverse to the frequency.
    Balanced,
}

/// `clip = { norm = 1.0 }` or `clip = { value = 0.5 }`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipConfig {
    /// Scales all gradients together down to this norm, as PyTorch's `clip_grad_norm_`.
    Norm(f64),
    /// Cuts every element to at most this size.
    Value(f64),
}

/// `schedule = { kind = "plateau", patience = 5 }`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// Reduces the rate when a metric stops getting better: Keras's `ReduceLROnPlateau`.
    Plateau {
        /// Default `val_loss`, or `loss` without a validation split.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        monitor: Option<Monitor>,
        /// Default 0.1.
        #[serde(default = "defaults::factor")]
        factor: f64,
        /// Epochs without improvement before a reduction. Default 10.
        #[serde(default = "defaults::patience")]
        patience: usize,
        /// What counts as an improvement. Default 1e-4.
        #[serde(default = "defaults::min_delta")]
        min_delta: f64,
        /// Epochs after a reduction in which nothing is counted. Default 0.
        #[serde(default)]
        cooldown: usize,
        /// Default 0.
        #[serde(default)]
        min_learning_rate: f64,
        /// Epochs over which the rate rises linearly from 0, batch by batch. Default 0.
        #[serde(default)]
        warmup_epochs: usize,
    },
    /// Multiplies the rate by `factor` every `every` epochs.
    Step {
        /// Default 0.1.
        #[serde(default = "defaults::factor")]
        factor: f64,
        /// Epochs. Default 10.
        #[serde(default = "defaults::patience")]
        every: usize,
        /// Default 0.
        #[serde(default)]
        min_learning_rate: f64,
        /// Epochs over which the rate rises linearly from 0, batch by batch. Default 0.
        #[serde(default)]
        warmup_epochs: usize,
    },
    /// Falls along half a cosine to `min_learning_rate` in the last epoch.
    Cosine {
        /// Default 0.
        #[serde(default)]
        min_learning_rate: f64,
        /// Epochs over which the rate rises linearly from 0, batch by batch. Default 0.
        #[serde(default)]
        warmup_epochs: usize,
    },
    /// Stays.
    None {
        /// Epochs over which the rate rises linearly from 0, batch by batch. Default 0.
        #[serde(default)]
        warmup_epochs: usize,
    },
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig::None { warmup_epochs: 0 }
    }
}

/// `early_stopping = { patience = 10 }`: Keras's `EarlyStopping` with `restore_best_weights`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// Default `val_loss`, or `loss` without a validation split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
    /// Epochs without improvement before training ends. Default 10.
    pub patience: usize,
    /// What counts as an improvement. Default 0.
    pub min_delta: f64,
}

impl Default for EarlyStoppingConfig {
    fn default() -> Self {
        Self { monitor: None, patience: 10, min_delta: 0.0 }
    }
}

/// `keep = "best"` or `"last"`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The best epoch's weights.
    #[default]
    Best,
    /// The last epoch's weights.
    Last,
}

mod defaults {
    pub fn milli() -> f64 {
        1e-3
    }
    pub fn centi() -> f64 {
        1e-2
    }
    pub fn betas() -> [f64; 2] {
        [0.9, 0.999]
    }
    pub fn eps() -> f64 {
        1e-8
    }
    pub fn alpha() -> f64 {
        0.99
    }
    pub fn momentum() -> f64 {
        0.9
    }
    pub fn delta() -> f64 {
        1.0
    }
    pub fn factor() -> f64 {
        0.1
    }
    pub fn patience() -> usize {
        10
    }
    pub fn min_delta() -> f64 {
        1e-4
    }
}
