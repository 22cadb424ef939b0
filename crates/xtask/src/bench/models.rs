//! The models that are measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use emberloop_boards::{EmbeddedModel, Firmware};
use emberloop_cells::CellKind;
use emberloop_image::{Image, Sequences};

use super::synthetic::{CASES, aligned};
use crate::{Result, process};

/// The models that go into the firmware, in the order of their names, which is the firmware's.
pub struct Models {
    /// Where they are.
    pub folder: PathBuf,
    /// What each is.
    pub shapes: Vec<Shape>,
    /// Steps of each model's test sequences.
    pub steps: Vec<usize>,
}

/// What a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The cell of each layer.
    pub cells: Vec<CellKind>,
    /// What the first layer sees.
    pub inputs: usize,
    /// Units of the first layer.
    pub hidden: usize,
    /// Outputs of the head.
    pub outputs: usize,
    /// Weights of the layers: multiplications per step.
    pub macs: u64,
}

impl Shape {
    fn of(image: &Image<'_>) -> Self {
        let mut shape = Self { cells: Vec::new(), inputs: 0, hidden: 0, outputs: 0, macs: 0 };
        for layer in image.layers() {
            let (inputs, hidden) = (layer.input.columns, usize::from(layer.shape.hidden));
            if shape.cells.is_empty() {
                (shape.inputs, shape.hidden) = (inputs, hidden);
            }
            shape.cells.push(layer.shape.cell);
            shape.macs += (layer.shape.cell.gate_count() * hidden * (inputs + hidden)) as u64;
        }
        shape.outputs = usize::from(image.header().head.outputs);
        shape
    }

    /// The cells' names, of each layer.
    pub fn cells(&self) -> String {
        self.cells.iter().map(|&cell| name(cell)).collect::<Vec<_>>().join(", ")
    }

    /// The cell of a model with one layer, one output and so many inputs.
    pub fn single(&self, inputs: usize) -> Option<CellKind> {
        match self.cells[..] {
            [cell] if self.inputs == inputs && self.outputs == 1 => Some(cell),
            _ => None,
        }
    }
}

/// As the tables name a cell.
pub fn name(cell: CellKind) -> &'static str {
    match cell {
        CellKind::Rnn => "rnn",
        CellKind::Lstm => "lstm",
        CellKind::GruResetAfter => "gru",
        CellKind::GruResetBefore => "gru-reset-before",
    }
}

/// Puts the models to measure into one folder: the named ones, or the repository's trained ones and the synthetic ones.
pub fn stage(firmware: &Firmware, named: Option<&Path>) -> Result<Models> {
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
            for case in CASES {
                models.insert(case.name(), case.build()?);
            }
        }
    }
    let (mut shapes, mut steps, mut embedded) = (Vec::new(), Vec::new(), Vec::new());
    for (name, (image, sequences)) in models {
        let words = aligned(&image);
        let parsed = Image::parse(bytemuck::cast_slice(&words)).map_err(|error| format!("{name}.ember: {error}"))?;
        shapes.push(Shape::of(&parsed));
        let words = aligned(&sequences);
        let parsed = Sequences::parse(bytemuck::cast_slice(&words)).map_err(|error| format!("{name}.seq: {error}"))?;
        steps.push(parsed.iter().map(|sequence| sequence.steps()).sum());
        embedded.push(EmbeddedModel { name, image, sequences: Some(sequences) });
    }
    Ok(Models { folder: firmware.stage(&embedded)?, shapes, steps })
}

/// Takes an image and the sequences beside it, if both are there.
fn add_files(models: &mut BTreeMap<String, (Vec<u8>, Vec<u8>)>, name: String, image: &Path) -> Result {
    let sequences = image.with_extension("seq");
    if image.extension().is_some_and(|extension| extension == "ember") && image.is_file() && sequences.is_file() {
        models.insert(name, (fs::read(image)?, fs::read(sequences)?));
    }
    Ok(())
}
