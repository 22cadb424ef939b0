//! A worker of `cargo xtask bench-training`: makes what it is asked for and says how long it took.
//!
//! | module | one sentence |
//! |---|---|
//! | `protocol` | questions and answers, a line each |
//! | `synthetic` | sequences and a configuration for a shape |
//! | `ours` | the trainer and the inference of `emberloop_core` |
//! | `trainer` | `emberloop_core::train`, stopped between two steps while another contender runs |
//! | `end_to_end` | a training from files |
//! | `kernels` | the recurrent layer alone, without a trainer around it |
//! | `burn_own` | the same step with burn's own modules |
//! | `clock` | the time of the wall or of the processors |
//! | `memory` | what the process takes |
//!
//! PyTorch's worker is `pytorch.py` beside this crate's manifest.

mod burn_own;
mod clock;
mod end_to_end;
mod kernels;
mod memory;
mod ours;
mod protocol;
mod synthetic;
mod trainer;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use emberloop_core::Device;
use emberloop_kernels::Isa;
use serde_json::json;

/// The message is one line that names the cause.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(about = "A worker of `cargo xtask bench-training`")]
struct Arguments {
    /// Who
    contender: Contender,
    /// Threads to compute on
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// What to time by
    #[arg(long, value_enum, default_value_t = clock::Clock::Wall)]
    clock: clock::Clock,
    /// Where to compute
    #[arg(long, default_value_t)]
    device: Device,
}

#[derive(Clone, Copy, ValueEnum)]
enum Contender {
    /// `emberloop_core`
    Ours,
    /// `emberloop_kernels`
    Kernels,
    /// `burn::nn`
    Burn,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // As the command line does.
    emberloop_kernels::keep_freed_memory();
    clock::choose(arguments.clock);
    let result = run(&arguments);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result {
    let threads = arguments.threads;
    // Said before anything else asks for them.
    let isa = Isa::chosen()?.name();
    let ours = |what: &str| json!({"name": format!("{what} {}", env!("CARGO_PKG_VERSION")), "isa": isa});
    match arguments.contender {
        Contender::Ours => protocol::serve(&mut ours::Ours::new(threads, arguments.device), &ours("emberloop")),
        Contender::Kernels => protocol::serve(&mut kernels::Kernels::new(threads)?, &ours("emberloop-kernels")),
        Contender::Burn => {
            protocol::serve(&mut burn_own::BurnOwn::default(), &json!({"name": "burn 0.21.0", "isa": null}))
        }
    }
}
