//! `cargo xtask bench-firmware`: what the engine costs on every QEMU board, as a table in the repository.
//!
//! Instructions are counted, not cycles: QEMU executes instructions one by one and knows nothing of pipelines, caches or
//! flash wait states. The counts are exact and the same on every machine.

mod icount;
mod synthetic;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use emberloop_boards::{
    Board, BuildOptions, EmbeddedModel, Firmware, Footprint, Measurement, RunOptions, Runner, Toolchain, footprint,
};
use emberloop_image::Sequences;

use crate::{Result, process, setup};

#[derive(Args)]
pub struct Options {
    /// Print one JSON object and write no file
    #[arg(long)]
    json: bool,
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

/// What one board showed.
struct Measured {
    board: Board,
    /// The compiler's version: another one may make other code.
    compiler: String,
    /// The whole program with every model in it.
    footprint: Footprint,
    /// Flash of the program without the models and their sequences.
    program: u64,
    rows: Vec<Row>,
}

/// One model on one board.
struct Row {
    model: String,
    image_bytes: usize,
    instructions: icount::Counts,
    /// Bytes of RAM that the network works in.
    memory: usize,
    stack: Measurement,
}

/// Runs the command.
pub fn run(options: &Options) -> Result {
    let firmware = Firmware::locate()?;
    if !options.no_install {
        setup::install_missing(&firmware)?;
    }
    let boards = match &options.board {
        Some(name) => vec![firmware.board(name)?],
        None => firmware.emulated_boards()?,
    };
    let work = tempfile::tempdir()?;
    let plugin = icount::build(&firmware, work.path())?;
    let models = models(&firmware, options.models.as_deref())?;

    let mut measured = Vec::new();
    for board in &boards {
        eprintln!("measuring on {}", board.name);
        measured.push(measure(&firmware, board, &models, &plugin, work.path())?);
    }
    if options.json {
        println!("{}", table::json(&measured));
        return Ok(());
    }
    let text = table::markdown(&measured);
    println!("{text}");
    if options.board.is_none() && options.models.is_none() {
        let path = firmware.folder().join("MEASUREMENTS.md");
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, &text)?;
        fs::rename(&temporary, &path)?;
        println!("written: {}", path.display());
    }
    Ok(())
}

/// The models that go into the firmware.
struct Models {
    folder: PathBuf,
    /// Steps of each model's test sequences, in the order of the models' names, which is the firmware's.
    steps: Vec<usize>,
    /// Bytes of the images and the sequences.
    bytes: u64,
}

/// Puts the models to measure into one folder: the named ones, or the repository's trained ones and one of each cell.
fn models(firmware: &Firmware, named: Option<&Path>) -> Result<Models> {
    let mut models = BTreeMap::new();
    match named {
        Some(named) => {
            for image in fs::read_dir(named)?.flatten().map(|entry| entry.path()) {
                let name = image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                add_files(&mut models, name, &image)?;
            }
        }
        None => {
            for model in fs::read_dir(process::root().join("models"))?.flatten().map(|entry| entry.path()) {
                let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
                add_files(&mut models, name, &model.join("model.ember"))?;
            }
            for case in synthetic::CASES {
                models.insert(case.name(), case.build()?);
            }
        }
    }
    let mut bytes = 0;
    let mut steps = Vec::new();
    let mut embedded = Vec::new();
    for (name, (image, sequences)) in models {
        bytes += (image.len() + sequences.len()) as u64;
        let words = synthetic::aligned(&sequences);
        let parsed = Sequences::parse(bytemuck::cast_slice(&words)).map_err(|error| format!("{name}.seq: {error}"))?;
        steps.push(parsed.iter().map(|sequence| sequence.steps()).sum());
        embedded.push(EmbeddedModel { name, image, sequences: Some(sequences) });
    }
    Ok(Models { folder: firmware.stage(&embedded)?, steps, bytes })
}

/// Takes an image and the sequences beside it, if both are there.
fn add_files(models: &mut BTreeMap<String, (Vec<u8>, Vec<u8>)>, name: String, image: &Path) -> Result {
    let sequences = image.with_extension("seq");
    if image.extension().is_some_and(|extension| extension == "ember") && image.is_file() && sequences.is_file() {
        models.insert(name, (fs::read(image)?, fs::read(sequences)?));
    }
    Ok(())
}

fn measure(firmware: &Firmware, board: &Board, models: &Models, plugin: &Path, work: &Path) -> Result<Measured> {
    if !matches!(board.runner, Runner::Qemu(_)) {
        return Err(format!("{}: instructions are counted in QEMU, and this is a real board", board.name).into());
    }
    let build = |measure| firmware.build(board, &BuildOptions { models: Some(models.folder.clone()), measure });
    let counts = work.join("counts.txt");
    let plugin = format!("{},out={}", plugin.display(), counts.display());
    let options = RunOptions { plugin: Some(plugin), ..RunOptions::default() };
    let run = firmware.run(&build(true)?, &options)?.checked()?;
    if run.models.len() != models.steps.len() || run.stacks.len() != models.steps.len() {
        return Err(
            format!("{}: expected {} models, found {}", board.name, models.steps.len(), run.stacks.len()).into()
        );
    }
    let instructions = icount::read(&counts, &models.steps)?;
    let rows = run.models.iter().zip(&run.stacks).zip(instructions);
    let rows = rows.map(|((facts, &stack), instructions)| Row {
        model: facts.name.clone(),
        image_bytes: facts.image_bytes,
        instructions,
        memory: facts.ram_bytes,
        stack,
    });
    // Without what measures: that is not in a user's program.
    let footprint = footprint(&build(false)?.elf, &board.memory)?;
    let program = footprint.flash.saturating_sub(models.bytes);
    let compiler = Toolchain::for_target(&board.target)?.version()?;
    Ok(Measured { board: board.clone(), compiler, footprint, program, rows: rows.collect() })
}
