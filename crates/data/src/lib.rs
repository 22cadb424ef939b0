//! Files to sequences, split, and a scaler fitted on the training split alone.
//!
//! The stages, in the order in which data meets them:
//!
//! 1. [`DataConfig`] names files, columns or arrays (`[data]` of a configuration).
//! 2. [`load`] reads them into [`Dataset`]s of [`Sequence`]s and divides them into [`Splits`]; [`load_one`] reads another
//!    file in the terms ([`Schema`]) of a model that already exists.
//! 3. [`Scaler::fit`] looks at the training split alone and never at another one.
//! 4. [`Prepared`] scales a whole dataset once, and [`batches`] cuts padded [`Batch`]es out of it.
//!
//! Every error is one line that names the file, the place in it, what was expected and what was found ([`DataError`]).
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod batch;
mod check;
mod config;
mod dataset;
mod divide;
mod error;
mod files;
mod load;
pub mod metrics;
mod names;
mod random;
mod resolve;
mod scaler;
mod split;
mod statistics;

pub use batch::{Batch, BatchTargets, Batches, Prepared, batches};
pub use config::{DataConfig, ScalerConfig, TargetColumns, Task, WindowConfig};
pub use dataset::{Dataset, Inputs, Schema, Sequence, SequenceTarget, Splits, TargetPer, Targets, UNKNOWN_TOKEN};
pub use error::DataError;
pub use load::{load, load_inputs, load_one};
pub use scaler::{FeatureScale, Filler, MissingPolicy, Scaler, ScalerKind, TargetScaler};
