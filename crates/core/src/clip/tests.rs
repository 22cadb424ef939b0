//! Clipping by hand on two tensors. (Against PyTorch's own numbers: `tests/parity.rs`.)

use burn::{
    backend::{Autodiff, NdArray},
    nn::Linear,
    tensor::backend::AutodiffBackend,
};

use super::*;

type Cpu = Autodiff<NdArray>;
type Inner = <Cpu as AutodiffBackend>::InnerBackend;

/// Gradients 3 and 4 in two different tensors: their global norm is 5.
fn clipped(config: Option<ClipConfig>) -> (f64, [f32; 2]) {
    let device = Default::default();
    let linear = Linear::<Cpu> {
        weight: Param::from_tensor(Tensor::zeros([1, 1], &device)),
        bias: Some(Param::from_tensor(Tensor::zeros([1], &device))),
    };
    let (weight, bias) = (linear.weight.id, linear.bias.as_ref().unwrap().id);
    let mut gradients = GradientsParams::new();
    gradients.register(weight, Tensor::<Inner, 2>::full([1, 1], 3.0, &device));
    gradients.register(bias, Tensor::<Inner, 1>::full([1], 4.0, &device));
    let norm = clip(&mut gradients, &linear, config);
    let weight = gradients.get::<Inner, 2>(weight).unwrap().into_scalar();
    let bias = gradients.get::<Inner, 1>(bias).unwrap().into_scalar();
    (norm, [weight, bias])
}

#[test]
fn the_norm_is_over_all_tensors_and_the_direction_stays() {
    let (norm, [weight, bias]) = clipped(Some(ClipConfig::Norm(1.0)));
    assert_eq!(norm, 5.0);
    assert!((weight - 0.6).abs() < 1e-6 && (bias - 0.8).abs() < 1e-6, "{weight}, {bias}");
}

#[test]
fn a_gradient_within_the_norm_is_not_touched() {
    assert_eq!(clipped(Some(ClipConfig::Norm(5.1))), (5.0, [3.0, 4.0]));
    assert_eq!(clipped(None), (5.0, [3.0, 4.0]));
}

#[test]
fn by_value_each_element_is_cut_by_itself() {
    assert_eq!(clipped(Some(ClipConfig::Value(3.5))), (5.0, [3.0, 3.5]));
}
