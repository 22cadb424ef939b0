//! Why does it not learn? The doctor looks at data, trains for a short time under observation, and tries what would mend
//! what it suspects.
//!
//! 1. [`emberloop_findings::data`] says what the data show by themselves.
//! 2. The configuration is trained as it is, on as much data as the time allows (`study`), with every step watched
//!    (`watch`).
//! 3. Keys that are far from what trains well are *suspects* (`suspects`). Each is mended and trained again: a suspect whose
//!    usual value makes the model better is a finding, one that makes no difference is none.
//! 4. What remains is said as symptoms: saturated gates, dead units, an answer that ignores the input (`conclude`).
//!
//! All trainings are judged by one number (`score`). Everything is deterministic.
#![warn(missing_docs)]

mod change;
mod conclude;
mod examine;
mod explain;
#[cfg(test)]
mod fixtures;
mod linear;
mod mend;
mod page;
mod probe;
mod review;
mod score;
mod study;
mod suspects;
mod trial;
mod watch;

pub use change::apply;
pub use examine::{Examination, ExamineError, Options, Tried, data_findings, examine};
pub use mend::{Mended, mend};
pub use probe::{BINS, GateProbe, LayerProbe, Probe};
pub use review::{Review, review};
pub use score::Score;
pub use trial::Trial;
pub use watch::{Step, Update, Watch};
