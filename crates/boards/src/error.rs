//! What can go wrong between a model and a board, each in one line that says what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a board's firmware could not be found, built or run.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// There is no firmware folder where it was looked for.
    #[error(
        "{}: expected the firmware folder with a `boards` folder inside, found none; run this in a checkout or set \
         EMBERLOOP_FIRMWARE", path.display()
    )]
    NoFirmware {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// No board has this name.
    #[error("no board is named `{name}`; there are {}", known.join(", "))]
    UnknownBoard {
        /// The name that was asked for.
        name: String,
        /// The boards that exist.
        known: Vec<String>,
    },
    /// A `board.toml` does not say what it must.
    #[error("{}: {message}", path.display())]
    BoardFile {
        /// The file.
        path: PathBuf,
        /// What the parser expected and found.
        message: String,
    },
    /// No compiler with the standard library for this target.
    #[error("no Rust toolchain here compiles for {target}; `cargo xtask setup` installs it")]
    NoToolchain {
        /// The target of the board.
        target: String,
    },
    /// A program that is needed is not installed.
    #[error("`{program}` is not installed; {fix}")]
    NoProgram {
        /// The program.
        program: String,
        /// How to get it.
        fix: String,
    },
    /// A program could not be started or spoken to.
    #[error("{program}: {source}")]
    Program {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The compiler or the linker refused.
    #[error("{board}: the firmware does not build: {message}")]
    Build {
        /// The board.
        board: String,
        /// The first error line of the build; the whole output went to standard error.
        message: String,
    },
    /// The firmware with its models is larger than the board's memory.
    #[error("{board}: the firmware with its models does not fit: {bytes} bytes too many for the board's {region}")]
    DoesNotFit {
        /// The board.
        board: String,
        /// "flash" or "RAM", as the linker script names it.
        region: String,
        /// So many.
        bytes: u64,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The ELF file is not what the linker should have made.
    #[error("{}: {message}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The run did not end.
    #[error("{board}: the firmware did not finish within {} s; its last line: {last}", limit.as_secs())]
    Timeout {
        /// The board.
        board: String,
        /// The limit.
        limit: Duration,
        /// The last line it logged.
        last: String,
    },
    /// The run ended with another status than 0.
    #[error("{board}: the firmware ended with status {status} ({meaning}); its last line: {last}")]
    Failed {
        /// The board.
        board: String,
        /// The status.
        status: i32,
        /// What that status stands for.
        meaning: &'static str,
        /// The last line it logged.
        last: String,
    },
    /// The log holds a line that does not parse, or lacks one.
    #[error("{board}: the firmware's log: {message}")]
    Log {
        /// The board.
        board: String,
        /// What was expected and found.
        message: String,
    },
}

impl BoardError {
    /// Whether something is merely not installed here, so that a test may be skipped with this as its reason.
    pub fn is_missing_tool(&self) -> bool {
        matches!(self, Self::NoToolchain { .. } | Self::NoProgram { .. })
    }
}
