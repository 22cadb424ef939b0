//! What is measured: from the options to a list of cases.

use std::fmt;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::Options;

/// Sequences per step of the optimizer.
pub const BATCH: usize = 64;
/// Features.
pub const INPUTS: usize = 6;
/// Steps of a sequence, where nothing else is asked for.
pub const STEPS: usize = 100;
const CLASSES: usize = 5;
const HIDDEN: [usize; 3] = [32, 64, 128];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Cell {
    Lstm,
    Gru,
    GruResetBefore,
    Rnn,
}

impl Cell {
    /// `GruResetBefore` is the one that PyTorch does not have.
    pub fn is_in_pytorch(self) -> bool {
        self != Cell::GruResetBefore
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Loss {
    Last,
    Every,
}

/// A set of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Isa {
    Avx512,
    Avx2,
    Portable,
}

impl Isa {
    /// The widest that this machine has and the kernels use.
    pub fn native() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Isa::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Isa::Avx2;
            }
        }
        Isa::Portable
    }
}

/// Which of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// A training step
    Step,
    /// The outputs of sequences
    Inference,
    /// Peak memory of training
    Memory,
    /// Epochs over files
    EndToEnd,
}

/// The name on the command line.
pub fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub cell: Cell,
    pub hidden: usize,
    pub threads: usize,
    pub isa: Isa,
    pub loss: Loss,
    pub steps: usize,
}

impl Case {
    /// What the workers are told.
    pub fn request(&self, pass: &str, sequences: usize) -> Value {
        let (cell, reset_after) = match self.cell {
            Cell::GruResetBefore => ("gru".to_owned(), false),
            cell => (name(cell), true),
        };
        json!({
            "pass": pass, "cell": cell, "reset_after": reset_after, "hidden": self.hidden, "loss": name(self.loss),
            "steps": self.steps, "batch": BATCH, "inputs": INPUTS, "classes": CLASSES, "sequences": sequences,
        })
    }

    /// Sequences of the data: enough for the end of an epoch to be seldom, few enough to fit in memory.
    pub fn sequences(&self) -> usize {
        if self.steps > 200 { 4 * BATCH } else { 16 * BATCH }
    }
}

/// For people.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { cell, hidden, threads, isa, loss, steps } = *self;
        let plural = if threads == 1 { "" } else { "s" };
        write!(
            f,
            "{}-{hidden}, {steps} steps, loss on {}, {threads} thread{plural}, {}",
            name(cell),
            name(loss),
            name(isa)
        )
    }
}

/// What is measured.
#[derive(Debug, PartialEq)]
pub struct Plan {
    pub steps: Vec<Case>,
    pub inference: Vec<Case>,
    pub memory: Vec<Case>,
    /// Threads of each training from files.
    pub end_to_end: Vec<usize>,
}

/// Every combination.
struct Block<'a> {
    cells: &'a [Cell],
    hidden: &'a [usize],
    threads: &'a [usize],
    isas: &'a [Isa],
    losses: &'a [Loss],
    steps: &'a [usize],
}

impl Block<'_> {
    fn add(&self, cases: &mut Vec<Case>) {
        for &isa in self.isas {
            for &threads in self.threads {
                for &steps in self.steps {
                    for &loss in self.losses {
                        for &cell in self.cells {
                            for &hidden in self.hidden {
                                let case = Case { cell, hidden, threads, isa, loss, steps };
                                if !cases.contains(&case) {
                                    cases.push(case);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Plan {
    /// With a filter: every combination of what it names and of the default for the rest. Without one, or `--quick`: what
    /// the project is held to.
    pub fn new(options: &Options, native: Isa, cores: usize) -> Self {
        let all_threads: Vec<usize> = [1, 2].into_iter().filter(|&threads| threads <= cores.max(1)).collect();
        let threads = if options.is_gpu() { vec![1] } else { or(&options.threads, &all_threads) };
        let cells = or(&options.cell, &[Cell::Lstm, Cell::Gru]);
        let hidden = or(&options.hidden, &HIDDEN);
        let isas = or(&options.isa, &[native]);
        let losses = or(&options.loss, &[Loss::Last, Loss::Every]);
        let steps = or(&options.steps, &[STEPS]);
        let mut plan = Self { steps: Vec::new(), inference: Vec::new(), memory: Vec::new(), end_to_end: Vec::new() };

        let asked =
            Block { cells: &cells, hidden: &hidden, threads: &threads, isas: &isas, losses: &losses, steps: &steps };
        if options.is_filtered() {
            asked.add(&mut plan.steps);
        } else if options.quick {
            Block { hidden: &[32, 128], losses: &[Loss::Last], ..asked }.add(&mut plan.steps);
            Block {
                cells: &[Cell::Lstm],
                hidden: &[32],
                threads: &[1],
                losses: &[Loss::Last],
                steps: &[1000],
                ..asked
            }
            .add(&mut plan.steps);
        } else {
            asked.add(&mut plan.steps);
            Block { cells: &[Cell::GruResetBefore, Cell::Rnn], ..asked }.add(&mut plan.steps);
            let long = [100, 200, 500, 1000];
            Block { hidden: &[32], threads: &[1], losses: &[Loss::Last], steps: &long, ..asked }.add(&mut plan.steps);
            if native == Isa::Avx512 && !options.is_gpu() {
                Block { threads: &[1], isas: &[Isa::Avx2], losses: &[Loss::Last], ..asked }.add(&mut plan.steps);
            }
        }

        let last = [or(&options.loss, &[Loss::Last])[0]];
        let brief = options.quick && !options.is_filtered();
        let infer = Block { losses: &last, ..asked };
        if brief {
            Block { hidden: &[32, 128], threads: &[1], ..infer }.add(&mut plan.inference);
        } else {
            infer.add(&mut plan.inference);
        }
        let steps = or(&options.steps, if brief { &[STEPS] } else { &[STEPS, 1000] });
        let hidden = or(&options.hidden, &[128]);
        if !options.is_gpu() {
            Block { hidden: &hidden, threads: &[1], losses: &last, isas: &isas[..1], steps: &steps, ..asked }
                .add(&mut plan.memory);
        }
        if options.data.is_some() {
            plan.end_to_end = threads;
        }
        let wanted = |measurement| options.only.is_empty() || options.only.contains(&measurement);
        if !wanted(Measurement::Step) {
            plan.steps.clear();
        }
        if !wanted(Measurement::Inference) {
            plan.inference.clear();
        }
        if !wanted(Measurement::Memory) {
            plan.memory.clear();
        }
        if !wanted(Measurement::EndToEnd) {
            plan.end_to_end.clear();
        }
        plan
    }
}

fn or<T: Clone>(given: &[T], default: &[T]) -> Vec<T> {
    if given.is_empty() { default.to_vec() } else { given.to_vec() }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        let command = Options::augment_args(Command::new("bench-training").no_binary_name(true));
        let matches = command.try_get_matches_from(line.split_whitespace()).map_err(|error| error.to_string())?;
        Ok(Options::from_arg_matches(&matches).unwrap())
    }

    fn plan(line: &str) -> Plan {
        Plan::new(&options(line).unwrap(), Isa::Avx512, 2)
    }

    #[test]
    fn the_whole_plan_has_what_the_bars_are_for() {
        let plan = plan("--data folder");
        for cell in [Cell::Lstm, Cell::Gru] {
            for hidden in HIDDEN {
                for threads in [1, 2] {
                    for loss in [Loss::Last, Loss::Every] {
                        let case = Case { cell, hidden, threads, isa: Isa::Avx512, loss, steps: STEPS };
                        assert_eq!(plan.steps.iter().filter(|&found| *found == case).count(), 1, "{case}");
                    }
                }
            }
        }
        assert!(plan.steps.iter().any(|case| case.steps == 1000));
        assert!(plan.steps.iter().any(|case| case.isa == Isa::Avx2));
        assert_eq!(plan.memory.iter().map(|case| case.steps).max(), Some(1000));
        assert_eq!((plan.inference.len(), plan.end_to_end), (12, vec![1, 2]));
    }

    #[test]
    fn filters_are_combined() {
        let plan = plan("--cell rnn,gru-reset-before --hidden 48 --threads 3 --isa avx2 --loss every --steps 10,20");
        let case = |cell, steps| Case { cell, hidden: 48, threads: 3, isa: Isa::Avx2, loss: Loss::Every, steps };
        let [before, rnn] = [Cell::GruResetBefore, Cell::Rnn];
        assert_eq!(plan.steps, [case(rnn, 10), case(before, 10), case(rnn, 20), case(before, 20)]);
        assert!(plan.end_to_end.is_empty());
    }

    #[test]
    fn measurements_can_be_chosen() {
        let plan = plan("--quick --only memory,inference --data folder");
        assert!(plan.steps.is_empty() && plan.end_to_end.is_empty());
        assert!(!plan.memory.is_empty() && !plan.inference.is_empty());
    }

    #[test]
    fn one_core_has_one_thread() {
        let plan = Plan::new(&options("").unwrap(), Isa::Avx2, 1);
        assert!(plan.steps.iter().all(|case| case.threads == 1 && case.isa == Isa::Avx2));
    }

    #[test]
    fn what_is_no_choice_is_an_error_that_lists_them() {
        for (line, words) in [
            ("--cell tcn", &["--cell", "tcn", "lstm", "gru-reset-before"][..]),
            ("--hidden 0", &["--hidden", "0"]),
            ("--threads many", &["--threads", "many"]),
            ("--isa sse", &["--isa", "sse", "avx2"]),
            ("--device npu", &["--device", "npu", "vulkan"]),
            ("--quick --cell lstm", &["--quick", "--cell"]),
            ("--device cuda --threads 2", &["--threads"]),
            ("--clock cpu --threads 2", &["--clock", "--threads 1"]),
        ] {
            let error = options(line).map(|options| options.problem()).unwrap_or_else(Some);
            let error = error.unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(words.iter().all(|word| error.contains(word)), "{line}: {error}");
        }
        assert_eq!(options("--device cuda --hidden 64").unwrap().problem(), None);
    }
}
