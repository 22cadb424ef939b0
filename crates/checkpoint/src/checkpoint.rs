//! The whole checkpoint: tensors and metadata, read, checked, written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::Dtype;

use crate::atomic::write_atomically;
use crate::container::{self, Container, RawTensor};
use crate::error::{CheckpointError, Flaw};
use crate::metadata::{FORMAT, Metadata};

/// The key under which [`Metadata`] stands in the file's `__metadata__`.
const METADATA_KEY: &str = "emberloop";

/// A tensor of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The dimensions.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub values: Vec<f32>,
}

/// A trained float model with everything that is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What the checkpoint says about itself.
    pub metadata: Metadata,
    /// The weights by name; [`Architecture::tensors`](crate::Architecture::tensors) says which.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Reads a checkpoint and checks all of it.
    ///
    /// # Errors
    /// If the file cannot be read, is no checkpoint of this format, or differs in a single bit from what was written.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|cause| CheckpointError::Read { path: path.into(), cause })?;
        Self::from_bytes(&bytes).map_err(|flaw| CheckpointError::Invalid { path: path.into(), flaw })
    }

    /// Writes the checkpoint completely or not at all.
    ///
    /// # Errors
    /// If the checkpoint is not valid, or the operating system refuses; a file that was there stays as it was.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), CheckpointError> {
        let path = path.as_ref();
        let bytes = self.to_bytes().map_err(|flaw| CheckpointError::Invalid { path: path.into(), flaw })?;
        write_atomically(path, &bytes).map_err(|cause| CheckpointError::Write { path: path.into(), cause })
    }

    /// The hash that names this model, as it stands in the written file.
    ///
    /// # Errors
    /// If the checkpoint is not valid.
    pub fn hash(&self) -> Result<String, Flaw> {
        Ok(self.encode()?.1)
    }

    /// The file's bytes; the same checkpoint always gives the same.
    ///
    /// # Errors
    /// If the checkpoint is not valid.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Flaw> {
        Ok(self.encode()?.0)
    }

    /// Reads and checks what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// The hash is looked at last: a file that was changed by hand gets the most telling error.
    ///
    /// # Errors
    /// If the bytes are no checkpoint of this format, or differ in a single bit from what was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Flaw> {
        let container = Container::decode(bytes)?;
        let metadata = read_metadata(&container)?;
        let mut tensors = BTreeMap::new();
        for (name, raw) in container.tensors {
            if raw.dtype != Dtype::F32 {
                let found = format!("{:?}", raw.dtype);
                return Err(Flaw::Tensor { name, expected: "F32 values".into(), found });
            }
            let (elements, _) = raw.bytes.as_chunks::<4>();
            let values = elements.iter().map(|&element| f32::from_le_bytes(element)).collect();
            tensors.insert(name, Tensor { shape: raw.shape, values });
        }
        let checkpoint = Checkpoint { metadata, tensors };
        checkpoint.validate()?;
        container::check_hash(bytes)?;
        Ok(checkpoint)
    }

    /// Checks that the metadata fits together, every tensor of the architecture is there in its shape and finite, and
    /// no other is.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn validate(&self) -> Result<(), Flaw> {
        if let Some((place, expected, found)) = self.metadata.flaw() {
            return Err(Flaw::Metadata { place, expected, found });
        }
        let wanted = self.metadata.architecture.tensors();
        for wanted in &wanted {
            let Some(tensor) = self.tensors.get(&wanted.name) else {
                return Err(flaw(&wanted.name, format!("shape {:?}", wanted.shape), "no such tensor".into()));
            };
            check_tensor(&wanted.name, &wanted.shape, tensor)?;
        }
        match self.tensors.keys().find(|name| wanted.iter().all(|wanted| wanted.name != **name)) {
            Some(name) => Err(flaw(name, "no such tensor in this architecture".into(), "one".into())),
            None => Ok(()),
        }
    }

    fn encode(&self) -> Result<(Vec<u8>, String), Flaw> {
        self.validate()?;
        let json = self.metadata.to_json().map_err(|error| Flaw::Json { reason: error.to_string() })?;
        let tensors = self.tensors.iter().map(|(name, tensor)| {
            let bytes: Vec<u8> = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let raw = RawTensor { dtype: Dtype::F32, shape: tensor.shape.clone(), bytes: Cow::Owned(bytes) };
            (name.clone(), raw)
        });
        let metadata = BTreeMap::from([(METADATA_KEY.to_string(), json)]);
        Ok(Container { metadata, tensors: tensors.collect() }.encode()?)
    }
}

fn check_tensor(name: &str, shape: &[usize], tensor: &Tensor) -> Result<(), Flaw> {
    if tensor.shape != shape {
        return Err(flaw(name, format!("shape {shape:?}"), format!("{:?}", tensor.shape)));
    }
    let size: usize = shape.iter().product();
    if tensor.values.len() != size {
        return Err(flaw(name, format!("{size} values"), tensor.values.len().to_string()));
    }
    match tensor.values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(flaw(name, "finite values".into(), format!("{} at element {at}", tensor.values[at]))),
        None => Ok(()),
    }
}

fn flaw(name: &str, expected: String, found: String) -> Flaw {
    Flaw::Tensor { name: name.to_string(), expected, found }
}

/// Reads the metadata, its format number first: another version's fields would only give a misleading error.
fn read_metadata(container: &Container<'_>) -> Result<Metadata, Flaw> {
    let Some(json) = container.metadata.get(METADATA_KEY) else {
        let keys: Vec<&str> = container.metadata.keys().map(String::as_str).collect();
        let found = if keys.is_empty() { "no keys".to_string() } else { format!("{keys:?}") };
        return Err(Flaw::NoMetadata { found });
    };
    let reason = |error: serde_json::Error| Flaw::Json { reason: error.to_string() };
    let any: serde_json::Value = serde_json::from_str(json).map_err(reason)?;
    match any.get("format") {
        Some(format) if format == FORMAT => serde_json::from_str(json).map_err(reason),
        Some(format) => Err(Flaw::Format { found: format.to_string() }),
        None => Err(Flaw::Format { found: "none".into() }),
    }
}
