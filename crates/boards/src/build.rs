//! Building a board's firmware around a set of models.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::{self, Finished};
use crate::{Board, BoardError, Firmware, Toolchain};

/// No build takes this long, even with every dependency to compile on a small machine.
const LIMIT: Duration = Duration::from_secs(1800);

/// What goes into a firmware.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// A folder with `NAME.ember` and, for test sequences, `NAME.seq`; `None` for the model of the repository.
    pub models: Option<PathBuf>,
    /// Mark each step for the instruction counter and measure the stack.
    pub measure: bool,
}

/// A firmware that is ready to run.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The board it is for.
    pub board: Board,
    /// The ELF file.
    pub elf: PathBuf,
}

/// A model to embed.
#[derive(Clone, Debug, Hash)]
pub struct EmbeddedModel {
    /// Letters, digits and `._-`; models run in the order of their names.
    pub name: String,
    /// The image: the bytes of a `.ember` file.
    pub image: Vec<u8>,
    /// Raw test sequences: the bytes of a `.seq` file.
    pub sequences: Option<Vec<u8>>,
}

impl EmbeddedModel {
    /// Reads a model's image, and the test sequences of the same name beside it if there are some.
    ///
    /// # Errors
    /// [`BoardError::File`].
    pub fn read(path: &Path) -> Result<Self, BoardError> {
        let read = |path: &Path| fs::read(path).map_err(|source| file_error(path, source));
        let sequences = path.with_extension("seq");
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        Ok(Self {
            name: name.chars().map(plain).collect(),
            image: read(path)?,
            sequences: if sequences.is_file() { Some(read(&sequences)?) } else { None },
        })
    }
}

impl Firmware {
    /// Puts models into a folder for [`BuildOptions::models`]; the same models give the same folder, so that what was
    /// built for them is found again.
    ///
    /// # Errors
    /// [`BoardError::File`].
    pub fn stage(&self, models: &[EmbeddedModel]) -> Result<PathBuf, BoardError> {
        let mut hasher = DefaultHasher::new();
        models.hash(&mut hasher);
        let folder = self.target_folder().join("emberloop").join(format!("models-{:016x}", hasher.finish()));
        let lock = self.lock()?;
        fs::create_dir_all(&folder).map_err(|source| file_error(&folder, source))?;
        for model in models {
            let image = folder.join(format!("{}.ember", model.name));
            write_once(&image, &model.image)?;
            if let Some(sequences) = &model.sequences {
                write_once(&image.with_extension("seq"), sequences)?;
            }
        }
        drop(lock);
        Ok(folder)
    }

    /// Builds the firmware of `board`.
    ///
    /// Builds of several processes wait for each other; each set of models has a file of its own.
    ///
    /// # Errors
    /// [`BoardError::NoToolchain`], [`BoardError::Build`], or [`BoardError::File`].
    pub fn build(&self, board: &Board, options: &BuildOptions) -> Result<Binary, BoardError> {
        let mut variables = Vec::new();
        let mut hasher = DefaultHasher::new();
        options.measure.hash(&mut hasher);
        if let Some(models) = &options.models {
            let models = models.canonicalize().map_err(|source| file_error(models, source))?;
            hash_folder(&models, &mut hasher)?;
            variables.push(("EMBERLOOP_MODELS", models));
        }
        let features = if options.measure { "measure" } else { "" };
        self.build_program(board, &board.name, features, &variables, hasher)
    }

    /// Builds the least program around the engine, `firmware/bare`, for `board`, with these of its features.
    ///
    /// # Errors
    /// As [`Firmware::build`].
    pub fn build_bare(&self, board: &Board, model: &Path, features: &[&str]) -> Result<Binary, BoardError> {
        let model = model.canonicalize().map_err(|source| file_error(model, source))?;
        let mut hasher = DefaultHasher::new();
        (&model, features).hash(&mut hasher);
        let variables = [("EMBERLOOP_BOARD", PathBuf::from(&board.name)), ("EMBERLOOP_MODEL", model)];
        self.build_program(board, BARE, &features.join(","), &variables, hasher)
    }

    /// Builds a package for a board, with these environment variables; the hash, of what tells it from other builds of
    /// the package, names its file.
    fn build_program(
        &self,
        board: &Board,
        package: &str,
        features: &str,
        variables: &[(&str, PathBuf)],
        hasher: DefaultHasher,
    ) -> Result<Binary, BoardError> {
        let toolchain = Toolchain::for_target(&board.target)?;
        let lock = self.lock()?;
        let target_folder = self.target_folder().join(toolchain.build_name(&board.target));
        let mut command = self.cargo_build(&toolchain, package, &target_folder);
        command.args(["--release", "--target", &board.target, "--features", features]);
        if !board.rustflags.is_empty() {
            command.arg("--config").arg(format!("target.{}.rustflags={:?}", board.target, board.rustflags));
        }
        command.env_remove("EMBERLOOP_MODELS").envs(variables.iter().map(|(name, value)| (name, value)));
        finished(&board.name, child::run(&mut command, b"", LIMIT, RUST_FIX)?)?;

        let built = target_folder.join(&board.target).join("release").join(package);
        let name = if package == board.name { package.into() } else { format!("{package}-{}", board.name) };
        let elf = self.target_folder().join("emberloop").join(format!("{name}-{:016x}.elf", hasher.finish()));
        copy(&built, &elf)?;
        drop(lock);
        Ok(Binary { board: board.clone(), elf })
    }

    /// Builds the program that decodes the log, for this machine, and returns its path.
    pub(crate) fn build_decoder(&self) -> Result<PathBuf, BoardError> {
        let lock = self.lock()?;
        let target_folder = self.target_folder().join("in-use");
        let mut command = self.cargo_build(&Toolchain::InUse, DECODER, &target_folder);
        finished(DECODER, child::run(&mut command, b"", LIMIT, RUST_FIX)?)?;
        drop(lock);
        Ok(target_folder.join("debug").join(DECODER))
    }

    /// Where everything that is built for boards goes.
    pub fn target_folder(&self) -> PathBuf {
        self.folder().join("target")
    }

    fn cargo_build(&self, toolchain: &Toolchain, package: &str, target_folder: &Path) -> Command {
        let mut command = toolchain.cargo();
        // Inside the folder, so that its `.cargo/config.toml` applies.
        command.current_dir(self.folder()).args(["build", "--package", package, "--color", "never"]);
        command.arg("--target-dir").arg(target_folder);
        command
    }

    /// Keeps other processes from building until the returned file is dropped: cargo's own lock ends before the result
    /// is copied.
    fn lock(&self) -> Result<File, BoardError> {
        let path = self.target_folder().join("emberloop").join("lock");
        let open = || {
            fs::create_dir_all(self.target_folder().join("emberloop"))?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(|source| file_error(&path, source))
    }
}

const DECODER: &str = "emberloop-decode";
const BARE: &str = "emberloop-bare";
const RUST_FIX: &str = "install Rust by rustup";

/// Fails with what the linker says of the memory, or with the build's first error line after showing all of it.
fn finished(name: &str, finished: Finished) -> Result<(), BoardError> {
    if finished.status == Some(0) {
        return Ok(());
    }
    if let Some((region, bytes)) = overflow(&finished.stderr) {
        return Err(BoardError::DoesNotFit { board: name.into(), region, bytes });
    }
    eprintln!("{}", finished.stderr.trim_end());
    let line = finished.stderr.lines().find(|line| line.starts_with("error")).unwrap_or("cargo did not finish");
    Err(BoardError::Build { board: name.into(), message: line.into() })
}

/// The region that overflowed by the most bytes: the linker counts one section after the other, up to the last.
fn overflow(stderr: &str) -> Option<(String, u64)> {
    let overflow = |line: &str| {
        let (region, rest) = line.split_once("will not fit in region '")?.1.split_once("': overflowed by ")?;
        let bytes = rest.split_once(' ')?.0.parse().ok()?;
        Some((if region == "FLASH" { "flash".into() } else { region.to_owned() }, bytes))
    };
    stderr.lines().filter_map(overflow).max_by_key(|&(_, bytes)| bytes)
}

/// Puts the content of every model into the hash, in the order of their names.
fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) -> Result<(), BoardError> {
    let entries = fs::read_dir(folder).map_err(|source| file_error(folder, source))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    for path in paths {
        path.file_name().hash(hasher);
        fs::read(&path).map_err(|source| file_error(&path, source))?.hash(hasher);
    }
    Ok(())
}

/// Writes a file unless it is there with this content: a newer one would be compiled again.
fn write_once(path: &Path, bytes: &[u8]) -> Result<(), BoardError> {
    match fs::read(path) {
        Ok(found) if found == bytes => Ok(()),
        _ => {
            // A full disk leaves no half of a model behind, for the next build to find.
            let temporary = path.with_extension("tmp");
            let write = || {
                fs::write(&temporary, bytes)?;
                fs::rename(&temporary, path)
            };
            write().map_err(|source| {
                let _ = fs::remove_file(&temporary);
                file_error(path, source)
            })
        }
    }
}

/// Copies under a temporary name and renames, so that a run in another process never sees half a file.
fn copy(from: &Path, to: &Path) -> Result<(), BoardError> {
    let temporary = to.with_extension("tmp");
    let copy = || {
        fs::copy(from, &temporary)?;
        fs::rename(&temporary, to)
    };
    copy().map_err(|source| file_error(from, source))
}

fn file_error(path: &Path, source: io::Error) -> BoardError {
    BoardError::File { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_says_what_does_not_fit() {
        let stderr = "rust-lld: error: section '.rodata' will not fit in region 'FLASH': overflowed by 39180 bytes\n\
                      rust-lld: error: section '.data' will not fit in region 'FLASH': overflowed by 39236 bytes\n";
        assert_eq!(overflow(stderr), Some(("flash".into(), 39_236)));
        assert_eq!(overflow("error[E0308]: mismatched types"), None);
    }

    #[test]
    fn the_same_models_are_staged_in_the_same_folder() {
        let checkout = tempfile::tempdir().unwrap();
        fs::create_dir(checkout.path().join("boards")).unwrap();
        let firmware = Firmware::open(checkout.path()).unwrap();
        let path = checkout.path().join("a model.ember");
        fs::write(&path, "image").unwrap();
        let bare = EmbeddedModel::read(&path).unwrap();
        fs::write(path.with_extension("seq"), "sequences").unwrap();
        let model = EmbeddedModel::read(&path).unwrap();
        assert_eq!((model.name.as_str(), model.sequences.as_deref()), ("a_model", Some(b"sequences".as_slice())));

        let folder = firmware.stage(std::slice::from_ref(&model)).unwrap();
        assert_eq!(fs::read(folder.join("a_model.ember")).unwrap(), b"image");
        assert_eq!(fs::read(folder.join("a_model.seq")).unwrap(), b"sequences");
        assert_eq!(firmware.stage(&[model]).unwrap(), folder);
        assert_ne!(firmware.stage(&[bare]).unwrap(), folder);
    }
}
