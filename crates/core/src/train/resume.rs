//! The state of a training after an epoch, in one safetensors file: a run that goes on from it ends with the weights, bit
//! by bit, of a run that was never interrupted.
//!
//! Nothing random is stored: orders, masks and initial weights are keyed by seed, epoch and batch ([`crate::rng`]).

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use emberloop_checkpoint::{Container, RawTensor, Tensor, container, write_atomically};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Ended, Options,
    epoch::Trainer,
    job::{Job, TrainError},
    stopping::{Stopping, StoppingState},
};
use crate::{
    backend::Device,
    model::Network,
    optim::Optimizer,
    progress::EpochReport,
    recurrence::TrainBackend,
    rng::fnv1a,
    schedule::{PlateauState, Schedule},
};

/// The file's name in `Options::resume_dir`.
pub const RESUME_FILE: &str = "resume.safetensors";

/// The version of the file's layout.
const FORMAT: u32 = 1;

const STATE_KEY: &str = "emberloop.resume";
const OPTIMIZER: &str = "optimizer";

/// What training remembers between epochs, besides the trainer's weights and moments.
pub(super) struct State {
    /// Epochs finished.
    pub epoch: usize,
    pub schedule: Schedule,
    pub stopping: Stopping,
    /// The weights kept so far, and the epoch they are from, counted from 1.
    pub kept: BTreeMap<String, Tensor>,
    pub kept_epoch: usize,
    pub history: Vec<EpochReport>,
    pub ended: Option<Ended>,
}

/// Writes the state of a run to its file.
pub(super) struct Saver<B: TrainBackend> {
    path: PathBuf,
    /// `Options::save_interval`
    interval: Duration,
    identity: Value,
    /// When the file was last written, or read.
    last: Option<Instant>,
    /// Weights and moments of the last finished epoch, while the file has an earlier one.
    unwritten: Option<(Network<B>, Optimizer<B>)>,
}

impl<B: TrainBackend> Saver<B> {
    pub(super) fn new(path: PathBuf, options: &Options, job: &Job<'_>) -> Self {
        let identity = identity(job, &options.devices);
        Self { path, interval: options.save_interval, identity, last: None, unwritten: None }
    }

    /// Goes on from the file, if there is one.
    pub(super) fn read(&mut self, state: &mut State, trainer: &mut Trainer<'_, B>) -> Result<(), TrainError> {
        if self.path.exists() {
            read(&self.path, &self.identity, state, trainer)?;
            self.last = Some(Instant::now());
        }
        Ok(())
    }

    /// Writes if it is time or training has ended. The first epoch is always written: a disk that takes nothing is
    /// better known early.
    pub(super) fn epoch_ended(&mut self, state: &State, trainer: &Trainer<'_, B>) -> Result<(), TrainError> {
        let due = state.ended.is_some() || self.last.is_none_or(|last| last.elapsed() >= self.interval);
        self.unwritten = Some((trainer.network.clone(), trainer.optimizer.clone()));
        if due { self.write(state) } else { Ok(()) }
    }

    /// Writes the last finished epoch if the file has an earlier one; the file, if it has something to go on from.
    pub(super) fn interrupted(mut self, state: &State) -> Result<Option<PathBuf>, TrainError> {
        self.write(state)?;
        Ok((state.epoch > 0).then_some(self.path))
    }

    fn write(&mut self, state: &State) -> Result<(), TrainError> {
        if let Some((network, optimizer)) = self.unwritten.take() {
            write(&self.path, &self.identity, state, &network, &optimizer)?;
            self.last = Some(Instant::now());
        }
        Ok(())
    }
}

/// The part of the state that is JSON, which has no infinity and no NaN: the numbers of an epoch are checked before they
/// are kept ([`Trainer::epoch`]), and nothing else improves on a best value ([`crate::monitor::Better::improves`]).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    identity: Value,
    epoch: usize,
    schedule: PlateauState,
    stopping: StoppingState,
    kept_epoch: usize,
    history: Vec<EpochReport>,
    ended: Option<Ended>,
}

/// What must be equal for a resumed run to be the same run.
fn identity(job: &Job<'_>, devices: &[Device]) -> Value {
    // Devices of another kind or number add floats in another order. One CPU, which needs no name, is as in older files.
    let names: Vec<String> = devices.iter().map(|device| device.kind().to_string()).collect();
    json!({
        "devices": (devices != [Device::Cpu]).then(|| names.join(", ")),
        "config": job.config,
        "data": { "train": job.splits.train.hash, "validation": job.splits.validation.hash },
        "scaler": job.scaler,
        "parent": job.parent,
        "frozen": job.frozen,
        "initial_weights": fingerprint(&job.tensors),
    })
}

/// Tells apart starts that nothing else tells apart, such as a fine-tune with or without a new head.
fn fingerprint(tensors: &BTreeMap<String, Tensor>) -> String {
    let bits = tensors.values().flat_map(|tensor| &tensor.values).flat_map(|value| value.to_bits().to_le_bytes());
    format!("{:016x}", fnv1a(bits))
}

fn write<B: TrainBackend>(
    path: &Path,
    identity: &Value,
    state: &State,
    network: &Network<B>,
    optimizer: &Optimizer<B>,
) -> Result<(), TrainError> {
    let failed = |reason: String| TrainError::Resume { path: path.into(), reason };
    let header = Header {
        format: FORMAT,
        identity: identity.clone(),
        epoch: state.epoch,
        schedule: state.schedule.state().clone(),
        stopping: state.stopping.state().clone(),
        kept_epoch: state.kept_epoch,
        history: state.history.clone(),
        ended: state.ended,
    };
    let json = serde_json::to_string(&header).map_err(|error| failed(error.to_string()))?;
    let weights = network.to_tensors();
    let mut tensors = BTreeMap::new();
    for (group, group_tensors) in [("weights", &weights), ("kept", &state.kept)] {
        for (name, tensor) in group_tensors {
            let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let raw = RawTensor { dtype: Dtype::F32, shape: tensor.shape.clone(), bytes: Cow::Owned(bytes) };
            tensors.insert(format!("{group}/{name}"), raw);
        }
    }
    let moments = optimizer.to_bytes().map_err(failed)?;
    let raw = RawTensor { dtype: Dtype::U8, shape: vec![moments.len()], bytes: Cow::Owned(moments) };
    tensors.insert(OPTIMIZER.into(), raw);
    let container = Container { metadata: BTreeMap::from([(STATE_KEY.into(), json)]), tensors };
    let (bytes, _) = container.encode().map_err(|error| failed(error.to_string()))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::Write { path: path.into(), source })?;
    }
    write_atomically(path, &bytes).map_err(|source| TrainError::Write { path: path.into(), source })
}

fn read<B: TrainBackend>(
    path: &Path,
    identity: &Value,
    state: &mut State,
    trainer: &mut Trainer<'_, B>,
) -> Result<(), TrainError> {
    let failed = |reason: String| TrainError::Resume { path: path.into(), reason };
    let bytes = std::fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let mut container = Container::decode(&bytes).map_err(|error| failed(error.to_string()))?;
    container::check_hash(&bytes).map_err(|error| failed(error.to_string()))?;
    let json = container.metadata.get(STATE_KEY);
    let json = json.ok_or_else(|| failed(format!("expected the state of a training, found no key {STATE_KEY:?}")))?;
    let format = serde_json::from_str::<Value>(json).ok().and_then(|value| value.get("format").cloned());
    if format != Some(json!(FORMAT)) {
        let found = format.unwrap_or_default();
        return Err(failed(format!("expected a resume state of format {FORMAT}, found {found}; start afresh")));
    }
    let header: Header = serde_json::from_str(json).map_err(|error| failed(error.to_string()))?;
    if let Some((place, then, now)) = difference("", &header.identity, identity) {
        return Err(failed(format!(
            "cannot resume: {place} was {then} in the interrupted run and is {now} now; undo the change, or start afresh"
        )));
    }
    let moments = container.tensors.remove(OPTIMIZER);
    let moments = moments.ok_or_else(|| failed("expected the optimizer's moments, found none".into()))?;
    let device = trainer.device.clone();
    trainer.optimizer = trainer.optimizer.clone().with_bytes(moments.bytes.into_owned(), &device).map_err(failed)?;
    let (mut weights, mut kept) = (BTreeMap::new(), BTreeMap::new());
    for (name, raw) in container.tensors {
        let (elements, _) = raw.bytes.as_chunks::<4>();
        let values = elements.iter().map(|&element| f32::from_le_bytes(element)).collect();
        let tensor = Tensor { shape: raw.shape, values };
        match name.split_once('/') {
            Some(("weights", name)) => weights.insert(name.to_string(), tensor),
            Some(("kept", name)) => kept.insert(name.to_string(), tensor),
            _ => return Err(failed(format!("unknown tensor {name}"))),
        };
    }
    let wanted = trainer.architecture().tensors();
    for group in [&weights, &kept] {
        if let Some(missing) =
            wanted.iter().find(|wanted| group.get(&wanted.name).is_none_or(|tensor| tensor.shape != wanted.shape))
        {
            return Err(failed(format!("tensor {}: expected shape {:?}", missing.name, missing.shape)));
        }
    }
    trainer.network = Network::from_tensors(trainer.architecture(), &weights, trainer.frozen(), &device);
    state.kept = kept;
    state.epoch = header.epoch;
    state.schedule = state.schedule.clone().with_state(header.schedule);
    state.stopping = state.stopping.clone().with_state(header.stopping);
    state.kept_epoch = header.kept_epoch;
    state.history = header.history;
    state.ended = header.ended;
    Ok(())
}

/// The first place where two documents differ, with both values.
fn difference(place: &str, then: &Value, now: &Value) -> Option<(String, Value, Value)> {
    match (then, now) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            let get = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
            keys.map(|key| (if place.is_empty() { key.clone() } else { format!("{place}.{key}") }, key))
                .find_map(|(place, key)| difference(&place, &get(left, key), &get(right, key)))
        }
        (then, now) if then == now => None,
        (then, now) => Some((place.to_string(), then.clone(), now.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let then = json!({ "a": { "b": 1, "c": [1] }, "d": 2 });
        let now = json!({ "a": { "b": 1, "c": [2] } });
        assert_eq!(difference("", &then, &now), Some(("a.c".into(), json!([1]), json!([2]))));
        assert_eq!(difference("", &json!({ "d": 2 }), &json!({})), Some(("d".into(), json!(2), Value::Null)));
        assert_eq!(difference("", &then, &then), None);
    }
}
