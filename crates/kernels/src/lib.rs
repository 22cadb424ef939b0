//! Fused float kernels for recurrent layers: whole sequences, forward and backward through time, on the CPU.
//!
//! One call computes one layer in one direction over a padded batch, its input product included. Cells and their equations
//! are those of `emberloop-cells` (CELLS.md). Training in `emberloop-core` is built on [`forward()`] and [`backward()`], evaluation on
//! [`infer`].
//!
//! # Speed
//! The gates of a cell are one product, whose tiles apply the activations while the sums are in registers. Buffers are used again from step
//! to step of training ([`release_buffers`]). Denormal numbers, which vanishing gradients become, are flushed to zero.
//!
//! # Threads
//! Sequences are cut into chunks, and the threads of the rayon pool that the call runs in take them; they do not wait for each other.
//! In a pool of one thread the calling thread does everything itself.
//!
//! # Reproducibility
//! The same numbers give the same bits, with any number of threads and with every [`Isa`]: the chunks depend on the batch alone, their
//! weight gradients are added in one order, and all instruction sets take the same sums in the same order. (Where a CPU
//! cannot flush denormals, or flushes them before rounding instead of after, numbers below 1.2e-38 may differ.)
//!
//! # Accuracy
//! Sigmoid has a relative error of at most 8e-7 down to -28, below which it stays 6.9e-13; tanh has an absolute error of at most
//! 5e-7. A value may exceed 1 by one or two units in the last place. NaN comes through.
//!
//! ```
//! use emberloop_cells::CellKind;
//! use emberloop_kernels::{Layer, Output, Sequences, StateGradients, Wanted, Weights, backward, forward};
//!
//! let layer = Layer { cell: CellKind::GruResetAfter, inputs: 2, hidden: 3 };
//! let weights = Weights {
//!     input: &[0.1; 2 * 9],
//!     recurrent: &[0.1; 3 * 9],
//!     input_bias: &[0.0; 9],
//!     recurrent_bias: &[0.0; 9],
//! };
//! let values = [0.5; 4 * 2 * 2]; // 4 steps of 2 sequences with 2 inputs
//! let lengths = [4, 3];
//! let sequences =
//!     Sequences { steps: 4, batch: 2, values: &values, lengths: Some(&lengths), reverse: false, initial: None };
//! let (states, tape) = forward(layer, &weights, &sequences, Output::Last);
//! assert_eq!(states.last.len(), 2 * 3);
//! // The loss is the sum of the last states.
//! let gradients = StateGradients { hidden: None, last: Some(&[1.0; 2 * 3]) };
//! let gradients = backward(tape, &weights, &gradients, Wanted::default(), None);
//! assert_eq!(gradients.recurrent.len(), 3 * 9);
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs, clippy::undocumented_unsafe_blocks)]
// Tiles are loops over constant ranges of several arrays at once.
#![allow(clippy::needless_range_loop)]

use std::num::NonZeroUsize;

// Unsafe: a call of the C library.
#[allow(unsafe_code)]
mod allocator;
// Unsafe, here and in `forward`: places of an output that no other thread has.
#[allow(unsafe_code)]
mod backward;
mod cells;
mod cross_entropy;
mod dense;
// Unsafe: the register that says what happens to denormals.
#[allow(unsafe_code)]
mod flush;
#[allow(unsafe_code)]
mod forward;
mod isa;
mod layer;
mod math;
mod pack;
// Unsafe: outputs that have all been written.
#[allow(unsafe_code)]
mod pass;
// Unsafe: outputs that several threads fill.
#[allow(unsafe_code)]
mod places;
mod plan;
// Unsafe: advice to the system about memory.
#[allow(unsafe_code)]
mod pool;
mod shape;
// Unsafe: vector instructions.
#[allow(unsafe_code)]
mod simd;
// Unsafe: indices without a check in the innermost loops.
#[allow(unsafe_code)]
mod tile;

pub use allocator::keep_freed_memory;
pub use cross_entropy::cross_entropy;
pub use dense::{Dense, DenseGradients};
pub use isa::{ISA_VARIABLE, Isa, IsaError};
pub use layer::{Gradients, Layer, Output, Sequences, StateGradients, States, Tape, Wanted, Weights};
pub use pool::release_buffers;

/// The states of a layer, and nothing for a backward pass: memory does not grow with the steps.
///
/// # Panics
/// With one line that says what was expected and what was found: if a slice is not as long as its shape says, a size is
/// zero, a length is not 1 to T, or the environment asks for instructions that this CPU lacks ([`Isa::chosen`]).
#[track_caller]
pub fn infer(layer: Layer, weights: &Weights<'_>, sequences: &Sequences<'_>, output: Output) -> States {
    infer_with(chosen(), layer, weights, sequences, output)
}

/// [`infer`] with the given instructions.
///
/// # Panics
/// As [`infer`], or if this CPU lacks them.
#[track_caller]
pub fn infer_with(isa: Isa, layer: Layer, weights: &Weights<'_>, sequences: &Sequences<'_>, output: Output) -> States {
    pass::forward(isa, layer, weights, sequences, output, false).0
}

/// The states of a layer, and what [`backward()`] needs.
///
/// # Panics
/// As [`infer`].
#[track_caller]
pub fn forward(layer: Layer, weights: &Weights<'_>, sequences: &Sequences<'_>, output: Output) -> (States, Tape) {
    forward_with(chosen(), layer, weights, sequences, output)
}

/// [`forward()`] with the given instructions.
///
/// # Panics
/// As [`infer`], or if this CPU lacks them.
#[track_caller]
pub fn forward_with(
    isa: Isa,
    layer: Layer,
    weights: &Weights<'_>,
    sequences: &Sequences<'_>,
    output: Output,
) -> (States, Tape) {
    pass::forward(isa, layer, weights, sequences, output, true)
}

/// The gradients of a loss from its gradients with respect to the states, with the weights of the forward pass.
///
/// `truncate`: truncated back-propagation. The gradient of the carried state does not pass from step k to step k - 1 of a
/// sequence of n steps, counted from 0 in the order of reading, where n - k is a multiple of it.
///
/// # Panics
/// With one line that says what was expected and what was found: if a slice is not as long as its shape says, or the
/// environment asks for instructions that this CPU lacks ([`Isa::chosen`]).
#[track_caller]
pub fn backward(
    tape: Tape,
    weights: &Weights<'_>,
    gradients: &StateGradients<'_>,
    wanted: Wanted,
    truncate: Option<NonZeroUsize>,
) -> Gradients {
    backward_with(chosen(), tape, weights, gradients, wanted, truncate)
}

/// [`backward()`] with the given instructions; a tape may come from others.
///
/// # Panics
/// As [`backward()`], or if this CPU lacks them.
#[track_caller]
pub fn backward_with(
    isa: Isa,
    tape: Tape,
    weights: &Weights<'_>,
    gradients: &StateGradients<'_>,
    wanted: Wanted,
    truncate: Option<NonZeroUsize>,
) -> Gradients {
    pass::backward(isa, tape, weights, gradients, wanted, truncate)
}

#[track_caller]
fn chosen() -> Isa {
    Isa::chosen().unwrap_or_else(|error| panic!("{error}"))
}
