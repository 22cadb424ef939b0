//! Boards on the host side: which there are, how their firmware is built, how it runs, what it logged.
//!
//! ```no_run
//! use emberloop_boards::{BuildOptions, EmbeddedModel, Firmware, RunOptions};
//!
//! let firmware = Firmware::locate()?;
//! let board = firmware.board("qemu-m4")?;
//! let models = firmware.stage(&[EmbeddedModel::read("model.ember".as_ref())?])?;
//! let binary = firmware.build(&board, &BuildOptions { models: Some(models), measure: false })?;
//! let run = firmware.run(&binary, &RunOptions::default())?.checked()?;
//! for output in &run.outputs {
//!     println!("{} {} {:?}", output.sequence, output.step, output.values);
//! }
//! # Ok::<(), emberloop_boards::BoardError>(())
//! ```
//!
//! A board is a folder `firmware/boards/NAME` with a `board.toml`; nothing else names it.

mod board;
mod build;
mod child;
mod elf;
mod error;
mod log;
mod run;
mod toolchain;

pub use board::{Board, Emulator, Firmware, Memory, Probe, Region, Runner};
pub use build::{Binary, BuildOptions, EmbeddedModel};
pub use child::Finished;
pub use elf::{Footprint, footprint, panic_paths};
pub use error::BoardError;
pub use log::{Measurement, ModelFacts, Output, Summary};
pub use run::{Run, RunOptions, run_bare};
pub use toolchain::{CACHE_VARIABLE, TOOLCHAIN_VARIABLE, Toolchain, cache_folder};
