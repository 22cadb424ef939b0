//! A program run to its end or to a time limit, with what it wrote.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::BoardError;

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit status; `None` if it was ended at the limit or by a signal.
    pub status: Option<i32>,
    /// Whether the limit ended it.
    pub timed_out: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `command` with `input` on its standard input for at most `limit`.
///
/// # Errors
/// [`BoardError::NoProgram`] with `fix` if there is no such program, [`BoardError::Program`] if it cannot be started.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration, fix: &str) -> Result<Finished, BoardError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => BoardError::NoProgram { program: program.clone(), fix: fix.into() },
        _ => BoardError::Program { program: program.clone(), source },
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;

    let stdin = child.stdin.take();
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // A program that ends without reading everything closes the pipe; its status tells more than this error.
        stdin.map(|mut stdin| stdin.write_all(&input))
    });
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let waited = wait(&mut child, limit);
    let (status, timed_out) = waited.map_err(failed)?;
    let finished = Finished {
        status,
        timed_out,
        stdout: stdout.join().unwrap_or_default(),
        stderr: String::from_utf8_lossy(&stderr.join().unwrap_or_default()).into_owned(),
    };
    drop(writer.join());
    Ok(finished)
}

/// Reads a pipe to its end on a thread of its own, so that a full pipe never stops the program.
fn reader(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is kept: it is a log.
            drop(pipe.read_to_end(&mut bytes));
        }
        bytes
    })
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<(Option<i32>, bool)> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status.code(), false));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok((None, true));
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_its_input_and_gives_its_status() {
        let mut command = Command::new("sh");
        command.args(["-c", "cat; echo trouble >&2; exit 3"]);
        let finished = run(&mut command, b"hello", Duration::from_secs(60), "").unwrap();
        assert_eq!((finished.status, finished.timed_out), (Some(3), false));
        assert_eq!((finished.stdout.as_slice(), finished.stderr.as_str()), (b"hello".as_slice(), "trouble\n"));
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let finished = run(&mut command, b"", Duration::from_millis(50), "").unwrap();
        assert_eq!((finished.status, finished.timed_out), (None, true));
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let error = run(&mut Command::new("no-such-program"), b"", POLL, "buy one").unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` is not installed; buy one");
        assert!(error.is_missing_tool());
    }
}
