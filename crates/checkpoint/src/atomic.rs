//! Write a file completely or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces the file at `path` by `bytes`, or leaves everything as it was.
///
/// See [`write_atomically_with`].
///
/// # Errors
/// Whatever the operating system says: a missing folder, no permission, a full disk.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Replaces the file at `path` by what `write` writes, or leaves everything as it was.
///
/// The bytes go to a temporary file in the same folder (a rename is atomic only within one file system), are forced to
/// the disk, and only then take the name. Whoever opens `path` sees the old content or the new one, also after a
/// kill or a power cut. On any error the temporary file is removed. A kill in between may leave one behind; its name
/// starts with a dot and ends in `.tmp`.
///
/// A symbolic link at `path` stays a link: the file that it names is replaced.
///
/// # Errors
/// What `write` returns, or what the operating system says; also if `path` is a folder or a device, which a rename
/// would replace.
pub fn write_atomically_with(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    stage(path.as_ref(), write)?.commit()
}

/// A file that is written and on the disk, but does not have its name yet. Dropped, it is gone.
///
/// For several files that belong together: stage all, then commit all, and a full disk finds either none changed or all
/// written.
#[derive(Debug)]
pub struct StagedFile {
    temporary: tempfile::NamedTempFile,
    target: PathBuf,
    folder: PathBuf,
}

impl StagedFile {
    /// Writes `bytes` beside `path`, whose content stays for now.
    ///
    /// # Errors
    /// As [`write_atomically_with`].
    pub fn new(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<Self> {
        stage(path.as_ref(), |file| file.write_all(bytes))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// If the operating system refuses the renaming.
    pub fn commit(self) -> io::Result<()> {
        self.temporary.persist(&self.target).map_err(|refused| refused.error)?;
        sync_folder(&self.folder);
        Ok(())
    }
}

fn stage(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<StagedFile> {
    let target = match fs::canonicalize(path) {
        Ok(existing) => existing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
        Err(error) => return Err(error),
    };
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a regular file, found a folder or a device"));
    }
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };

    let mut builder = tempfile::Builder::new();
    builder.prefix(".emberloop-").suffix(".tmp");
    // A temporary file is private by default; a model is as readable as any other file its owner makes.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.tempfile_in(folder).map_err(|error| without_temporary_name(&error, folder))?;
    write(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    let folder = folder.to_path_buf();
    Ok(StagedFile { temporary, target, folder })
}

/// Drops the random file name that `tempfile` adds to its errors: the caller names the file that the user knows.
fn without_temporary_name(error: &io::Error, folder: &Path) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(io::ErrorKind::NotFound, format!("expected the folder {}, found none", folder.display()))
        }
        kind => io::Error::from(kind),
    }
}

/// Forces the rename itself to the disk. Not every file system can; the new file is complete either way, so a refusal
/// is no failure.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    if let Ok(handle) = File::open(folder) {
        let _ = handle.sync_all();
    }
    #[cfg(not(unix))]
    let _ = folder;
}
