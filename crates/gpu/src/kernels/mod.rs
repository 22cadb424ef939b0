//! The kernels themselves. They know nothing of plans or handles' owners; [`crate::forward`] and [`crate::backward`]
//! launch them.

pub(crate) mod backward;
pub(crate) mod forward;
pub(crate) mod matrix;
pub(crate) mod product;
pub(crate) mod state;
