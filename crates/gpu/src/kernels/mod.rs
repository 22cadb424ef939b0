//! The kernels themselves. They know nothing of plans or handles' owners; [`crate::launch`] and
//! [`crate::pass`] launch them.

#![allow(
    clippy::collapsible_if,
    clippy::manual_is_multiple_of,
    reason = "the macro splits what is known when a kernel is compiled from what is not, and knows only operators"
)]

pub(crate) mod backward;
pub(crate) mod forward;
pub(crate) mod matrix;
pub(crate) mod product;
pub(crate) mod state;
