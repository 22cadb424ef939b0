//! The float checkpoint: what training hands to the quantizer, and the only thing the two share.
//!
//! A checkpoint is one safetensors file. Its tensors carry PyTorch's names and layout, so that
//! `torch.nn.LSTM.load_state_dict` takes them; its `__metadata__` carries everything else that is needed to use, judge
//! and repeat the model: architecture, labels, scaler, the whole training configuration, metrics, provenance.
//!
//! Three promises, each tested:
//! - **The same content gives the same bytes**, so that a hash names a model.
//! - **A file reads back as it was written, or not at all**: a SHA-256 over the whole file finds any damaged bit.
//! - **A failed write changes nothing**: [`write_atomically`] leaves the old file, or the new one, never a part.
//!
//! | module | one sentence |
//! |---|---|
//! | [`architecture`] | the shape of a model, and from it the name and shape of every tensor |
//! | [`metadata`] | what a checkpoint says about itself |
//! | [`checkpoint`] | the whole: tensors and metadata, read, checked, written |
//! | [`container`] | safetensors bytes in a fixed order, with their hash; for other safetensors files too |
//! | [`atomic`] | write a file completely or not at all |
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod architecture;
pub mod atomic;
pub mod checkpoint;
pub mod container;
mod error;
pub mod metadata;

pub use architecture::{Architecture, EmbeddingShape, Pooling, TensorShape};
pub use atomic::{StagedFile, write_atomically, write_atomically_with};
pub use checkpoint::{Checkpoint, Tensor};
pub use container::{Container, ContainerError, RawTensor};
pub use emberloop_data::Task;
pub use error::{CheckpointError, Flaw};
pub use metadata::{FORMAT, Metadata, Provenance};
