//! Padding, gradients by finite differences where no golden file reaches, tensors there and back.

use std::collections::BTreeSet;

use burn::backend::NdArray;
use emberloop_cells::CellKind;
use emberloop_checkpoint::{Architecture, EmbeddingShape, Pooling, Task};
use emberloop_data::{Batch, BatchTargets};

use super::*;
use crate::{
    Device,
    parity::{Case, Loss, gradients},
    rng::Rng,
};

fn architecture(cell: CellKind, bidirectional: bool, pooling: Pooling, tokens: bool) -> Architecture {
    Architecture {
        cell,
        inputs: 3,
        embedding: tokens.then_some(EmbeddingShape { vocabulary: 4, dimension: 3 }),
        hidden: vec![4, 3],
        bidirectional,
        pooling,
        outputs: 2,
        task: Task::Classification,
        dropout: 0.0,
    }
}

fn every_architecture() -> impl Iterator<Item = Architecture> {
    CellKind::ALL.into_iter().flat_map(|cell| {
        [Pooling::Last, Pooling::Mean, Pooling::Every].into_iter().flat_map(move |pooling| {
            [(false, false), (true, false), (true, true)]
                .map(|(bidirectional, tokens)| architecture(cell, bidirectional, pooling, tokens))
        })
    })
}

/// Three sequences of 4, 1 and 6 steps, padded to `steps`.
fn batch(architecture: &Architecture, steps: usize) -> Batch {
    let lengths = vec![4, 1, 6];
    let channels = if architecture.embedding.is_some() { 1 } else { 3 };
    let mut inputs = vec![0.0; steps * lengths.len() * channels];
    for (sequence, &length) in lengths.iter().enumerate() {
        let mut rng = Rng::keyed(&[sequence as u64]);
        for step in 0..length {
            for value in &mut inputs[(step * lengths.len() + sequence) * channels..][..channels] {
                *value = if channels == 1 { rng.below(4) as f32 } else { rng.normal() as f32 };
            }
        }
    }
    let (targets, target_mask) = match architecture.pooling {
        Pooling::Every => {
            let own = |step: usize| lengths.iter().map(move |&length| f32::from(u8::from(step < length)));
            let classes = (0..3 * steps).map(|at| at % 2).collect();
            (BatchTargets::StepClasses(classes), (0..steps).flat_map(own).collect())
        }
        Pooling::Last | Pooling::Mean => (BatchTargets::Classes(vec![0, 1, 0]), vec![1.0; 3]),
    };
    let indices = vec![0, 1, 2];
    Batch { inputs, lengths, indices, batch: 3, steps, channels, outputs: 2, targets, target_mask }
}

/// The outputs of each sequence's own rows.
fn outputs(architecture: &Architecture, steps: usize) -> Vec<Vec<f32>> {
    let device = Default::default();
    let batch = batch(architecture, steps);
    let tensors = initial_tensors(architecture, 5);
    let network = Network::<NdArray>::from_tensors(architecture, &tensors, &BTreeSet::new(), &device);
    let input = Input::new(&batch, architecture, &device);
    let rows = values(network.forward(architecture, &input, &mut Learning::none()));
    let own = |(row, &length): (usize, &usize)| crate::evaluate::own_rows(&rows, architecture, row, 3, length);
    batch.lengths.iter().enumerate().map(own).collect()
}

#[test]
fn padding_changes_no_bit_of_any_result() {
    for architecture in every_architecture() {
        let (tight, padded) = (outputs(&architecture, 6), outputs(&architecture, 23));
        assert_eq!(tight, padded, "{architecture:?}");
        assert!(tight[0] != tight[1], "the outputs depend on the input: {architecture:?}");
    }
}

/// Central differences of the loss along a random direction through all weights at once.
#[test]
fn gradients_equal_finite_differences() {
    for architecture in every_architecture() {
        let loss = Loss::CrossEntropy { class_weights: vec![1.0; 2], label_smoothing: 0.0 };
        let tensors = initial_tensors(&architecture, 5);
        let case = Case { batch: batch(&architecture, 7), architecture, tensors, loss };
        let found = gradients(&case, Device::Cpu).unwrap();
        let mut rng = Rng::keyed(&[9]);
        let mut slope = 0.0;
        let (mut up, mut down) = (case.clone(), case.clone());
        let step = 1e-3;
        for (name, gradient) in &found.gradients {
            for (at, gradient) in gradient.values.iter().enumerate() {
                let direction = rng.normal();
                slope += direction * f64::from(*gradient);
                up.tensors.get_mut(name).unwrap().values[at] += (step * direction) as f32;
                down.tensors.get_mut(name).unwrap().values[at] -= (step * direction) as f32;
            }
        }
        let loss = |case: &Case| gradients(case, Device::Cpu).unwrap().loss;
        let expected = (loss(&up) - loss(&down)) / (2.0 * step);
        let tolerance = 2e-3 * expected.abs().max(0.1);
        assert!((slope - expected).abs() < tolerance, "{slope} against {expected}: {:?}", case.architecture);
    }
}

#[test]
fn tensors_come_back_as_they_went_in() {
    for architecture in every_architecture() {
        let tensors = initial_tensors(&architecture, 3);
        let network = Network::<NdArray>::from_tensors(&architecture, &tensors, &BTreeSet::new(), &Default::default());
        assert_eq!(network.to_tensors(), tensors);
        let shapes: Vec<_> = architecture.tensors().into_iter().map(|tensor| tensor.name).collect();
        assert_eq!(parameters(&network).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), shapes);
    }
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let ones = Tensor::<NdArray, 2>::ones([100, 100], &Default::default());
    let mut dropout = Dropout::training(0.25, Rng::keyed(&[1]));
    let dropped = values(dropout.apply(ones.clone()));
    let zeros = dropped.iter().filter(|&&value| value == 0.0).count();
    assert!((2300..2700).contains(&zeros), "{zeros} of 10000");
    assert!(dropped.iter().all(|&value| value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
    assert_ne!(values(dropout.apply(ones.clone())), dropped, "every mask is fresh");
    assert_eq!(values(Dropout::training(0.25, Rng::keyed(&[1])).apply(ones.clone())), dropped, "and keyed");
    assert_eq!(values(Dropout::off().apply(ones)), vec![1.0; 10_000]);
}
