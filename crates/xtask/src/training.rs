//! `cargo xtask bench-training`: a training step of ours, of burn's own modules and of PyTorch, in turn in one run.
//!
//! The contenders are processes of their own (`crates/bench`): this program asks them for a few steps each, round after
//! round, and makes the table.

mod bars;
pub mod machine;
mod page;
mod plan;
mod record;
pub mod rounds;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use self::plan::{Case, Cell, Isa, Loss, Measurement, Plan, name};
use self::rounds::{Contender, Pace, Timing, alternate};
use self::worker::{Launcher, Worker};
use crate::{Result, process, setup};

#[derive(Args)]
pub struct Options {
    /// A few shapes in two minutes
    #[arg(long, conflicts_with_all = ["cell", "hidden", "threads", "isa", "loss", "steps"])]
    quick: bool,
    /// Measure these cells alone; with this or one of the next options the rest keeps its default: lstm,gru, 32,64,128 units,
    /// 1,2 threads, the widest instructions, both losses, 100 steps
    #[arg(long, value_delimiter = ',')]
    cell: Vec<Cell>,
    /// Measure these numbers of units alone
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    hidden: Vec<usize>,
    /// Measure on these numbers of threads alone
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    threads: Vec<usize>,
    /// Measure with these sets of instructions alone; PyTorch is held to the same
    #[arg(long, value_delimiter = ',')]
    isa: Vec<Isa>,
    /// Measure with the loss on the last or on every step alone
    #[arg(long, value_delimiter = ',')]
    loss: Vec<Loss>,
    /// Measure sequences of these numbers of steps alone
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    steps: Vec<usize>,
    /// Which of the measurements; all of them by default
    #[arg(long, value_delimiter = ',')]
    only: Vec<Measurement>,
    /// Where to compute; PyTorch goes along on cpu and cuda
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Time by the wall's clock, or by what the processors have computed: for one thread on a machine that is busy
    #[arg(long, default_value = "wall")]
    clock: Clock,
    /// A folder that holds `ecg_beats` (models/README.md says what is in it): measure epochs over it, too
    #[arg(long)]
    data: Option<PathBuf>,
    /// A Python with PyTorch, in place of the environment that is made for it
    #[arg(long)]
    python: Option<PathBuf>,
    /// Install nothing
    #[arg(long)]
    no_install: bool,
    /// Print one JSON object a line and write no file
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Device {
    Cpu,
    Cuda,
    Vulkan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clock {
    Wall,
    Cpu,
}

impl Options {
    fn is_gpu(&self) -> bool {
        self.device != Device::Cpu
    }

    fn is_filtered(&self) -> bool {
        let Self { cell, hidden, threads, isa, loss, steps, .. } = self;
        !(cell.is_empty() && isa.is_empty() && loss.is_empty() && [hidden, threads, steps].iter().all(|l| l.is_empty()))
    }

    /// Whether this is the run whose table stands in the repository.
    fn is_whole(&self) -> bool {
        !(self.json || self.quick || self.is_gpu() || self.clock == Clock::Cpu || self.is_filtered())
            && self.only.is_empty()
    }

    fn problem(&self) -> Option<String> {
        if self.is_gpu() && !(self.threads.is_empty() && self.isa.is_empty()) {
            return Some(format!("--threads and --isa are for the cpu, expected neither with {}", name(self.device)));
        }
        if self.clock == Clock::Cpu && self.threads != [1] {
            // The threads' times add up, and so does the waiting of those that spin.
            return Some("--clock cpu is for one thread, expected --threads 1 beside it".into());
        }
        None
    }
}

fn positive(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a number from 1".into()),
    }
}

/// A case and what each contender took; `pytorch` and `burn` have not everything.
struct Timed {
    pass: Measurement,
    case: Case,
    ours: Timing,
    pytorch: Option<Timing>,
    /// Which of its ways PyTorch was fastest on.
    variant: String,
    burn: Option<Timing>,
    /// The recurrent layer alone, without a trainer around it.
    kernels: Option<Timing>,
}

/// Memory in KiB.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Memory {
    /// At most, beyond what the process took before it had a model or data.
    added: u64,
    /// At most, the program and its libraries included.
    whole: u64,
}

struct Used {
    case: Case,
    ours: Memory,
    pytorch: Memory,
}

/// Epochs over files.
struct Trained {
    threads: usize,
    isa: Isa,
    ours: Value,
    pytorch: Value,
}

/// All that was measured.
#[derive(Default)]
struct Findings {
    /// The contenders with their versions.
    contenders: Vec<String>,
    timed: Vec<Timed>,
    used: Vec<Used>,
    trained: Vec<Trained>,
}

/// Runs the command.
pub fn run(options: &Options) -> Result {
    if let Some(problem) = options.problem() {
        return Err(problem.into());
    }
    let python = setup::pytorch::interpreter(options.python.as_deref(), !options.no_install)?;
    let binary = build(options.device)?;
    let native = Isa::native();
    let (device, clock) = (name(options.device), name(options.clock));
    let script = process::root().join("crates/bench/pytorch.py");
    let launcher =
        Launcher { binary: &binary, python: &python, script: &script, device: &device, native, clock: &clock };
    let plan = Plan::new(options, native, machine::cores());
    let pace = if options.quick { Pace { rounds: 5, turn: 80.0 } } else { Pace { rounds: 9, turn: 120.0 } };

    if let Some(load) = machine::load().filter(|&load| load > BUSY) {
        eprintln!("the machine is busy (load {load:.1}): --threads 1 --clock cpu is what can be measured");
    }
    let began = Instant::now();
    let mut found = Findings::default();
    time(&launcher, Measurement::Step, &plan.steps, pace, &mut found)?;
    time(&launcher, Measurement::Inference, &plan.inference, pace, &mut found)?;
    for case in &plan.memory {
        eprintln!("memory: {case}");
        let used = memory(&launcher, case, &mut found)?;
        found.used.push(used);
    }
    if let Some(data) = &options.data {
        let folder = stage(data)?;
        let config = folder.path().join("train.toml");
        for &threads in &plan.end_to_end {
            eprintln!("ecg-beats from its file, threads: {threads}");
            let trained = end_to_end(&launcher, &config, threads, &mut found)?;
            found.trained.push(trained);
        }
    }
    eprintln!("measured in {} s", began.elapsed().as_secs());

    let records = record::records(&found);
    if options.json {
        records.iter().for_each(|record| println!("{record}"));
        return Ok(());
    }
    let page = page::markdown(
        &found,
        &machine::describe()?,
        &process::typed(std::env::args(), &["--python", "--no-install"], &["--python"]),
    );
    println!("{page}");
    if options.is_whole() {
        let folder = process::root().join("crates/kernels");
        write(&folder.join("MEASUREMENTS.md"), &page)?;
        write(
            &folder.join("measurements.jsonl"),
            &records.iter().map(|record| format!("{record}\n")).collect::<String>(),
        )?;
    }
    Ok(())
}

/// Load, before anything is measured, at which others disturb.
const BUSY: f64 = 0.5;

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("written: {}", path.display());
    Ok(())
}

/// Builds the workers; this program itself stays free of burn.
fn build(device: Device) -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(["build", "--release", "--package", "emberloop-bench"]);
    if device != Device::Cpu {
        command.args(["--features", &name(device)]);
    }
    process::run(&mut command)?;
    Ok(process::target_folder()?.join("release/emberloop-bench"))
}

/// The contenders on so many threads.
struct Group {
    of: (usize, Isa),
    ours: Worker,
    pytorch: Option<Worker>,
    burn: Option<Worker>,
    kernels: Option<Worker>,
}

impl Group {
    fn start(launcher: &Launcher<'_>, case: &Case) -> Result<Self> {
        let Case { threads, isa, .. } = *case;
        let ours = launcher.ours(threads, isa)?;
        let pytorch = match launcher.device {
            "cpu" => Some(launcher.pytorch(threads, isa)?),
            "cuda" => launcher.pytorch(threads, isa).inspect_err(|error| eprintln!("{error}: it is left out")).ok(),
            _ => None,
        };
        // It cannot be held to other instructions.
        let burn =
            if launcher.device == "cpu" && isa == launcher.native { Some(launcher.burn(threads)?) } else { None };
        let kernels = if launcher.device == "cpu" { Some(launcher.kernels(threads, isa)?) } else { None };
        Ok(Self { of: (threads, isa), ours, pytorch, burn, kernels })
    }
}

/// burn's time grows with the square of the steps.
const BURN_STEPS: usize = 400;

fn time(launcher: &Launcher<'_>, pass: Measurement, cases: &[Case], pace: Pace, found: &mut Findings) -> Result {
    // The processes of one number of threads serve all of its cases.
    let mut cases = cases.to_vec();
    cases.sort_by_key(|case| (case.isa as usize, case.threads));
    let mut group: Option<Group> = None;
    for case in &cases {
        if group.as_ref().is_none_or(|group| group.of != (case.threads, case.isa)) {
            // First the old ones end.
            drop(group.take());
            let started = Group::start(launcher, case)?;
            let workers = [Some(&started.ours), started.pytorch.as_ref(), started.burn.as_ref()];
            workers.into_iter().flatten().for_each(|worker| found.met(worker));
            group = Some(started);
        }
        let group = group.as_mut().expect("started above");
        eprintln!("{}: {case}", name(pass));
        found.timed.push(contest(group, pass, case, pace)?);
    }
    Ok(())
}

fn contest<'g>(group: &'g mut Group, pass: Measurement, case: &Case, pace: Pace) -> Result<Timed> {
    let train = pass == Measurement::Step;
    let request = case.request(if train { "train" } else { "infer" }, case.sequences());
    let question = json!({"do": "prepare", "case": request});
    let (ours, _) = contender(&mut group.ours, &question, 1)?;
    let mut contenders = vec![ours];
    let mut place = |worker: Option<&'g mut Worker>, every: usize| -> Result<(Option<usize>, String)> {
        let Some(worker) = worker else { return Ok((None, String::new())) };
        let (contender, variant) = contender(worker, &question, every)?;
        contenders.push(contender);
        Ok((Some(contenders.len() - 1), variant))
    };
    let (pytorch, variant) = place(group.pytorch.as_mut().filter(|_| case.cell.is_in_pytorch()), 1)?;
    let (kernels, _) = place(group.kernels.as_mut(), 1)?;
    let (burn, _) = place(group.burn.as_mut().filter(|_| train && case.steps <= BURN_STEPS), 3)?;
    let timings = alternate(&mut contenders, pace)?;
    let of = |place: Option<usize>| place.map(|place| timings[place]);
    let (pytorch, burn, kernels) = (of(pytorch), of(burn), of(kernels));
    Ok(Timed { pass, case: *case, ours: timings[0], pytorch, variant, burn, kernels })
}

/// A worker with its case, and the way that it takes.
fn contender<'a>(worker: &'a mut Worker, question: &Value, every: usize) -> Result<(Contender<'a>, String)> {
    let answer = worker.ask(question)?;
    let estimate = answer["ms"].as_f64().ok_or_else(|| format!("{}: expected a time, found {answer}", worker.name))?;
    let variant = answer["variant"].as_str().unwrap_or_default().to_owned();
    Ok((Contender { run: Box::new(move |count| worker.run(count)), estimate, every }, variant))
}

impl Findings {
    /// Notes who takes part.
    fn met(&mut self, worker: &Worker) {
        if !self.contenders.contains(&worker.name) {
            self.contenders.push(worker.name.clone());
        }
    }
}

/// Processes of their own, so that nobody keeps what an earlier case took.
fn memory(launcher: &Launcher<'_>, case: &Case, found: &mut Findings) -> Result<Used> {
    let Case { threads, isa, .. } = *case;
    let mut worker = launcher.ours(threads, isa)?;
    found.met(&worker);
    let ours = peak(&mut worker, case, None)?;
    drop(worker);
    // The way that takes less, whichever is faster.
    let mut pytorch = Vec::new();
    for onednn in [true, false] {
        let mut worker = launcher.pytorch(threads, isa)?;
        found.met(&worker);
        pytorch.push(peak(&mut worker, case, Some(onednn))?);
    }
    let pytorch = pytorch.into_iter().min_by_key(|memory| memory.added).ok_or("nothing was measured")?;
    Ok(Used { case: *case, ours, pytorch })
}

fn peak(worker: &mut Worker, case: &Case, onednn: Option<bool>) -> Result<Memory> {
    let question = |request: Value| match onednn {
        Some(onednn) => json!({"do": "prepare", "case": request, "onednn": onednn}),
        None => json!({"do": "prepare", "case": request}),
    };
    // A first training, as small as can be, so that libraries are loaded and threads are there.
    let small = Case { hidden: 8, steps: 2, ..*case };
    worker.ask(&question(small.request("train", plan::BATCH)))?;
    worker.ask(&json!({"do": "reset_memory"}))?;
    let number = |answer: &Value, field: &str| {
        answer[field].as_u64().ok_or_else(|| format!("memory is read from /proc, which gave no {field}"))
    };
    let before = number(&worker.ask(&json!({"do": "memory"}))?, "rss_kib")?;
    worker.ask(&question(case.request("train", 4 * plan::BATCH)))?;
    worker.run(6)?;
    let whole = number(&worker.ask(&json!({"do": "memory"}))?, "peak_kib")?;
    Ok(Memory { added: whole.saturating_sub(before), whole })
}

/// The example with its data beside it.
fn stage(data: &Path) -> Result<tempfile::TempDir> {
    let beats = data.join("ecg_beats");
    let beats = beats.canonicalize().map_err(|error| format!("{}: {error}", beats.display()))?;
    let folder = tempfile::tempdir()?;
    fs::copy(process::root().join("models/ecg-beats/train.toml"), folder.path().join("train.toml"))?;
    std::os::unix::fs::symlink(beats, folder.path().join("data"))?;
    Ok(folder)
}

const EPOCHS: usize = 2;

fn end_to_end(launcher: &Launcher<'_>, config: &Path, threads: usize, found: &mut Findings) -> Result<Trained> {
    let question = json!({"do": "end_to_end", "config": config, "epochs": EPOCHS});
    let mut ask = |mut worker: Worker| -> Result<Value> {
        found.met(&worker);
        worker.ask(&question)
    };
    let ours = ask(launcher.ours(threads, launcher.native)?)?;
    let pytorch = match launcher.device {
        "vulkan" => Value::Null,
        _ => ask(launcher.pytorch(threads, launcher.native)?)?,
    };
    Ok(Trained { threads, isa: launcher.native, ours, pytorch })
}

#[cfg(test)]
mod tests {
    use crate::process;

    #[test]
    fn the_command_is_shown_without_what_is_of_this_machine() {
        let shown = |line: &str| {
            process::typed(line.split(' ').map(String::from), &["--python", "--no-install"], &["--python"])
        };
        assert_eq!(
            shown("xtask bench-training --python /p/python --quick --data=/d --only step"),
            "cargo xtask bench-training --quick --data FOLDER --only step"
        );
        assert_eq!(shown("xtask bench-training --data /d --python=/p"), "cargo xtask bench-training --data FOLDER");
    }
}
