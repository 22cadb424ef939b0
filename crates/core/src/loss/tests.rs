//! What the configuration makes of a loss. (Values and gradients against PyTorch's: `tests/parity.rs`.)

use burn::backend::NdArray;
use emberloop_data::{Prepared, Scaler, TargetScaler, batches};

use super::*;
use crate::{
    config::Balanced,
    fixtures::{Kind, dataset},
};

fn cross_entropy(class_weights: Option<ClassWeights>) -> LossConfig {
    LossConfig::CrossEntropy { class_weights, label_smoothing: 0.0 }
}

#[test]
fn balanced_weights_are_inverse_to_the_counts() {
    // 12 / (3 * 6), 12 / (3 * 4), 12 / (3 * 2)
    assert_eq!(balanced(&[6, 4, 2]), [2.0 / 3.0, 1.0, 2.0]);
    assert_eq!(balanced(&[2, 0]), [0.5, 0.0]);
}

#[test]
fn the_list_of_class_weights_must_fit_the_classes() {
    let train = dataset(Kind::Class, 6, 1);
    let fitting = cross_entropy(Some(ClassWeights::List(vec![1.0, 3.0])));
    let Ok(Loss::CrossEntropy { class_weights, .. }) = Loss::new(Some(&fitting), Task::Classification, &train) else {
        panic!("a cross-entropy")
    };
    assert_eq!(class_weights, [1.0, 3.0]);
    let short = cross_entropy(Some(ClassWeights::List(vec![1.0])));
    let refused = Loss::new(Some(&short), Task::Classification, &train);
    assert_eq!(refused, Err(WrongClassWeights { classes: 2, found: 1 }));
}

#[test]
fn balanced_weights_come_from_the_training_split() {
    let train = dataset(Kind::Class, 9, 1);
    let config = cross_entropy(Some(ClassWeights::Named(Balanced::Balanced)));
    let Ok(Loss::CrossEntropy { class_weights, .. }) = Loss::new(Some(&config), Task::Classification, &train) else {
        panic!("a cross-entropy")
    };
    assert_eq!(class_weights, balanced(&train.class_counts()));
    assert_ne!(class_weights[0], class_weights[1], "the fixture is not balanced");
}

#[test]
fn a_batch_without_a_single_target_has_no_loss() {
    let mut train = dataset(Kind::StepValue, 5, 1);
    let scaler = Scaler::fit(&train, Default::default(), Default::default()).unwrap();
    let targets = TargetScaler::fit(&train, true).unwrap();
    // The fixture's first step has no target; nothing else is left of the sequence.
    let sequence = &mut train.sequences[0];
    sequence.steps = 1;
    sequence.values.to_mut().unwrap().truncate(2);
    sequence.target = emberloop_data::SequenceTarget::StepValues(vec![f32::NAN]);
    let prepared = Prepared::new(&train, &scaler, targets.as_ref()).unwrap();
    let target = |order: &[usize]| {
        let batch = batches(&prepared, order, 5).next().unwrap().unwrap();
        Loss::Mse.target::<NdArray>(&batch, 1.0, &Default::default()).map(|_| Loss::Mse.total(&batch))
    };
    assert_eq!(target(&[0]), None);
    let counted: usize = (0..5).map(|index| prepared.steps(index) - 1).sum();
    assert_eq!(target(&[0, 1, 2, 3, 4]), Some(counted as f64));
}
