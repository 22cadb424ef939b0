//! Boards: folders of `firmware/boards`, each described by its `board.toml`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;

use crate::BoardError;

/// The firmware folder: a cargo workspace of its own with the application and the boards.
#[derive(Clone, Debug)]
pub struct Firmware {
    folder: PathBuf,
}

/// One board, as its `board.toml` describes it.
#[derive(Clone, Debug)]
pub struct Board {
    /// The folder's name, which is also its package's.
    pub name: String,
    /// The processor core, for people: "Cortex-M4F".
    pub core: String,
    /// The target triple.
    pub target: String,
    /// Compiler flags of this board alone.
    pub rustflags: Vec<String>,
    /// Where flash and RAM are.
    pub memory: Memory,
    /// How its firmware runs.
    pub runner: Runner,
}

/// The two memories that a program is linked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Where the program and the models are.
    pub flash: Region,
    /// Where variables and the stack are.
    pub ram: Region,
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// First address.
    pub origin: u64,
    /// Bytes.
    pub length: u64,
}

/// How a board's firmware runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Runner {
    /// In an emulator, on this machine.
    Qemu(Emulator),
    /// On the real thing, through a debug probe.
    Probe(Probe),
}

/// A machine that QEMU emulates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// The program: `qemu-system-arm` or `qemu-system-riscv32`.
    pub emulator: String,
    /// The name that QEMU gives the machine.
    pub machine: String,
    /// Further arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// A chip that probe-rs flashes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The name that probe-rs gives the chip.
    pub chip: String,
}

/// `board.toml` as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoardFile {
    core: String,
    target: String,
    #[serde(default)]
    rustflags: Vec<String>,
    memory: Memory,
    run: Runner,
}

impl Firmware {
    /// Finds the firmware folder: `EMBERLOOP_FIRMWARE`, or the one of the checkout that this crate was compiled in.
    ///
    /// # Errors
    /// [`BoardError::NoFirmware`].
    pub fn locate() -> Result<Self, BoardError> {
        match env::var_os("EMBERLOOP_FIRMWARE") {
            Some(folder) => Self::open(folder),
            None => Self::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware")),
        }
    }

    /// Takes this folder as the firmware folder.
    ///
    /// # Errors
    /// [`BoardError::NoFirmware`] if it has no `boards` folder.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, BoardError> {
        let folder = folder.into();
        match folder.canonicalize() {
            Ok(folder) if folder.join("boards").is_dir() => Ok(Self { folder }),
            _ => Err(BoardError::NoFirmware { path: folder }),
        }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every board, sorted by name.
    ///
    /// # Errors
    /// [`BoardError::BoardFile`] if one of the files does not parse.
    pub fn boards(&self) -> Result<Vec<Board>, BoardError> {
        let folder = self.folder.join("boards");
        let entries = fs::read_dir(&folder).map_err(|source| BoardError::File { path: folder, source })?;
        let mut boards = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.join("board.toml").is_file()) {
            boards.push(Board::read(&path)?);
        }
        boards.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(boards)
    }

    /// The board of this name.
    ///
    /// # Errors
    /// [`BoardError::UnknownBoard`], which lists those that exist, or [`BoardError::BoardFile`].
    pub fn board(&self, name: &str) -> Result<Board, BoardError> {
        let boards = self.boards()?;
        match boards.iter().find(|board| board.name == name) {
            Some(board) => Ok(board.clone()),
            None => Err(BoardError::UnknownBoard {
                name: name.into(),
                known: boards.into_iter().map(|board| board.name).collect(),
            }),
        }
    }

    /// The boards that QEMU emulates, sorted by name.
    ///
    /// # Errors
    /// As [`Firmware::boards`].
    pub fn emulated_boards(&self) -> Result<Vec<Board>, BoardError> {
        Ok(self.boards()?.into_iter().filter(|board| matches!(board.runner, Runner::Qemu(_))).collect())
    }

    /// Every target that some board needs, sorted, once each.
    ///
    /// # Errors
    /// As [`Firmware::boards`].
    pub fn targets(&self) -> Result<Vec<String>, BoardError> {
        let mut targets: Vec<String> = self.boards()?.into_iter().map(|board| board.target).collect();
        targets.sort();
        targets.dedup();
        Ok(targets)
    }
}

impl Board {
    /// Reads `board.toml` of a board's folder.
    fn read(folder: &Path) -> Result<Self, BoardError> {
        let path = folder.join("board.toml");
        let text = fs::read_to_string(&path).map_err(|source| BoardError::File { path: path.clone(), source })?;
        let file: BoardFile = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            BoardError::BoardFile { path, message: format!("line {line}: {}", error.message().replace('\n', " ")) }
        })?;
        Ok(Self {
            name: folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            core: file.core,
            target: file.target,
            rustflags: file.rustflags,
            memory: file.memory,
            runner: file.run,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board_file(text: &str) -> Result<Board, BoardError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("board.toml"), text).unwrap();
        Board::read(folder.path())
    }

    #[test]
    fn every_board_of_the_checkout_parses_and_has_memory() {
        let boards = Firmware::locate().unwrap().boards().unwrap();
        assert!(boards.len() >= 5, "{boards:?}");
        for board in boards {
            assert!(board.memory.flash.length >= 64 << 10, "{}: {:?}", board.name, board.memory);
            assert!(board.memory.ram.length >= 16 << 10, "{}: {:?}", board.name, board.memory);
        }
    }

    #[test]
    fn an_unknown_board_is_answered_with_those_there_are() {
        let message = Firmware::locate().unwrap().board("qemu-m5").unwrap_err().to_string();
        assert!(message.contains("`qemu-m5`") && message.contains("qemu-m55"), "{message}");
    }

    #[test]
    fn a_wrong_board_file_names_its_line() {
        let text = "core = \"x\"\ntarget = \"y\"\nflags = []\n";
        let message = board_file(text).unwrap_err().to_string();
        assert!(message.contains("board.toml: line 3: unknown field `flags`"), "{message}");
    }

    #[test]
    fn a_folder_without_boards_is_no_firmware_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Firmware::open(folder.path()), Err(BoardError::NoFirmware { .. })));
    }
}
