//! `cargo xtask bench-engine`: what the engine costs on every QEMU board, as a table in the repository.
//!
//! Instructions are counted, not cycles: QEMU executes instructions one by one and knows nothing of pipelines, caches or
//! flash wait states. The counts are exact and the same on every machine.

mod bars;
mod flash;
mod icount;
mod models;
mod record;
mod stages;
mod synthetic;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use emberloop_boards::{Board, BuildOptions, Firmware, Measurement, RunOptions, Runner, Toolchain};
use emberloop_cells::CellKind;
use serde_json::Value;

use self::flash::Flash;
use self::models::{Models, Shape};
use crate::{Result, setup};

#[derive(Args, Default)]
pub struct Options {
    /// Print one JSON object a line and write no file
    #[arg(long)]
    json: bool,
    /// Write no file: fail if a figure is more than 2 % above the committed one
    #[arg(long, conflicts_with_all = ["json", "models"])]
    check: bool,
    /// Measure on this board alone
    #[arg(long)]
    board: Option<String>,
    /// A folder with NAME.ember and NAME.seq to measure in place of the repository's models
    #[arg(long)]
    models: Option<PathBuf>,
    /// Install nothing
    #[arg(long)]
    no_install: bool,
}

impl Options {
    /// What `cargo xtask check` runs.
    pub fn check(no_install: bool) -> Self {
        Self { check: true, no_install, ..Self::default() }
    }
}

/// What one board showed.
struct Measured {
    board: Board,
    /// The compiler's version: another one may make other code.
    compiler: String,
    rows: Vec<Row>,
    /// Of the engine with each set of cells that some model has.
    flash: Vec<Flash>,
}

/// One model on one board.
struct Row {
    model: String,
    shape: Shape,
    image_bytes: usize,
    instructions: icount::Counts,
    /// Bytes of RAM that the network works in.
    memory: usize,
    stack: Measurement,
    flash: Flash,
}

/// Runs the command.
pub fn run(options: &Options) -> Result {
    let firmware = Firmware::locate()?;
    if !options.no_install {
        setup::install_missing(&firmware)?;
    }
    let mut boards = match &options.board {
        Some(name) => vec![firmware.board(name)?],
        None => firmware.emulated_boards()?,
    };
    if options.check && options.no_install {
        boards
            .retain(|board| board.missing_tool().inspect(|tool| println!("skipped: {}: {tool}", board.name)).is_none());
    }
    let work = tempfile::tempdir()?;
    let plugin = icount::build(&firmware, work.path())?;
    let models = models::stage(&firmware, options.models.as_deref())?;

    let mut measured = Vec::new();
    for board in &boards {
        eprintln!("measuring on {}", board.name);
        measured.push(measure(&firmware, board, &models, &plugin, work.path())?);
    }
    let records: Vec<Value> = measured
        .iter()
        .flat_map(|measured| measured.rows.iter().map(|row| record::record(&measured.board, &measured.compiler, row)))
        .collect();
    let committed = firmware.folder().join("measurements.jsonl");
    if options.check {
        return check(&records, &committed);
    }
    if options.json {
        print!("{}", record::lines(&records));
        return Ok(());
    }
    let page = table::markdown(&measured);
    println!("{page}");
    if options.board.is_none() && options.models.is_none() {
        replace(&firmware.folder().join("MEASUREMENTS.md"), &page)?;
        replace(&committed, &record::lines(&records))?;
    }
    Ok(())
}

/// Compares with the committed figures.
fn check(records: &[Value], committed: &Path) -> Result {
    let text = fs::read_to_string(committed).map_err(|error| format!("{}: {error}", committed.display()))?;
    let found = record::compare(records, &text)?;
    if let Some(compiler) = &found.other_compiler {
        println!("the committed figures are of another compiler, {compiler}");
    }
    if found.smaller > 0 {
        println!(
            "{} figures are smaller than the committed ones; `cargo xtask bench-engine` writes them",
            found.smaller
        );
    }
    found.problems.iter().for_each(|problem| eprintln!("{problem}"));
    match found.problems.len() {
        0 => Ok(()),
        count => Err(format!(
            "{}: {count} figures are not as committed; if that is meant, `cargo xtask bench-engine` writes them",
            committed.display()
        )
        .into()),
    }
}

fn replace(path: &Path, text: &str) -> Result {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)?;
    println!("written: {}", path.display());
    Ok(())
}

fn measure(firmware: &Firmware, board: &Board, models: &Models, plugin: &Path, work: &Path) -> Result<Measured> {
    if !matches!(board.runner, Runner::Qemu(_)) {
        return Err(format!("{}: instructions are counted in QEMU, and this is a real board", board.name).into());
    }
    let binary = firmware.build(board, &BuildOptions { models: Some(models.folder.clone()), measure: true })?;
    let (counts, stages) = (work.join("counts.txt"), work.join("stages.txt"));
    stages::write_table(&binary.elf, &stages)?;
    let plugin = format!("{},out={},stages={}", plugin.display(), counts.display(), stages.display());
    let run = firmware.run(&binary, &RunOptions { plugin: Some(plugin), ..RunOptions::default() })?.checked()?;
    let expected = models.shapes.len();
    if run.models.len() != expected || run.stacks.len() != expected {
        return Err(format!("{}: expected {expected} models, found {}", board.name, run.stacks.len()).into());
    }
    let instructions = icount::read(&counts, &models.steps)?;

    let mut flash: Vec<(Vec<CellKind>, Flash)> = Vec::new();
    let mut rows = Vec::new();
    for (index, shape) in models.shapes.iter().enumerate() {
        let found = flash.iter().find(|(cells, _)| *cells == shape.cells).map(|(_, flash)| flash.clone());
        let engine = match found {
            Some(engine) => engine,
            None => {
                let engine = flash::measure(firmware, board, &shape.cells)?;
                flash.push((shape.cells.clone(), engine.clone()));
                engine
            }
        };
        rows.push(Row {
            model: run.models[index].name.clone(),
            shape: shape.clone(),
            image_bytes: run.models[index].image_bytes,
            instructions: instructions[index],
            memory: run.models[index].ram_bytes,
            stack: run.stacks[index],
            flash: engine,
        });
    }
    // As people read them: the made-up ones by cell and size.
    rows.sort_by_key(|row| (row.shape.single(bars::INPUTS).is_none(), row.shape.cells(), row.shape.hidden));
    let mut flash: Vec<Flash> = flash.into_iter().map(|(_, flash)| flash).collect();
    flash.sort_by(|a, b| a.cells.cmp(&b.cells));
    flash.dedup_by(|a, b| a.cells == b.cells);
    let compiler = Toolchain::for_target(&board.target)?.version()?;
    Ok(Measured { board: board.clone(), compiler, rows, flash })
}

impl Row {
    /// Bytes of RAM beyond the sample: the network's memory, and the views.
    fn ram(&self) -> usize {
        self.memory + self.stack.views
    }

    /// The most instructions that a step should take.
    fn bar(&self, measured: &Measured) -> Option<u64> {
        let cell = self.shape.single(bars::INPUTS)?;
        bars::instructions(&measured.board.name, cell, self.shape.hidden)
    }

    /// What CMSIS-NN takes for a layer of this shape.
    fn peer(&self, measured: &Measured) -> Option<u64> {
        let cell = self.shape.single(bars::INPUTS)?;
        bars::cmsis_nn(&measured.board.name, cell, self.shape.hidden)
    }
}
