//! One process at a time in a folder: two that train in it would spoil each other's files.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file that is locked. The lock ends with its process, however that ends; the file may stay.
pub const LOCK_FILE: &str = ".lock";

/// A folder that no other process gets until this is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// `None` where the file system knows no locks.
    file: Option<File>,
}

impl Lock {
    /// Takes the lock of `folder`; `None` if another process has it.
    ///
    /// # Errors
    ///
    /// If the file cannot be made. A file system without locks is no error: then nobody is kept out.
    pub fn take(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(LOCK_FILE);
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                // Who had it may have removed the file between our opening and our locking.
                Ok(()) if is_at(&file, &path) => return Ok(Some(Self { path, file: Some(file) })),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(_)) => return Ok(Some(Self { path, file: None })),
            }
        }
    }
}

/// Whether another process has the lock of `folder`; nothing is written.
pub fn is_taken(folder: &Path) -> bool {
    let file = File::options().write(true).open(folder.join(LOCK_FILE));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.as_ref().is_some_and(|file| is_at(file, &self.path)) {
            // A file that stays does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` leads to this very file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), path.metadata()), (Ok(file), Ok(path)) if same(&file, &path))
}

/// An open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap().unwrap();
        assert!(Lock::take(folder.path()).unwrap().is_none());
        drop(lock);
        assert!(!folder.path().join(LOCK_FILE).exists(), "nothing is left");
        // As a kill leaves it.
        std::fs::write(folder.path().join(LOCK_FILE), "").unwrap();
        assert!(Lock::take(folder.path()).unwrap().is_some());
        assert!(Lock::take(&folder.path().join("absent")).is_err());
    }
}
