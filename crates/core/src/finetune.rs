//! Fine-tuning: training that starts from the weights of a checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use emberloop_cells::{Direction, RecurrentTensor, TensorName};
use emberloop_checkpoint::{Architecture, Checkpoint, Pooling};
use emberloop_data::{
    Dataset, Inputs, Scaler, ScalerKind, Schema, SequenceTarget, Splits, TargetScaler, Targets, UNKNOWN_TOKEN,
};

use crate::{
    config::Config,
    model::initial_tensors,
    progress::Progress,
    train::{Job, Options, Outcome, TrainError, architecture, check_targets, run},
};

/// What a fine-tune takes over and what it leaves alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinetuneOptions {
    /// Parts whose weights stay as they are: `embedding`, `rnn.l0`, `rnn.l1`, ..., `rnn` (all layers), `head`.
    pub freeze: Vec<String>,
    /// Start with a new head even if the classes are the parent's.
    pub new_head: bool,
    /// Fit the scaler on the new training split, in place of keeping the parent's.
    pub refit_scaler: bool,
}

/// Trains on from `parent`. Cell, layers and embedding are the parent's; dropout, optimizer and everything else come from
/// the configuration. The head is kept where the classes (in any order) or the values are the parent's, and new
/// otherwise. A scaler that is kept is the parent's but for `missing`, where the configuration gives it.
pub fn finetune(
    config: &Config,
    splits: &Splits,
    parent: &Checkpoint,
    finetune: &FinetuneOptions,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Outcome, TrainError> {
    let splits = in_terms_of(&parent.metadata.schema, splits)?;
    check_targets(config, &splits)?;
    let architecture = merged_architecture(config, &splits.train, &parent.metadata.architecture)?;
    let frozen = frozen(&finetune.freeze, &architecture)?;
    let same_targets = splits.train.targets == parent.metadata.schema.targets;
    let same_head = same_targets && architecture.head_inputs() == parent.metadata.architecture.head_inputs();
    let mut tensors = initial_tensors(&architecture, config.training.seed);
    for (name, tensor) in &parent.tensors {
        let head = name == Architecture::HEAD_WEIGHT || name == Architecture::HEAD_BIAS;
        if !head || (same_head && !finetune.new_head) {
            tensors.insert(name.clone(), tensor.clone());
        }
    }
    let (scaler, target_scaler) = scalers(config, &splits, parent, finetune.refit_scaler, same_targets)?;
    let hash = parent.hash().map_err(|flaw| TrainError::Mismatch {
        what: "parent model".into(),
        expected: "a valid checkpoint".into(),
        found: flaw.to_string(),
    })?;
    let job = Job { config, splits: &splits, architecture, scaler, target_scaler, tensors, frozen, parent: Some(hash) };
    run(job, options, progress)
}

fn scalers(
    config: &Config,
    splits: &Splits,
    parent: &Checkpoint,
    refit: bool,
    same_targets: bool,
) -> Result<(Scaler, Option<TargetScaler>), TrainError> {
    let fitted_targets = || TargetScaler::fit(&splits.train, config.scaler.target);
    if refit {
        return Ok((Scaler::fit(&splits.train, config.scaler.kind, config.scaler.missing)?, fitted_targets()?));
    }
    let (given, mut scaler) = (config.scaler_given, parent.metadata.scaler.clone());
    let differs = |what: &str, parent: &str, found: String| {
        let expected = format!("{parent} as in the parent's scaler, which is kept (--scaler refit fits a new one)");
        Err(TrainError::Mismatch { what: what.into(), expected, found })
    };
    let name = |kind: ScalerKind| format!("{kind:?}").to_lowercase();
    // Tokens are never scaled, whatever the configuration says.
    let scaled = matches!(splits.train.inputs, Inputs::Channels(_));
    if given.kind && scaled && config.scaler.kind != scaler.kind {
        return differs("scaler.kind", &name(scaler.kind), name(config.scaler.kind));
    }
    // What to do about a missing value is no statistic: it can change without the numbers that were fitted.
    if given.missing {
        scaler.missing = config.scaler.missing;
    }
    // Other values than the parent's have no scale to keep.
    let targets = if same_targets { parent.metadata.target_scaler.clone() } else { fitted_targets()? };
    if let Some(kept) = targets.as_ref().filter(|_| given.target) {
        let standardised = kept.features.iter().any(|feature| (feature.offset, feature.scale) != (0.0, 1.0));
        if standardised != config.scaler.target {
            return differs("scaler.target", &standardised.to_string(), config.scaler.target.to_string());
        }
    }
    Ok((scaler, targets))
}

/// The parent's network with the configuration's dropout and the data's outputs.
fn merged_architecture(config: &Config, train: &Dataset, parent: &Architecture) -> Result<Architecture, TrainError> {
    let asked = architecture(config, train);
    if config.model_given {
        let checks = [
            ("model.cell", format!("{:?}", parent.cell), format!("{:?}", asked.cell)),
            ("model.hidden", format!("{:?}", parent.hidden), format!("{:?}", asked.hidden)),
            ("model.bidirectional", parent.bidirectional.to_string(), asked.bidirectional.to_string()),
            ("model.embedding", format!("{:?}", parent.embedding), format!("{:?}", asked.embedding)),
        ];
        for (what, expected, found) in checks {
            if expected != found {
                let expected = format!("{expected} as in the parent model (or no [model] at all)");
                return Err(TrainError::Mismatch { what: what.into(), expected, found });
            }
        }
    }
    let pooling = match (config.model_given, asked.pooling, parent.pooling) {
        (false, Pooling::Last, Pooling::Mean) => Pooling::Mean,
        (_, asked, _) => asked,
    };
    Ok(Architecture {
        pooling,
        outputs: asked.outputs,
        task: asked.task,
        dropout: if config.model_given { asked.dropout } else { parent.dropout },
        ..parent.clone()
    })
}

/// The tensors of named parts.
fn frozen(parts: &[String], architecture: &Architecture) -> Result<BTreeSet<String>, TrainError> {
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if architecture.embedding.is_some() {
        known.insert("embedding".into(), vec![Architecture::EMBEDDING_WEIGHT.into()]);
    }
    let head = [Architecture::HEAD_WEIGHT, Architecture::HEAD_BIAS].map(String::from);
    known.insert("head".into(), head.into());
    for layer in 0..architecture.hidden.len() {
        for direction in [Direction::Forward, Direction::Reverse] {
            for tensor in RecurrentTensor::ALL {
                let name = TensorName { layer, direction, tensor }.to_string();
                known.entry(format!("rnn.l{layer}")).or_default().push(name.clone());
                known.entry("rnn".into()).or_default().push(name);
            }
        }
    }
    let mut names = BTreeSet::new();
    for part in parts {
        let Some(tensors) = known.get(part) else {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(TrainError::Mismatch {
                what: "freeze".into(),
                expected: format!("one of {}", names.join(", ")),
                found: format!("{part:?}"),
            });
        };
        names.extend(tensors.iter().cloned());
    }
    let all = architecture.tensors();
    names.retain(|name| all.iter().any(|tensor| tensor.name == *name));
    if names.len() == all.len() {
        return Err(TrainError::Mismatch {
            what: "freeze".into(),
            expected: "something left to train".into(),
            found: "every part frozen".into(),
        });
    }
    Ok(names)
}

/// The splits in the words of a model: tokens by its vocabulary, classes in its order where they are the same classes.
/// Other classes, or other values, stay as they are; other inputs are an error.
pub fn in_terms_of(parent: &Schema, splits: &Splits) -> Result<Splits, TrainError> {
    let mut splits = splits.clone();
    let targets = renumbered_classes(&parent.targets, &splits.train.targets);
    let datasets = [&mut splits.train, &mut splits.validation].into_iter().chain(splits.test.as_mut());
    for dataset in datasets {
        translate_inputs(&parent.inputs, dataset)?;
        if let Some(order) = &targets {
            for sequence in &mut dataset.sequences {
                match &mut sequence.target {
                    SequenceTarget::Class(class) => *class = order[*class],
                    SequenceTarget::Classes(classes) => classes.iter_mut().for_each(|class| *class = order[*class]),
                    SequenceTarget::Values(_) | SequenceTarget::StepValues(_) | SequenceTarget::Absent => (),
                }
            }
            dataset.targets = parent.targets.clone();
        }
    }
    Ok(splits)
}

/// For each of the data's classes its number in the parent, if both have the same classes.
fn renumbered_classes(parent: &Targets, data: &Targets) -> Option<Vec<usize>> {
    let (Targets::Classes { labels: parent }, Targets::Classes { labels: data }) = (parent, data) else { return None };
    if parent.len() != data.len() {
        return None;
    }
    data.iter().map(|label| parent.iter().position(|known| known == label)).collect()
}

fn translate_inputs(parent: &Inputs, dataset: &mut Dataset) -> Result<(), TrainError> {
    let mismatch = |expected: String, found: String| {
        Err(TrainError::Mismatch { what: format!("{}: inputs", dataset.path.display()), expected, found })
    };
    match (parent, &dataset.inputs) {
        (Inputs::Channels(expected), Inputs::Channels(found)) if expected == found => Ok(()),
        (Inputs::Channels(expected), Inputs::Channels(found)) => {
            mismatch(format!("the model's channels {}", expected.join(", ")), found.join(", "))
        }
        (Inputs::Channels(_), Inputs::Tokens { .. }) => mismatch("channels".into(), "tokens".into()),
        (Inputs::Tokens { .. }, Inputs::Channels(_)) => mismatch("tokens".into(), "channels".into()),
        (Inputs::Tokens { vocabulary: known, .. }, Inputs::Tokens { vocabulary, .. }) => {
            let unknown = known.iter().position(|token| token == UNKNOWN_TOKEN).unwrap_or(0);
            let ids: Vec<usize> = vocabulary
                .iter()
                .map(|token| known.iter().position(|other| other == token).unwrap_or(unknown))
                .collect();
            for sequence in &mut dataset.sequences {
                sequence.values.to_mut()?.iter_mut().for_each(|value| *value = ids[*value as usize] as f32);
            }
            dataset.inputs = parent.clone();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
