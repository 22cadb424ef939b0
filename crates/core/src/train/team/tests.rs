//! Steps of several parts: accumulated batches, several devices, any number of threads.

use std::num::NonZeroUsize;

use burn::backend::{Autodiff, NdArray};
use emberloop_data::{Prepared, Scaler, SequenceTarget};

use super::super::{job, part::Lesson, part::Part};
use crate::{
    Device, DeviceError, Options, Outcome, Silent, TrainError,
    config::{ClipConfig, Config, OptimizerConfig},
    fixtures::{Kind, config, splits},
    loss::Loss,
    model::{Network, initial_tensors},
    train,
};

const KINDS: [Kind; 5] = [Kind::Class, Kind::StepClass, Kind::Value, Kind::StepValue, Kind::Token];

fn run(config: &Config, kind: Kind, options: &Options) -> Outcome {
    train(config, &splits(kind), options, &mut Silent).unwrap()
}

fn on(devices: &[Device]) -> Options {
    Options { devices: devices.to_vec(), ..Options::default() }
}

/// Penalties, class weights and clipping that bites: what has to be counted once for a step, not once for a part.
fn config_of(kind: Kind) -> Config {
    let mut config = config(kind);
    config.training.l1 = 1e-3;
    config.training.l2 = 1e-3;
    config.training.clip = Some(ClipConfig::Norm(0.1));
    // Plain descent: Adam would blow a rounding of a gradient near 0 up to a whole step.
    config.training.optimizer =
        OptimizerConfig::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    if matches!(kind, Kind::Class | Kind::StepClass | Kind::Token) {
        config.training.loss = Some(
            serde_json::from_str(r#"{"kind":"cross_entropy","class_weights":[1.0,3.0],"label_smoothing":0.1}"#)
                .unwrap(),
        );
    }
    config
}

/// Equal but for the order in which floats were added.
#[track_caller]
fn assert_same_training(found: &Outcome, expected: &Outcome, of: &str) {
    for (name, expected) in &expected.checkpoint.tensors {
        for (found, expected) in found.checkpoint.tensors[name].values.iter().zip(&expected.values) {
            assert!((found - expected).abs() < 1e-5, "{of}: {name}: {found} against {expected}");
        }
    }
    for (found, expected) in found.history.iter().zip(&expected.history) {
        assert!((found.gradient_norm / expected.gradient_norm - 1.0).abs() < 1e-4, "{of}");
        for (name, expected) in &expected.metrics {
            assert!((found.metrics[name] - expected).abs() < 1e-4 * expected.abs().max(1.0), "{of}: {name}");
        }
    }
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    for kind in KINDS {
        let mut large = config_of(kind);
        large.training.batch = 12;
        let mut accumulated = large.clone();
        (accumulated.training.batch, accumulated.training.accumulate) = (4, 3);
        let (large, accumulated) =
            (run(&large, kind, &Options::default()), run(&accumulated, kind, &Options::default()));
        assert_same_training(&accumulated, &large, &format!("{kind:?}"));
    }
}

#[test]
fn several_devices_train_as_one() {
    for kind in KINDS {
        // The last batch has fewer sequences than there are devices.
        let mut config = config_of(kind);
        config.training.batch = 11;
        let one = run(&config, kind, &on(&[Device::Cpu]));
        for devices in [2, 4] {
            let devices = vec![Device::Cpu; devices];
            let several = run(&config, kind, &on(&devices));
            assert_same_training(&several, &one, &format!("{kind:?} on {devices:?}"));
            assert_eq!(several.checkpoint.tensors, run(&config, kind, &on(&devices)).checkpoint.tensors, "again");
        }
    }
}

/// Parts of one step with the same sequences: only the masks can tell them apart.
#[test]
fn dropout_of_every_part_is_its_own() {
    let mut config = config_of(Kind::Class);
    config.model.dropout = 0.5;
    let train = splits(Kind::Class).train;
    let architecture = job::architecture(&config, &train);
    let scaler = Scaler::fit(&train, config.scaler.kind, config.scaler.missing).unwrap();
    let prepared = Prepared::new(&train, &scaler, None).unwrap();
    let loss = Loss::new(None, config.data.task, &train).unwrap();
    let lesson = Lesson { architecture: &architecture, training: &config.training, loss };
    let device = Default::default();
    let tensors = initial_tensors(&architecture, 1);
    let network = Network::<Autodiff<NdArray>>::from_tensors(&architecture, &tensors, &Default::default(), &device);
    let outputs = |part| {
        let batch = prepared.batch(&[0, 1, 2]).unwrap();
        lesson.learn(&network, &Part { batch, epoch: 0, step: 0, part, total: 3.0 }, &device).unwrap().outputs
    };
    assert_eq!(outputs(1), outputs(1));
    assert_ne!(outputs(0), outputs(1));
}

/// The penalty on the weights belongs to the step, whichever part comes first.
#[test]
fn a_first_part_without_targets_loses_no_penalty() {
    let trained = |batch, accumulate| {
        let mut config = config_of(Kind::StepValue);
        (config.training.batch, config.training.accumulate, config.training.epochs) = (batch, accumulate, 1);
        config.training.clip = None;
        let mut splits = splits(Kind::StepValue);
        // Half of the sequences have no target at all: some batch of one sequence starts a step without one.
        for sequence in splits.train.sequences.iter_mut().step_by(2) {
            sequence.target = SequenceTarget::StepValues(vec![f32::NAN; sequence.steps]);
        }
        train(&config, &splits, &Options::default(), &mut Silent).unwrap()
    };
    assert_same_training(&trained(1, 24), &trained(24, 1), "accumulated one by one");
}

#[test]
fn a_run_goes_on_only_with_as_many_devices() {
    let folder = tempfile::tempdir().unwrap();
    let resuming = |devices: &[Device]| Options { resume_dir: Some(folder.path().into()), resume: true, ..on(devices) };
    let config = config(Kind::Class);
    run(&config, Kind::Class, &resuming(&[Device::Cpu, Device::Cpu]));
    let error = train(&config, &splits(Kind::Class), &resuming(&[Device::Cpu]), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("devices was \"cpu, cpu\" in the interrupted run and is null now"), "{error}");
}

/// On a machine with a Vulkan device, Mesa's of the CPU among them; see `cargo xtask vulkan`.
#[cfg(feature = "vulkan")]
#[test]
fn a_training_on_vulkan_devices_is_that_of_the_cpu() {
    if let Err(reason) = crate::check_device(Device::Vulkan(0)) {
        assert!(std::env::var_os("EMBERLOOP_REQUIRE_VULKAN").is_none_or(|value| value != "1"), "{reason}");
        eprintln!("skipped: {reason}");
        return;
    }
    for kind in [Kind::Class, Kind::StepClass] {
        let config = config_of(kind);
        let cpu = run(&config, kind, &on(&[Device::Cpu]));
        assert_same_training(&run(&config, kind, &on(&[Device::Vulkan(0)])), &cpu, "one");
        assert_same_training(&run(&config, kind, &on(&[Device::Vulkan(0); 2])), &cpu, "two");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut config = config(Kind::Class);
    config.model.hidden = vec![9, 6];
    config.training.batch = 24;
    let on_threads = |threads| {
        let options = Options { threads: NonZeroUsize::new(threads), ..Options::default() };
        run(&config, Kind::Class, &options).checkpoint
    };
    let one = on_threads(1);
    assert_eq!(on_threads(2), one);
    assert_eq!(on_threads(5), one);
}

#[test]
fn truncation_that_no_sequence_reaches_changes_nothing() {
    let truncated = |steps: Option<usize>| {
        let mut config = config(Kind::StepClass);
        config.training.truncate = steps;
        run(&config, Kind::StepClass, &Options::default()).checkpoint.tensors
    };
    // The fixture's sequences have at most 9 steps.
    assert_eq!(truncated(Some(9)), truncated(None));
    assert_ne!(truncated(Some(2)), truncated(None));
}

#[test]
fn devices_that_cannot_share_a_training_are_refused() {
    let refused =
        |devices: &[Device]| match train(&config(Kind::Class), &splits(Kind::Class), &on(devices), &mut Silent)
            .unwrap_err()
        {
            TrainError::Device(error) => error,
            other => panic!("{other}"),
        };
    assert_eq!(refused(&[]), DeviceError::None);
    let mixed = refused(&[Device::Cpu, Device::Cuda(1)]).to_string();
    assert_eq!(mixed, "devices: expected all of one kind, as in cuda,cuda:1, found cpu and cuda:1");
}
