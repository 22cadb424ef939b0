//! Conformance: one list of cases, many runners.
//!
//! [`cases`] defines what is run, [`mod@reference`] is the slow second transcription of NUMERICS.md that says what must come
//! out, and the files of `tests/tests/` are the runners (host engine, QEMU boards). `README.md` is the map.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod aligned;
pub mod cases;
pub mod model;
pub mod page;
pub mod random;
pub mod recipe;
pub mod reference;
pub mod runner;
pub mod writer;
