//! The contenders' processes: one question at a time, a line of JSON each way (`crates/bench/src/protocol.rs`).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::plan::{Isa, name};
use crate::Result;

/// A running contender.
pub struct Worker {
    /// With its version.
    pub name: String,
    /// The instructions that it says it uses.
    pub isa: Option<String>,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// How the contenders are started.
pub struct Launcher<'a> {
    /// `emberloop-bench`
    pub binary: &'a Path,
    /// With PyTorch.
    pub python: &'a Path,
    /// `pytorch.py`
    pub script: &'a Path,
    /// `cpu`, `cuda` or `vulkan`
    pub device: &'a str,
    pub native: Isa,
    /// `wall` or `cpu`
    pub clock: &'a str,
}

impl Launcher<'_> {
    /// Our own.
    pub fn ours(&self, threads: usize, isa: Isa) -> Result<Worker> {
        self.own(&["ours", "--device", self.device], threads, isa)
    }

    /// The kernels of our own, without the trainer.
    pub fn kernels(&self, threads: usize, isa: Isa) -> Result<Worker> {
        self.own(&["kernels"], threads, isa)
    }

    fn own(&self, arguments: &[&str], threads: usize, isa: Isa) -> Result<Worker> {
        let mut command = Command::new(self.binary);
        command.args(arguments);
        if isa != self.native {
            command.env("EMBERLOOP_ISA", name(isa));
        }
        self.start(&mut command, threads)
    }

    /// burn's own modules; they find their instructions by themselves.
    pub fn burn(&self, threads: usize) -> Result<Worker> {
        let mut command = Command::new(self.binary);
        self.start(command.arg("burn"), threads)
    }

    /// PyTorch, with its libraries held to a set of instructions.
    pub fn pytorch(&self, threads: usize, isa: Isa) -> Result<Worker> {
        let mut command = Command::new(self.python);
        command.arg(self.script).args(["--device", self.device]).env("PYTHONDONTWRITEBYTECODE", "1");
        let held = match isa {
            _ if isa == self.native => None,
            Isa::Avx512 => None,
            Isa::Avx2 => Some(["avx2", "AVX2", "AVX2"]),
            Isa::Portable => Some(["default", "SSE41", "SSE4_2"]),
        };
        if let Some([pytorch, onednn, mkl]) = held {
            command.env("ATEN_CPU_CAPABILITY", pytorch);
            command.env("DNNL_MAX_CPU_ISA", onednn).env("ONEDNN_MAX_CPU_ISA", onednn);
            command.env("MKL_ENABLE_INSTRUCTIONS", mkl);
        }
        self.start(&mut command, threads)
    }
}

impl Launcher<'_> {
    fn start(&self, command: &mut Command, threads: usize) -> Result<Worker> {
        let count = threads.to_string();
        for variable in ["RAYON_NUM_THREADS", "MATMUL_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(variable, &count);
        }
        Worker::start(command.args(["--threads", &count, "--clock", self.clock]))
    }
}

impl Worker {
    fn start(command: &mut Command) -> Result<Self> {
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: cannot be started: {error}"))?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().ok_or("the worker has no output")?);
        let mut worker = Self { name: program, isa: None, process, input, output };
        let hello = worker.read()?;
        worker.isa = hello["isa"].as_str().map(Into::into);
        if let Some(name) = hello["name"].as_str() {
            worker.name = name.into();
        }
        Ok(worker)
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, question: &Value) -> Result<Value> {
        let input = self.input.as_mut().ok_or("the worker has no input")?;
        // A worker that has died does not read; what it said last is the better message.
        let _ = writeln!(input, "{question}").and_then(|()| input.flush());
        self.read()
    }

    /// Milliseconds of `count` repetitions.
    pub fn run(&mut self, count: usize) -> Result<Vec<f64>> {
        let answer = self.ask(&json!({"do": "run", "count": count}))?;
        let times = answer["ms"].as_array().map(|times| times.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
        match times {
            Some(times) if times.len() == count => Ok(times),
            _ => Err(format!("{}: expected {count} times, found {answer}", self.name).into()),
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            let status = self.process.wait()?;
            return Err(format!("{}: expected an answer, but it ended with {status}", self.name).into());
        }
        let answer: Value = serde_json::from_str(&line)
            .map_err(|_| format!("{}: expected an object, found {}", self.name, line.trim()))?;
        match answer["error"].as_str() {
            Some(error) => Err(format!("{}: {error}", self.name).into()),
            None => Ok(answer),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its input's end is the end of its work; one that hangs is not waited for.
        self.input = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Worker> {
        Worker::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn questions_are_answered() {
        let mut worker =
            shell(r#"echo '{"name": "peer 1", "isa": "avx2"}'; read q; echo '{"ms": [1.5, 2]}'; read q"#).unwrap();
        assert_eq!((worker.name.as_str(), worker.isa.as_deref()), ("peer 1", Some("avx2")));
        assert_eq!(worker.run(2).unwrap(), [1.5, 2.0]);
    }

    #[test]
    fn what_goes_wrong_is_one_line_with_the_workers_name() {
        let mut worker =
            shell(r#"echo '{"name": "peer"}'; read q; echo '{"error": "no memory"}'; read q; exit 3"#).unwrap();
        assert_eq!(worker.run(1).unwrap_err().to_string(), "peer: no memory");
        let error = worker.run(1).unwrap_err().to_string();
        assert!(error.starts_with("peer: expected an answer") && error.contains('3'), "{error}");
        assert!(shell("exit 1").err().unwrap().to_string().starts_with("sh: expected an answer"));
        let Err(error) = Worker::start(&mut Command::new("/nowhere/python")) else { panic!("it started") };
        assert!(error.to_string().starts_with("python: cannot be started"), "{error}");
    }
}
