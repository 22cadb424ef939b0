//! `cargo xtask fuzz`: builds the fuzz targets of `tests/fuzz` and runs each on its corpus for a while.
//!
//! It passes rustc what cargo-fuzz passes, so neither cargo-fuzz nor a nightly compiler is needed; a C++ compiler is, for
//! libFuzzer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::Args;

use crate::Result;
use crate::process::{cargo, output, root, run as run_command};

#[derive(Args)]
pub struct Options {
    /// How long to run each target; 0 runs its corpus alone
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Run this target alone
    #[arg(long)]
    target: Option<String>,
    /// Replace the committed corpus by the smallest choice, of it and of what was found since, that reaches as much
    #[arg(long)]
    minimise: bool,
}

/// The targets: the files of `tests/fuzz/fuzz_targets`.
const TARGETS: [&str; 2] = ["image_parse", "image_step"];

/// What cargo-fuzz sets: counters that tell libFuzzer which code an input reached and what it compared.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Longest input; a model of a few units and its samples take less.
const MAX_LENGTH: usize = 1024;

/// Runs the command.
pub fn run(options: &Options) -> Result {
    let names = TARGETS.into_iter().filter(|name| options.target.as_deref().is_none_or(|wanted| wanted == *name));
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        let wanted = options.target.as_deref().unwrap_or_default();
        return Err(format!("--target: expected one of {}, found {wanted}", TARGETS.join(", ")).into());
    }
    let programs = build()?;
    names.into_iter().try_for_each(|name| {
        let fuzzer = Fuzzer::new(&programs, name)?;
        if options.minimise { fuzzer.minimise() } else { fuzzer.fuzz(options.seconds) }
    })
}

/// Compiles every target; returns the folder with the programs.
fn build() -> Result<PathBuf> {
    let version = output(Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc -vV names no host")?;
    let target_folder = root().join("target/fuzz");
    let mut command = cargo();
    // With a target named, only the programs get the counters, and not the build scripts.
    command.args(["build", "--release", "--bins", "--manifest-path", "tests/fuzz/Cargo.toml", "--target", host]);
    command.arg("--target-dir").arg(&target_folder).env("RUSTFLAGS", COVERAGE).env_remove("CARGO_ENCODED_RUSTFLAGS");
    run_command(&mut command)?;
    Ok(target_folder.join(host).join("release"))
}

struct Fuzzer {
    name: &'static str,
    program: PathBuf,
    /// In the repository.
    corpus: PathBuf,
    /// What runs on this machine have found beside it.
    found: PathBuf,
    /// Inputs that failed.
    artifacts: PathBuf,
}

impl Fuzzer {
    fn new(programs: &Path, name: &'static str) -> Result<Self> {
        let found = root().join("target/fuzz/corpus").join(name);
        let artifacts = root().join("tests/fuzz/artifacts").join(name);
        for folder in [&found, &artifacts] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let corpus = root().join("tests/fuzz/corpus").join(name);
        Ok(Self { name, program: programs.join(name), corpus, found, artifacts })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(format!("-max_len={MAX_LENGTH}")).args(["-timeout=10", "-rss_limit_mb=1024", "-verbosity=1"]);
        command.arg(format!("-artifact_prefix={}/", self.artifacts.display()));
        command
    }

    fn fuzz(&self, seconds: u64) -> Result {
        let mut command = self.command();
        command.arg("-print_final_stats=1");
        if seconds == 0 {
            command.arg("-runs=0");
        } else {
            command.arg(format!("-max_total_time={seconds}"));
        }
        let start = Instant::now();
        // New finds go to the first folder.
        run_command(command.arg(&self.found).arg(&self.corpus)).map_err(|error| {
            let artifacts = self.artifacts.display();
            format!("fuzzing {}: {error}; the input that failed is the newest file in {artifacts}", self.name)
        })?;
        println!("fuzzing {}: nothing failed in {:.0} s", self.name, start.elapsed().as_secs_f64());
        Ok(())
    }

    fn minimise(&self) -> Result {
        let smallest = tempfile::tempdir_in(root().join("target/fuzz"))?;
        let mut command = self.command();
        // How often code is reached does not count: a few hundred small files are left, not thousands.
        command.args(["-set_cover_merge=1", "-use_counters=0"]);
        run_command(command.arg(smallest.path()).arg(&self.corpus).arg(&self.found))?;
        for old in fs::read_dir(&self.corpus)? {
            fs::remove_file(old?.path())?;
        }
        let (mut files, mut bytes) = (0, 0);
        for new in fs::read_dir(smallest.path())? {
            let new = new?;
            bytes += fs::copy(new.path(), self.corpus.join(new.file_name()))?;
            files += 1;
        }
        println!("{}: {files} files, {bytes} bytes", self.corpus.display());
        Ok(())
    }
}
