//! `emberloop` as a child process on one thread, with a limit of time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Result, process};

/// The program that is measured.
pub struct Emberloop {
    pub binary: PathBuf,
    pub limit: Duration,
}

/// What a child printed, and how long it took.
pub struct Answer {
    pub json: Value,
    pub seconds: f64,
}

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(10);

impl Emberloop {
    /// Builds it as users do.
    pub fn build(limit: Duration) -> Result<Emberloop> {
        process::run(process::cargo().args(["build", "--release", "--package", "emberloop"]))?;
        Ok(Emberloop { binary: process::target_folder()?.join("release/emberloop"), limit })
    }

    /// Runs it in a folder; `name` names the files beside the case that keep what it printed.
    pub fn ask(&self, folder: &Path, name: &str, arguments: &[&str]) -> Result<Answer> {
        let (stdout, stderr) = (folder.join(format!("{name}.json")), folder.join(format!("{name}.log")));
        let mut command = Command::new(&self.binary);
        command.current_dir(folder).args(arguments).env("RAYON_NUM_THREADS", "1");
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        let began = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > self.limit {
                child.kill()?;
                child.wait()?;
                return Err(format!("`{}` was ended after {} s", process::shown(&command), self.limit.as_secs()).into());
            }
            std::thread::sleep(POLL);
        };
        let seconds = began.elapsed().as_secs_f64();
        let printed = std::fs::read_to_string(&stdout)?;
        if !status.success() {
            let said = std::fs::read_to_string(&stderr)?;
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
            return Err(format!("`{}` ended with {status}: {last}", process::shown(&command)).into());
        }
        let json = serde_json::from_str(printed.trim()).map_err(|error| format!("{}: {error}", stdout.display()))?;
        Ok(Answer { json, seconds })
    }

    /// Trains a configuration in full and returns its metrics; the run's folder is left behind.
    pub fn train(&self, folder: &Path, config: &str, name: &str) -> Result<Answer> {
        let run = folder.join(format!("{name}.run"));
        if run.exists() {
            // Of a suite that was ended.
            std::fs::remove_dir_all(&run)?;
        }
        let out = run.to_string_lossy().into_owned();
        self.ask(folder, name, &["train", config, "--json", "--out", &out])
    }
}
