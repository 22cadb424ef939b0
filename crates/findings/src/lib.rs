//! What the doctor can say about a training, and what it can say from the data alone.
//!
//! A [`Finding`] names a [`Cause`] by its stable id, with numbers as evidence and the change of the configuration that mends
//! it. [`data::examine`] looks at data before anything is trained; `emberloop-doctor` trains, and looks at that.

mod cause;
pub mod data;
mod finding;

pub use cause::{Cause, Kind};
pub use finding::{Confidence, Finding, Fix, rank};
