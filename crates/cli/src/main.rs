//! Small recurrent networks from a CSV to a microcontroller.
//!
//! One file per subcommand; each reads as the pipeline it is.

mod certificate;
mod compare;
mod compute;
mod display;
mod doctor;
mod document;
mod evaluate;
mod finetune;
mod flash;
mod inspect;
mod interrupt;
mod lock;
mod model;
mod output;
mod page;
mod quantize;
mod run;
mod run_folder;
mod samples;
mod source;
mod sweep;
mod train;
mod worked_example;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Small recurrent networks: trained on a workstation, running in integers on microcontrollers.
///
/// Without a subcommand: the worked example, from data to a device image (models/japanese-vowels).
#[derive(Parser)]
#[command(name = "emberloop", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON object on stdout; progress and messages stay on stderr.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Train),
    Doctor(doctor::Doctor),
    Sweep(sweep::Sweep),
    Finetune(finetune::Finetune),
    Quantize(quantize::Quantize),
    Compare(compare::Compare),
    Evaluate(evaluate::Evaluate),
    Run(run::Run),
    Inspect(inspect::Inspect),
    Flash(flash::Flash),
}

fn main() -> ExitCode {
    emberloop_core::keep_freed_memory();
    let cli = Cli::parse();
    let json = cli.json;
    let result = match cli.command {
        None => worked_example::run(json),
        Some(Command::Train(command)) => command.run(json),
        Some(Command::Doctor(command)) => command.run(json),
        Some(Command::Sweep(command)) => command.run(json),
        Some(Command::Finetune(command)) => command.run(json),
        Some(Command::Quantize(command)) => command.run(json),
        Some(Command::Compare(command)) => command.run(json),
        Some(Command::Evaluate(command)) => command.run(json),
        Some(Command::Run(command)) => command.run(json),
        Some(Command::Inspect(command)) => command.run(json),
        Some(Command::Flash(command)) => command.run(json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has closed it (`emberloop run ... | head`): nothing is wrong.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::message(&format!("error: {}", output::one_line(&error)));
            if interrupt::happened() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}
