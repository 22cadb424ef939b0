//! The least program around the engine, on any board: check the image, prove it, run it, log nothing.
//!
//! `cargo xtask bench-engine` reads from its ELF file what the engine costs in flash: the difference to the same program
//! without the engine. A test of `crates/boards` shows by its symbols that no part of it can panic.
#![no_std]
#![no_main]

use core::hint::black_box;

use emberloop_image::include_image;
#[cfg(all(feature = "run", not(feature = "kernels")))]
use {
    emberloop_engine::{Network, self_test},
    emberloop_image::ram_words,
};

static MODEL: &[u8] = include_image!(env!("EMBERLOOP_MODEL"));
/// Words of memory that the model needs.
#[cfg(all(feature = "run", not(feature = "kernels")))]
const WORDS: usize = ram_words(MODEL);
/// Numbers of a sample: the models of `cargo xtask bench-engine` have nine features.
#[cfg(not(feature = "kernels"))]
const FEATURES: usize = 9;
#[cfg(not(feature = "kernels"))]
const STEPS: usize = 100;

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    // Or the compiler, which sees the image, would shape the engine to it.
    semihosting::process::exit(match run(black_box(MODEL)) {
        Ok(()) => 0,
        Err(status) => status,
    })
}

/// The status where a kernel computes other sums than the portable code, and where it makes other updates of them.
#[cfg(feature = "kernels")]
const OTHER: [i32; 2] = [20, 21];

/// On random and on extreme values.
#[cfg(feature = "kernels")]
fn run(_: &[u8]) -> Result<(), i32> {
    use emberloop_engine::kernel_check::{tile_sums, updates};

    let mut workspace = [0; 6_000];
    // So many cases at least, or nothing was shown.
    match tile_sums(1, &mut workspace) {
        Ok(cases) if cases > 5_000 => {}
        _ => return Err(OTHER[0]),
    }
    match updates(1, 2_000) {
        Ok(cases) if cases >= 10_000 => Ok(()),
        _ => Err(OTHER[1]),
    }
}

/// What a user's program does; the statuses are those of `firmware/README.md`.
#[cfg(not(feature = "kernels"))]
fn run(model: &[u8]) -> Result<(), i32> {
    #[cfg(not(feature = "parse"))]
    black_box(model);
    #[cfg(feature = "parse")]
    let image = emberloop_image::Image::parse(model).map_err(|_| 10)?;
    #[cfg(all(feature = "parse", not(feature = "run")))]
    black_box(&image);
    // As a slice, of which the compiler does not know the length.
    #[cfg(feature = "run")]
    let mut memory = [0; WORDS];
    #[cfg(feature = "run")]
    self_test(&image, black_box(&mut memory[..])).map_err(|_| 11)?;
    #[cfg(feature = "run")]
    let mut network = Network::new(&image, black_box(&mut memory[..])).map_err(|_| 10)?;

    for _ in 0..STEPS {
        let sample = black_box([0; FEATURES]);
        #[cfg(not(feature = "run"))]
        let output: &[i32] = &sample;
        #[cfg(feature = "run")]
        let output = network.step(&sample).map_err(|_| 13)?.values();
        black_box(output);
    }
    #[cfg(feature = "api")]
    rest_of_the_api(&mut network, &image);
    #[cfg(feature = "panic")]
    black_box([0; FEATURES][black_box(0)]);
    Ok(())
}

/// What else a program may call: none of it may panic either. Nothing that the compiler could know beforehand.
#[cfg(feature = "api")]
fn rest_of_the_api(network: &mut Network<'_, &mut [i32]>, image: &emberloop_image::Image<'_>) {
    let mut kept = [0; WORDS];
    let saved = network.save();
    let words = saved.len().min(kept.len());
    kept.iter_mut().zip(saved).for_each(|(kept, saved)| *kept = *saved);
    network.reset();
    black_box(network.restore(kept.get(..black_box(words)).unwrap_or(&[])).is_ok());
    black_box((network.counters(), network.state_words(), network.layer_state(black_box(0)).is_some()));
    let mut probabilities = [0; 4];
    let sample = [black_box(0); FEATURES];
    if let Ok(output) = network.step(black_box(&sample[..])) {
        black_box((output.class(), output.label(), output.fraction()));
        black_box(output.probabilities(black_box(&mut probabilities)));
    }
    black_box(emberloop_engine::from_f32_bits(black_box(0x3f80_0000), black_box(3)));
    black_box((image.label(black_box(1)), image.raw_fraction(black_box(1)), image.channels().count()));
    black_box(emberloop_image::Sequences::parse(black_box(MODEL)).is_ok());
    for layer in image.layers() {
        black_box((layer.row_bounds(black_box(0), black_box(0)), layer.input.row(black_box(1)).count()));
    }
    black_box(image.head().row_bounds(black_box(0)));
}

/// Linked only where something may panic.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    semihosting::process::exit(101)
}
