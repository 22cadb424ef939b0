//! Whole trainings on small data: what is learned, what resumes, what stops and how it says so.

use std::{path::Path, sync::atomic::Ordering};

use emberloop_checkpoint::Tensor;
use emberloop_data::{Dataset, SequenceTarget};

use super::*;
use crate::{
    config::{
        CellName, ClipConfig, EarlyStoppingConfig, Keep, LossConfig, ModelConfig, OptimizerConfig, ScheduleConfig,
    },
    evaluate,
    fixtures::{Kind, config, splits},
    forward,
    progress::{BatchReport, Silent},
};

fn run(config: &Config, splits: &Splits, options: &Options) -> Outcome {
    train(config, splits, options, &mut Silent).unwrap()
}

fn weights(outcome: &Outcome) -> &BTreeMap<String, Tensor> {
    &outcome.checkpoint.tensors
}

/// Something of everything that has a state: dropout, two layers, clipping, moments, a plateau, early stopping.
fn eventful() -> Config {
    let mut config = config(Kind::Class);
    config.model.hidden = vec![4, 3];
    config.model.dropout = 0.3;
    config.training.epochs = 6;
    config.training.clip = Some(ClipConfig::Norm(0.5));
    config.training.schedule = ScheduleConfig::Plateau {
        monitor: None,
        factor: 0.5,
        patience: 1,
        min_delta: 0.5,
        cooldown: 0,
        min_learning_rate: 0.0,
        warmup_epochs: 1,
    };
    config.training.early_stopping = Some(EarlyStoppingConfig { patience: 50, ..Default::default() });
    config
}

/// Asks to stop after some batches.
struct StopAfter {
    batches: usize,
    cancel: Arc<AtomicBool>,
}

impl Progress for StopAfter {
    fn on_batch(&mut self, _batch: &BatchReport) {
        self.batches -= 1;
        if self.batches == 0 {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs until `batches` steps are done, then stops.
fn interrupted(config: &Config, splits: &Splits, folder: &Path, batches: usize) -> TrainError {
    let cancel = Arc::new(AtomicBool::new(false));
    let options = Options { cancel: Some(cancel.clone()), ..resuming(folder) };
    train(config, splits, &options, &mut StopAfter { batches, cancel }).expect_err("it was interrupted")
}

fn resuming(folder: &Path) -> Options {
    Options { resume_dir: Some(folder.into()), resume: true, ..Options::default() }
}

#[test]
fn a_resumed_training_ends_with_the_same_bits() {
    let (config, splits) = (eventful(), splits(Kind::Class));
    let optimizers =
        [r#"{"kind":"adam"}"#, r#"{"kind":"adamw"}"#, r#"{"kind":"rmsprop","momentum":0.5}"#, r#"{"kind":"sgd"}"#];
    for optimizer in optimizers {
        let mut config = config.clone();
        config.training.optimizer = serde_json::from_str(optimizer).unwrap();
        let whole = run(&config, &splits, &Options::default());
        let folder = tempfile::tempdir().unwrap();
        // 3 batches an epoch: stopped within the first epoch, at the end of the second, within the fourth.
        for batches in [2, 6, 4] {
            interrupted(&config, &splits, folder.path(), batches);
        }
        let resumed = run(&config, &splits, &resuming(folder.path()));
        assert_eq!(weights(&resumed), weights(&whole), "{optimizer}");
        assert_eq!(resumed.metrics, whole.metrics, "{optimizer}");
        assert_eq!(resumed.kept_epoch, whole.kept_epoch);
        let rates = |outcome: &Outcome| outcome.history.iter().map(|epoch| epoch.learning_rate).collect::<Vec<_>>();
        assert_eq!(rates(&resumed), rates(&whole));
        assert!(rates(&whole)[5] < rates(&whole)[1], "the plateau had something to remember");
    }
}

#[test]
fn resuming_a_finished_training_gives_its_result_again() {
    let (config, splits) = (eventful(), splits(Kind::Class));
    let folder = tempfile::tempdir().unwrap();
    let first = run(&config, &splits, &resuming(folder.path()));
    let again = run(&config, &splits, &resuming(folder.path()));
    assert_eq!(again.checkpoint, first.checkpoint);
    assert_eq!(again.history, first.history);
}

/// Removes the state whenever it finds it, and counts how often that was.
struct Removing {
    file: PathBuf,
    found: Vec<usize>,
}

impl Progress for Removing {
    fn on_epoch(&mut self, epoch: &EpochReport) {
        if std::fs::remove_file(&self.file).is_ok() {
            self.found.push(epoch.epoch);
        }
    }
}

#[test]
fn short_epochs_do_not_all_wait_for_the_disk() {
    let (mut config, splits) = (config(Kind::Class), splits(Kind::Class));
    config.training.epochs = 100;
    let folder = tempfile::tempdir().unwrap();
    let mut removing = Removing { file: folder.path().join(RESUME_FILE), found: Vec::new() };
    train(&config, &splits, &resuming(folder.path()), &mut removing).unwrap();
    let found = removing.found;
    assert!(found.first() == Some(&1) && found.last() == Some(&100) && found.len() < 50, "{found:?}");
}

#[test]
fn an_interruption_says_where_and_what_was_kept() {
    let (config, splits) = (eventful(), splits(Kind::Class));
    let folder = tempfile::tempdir().unwrap();
    let early = interrupted(&config, &splits, folder.path(), 1).to_string();
    assert_eq!(early, "training interrupted in epoch 1; nothing was kept");
    let later = interrupted(&config, &splits, folder.path(), 4).to_string();
    assert!(later.starts_with("training interrupted in epoch 2; every finished epoch is in "), "{later}");
    assert!(later.ends_with("resume.safetensors: go on with --resume"), "{later}");
}

#[test]
fn another_configuration_or_other_data_do_not_resume() {
    let (config, data) = (eventful(), splits(Kind::Class));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&config, &data, folder.path(), 4);
    let refused = |config: &Config, splits: &Splits| {
        let error = train(config, splits, &resuming(folder.path()), &mut Silent).unwrap_err().to_string();
        assert!(!error.contains('\n') && error.contains("resume.safetensors"), "{error}");
        error
    };
    let mut other = config.clone();
    other.training.batch = 11;
    let error = refused(&other, &data);
    assert!(error.contains("config.training.batch was 10 in the interrupted run and is 11 now"), "{error}");
    let mut other = data.clone();
    other.train.hash = "other".into();
    let error = refused(&config, &other);
    assert!(error.contains("data.train was"), "{error}");
}

#[test]
fn a_damaged_resume_state_is_refused() {
    let (config, data) = (eventful(), splits(Kind::Class));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&config, &data, folder.path(), 4);
    let path = folder.path().join(RESUME_FILE);
    let good = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        train(&config, &data, &resuming(folder.path()), &mut Silent).unwrap_err().to_string()
    };
    assert!(refused(&good[..good.len() / 2]).contains("truncated"));
    let mut flipped = good.clone();
    let middle = flipped.len() - 100;
    flipped[middle] ^= 1;
    assert!(refused(&flipped).contains("damaged"));
    assert!(refused(b"not a tensor in sight").contains("resume.safetensors"));
}

/// Draws from the shared generator of burn and sleeps: neither may reach the result.
struct Meddling;

impl Progress for Meddling {
    fn on_batch(&mut self, batch: &BatchReport) {
        use burn::tensor::{Distribution, Tensor, backend::Backend};
        burn::backend::NdArray::<f32>::seed(&Default::default(), batch.batch as u64);
        let _ = Tensor::<burn::backend::NdArray, 1>::random([7], Distribution::Default, &Default::default());
    }
}

#[test]
fn who_watches_changes_nothing() {
    let (config, splits) = (eventful(), splits(Kind::Class));
    let watched = train(&config, &splits, &Options::default(), &mut Meddling).unwrap();
    assert_eq!(weights(&watched), weights(&run(&config, &splits, &Options::default())));
    let mut other = config.clone();
    other.training.seed = 2;
    assert_ne!(weights(&watched), weights(&run(&other, &splits, &Options::default())), "but the seed does");
}

fn overfit(kind: Kind, model: ModelConfig) -> Outcome {
    let mut config = config(kind);
    config.model = model;
    config.training.epochs = 120;
    config.training.keep = Keep::Last;
    config.training.clip = Some(ClipConfig::Norm(1.0));
    config.training.optimizer =
        OptimizerConfig::Adam { learning_rate: 2e-2, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
    run(&config, &splits(kind), &Options::default())
}

#[test]
fn every_cell_overfits_a_small_set_completely() {
    for (cell, reset_after) in
        [(CellName::Rnn, true), (CellName::Lstm, true), (CellName::Gru, true), (CellName::Gru, false)]
    {
        let outcome = overfit(Kind::Class, ModelConfig { cell, reset_after, hidden: vec![16], ..Default::default() });
        assert_eq!(outcome.metrics["accuracy"], 1.0, "{cell:?}, reset after {reset_after}");
    }
}

#[test]
fn tokens_steps_and_both_directions_overfit_too() {
    let bidirectional = ModelConfig { hidden: vec![8], bidirectional: true, ..Default::default() };
    assert_eq!(overfit(Kind::Token, bidirectional.clone()).metrics["accuracy"], 1.0);
    assert!(overfit(Kind::StepClass, bidirectional).metrics["accuracy"] > 0.97);
}

#[test]
fn regression_is_judged_in_raw_units() {
    let splits = splits(Kind::Value);
    let outcome = overfit(Kind::Value, ModelConfig { hidden: vec![16], ..Default::default() });
    // The targets lie around 1000 with a deviation of about 20; the metrics see the raw ones.
    assert!(outcome.metrics["rmse"] < 5.0 && outcome.metrics["r2"] > 0.9, "{:?}", outcome.metrics);
    let evaluation = evaluate(&outcome.checkpoint, &splits.train, Device::Cpu).unwrap();
    assert!(evaluation.predictions.iter().all(|prediction| (prediction.outputs[0] - 1000.0).abs() < 200.0));
    let raw = forward(&outcome.checkpoint, &splits.train.sequences, Device::Cpu).unwrap();
    assert!(raw.iter().all(|outputs| outputs[0].abs() < 10.0), "the network itself speaks in scaled units");
}

#[test]
fn a_value_at_every_step_may_be_missing() {
    let outcome = overfit(Kind::StepValue, ModelConfig { hidden: vec![16], ..Default::default() });
    assert!(outcome.metrics["r2"] > 0.9, "{:?}", outcome.metrics);
}

#[test]
fn a_written_checkpoint_evaluates_to_the_numbers_of_its_training() {
    let mut splits = splits(Kind::Class);
    splits.test = Some(splits.validation.clone());
    let outcome = run(&eventful(), &splits, &Options::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    outcome.checkpoint.write(&path).unwrap();
    let read = Checkpoint::read(&path).unwrap();
    assert_eq!(read, outcome.checkpoint);
    let evaluation = evaluate(&read, &splits.validation, Device::Cpu).unwrap();
    assert_eq!(
        crate::metrics::by_name(&evaluation.metrics)[&crate::monitor::Metric::Accuracy],
        outcome.metrics["val_accuracy"]
    );
    assert_eq!(evaluation.loss, outcome.metrics["val_loss"]);
    assert_eq!(evaluation.loss, outcome.metrics["test_loss"]);
    let logits = forward(&read, &splits.validation.sequences, Device::Cpu).unwrap();
    let predicted: Vec<_> = evaluation.predictions.into_iter().map(|prediction| prediction.outputs).collect();
    assert_eq!(predicted, logits);
}

#[test]
fn early_stopping_keeps_the_best_weights() {
    let splits = splits(Kind::Class);
    let mut config = config(Kind::Class);
    config.training.epochs = 40;
    config.training.optimizer = serde_json::from_str(r#"{"kind":"sgd","learning_rate":0.5}"#).unwrap();
    config.training.early_stopping = Some(EarlyStoppingConfig { patience: 2, ..Default::default() });
    let stopped = run(&config, &splits, &Options::default());
    assert_eq!(stopped.ended, Ended::EarlyStopped);
    assert_eq!(stopped.history.len(), stopped.kept_epoch + 2);
    let best = stopped.history.iter().map(|epoch| epoch.metrics["val_loss"]).fold(f64::INFINITY, f64::min);
    assert_eq!(stopped.metrics["val_loss"], best);
    assert_eq!(evaluate(&stopped.checkpoint, &splits.validation, Device::Cpu).unwrap().loss, best);
}

#[test]
fn a_loss_that_is_no_number_says_where_and_what_to_do() {
    let splits = splits(Kind::Value);
    let mut config = config(Kind::Value);
    config.training.optimizer = serde_json::from_str(r#"{"kind":"sgd","learning_rate":1e30}"#).unwrap();
    let error = train(&config, &splits, &Options::default(), &mut Silent).unwrap_err();
    let TrainError::NonFinite { epoch: 1, .. } = error else { panic!("{error}") };
    let text = error.to_string();
    assert!(text.starts_with("epoch 1, batch ") && text.contains("clip = { norm = 1.0 }"), "{text}");
}

fn extreme(mut dataset: Dataset) -> Dataset {
    dataset.sequences.iter_mut().for_each(|sequence| sequence.target = SequenceTarget::Values(vec![1e30]));
    dataset
}

#[test]
fn a_validation_loss_that_is_no_number_is_no_epoch_to_keep() {
    let mut splits = splits(Kind::Value);
    splits.validation = extreme(splits.validation);
    let folder = tempfile::tempdir().unwrap();
    let error = train(&config(Kind::Value), &splits, &resuming(folder.path()), &mut Silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "epoch 1: the validation split's loss is inf at learning rate 0.001; set training.clip = { norm = 1.0 }, lower \
         training.optimizer.learning_rate, or look for extreme values in the validation split"
    );
    assert!(!folder.path().join(RESUME_FILE).exists(), "there is nothing to go on from");
}

#[test]
fn a_test_loss_that_is_no_number_leaves_the_model() {
    let mut splits = splits(Kind::Value);
    splits.test = Some(extreme(splits.validation.clone()));
    let outcome = run(&config(Kind::Value), &splits, &Options::default());
    assert_eq!(outcome.notes, ["test_loss is inf and left out; look for extreme values in the test split"]);
    assert!(!outcome.metrics.contains_key("test_loss") && outcome.metrics.contains_key("test_rmse"));
    outcome.checkpoint.write(tempfile::tempdir().unwrap().path().join("checkpoint.safetensors")).unwrap();
}

/// A value at a sequence's step that cannot be scaled.
#[test]
fn a_test_split_that_cannot_be_scaled_is_refused_before_the_first_epoch() {
    let mut splits = splits(Kind::Value);
    let mut test = splits.validation.clone();
    test.sequences[0].values.to_mut().unwrap()[0] = f32::NAN;
    splits.test = Some(test);
    let folder = tempfile::tempdir().unwrap();
    let error = train(&config(Kind::Value), &splits, &resuming(folder.path()), &mut Silent).unwrap_err();
    assert!(matches!(error, TrainError::Data(_)), "{error}");
    assert!(!folder.path().join(RESUME_FILE).exists(), "nothing was trained");
}

#[test]
fn class_weights_must_fit_the_classes_and_matter() {
    let splits = splits(Kind::Class);
    let with = |weights: &str| {
        let mut config = config(Kind::Class);
        let loss = format!(r#"{{"kind":"cross_entropy","class_weights":{weights}}}"#);
        config.training.loss = Some(serde_json::from_str(&loss).unwrap());
        train(&config, &splits, &Options::default(), &mut Silent)
    };
    let error = with("[1, 2, 3]").unwrap_err().to_string();
    assert_eq!(error, "training.loss.class_weights: expected one weight for each of the 2 classes, found 3");
    assert_ne!(weights(&with("[1, 9]").unwrap()), weights(&with("[1, 1]").unwrap()));
}

#[test]
fn penalties_shrink_the_weights() {
    let splits = splits(Kind::Class);
    let size = |change: fn(&mut Config)| {
        let mut config = config(Kind::Class);
        config.training.keep = Keep::Last;
        config.training.epochs = 20;
        change(&mut config);
        let outcome = run(&config, &splits, &Options::default());
        weights(&outcome)["rnn.weight_hh_l0"].values.iter().map(|value| value.abs()).sum::<f32>()
    };
    let plain = size(|_| ());
    assert!(size(|config| config.training.l2 = 0.1) < 0.9 * plain);
    assert!(size(|config| config.training.l1 = 0.1) < 0.9 * plain);
}

#[test]
fn buckets_and_losses_of_every_kind_train() {
    let mut config = config(Kind::Value);
    config.training.bucket_by_length = true;
    for loss in [LossConfig::Mae {}, LossConfig::Huber { delta: 0.5 }] {
        config.training.loss = Some(loss);
        let history = run(&config, &splits(Kind::Value), &Options::default()).history;
        assert!(history[2].metrics["loss"] < history[0].metrics["loss"]);
    }
}

#[test]
fn without_a_validation_split_the_training_loss_is_monitored() {
    let mut splits = splits(Kind::Class);
    splits.validation = Dataset { sequences: Vec::new(), ..splits.validation };
    let mut config = eventful();
    let outcome = run(&config, &splits, &Options::default());
    assert!(!outcome.metrics.contains_key("val_loss") && outcome.metrics.contains_key("loss"));
    config.training.early_stopping =
        Some(EarlyStoppingConfig { monitor: Some("val_loss".parse().unwrap()), ..Default::default() });
    let error = train(&config, &splits, &Options::default(), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("no validation split") && error.contains("val_loss"), "{error}");
}
