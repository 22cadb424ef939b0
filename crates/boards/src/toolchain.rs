//! The compiler for a bare-metal target: the one in use where it has the target, else the one that
//! `cargo xtask setup` put into the cache.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::BoardError;

/// Environment variable that names a toolchain folder (one with `bin/rustc` inside) to compile firmware with.
pub const TOOLCHAIN_VARIABLE: &str = "EMBERLOOP_FIRMWARE_TOOLCHAIN";
/// Environment variable that names the folder to use in place of `~/.cache/emberloop`.
pub const CACHE_VARIABLE: &str = "EMBERLOOP_CACHE";

/// A compiler that has the standard library for a bare-metal target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The one that compiles the rest of the project.
    InUse,
    /// One of its own, in this folder.
    Folder(PathBuf),
}

/// Where the project keeps what is expensive to make: `EMBERLOOP_CACHE`, or `emberloop` in the user's cache folder.
pub fn cache_folder() -> PathBuf {
    if let Some(folder) = env::var_os(CACHE_VARIABLE) {
        return folder.into();
    }
    let user = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    user.filter(|folder| folder.is_absolute()).or_else(home).unwrap_or_else(env::temp_dir).join("emberloop")
}

impl Toolchain {
    /// The folder that `cargo xtask setup` makes a toolchain in.
    pub fn cached_folder() -> PathBuf {
        cache_folder().join("firmware-toolchain").join("usr")
    }

    /// The compiler to use for `target`: the one that `EMBERLOOP_FIRMWARE_TOOLCHAIN` names, the one in use, or the one
    /// in the cache, whichever of them has the target's `core`.
    ///
    /// # Errors
    /// [`BoardError::NoToolchain`].
    pub fn for_target(target: &str) -> Result<Self, BoardError> {
        let named = env::var_os(TOOLCHAIN_VARIABLE).map(|folder| Self::Folder(folder.into()));
        let candidates = named.into_iter().chain([Self::InUse, Self::Folder(Self::cached_folder())]);
        candidates
            .into_iter()
            .find(|toolchain| toolchain.has_target(target))
            .ok_or_else(|| BoardError::NoToolchain { target: target.into() })
    }

    /// Whether `core` is there for this target.
    pub fn has_target(&self, target: &str) -> bool {
        self.core_library(target).is_some()
    }

    /// A name for the folder that this toolchain's results go to.
    ///
    /// cargo knows a compiler by its version alone, but two toolchains of one version whose `core` was built apart
    /// cannot share what they compiled.
    pub(crate) fn build_name(&self, target: &str) -> String {
        let Self::Folder(folder) = self else { return "in-use".into() };
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        let core = self.core_library(target);
        core.and_then(|path| path.metadata().and_then(|metadata| metadata.modified()).ok()).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    fn core_library(&self, target: &str) -> Option<PathBuf> {
        fs::read_dir(self.library_folder(target)?).ok()?.flatten().map(|entry| entry.path()).find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libcore-") && name.ends_with(".rlib")
        })
    }

    /// Where this compiler keeps the target's libraries, whether or not they are there.
    fn library_folder(&self, target: &str) -> Option<PathBuf> {
        match self {
            Self::InUse => {
                let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
                let output =
                    Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output().ok()?;
                output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
            }
            Self::Folder(folder) => Some(folder.join("lib/rustlib").join(target).join("lib")),
        }
    }

    /// A `cargo` that compiles with this toolchain and with nothing of the caller's compiler settings.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for name in CALLERS_SETTINGS {
            command.env_remove(name);
        }
        if let Self::Folder(folder) = self {
            command.env("RUSTC", folder.join("bin/rustc")).env("LD_LIBRARY_PATH", library_path(folder));
            command.env_remove("RUSTC_WRAPPER").env_remove("RUSTC_WORKSPACE_WRAPPER");
        }
        command
    }

    /// The compiler's version, as `rustc --version` prints it.
    ///
    /// # Errors
    /// [`BoardError::Program`] if the compiler does not run.
    pub fn version(&self) -> Result<String, BoardError> {
        let mut command = match self {
            Self::InUse => Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())),
            Self::Folder(folder) => Command::new(folder.join("bin/rustc")),
        };
        if let Self::Folder(folder) = self {
            command.env("LD_LIBRARY_PATH", library_path(folder));
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.arg("--version").output().map_err(|source| BoardError::Program { program, source })?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().into())
    }

    /// One line for people: which compiler this is.
    pub fn describe(&self) -> String {
        match self {
            Self::InUse => "the Rust toolchain in use".into(),
            Self::Folder(folder) => format!("the toolchain in {}", folder.display()),
        }
    }
}

/// Settings of the caller (`cargo test`, CI) that would change the firmware's build.
const CALLERS_SETTINGS: [&str; 6] = [
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_TARGET_DIR",
    "DEFMT_LOG",
    "RUSTFLAGS",
];

/// The toolchain's own libraries first, then what was there.
fn library_path(folder: &Path) -> std::ffi::OsString {
    let mut paths = vec![folder.join("lib")];
    paths.extend(env::split_paths(&env::var_os("LD_LIBRARY_PATH").unwrap_or_default()));
    env::join_paths(paths).unwrap_or_else(|_| folder.join("lib").into_os_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_there_when_its_core_is() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::Folder(folder.path().into());
        assert!(!toolchain.has_target("thumbv6m-none-eabi"));
        let nothing = toolchain.build_name("thumbv6m-none-eabi");
        let libraries = folder.path().join("lib/rustlib/thumbv6m-none-eabi/lib");
        fs::create_dir_all(&libraries).unwrap();
        fs::write(libraries.join("libcore-0123.rmeta"), "").unwrap();
        assert!(!toolchain.has_target("thumbv6m-none-eabi"), "metadata alone cannot be linked");
        fs::write(libraries.join("libcore-0123.rlib"), "").unwrap();
        assert!(toolchain.has_target("thumbv6m-none-eabi"));
        assert!(!toolchain.has_target("thumbv7em-none-eabihf"));
        assert_ne!(toolchain.build_name("thumbv6m-none-eabi"), nothing, "another core needs another folder");
    }

    #[test]
    fn an_unknown_target_names_the_command_that_installs_it() {
        let message = Toolchain::for_target("z80-none-elf").unwrap_err().to_string();
        assert!(message.contains("z80-none-elf") && message.contains("cargo xtask setup"), "{message}");
    }
}
