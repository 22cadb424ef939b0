//! A write that fails leaves what was there, and nothing else.

mod common;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use common::tiny;
use emberloop_checkpoint::{CheckpointError, write_atomically, write_atomically_with};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A folder with the file `model`, whose content is `old`.
fn folder_with_old_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    fs::write(&path, "old").unwrap();
    (folder, path)
}

#[test]
fn a_file_is_made_and_replaced() {
    let (folder, path) = folder_with_old_file();
    write_atomically(&path, b"new").unwrap();
    write_atomically(folder.path().join("another"), b"first").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["another", "model"]);
}

#[test]
fn a_write_that_fails_half_way_leaves_the_old_file() {
    let (folder, path) = folder_with_old_file();
    let error = write_atomically_with(&path, |file| {
        file.write_all(b"half of th")?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    })
    .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["model"], "the temporary file is gone");
}

#[test]
fn a_folder_that_does_not_exist_is_an_error() {
    let (folder, path) = folder_with_old_file();
    let target = folder.path().join("missing/model.safetensors");
    let error = tiny().write(&target).unwrap_err();
    assert!(matches!(error, CheckpointError::Write { .. }));
    let message = error.to_string();
    assert!(message.starts_with(&format!("{}: cannot be written", target.display())), "{message}");
    let folder_found = format!("expected the folder {}, found none", target.parent().unwrap().display());
    assert!(message.ends_with(&folder_found), "{message}");
    assert!(!message.contains('\n') && !message.contains(".emberloop-"), "one line, no foreign name: {message}");
    // A file where a folder should be.
    assert!(tiny().write(path.join("model.safetensors")).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["model"]);
}

#[test]
fn a_folder_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    fs::create_dir(&target).unwrap();
    let error = write_atomically(&target, b"new").unwrap_err();
    assert!(error.to_string().contains("expected a regular file"), "{error}");
    assert!(target.is_dir());
    assert_eq!(names(folder.path()), ["model"]);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    const LIMITED: &str = "EMBERLOOP_TEST_LIMITED_FOLDER";

    /// A rename over a device file would replace the device.
    #[test]
    fn a_device_is_not_replaced() {
        assert!(write_atomically("/dev/null", b"new").unwrap_err().to_string().contains("expected a regular file"));
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_link_stays_a_link() {
        let (folder, path) = folder_with_old_file();
        let link = folder.path().join("latest");
        symlink("model", &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn others_may_read_a_new_file_as_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, plain] = ["ours", "plain"].map(|name| folder.path().join(name));
        write_atomically(&ours, b"new").unwrap();
        fs::write(&plain, "new").unwrap();
        let [ours, plain] = [ours, plain].map(|path| fs::metadata(path).unwrap().permissions().mode());
        assert_eq!(ours, plain);
    }

    /// The operating system itself refuses the last bytes, as a full disk does: the test runs again under a limit on
    /// the size of files (`ulimit -f`, its signal ignored), which needs no privileges.
    #[test]
    fn a_disk_that_fills_up_leaves_the_old_file() {
        if let Some(folder) = std::env::var_os(LIMITED) {
            let path = PathBuf::from(folder).join("model");
            let error = write_atomically(&path, &vec![7; 1 << 20]).expect_err("the limit is far below 1 MiB");
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{error}");
            return;
        }
        let (folder, path) = folder_with_old_file();
        let limited = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg("unix::a_disk_that_fills_up_leaves_the_old_file")
            .env(LIMITED, folder.path())
            .output()
            .expect("every Unix has sh");
        let report = String::from_utf8_lossy(&limited.stdout);
        assert!(limited.status.success() && report.contains("1 passed"), "the limited run: {limited:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["model"], "the temporary file is gone");
    }
}
