//! Float recurrent models: definition, training, fine-tuning, evaluation.
//!
//! The way of a model through this crate:
//!
//! 1. [`Config::load`] reads and checks one TOML document.
//! 2. [`train`] (or [`finetune`]) fits scaler and network on `emberloop_data::Splits` and yields a checkpoint; it tells a
//!    [`Progress`] what happens, can be cancelled, and goes on bit by bit where it was interrupted.
//! 3. [`evaluate`] and [`forward`] run a checkpoint on data.
//!
//! | module | one sentence |
//! |---|---|
//! | [`backend`] | the one file that names concrete backends |
//! | [`config`] | the TOML document and its checks |
//! | `model` | embedding, stacked layers, pooling, head; initial weights; names in PyTorch's layout |
//! | `recurrence` | a recurrent layer as one operation of the autodiff graph, run by a kernel of the device |
//! | `dense` | the head and its cross-entropy, likewise |
//! | `loss`, `optim`, `clip`, `schedule` | PyTorch's and Keras's definitions, tested against their numbers |
//! | [`metrics`], [`monitor`] | numbers to judge by, and which way is better |
//! | `train` | epochs, gradients of parts of a step on one or several devices, early stopping, resume |
//! | [`parity`] | forward, gradients and optimizer steps by PyTorch name, for tests |
//!
//! Nothing public is generic over a backend: a [`Device`] names one at run time.
#![warn(missing_docs)]

pub mod backend;
pub mod config;
pub mod metrics;
pub mod monitor;

mod clip;
mod dense;
mod evaluate;
mod finetune;
#[cfg(test)]
mod fixtures;
mod loss;
mod memory;
mod model;
mod optim;
#[doc(hidden)]
pub mod parity;
mod progress;
mod recurrence;
mod rng;
mod schedule;
mod train;

pub use backend::{Device, DeviceError, check_device, check_devices};
pub use config::{Config, ConfigError};
pub use emberloop_kernels::keep_freed_memory;
pub use evaluate::{EvaluateError, Evaluation, Prediction, evaluate, forward};
pub use finetune::{FinetuneOptions, finetune, in_terms_of};
pub use metrics::{ClassMetrics, Metrics, ValueMetrics};
pub use progress::{BatchReport, EpochReport, Progress, Silent, Start, Weights};
pub use train::{Ended, Options, Outcome, RESUME_FILE, TrainError, architecture, train};
