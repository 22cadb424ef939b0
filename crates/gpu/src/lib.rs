//! Recurrent layers on GPUs: a whole layer over a whole batch in a handful of launches, forward and backward.
//!
//! The equations stand in `CELLS.md` of `emberloop-cells`. Kernels are written once, in cubecl, and run wherever cubecl
//! does: on NVIDIA GPUs (feature `cuda`) and on everything with a Vulkan driver (feature `vulkan`), the CPU device of Mesa
//! among them, on which they are tested. Both passes are deterministic: equal bit by bit from run to run on one device.
//!
//! | step | launches |
//! |---|---|
//! | input product of all steps, with biases | 1 |
//! | recurrent weights in the order of the threads | 1 (GRU reset-before 2) |
//! | time loop, all steps, everything fused | 1 |
//! | gradients: the same two | 2 (3) |
//! | gradients of weights and biases, sums over all steps split over the GPU | 4 (GRUs 6) |
//! | gradient of the values, if wanted | 1 |
//!
//! T steps, B sequences, I inputs, H units, G gates, S states (1; LSTM 2). All buffers are f32, row-major, contiguous.

mod kernels;
mod launch;
mod layer;
mod pass;
mod plan;
#[cfg(feature = "vulkan")]
pub mod vulkan;

pub use cubecl::server::Handle;
pub use layer::{Gradients, Layer, Output, Sequences, StateGradients, States, Tape, Wanted, Weights};
pub use pass::{backward, dense_backward, forward, infer};
pub use plan::Tuning;
