//! The application that every board runs: check the image in flash, prove by its golden vectors that this machine
//! computes what the host computed, run the embedded test sequences, and log every output.
//!
//! The lines it logs are read by `crates/boards` (see `firmware/README.md`); the status it ends with is 0 or that of
//! its [`Failure`].
#![no_std]
#![cfg(target_os = "none")]

mod failure;
#[cfg(feature = "measure")]
mod measure;
mod models;

#[cfg(not(feature = "measure"))]
use emberloop_engine::Output;
use emberloop_engine::{Network, StepError, self_test};
use emberloop_image::{Image, Sequences};
use static_cell::StaticCell;

pub use failure::Failure;
pub use models::{MODELS, Model, WORDS};

/// Runs every embedded model and ends the program: through semihosting, which QEMU and probe-rs turn into an exit
/// status.
pub fn main() -> ! {
    // One memory for every model, placed by the linker: a model that does not fit is found before it is flashed.
    static MEMORY: StaticCell<[i32; WORDS]> = StaticCell::new();
    // Or the compiler, which sees the images, would shape the engine to them.
    let models = core::hint::black_box(MODELS);
    let status = match run_models(models, MEMORY.init([0; WORDS])) {
        Ok(counts) => {
            defmt::info!(
                "done models={=usize} sequences={=usize} steps={=usize}",
                counts.models,
                counts.sequences,
                counts.steps
            );
            0
        }
        Err(failure) => {
            defmt::error!("{}", failure);
            failure.status()
        }
    };
    semihosting::process::exit(status)
}

/// What has been run.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// Models that passed their self-test.
    pub models: usize,
    /// Sequences.
    pub sequences: usize,
    /// Steps.
    pub steps: usize,
}

/// Runs the models one after the other in the same memory.
///
/// # Errors
/// The first [`Failure`]; nothing after it is run.
pub fn run_models(models: &[Model], memory: &mut [i32]) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    for (index, model) in models.iter().enumerate() {
        run_model(index, model, memory, &mut counts)?;
        counts.models += 1;
    }
    Ok(counts)
}

/// The three calls of any firmware: parse, prove, step.
#[cfg(not(feature = "measure"))]
fn run_model(index: usize, model: &Model, memory: &mut [i32], counts: &mut Counts) -> Result<(), Failure> {
    let image = Image::parse(model.image).map_err(Failure::Image)?;
    self_test(&image, &mut *memory).map_err(Failure::SelfTest)?;
    let mut network = Network::new(&image, memory).map_err(Failure::Network)?;

    let sequences = test_sequences(model)?;
    log_model(model, &image, sequences);
    each_step(sequences, counts, |sequence, step, sample| {
        if step == 0 {
            network.reset();
        }
        log_output(index, sequence, step, network.step(sample)?);
        Ok(())
    })
}

/// The same three calls, each with its stack measured and each step between two markers; outputs are not logged.
#[cfg(feature = "measure")]
fn run_model(_: usize, model: &Model, memory: &mut [i32], counts: &mut Counts) -> Result<(), Failure> {
    use measure::{counted, stack_of};

    let (mut image, mut network, mut tested) = (None, None, Ok(0));
    let parse = stack_of(|| image = Some(Image::parse(model.image)));
    let image = image.expect("the closure ran").map_err(Failure::Image)?;
    let prove = stack_of(|| tested = self_test(&image, &mut *memory));
    tested.map_err(Failure::SelfTest)?;
    let new = stack_of(|| network = Some(Network::new(&image, memory)));
    let mut network = network.expect("the closure ran").map_err(Failure::Network)?;

    let sequences = test_sequences(model)?;
    log_model(model, &image, sequences);
    let mut worst = 0;
    each_step(sequences, counts, |_, step, sample| {
        if step == 0 {
            network.reset();
        }
        let mut result = Ok(());
        worst = worst.max(stack_of(|| result = counted(&mut network, sample)));
        result
    })?;
    defmt::info!(
        "stack prepare={=usize} self_test={=usize} step={=usize} views={=usize}",
        parse.max(new),
        prove,
        worst,
        size_of_val(&image) + size_of_val(&network)
    );
    Ok(())
}

fn test_sequences(model: &Model) -> Result<Option<Sequences<'static>>, Failure> {
    model.sequences.map(Sequences::parse).transpose().map_err(Failure::Sequences)
}

/// Calls `run` with the index of the sequence, that of the step, and the sample.
fn each_step(
    sequences: Option<Sequences<'_>>,
    counts: &mut Counts,
    mut run: impl FnMut(usize, usize, &[i32]) -> Result<(), StepError>,
) -> Result<(), Failure> {
    let Some(sequences) = sequences else { return Ok(()) };
    for (index, sequence) in sequences.iter().enumerate() {
        for (step, sample) in sequence.samples().enumerate() {
            run(index, step, sample).map_err(|error| Failure::Step { sequence: index, step, error })?;
            counts.steps += 1;
        }
        counts.sequences += 1;
    }
    Ok(())
}

fn log_model(model: &Model, image: &Image<'_>, sequences: Option<Sequences<'_>>) {
    defmt::info!(
        "model name={=str} image_bytes={=usize} ram_bytes={=usize} sequences={=usize}",
        model.name,
        image.len_bytes(),
        image.ram_bytes(),
        sequences.map_or(0, |sequences| sequences.len())
    );
}

#[cfg(not(feature = "measure"))]
fn log_output(model: usize, sequence: usize, step: usize, output: Output<'_>) {
    let class = output.class().map_or(-1, |class| class as i32);
    defmt::info!(
        "output model={=usize} sequence={=usize} step={=usize} class={=i32} values={=[?]}",
        model,
        sequence,
        step,
        class,
        output.values()
    );
}
