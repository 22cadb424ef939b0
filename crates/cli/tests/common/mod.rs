//! What every test of the command line needs: a folder that goes away, the program itself, and how its words are checked.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod data;
pub mod models;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program under test.
pub const EMBERLOOP: &str = env!("CARGO_BIN_EXE_emberloop");

/// What stands for a folder in a snapshot.
const FOLDER: &[u8] = b"a folder";

/// A folder that goes away with its test. The program runs in it, so that its messages name short paths.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with the files of a snapshot.
    pub fn of(snapshot: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let folder = Self::new();
        for (name, content) in snapshot.iter().filter(|(_, content)| *content != FOLDER) {
            folder.write(name, content);
        }
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.file(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn exists(&self, name: &str) -> bool {
        self.file(name).exists()
    }

    /// Writes a file, and the folders it needs.
    pub fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// Every file and folder with its content, to see that nothing changed.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.path()).unwrap().to_path_buf();
                if path.is_dir() {
                    folders.push(path);
                    all.insert(name, FOLDER.to_vec());
                } else {
                    all.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        all
    }

    /// The program with arguments, to be run in this folder.
    pub fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(EMBERLOOP);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ran {
        Ran::new(self.command(arguments).output().unwrap())
    }

    /// Runs the program with text on its standard input.
    pub fn pipe(&self, arguments: &[impl AsRef<OsStr>], input: &str) -> Ran {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.as_bytes().to_vec();
        // In a thread of its own: the program may well answer before it has read everything. If it stopped reading,
        // its status says why.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ran::new(output)
    }

    /// Runs the program with files limited to `kilobytes`: what a full disk is to it, without needing one.
    pub fn run_on_full_disk(&self, kilobytes: usize, arguments: &[&str]) -> Ran {
        // Ignoring the signal makes the write itself fail, as it does on a full disk.
        let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &script, EMBERLOOP]).args(arguments).current_dir(self.path()).stdin(Stdio::null());
        Ran::new(command.output().unwrap())
    }

    /// Runs the program, which must refuse, in one line, and leave every file of the folder as it was.
    #[track_caller]
    pub fn refuses(&self, arguments: &[impl AsRef<OsStr>]) -> String {
        let before = self.snapshot();
        let line = self.run(arguments).fails();
        assert_unchanged(&before, &self.snapshot(), &line);
        line
    }
}

/// Nothing new, nothing gone, nothing changed.
#[track_caller]
pub fn assert_unchanged(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>, context: &str) {
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after), "{context}");
    for (name, content) in before {
        assert!(after[name] == *content, "{} was changed: {context}", name.display());
    }
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed, after success.
    #[track_caller]
    pub fn succeeds(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The one object that `--json` printed, after success.
    #[track_caller]
    pub fn json(self) -> Value {
        let stdout = self.succeeds();
        assert_eq!(stdout.lines().count(), 1, "one line of JSON: {stdout}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// The one line on stderr that says what is wrong, without its `error: `; notes about the data may stand before it.
    #[track_caller]
    pub fn fails(self) -> String {
        let others = self.stderr.lines().filter(|line| !line.starts_with("note: ")).count();
        assert_eq!(others, 1, "one line: {self:?}");
        self.fails_at_last()
    }

    /// As [`Ran::fails`], after lines about the progress.
    #[track_caller]
    pub fn fails_at_last(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.last_error()
    }

    /// The last line, whatever the status.
    #[track_caller]
    pub fn last_error(self) -> String {
        assert_eq!(self.stdout, "", "nothing on stdout: {self:?}");
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "one error: {self:?}");
        let line = self.stderr.lines().last().unwrap();
        line.strip_prefix("error: ").unwrap_or_else(|| panic!("the error comes last: {self:?}")).to_string()
    }
}

/// That a line says all of it.
#[track_caller]
pub fn assert_says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "expected {part:?} in: {line}");
    }
}

/// A number of a JSON document.
#[track_caller]
pub fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("expected a number at {pointer} in {value}"))
}

/// An evaluation without what differs from run to run.
#[track_caller]
pub fn without_time(mut evaluation: Value) -> Value {
    let (steps, seconds) = (number(&evaluation, "/steps"), number(&evaluation, "/seconds"));
    let speed = number(&evaluation, "/steps_per_second");
    assert!(steps > 0.0 && seconds > 0.0 && (speed * seconds / steps - 1.0).abs() < 1e-9, "{evaluation}");
    for key in ["seconds", "steps_per_second"] {
        evaluation.as_object_mut().unwrap().remove(key);
    }
    evaluation
}
