//! Chooses the kernel of the target's core: `cfg(kernel = "...")`.
//!
//! Stable Rust does not show a program which extensions an Arm core has, so the core is taken from the target's name, and for
//! Armv8-M from `-C target-cpu`, which is where a user writes it down anyway. All kernels compute the same bits; a core that
//! is not recognised gets the portable one.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(kernel, values(\"portable\", \"thumb1\", \"dsp\", \"helium\"))");
    println!("cargo::rustc-check-cfg=cfg(armv8m)");
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    println!("cargo::rustc-cfg=kernel=\"{}\"", kernel(&target, &cpu(&flags)));
    if target.starts_with("thumbv8m.main") {
        println!("cargo::rustc-cfg=armv8m");
    }
}

fn kernel(target: &str, cpu: &str) -> &'static str {
    let architecture = target.split('-').next().unwrap_or_default();
    match (architecture, cpu) {
        ("thumbv6m" | "thumbv8m.base", _) => "thumb1",
        // Every core of this architecture has the DSP instructions: M4 and M7.
        ("thumbv7em", _) => "dsp",
        ("thumbv8m.main", "cortex-m55" | "cortex-m85") => "helium",
        // An option of the chip in Armv8-M; LLVM's models of these cores have it.
        ("thumbv8m.main", "cortex-m33" | "cortex-m35p" | "star-mc1") => "dsp",
        _ => "portable",
    }
}

/// The CPU of the last `-C target-cpu`; the flags are separated by 0x1f.
fn cpu(flags: &str) -> String {
    let mut cpu = "";
    let mut flags = flags.split('\x1f').peekable();
    while let Some(flag) = flags.next() {
        let option = match flag.strip_prefix("-C") {
            Some("") => flags.peek().copied().unwrap_or_default(),
            Some(option) => option,
            None => flag.strip_prefix("--codegen=").unwrap_or_default(),
        };
        cpu = option.strip_prefix("target-cpu=").unwrap_or(cpu);
    }
    cpu.to_owned()
}
