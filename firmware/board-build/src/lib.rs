//! What every board's build script does: it turns the memory map of `board.toml` into the linker's `memory.x` and hands
//! over the linker arguments, so that a new board writes down two addresses and no linker script.
//!
//! A board that needs more than two regions (a second-stage loader, a tightly coupled memory) puts the rest into
//! `memory-extra.x` beside its `board.toml`; it is appended as it stands.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;

/// The part of `board.toml` that the linker needs; `crates/boards` reads the rest.
#[derive(Deserialize)]
struct BoardFile {
    target: String,
    memory: Memory,
}

#[derive(Deserialize)]
struct Memory {
    flash: Region,
    ram: Region,
}

#[derive(Deserialize)]
struct Region {
    origin: u64,
    length: u64,
}

/// Writes `memory.x` and prints the linker arguments. Called from a board's `build.rs`.
///
/// Does nothing when the package is compiled for the host (an editor or `cargo check` without a target does that).
///
/// # Panics
/// If `board.toml` cannot be read or the package is compiled for another bare-metal target than the board's own: a
/// build script reports an error by panicking.
pub fn link() {
    if for_a_board() {
        link_board(Path::new(&variable("CARGO_MANIFEST_DIR")));
        // The linker script that defmt brings.
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
}

/// The same for a program that logs nothing, on the board that `EMBERLOOP_BOARD` names.
///
/// # Panics
/// As [`link`], and if the variable is not set.
pub fn link_bare() {
    println!("cargo:rerun-if-env-changed=EMBERLOOP_BOARD");
    if for_a_board() {
        let boards = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../boards");
        link_board(&boards.join(variable("EMBERLOOP_BOARD")));
    }
}

fn for_a_board() -> bool {
    variable("CARGO_CFG_TARGET_OS") == "none"
}

fn link_board(folder: &Path) {
    println!("cargo:rerun-if-changed={}", folder.display());
    let path = folder.join("board.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let board: BoardFile = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));

    let target = variable("TARGET");
    assert!(
        target == board.target,
        "{}: this board is built for {}, not for {target}; use `cargo xtask bench-engine` or `emberloop flash`",
        path.display(),
        board.target
    );

    let out = PathBuf::from(variable("OUT_DIR"));
    let mut script = memory_script(&board.memory, target.starts_with("riscv"));
    if let Ok(extra) = fs::read_to_string(folder.join("memory-extra.x")) {
        script.push_str(&extra);
    }
    write(&out.join("memory.x"), &script);
    println!("cargo:rustc-link-search={}", out.display());
    // riscv-rt's script does not include memory.x itself; cortex-m-rt's does. `--nmagic` keeps the linker from padding
    // a Cortex-M's first segment to a page, which some debug probes refuse to write.
    let first = if target.starts_with("riscv") { "-Tmemory.x" } else { "--nmagic" };
    println!("cargo:rustc-link-arg-bins={first}\ncargo:rustc-link-arg-bins=-Tlink.x");
}

fn memory_script(memory: &Memory, riscv: bool) -> String {
    let mut script = format!(
        "MEMORY\n{{\n  FLASH : ORIGIN = {:#x}, LENGTH = {:#x}\n  RAM : ORIGIN = {:#x}, LENGTH = {:#x}\n}}\n",
        memory.flash.origin, memory.flash.length, memory.ram.origin, memory.ram.length
    );
    if riscv {
        // riscv-rt places its sections by these names.
        let regions = [
            ("TEXT", "FLASH"),
            ("RODATA", "FLASH"),
            ("DATA", "RAM"),
            ("BSS", "RAM"),
            ("HEAP", "RAM"),
            ("STACK", "RAM"),
        ];
        for (name, region) in regions {
            script += &format!("REGION_ALIAS(\"REGION_{name}\", {region});\n");
        }
    }
    script
}

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; `cargo xtask bench-engine` and `emberloop flash` set it"))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
