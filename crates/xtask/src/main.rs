//! Developer commands: `cargo xtask ...`. CI calls the same ones.

mod accuracy;
mod bench;
mod check;
mod doctor;
mod fuzz;
mod miri;
mod process;
mod setup;
mod summary;
mod test;
mod training;
mod vulkan;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a command returns; the message is one line that names the cause.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Developer commands of Emberloop")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the firmware needs: compilers for the boards' targets, and QEMU
    Setup(setup::Options),
    /// Set up what is missing and run every test, host and firmware
    Test(test::Options),
    /// Everything CI runs: format, clippy, docs, no_std builds, the GPU features, licences, the engine's figures, tests
    Check(check::Options),
    /// Measure the engine on every QEMU board: instructions by stage, flash, RAM, stack
    BenchEngine(bench::Options),
    /// Run the fuzz targets of tests/fuzz for a while, on their corpus
    Fuzz(fuzz::Options),
    /// Run the image parser and the engine in Miri, where it can be had
    Miri(miri::Options),
    /// Test the GPU kernels on a Vulkan device: a GPU, or Mesa's device of the CPU
    Vulkan(vulkan::Options),
    /// Train the worked examples and print float and fixed-point accuracy side by side
    BenchAccuracy(accuracy::Options),
    /// Measure training against PyTorch and burn's own modules: steps, inference, memory, epochs
    BenchTraining(training::Options),
    /// Put faults into healthy trainings and count which of them the doctor finds and mends
    BenchDoctor(doctor::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup(options) => setup::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Check(options) => check::run(&options),
        Command::BenchEngine(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Miri(options) => miri::run(&options),
        Command::Vulkan(options) => vulkan::run(&options),
        Command::BenchAccuracy(options) => accuracy::run(&options),
        Command::BenchTraining(options) => training::run(&options),
        Command::BenchDoctor(options) => doctor::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `test` has its last line for itself; what failed is above it.
            let message = error.to_string();
            if !message.is_empty() {
                eprintln!("error: {message}");
            }
            ExitCode::FAILURE
        }
    }
}
