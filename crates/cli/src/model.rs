//! A model file of any of the three kinds, told apart by what it holds and not by its name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use emberloop_checkpoint::{Checkpoint, Container};
use emberloop_data::{DataConfig, Inputs, Schema, TargetPer, Targets};
use emberloop_image::{Header, Image, InputShape, MAGIC, Pooling, Task};
use emberloop_quantize::{AlignedBytes, QuantizedMetadata};

/// A model file.
pub enum Model {
    /// A float checkpoint.
    Float(Box<Checkpoint>),
    /// A device image.
    Image(ImageFile),
    /// A quantized safetensors file, rebuilt to the image it describes.
    Quantized(ImageFile, Box<QuantizedMetadata>),
}

/// An image and where it came from.
pub struct ImageFile {
    /// The file.
    pub path: PathBuf,
    /// Its bytes, aligned as a board would have them.
    pub bytes: AlignedBytes,
}

impl Model {
    /// Reads a file and checks it whole.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("{}: cannot read the model", path.display()))?;
        if bytes.starts_with(&MAGIC[..2]) {
            return Ok(Model::Image(ImageFile::new(path, &bytes)?));
        }
        if is_quantized(&bytes) || path.to_string_lossy().ends_with(".q.safetensors") {
            let file = emberloop_quantize::read_quantized(path)?;
            let image = ImageFile::new(path, &file.image()?)?;
            return Ok(Model::Quantized(image, Box::new(file.metadata)));
        }
        if path.extension().is_some_and(|extension| extension == "ember") {
            // Not even the first bytes are right: let the parser say so.
            return Ok(Model::Image(ImageFile::new(path, &bytes)?));
        }
        // A safetensors file's header is JSON and stands behind its length. A shorter file may be a cut-off one.
        if bytes.get(HEADER).is_some_and(|byte| *byte != b'{') {
            bail!(
                "{}: expected a device image (it starts with \"EMBR\") or a safetensors file, found neither: it starts with \"{}\"",
                path.display(),
                bytes[..=HEADER].escape_ascii()
            );
        }
        Ok(Model::Float(Box::new(Checkpoint::read(path)?)))
    }
}

/// Where the header of a safetensors file begins.
const HEADER: usize = 8;

impl Model {
    /// Whether a missing number is an error.
    pub fn refuses_missing(&self) -> Result<bool> {
        match self {
            Model::Float(checkpoint) => Ok(refuses_missing(checkpoint)),
            Model::Image(file) | Model::Quantized(file, _) => file.refuses_missing(),
        }
    }
}

/// Whether a missing number is an error to a float checkpoint.
pub fn refuses_missing(checkpoint: &Checkpoint) -> bool {
    checkpoint.metadata.scaler.missing == emberloop_data::MissingPolicy::Error
}

impl ImageFile {
    fn new(path: &Path, bytes: &[u8]) -> Result<Self> {
        let file = Self { path: path.to_path_buf(), bytes: AlignedBytes::new(bytes) };
        file.parse()?;
        Ok(file)
    }

    /// Reads an image file and checks it.
    pub fn read(path: &Path) -> Result<Self> {
        match Model::read(path)? {
            Model::Image(file) | Model::Quantized(file, _) => Ok(file),
            Model::Float(_) => bail!(
                "{}: expected a device image (.ember), found a float checkpoint; make one with emberloop quantize",
                path.display()
            ),
        }
    }

    /// Whether a missing number is an error.
    pub fn refuses_missing(&self) -> Result<bool> {
        let input = self.parse()?.header().input;
        Ok(matches!(input, InputShape::Features { missing: emberloop_image::MissingPolicy::Error, .. }))
    }

    /// The image, borrowed.
    pub fn parse(&self) -> Result<Image<'_>> {
        Image::parse(&self.bytes).map_err(|error| anyhow!("{}: {error}", self.path.display()))
    }
}

/// Reads a float checkpoint.
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    match Model::read(path)? {
        Model::Float(checkpoint) => Ok(*checkpoint),
        Model::Image(_) | Model::Quantized(..) => {
            bail!("{}: expected a float checkpoint (.safetensors), found a device image", path.display())
        }
    }
}

/// The `[data]` of the configuration that a checkpoint was trained with.
pub fn data_config(checkpoint: &Checkpoint) -> Result<DataConfig> {
    let data = checkpoint.metadata.config.get("data").cloned().unwrap_or_default();
    serde_json::from_value(data).context("the checkpoint does not say how its data were read; give --config")
}

/// The float checkpoint that an image was made of, if it still lies beside it.
pub fn checkpoint_beside(image: &ImageFile) -> Option<Checkpoint> {
    let wanted = image.parse().ok()?.header().checkpoint.to_string();
    let folder = match image.path.parent()? {
        folder if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut candidates: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors")).collect();
    candidates.sort();
    candidates
        .into_iter()
        .filter_map(|path| Checkpoint::read(&path).ok())
        .find(|checkpoint| checkpoint.hash().is_ok_and(|hash| hash == wanted))
}

/// What an image's header says of its data. Tokens are known by their numbers alone.
pub fn schema_of(header: &Header<'_>) -> Result<Schema> {
    let lines = |names: &str| names.split('\n').map(str::to_string).collect::<Vec<_>>();
    let inputs = match header.input {
        InputShape::Features { .. } => Inputs::Channels(lines(header.channels)),
        InputShape::Tokens { .. } => bail!(
            "an image knows tokens by number alone; keep the checkpoint it was made of beside it to read them by name"
        ),
    };
    let targets = match header.head.task {
        Task::Classification => Targets::Classes { labels: lines(header.labels) },
        Task::Regression => Targets::Values { names: lines(header.labels) },
    };
    let target_per = match header.head.pooling {
        Pooling::Every => TargetPer::Step,
        Pooling::Last | Pooling::Mean => TargetPer::Sequence,
    };
    Ok(Schema { inputs, targets, target_per })
}

fn is_quantized(bytes: &[u8]) -> bool {
    Container::decode(bytes).is_ok_and(|container| container.metadata.contains_key(emberloop_quantize::METADATA_KEY))
}
