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
//! Inputs in NPZ and `.npy` files that are larger than memory stay there ([`DataConfig::memory`]): a [`Sequence`] knows where
//! its [`Values`] are, every look at all of them is a pass over the file ([`Dataset::each`]), and [`Prepared`] reads and scales
//! blocks of neighbours when a batch wants them ([`Locality`]). What stays in memory is what is said of each sequence: its
//! name, length, target and group, about 200 bytes, and targets per step.
//!
//! Every error is one line that names the file, the place in it, what was expected and what was found ([`DataError`]).
//!
//! ```
//! use emberloop_data::{DataConfig, MissingPolicy, Prepared, Scaler, ScalerKind, batches, load};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let csv = "sequence,step,acc_x,acc_y,label\n\
//!            a,0,0.1,9.7,still\n\
//!            a,1,0.2,9.8,still\n\
//!            b,0,4.1,2.7,walk\n";
//! std::fs::write(folder.path().join("train.csv"), csv)?;
//!
//! let config = DataConfig {
//!     sequence: Some("sequence".into()),
//!     step: Some("step".into()),
//!     validation_fraction: 0.0,
//!     ..DataConfig::new("train.csv")
//! };
//! let splits = load(&config, folder.path(), 1)?;
//! let scaler = Scaler::fit(&splits.train, ScalerKind::Standard, MissingPolicy::Error)?;
//! let prepared = Prepared::new(&splits.train, &scaler, None)?;
//! let batch = batches(&prepared, &[0, 1], 32).next().expect("two sequences make a batch")?;
//! assert_eq!((batch.batch, batch.steps, batch.channels), (2, 2, 2));
//! assert_eq!(batch.lengths, [2, 1]);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod baseline;
mod batch;
mod beyond;
mod check;
mod config;
mod content;
mod dataset;
mod divide;
mod error;
mod files;
mod load;
pub mod metrics;
mod names;
mod overlap;
mod prepared;
mod random;
mod resolve;
mod scaler;
mod selection;
mod separate;
mod split;
mod statistics;
mod stream;
mod values;

pub use batch::{Batch, BatchTargets, Batches, batches};
pub use beyond::{BeyondLengths, beyond_lengths};
pub use config::{DataConfig, Memory, Overlap, Padding, ScalerConfig, TargetColumns, Task, WindowConfig};
pub use dataset::{Dataset, Inputs, Schema, Sequence, SequenceTarget, Splits, TargetPer, Targets, UNKNOWN_TOKEN};
pub use error::DataError;
pub use load::{load, load_inputs, load_one};
pub use overlap::{SharedContent, shared_content};
pub use prepared::Prepared;
pub use scaler::{FeatureScale, Filler, MissingPolicy, Scaler, ScalerKind, TargetScaler};
pub use stream::Locality;
pub use values::Values;
