//! Forward, gradients and optimizer steps by PyTorch name: what the tests hold against PyTorch's own numbers.

use std::collections::{BTreeMap, BTreeSet};

use burn::{
    module::AutodiffModule,
    optim::GradientsParams,
    tensor::{ElementConversion, Tensor as BurnTensor, TensorData, backend::AutodiffBackend},
};
use emberloop_checkpoint::{Architecture, Tensor};
use emberloop_data::Batch;

use crate::{
    backend::{self, Device, DeviceError},
    clip::clip,
    config::{ClipConfig, OptimizerConfig},
    model::{Input, Learning, Network, Parameter, host, parameters, values},
    optim::Optimizer,
    recurrence::{Output, TrainBackend},
};

pub use crate::loss::Loss;

/// Weights, a batch and a loss.
#[derive(Clone, Debug)]
pub struct Case {
    /// The network's shape.
    pub architecture: Architecture,
    /// Every weight by name, in PyTorch's layout.
    pub tensors: BTreeMap<String, Tensor>,
    /// Inputs and targets.
    pub batch: Batch,
    /// What is minimised.
    pub loss: Loss,
}

/// What one forward and backward pass yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// `[batch, outputs]`, or `[steps, batch, outputs]` with a head on every step.
    pub outputs: Vec<f32>,
    /// `[steps, batch, hidden]` of the top layer, both directions side by side; 0 behind a sequence's end.
    pub states: Vec<f32>,
    /// Of the loss by the inputs, `[steps, batch, channels]`.
    pub input_gradient: Vec<f32>,
    /// The mean loss.
    pub loss: f64,
    /// By name, in PyTorch's layout.
    pub gradients: BTreeMap<String, Tensor>,
}

/// The weights by name after a step, and the gradient's global norm before clipping.
pub type Step = (BTreeMap<String, Tensor>, f64);

/// Forward and backward.
pub fn gradients(case: &Case, device: Device) -> Result<Gradients, DeviceError> {
    backend::dispatch(device, Backward(case))
}

/// `steps` steps of an optimizer on the same batch.
pub fn optimize(
    case: &Case,
    optimizer: &OptimizerConfig,
    clip: Option<ClipConfig>,
    steps: usize,
    device: Device,
) -> Result<Vec<Step>, DeviceError> {
    backend::dispatch(device, Optimize { case, optimizer, clip, steps })
}

/// A loss by itself: its value, and its gradient by `outputs` (rows as the network's: sequences, or steps time-major).
pub fn loss(loss: &Loss, batch: &Batch, outputs: &[f32], device: Device) -> Result<(f64, Vec<f32>), DeviceError> {
    backend::dispatch(device, LossAlone { loss, batch, outputs })
}

struct Pass<B: TrainBackend> {
    outputs: Vec<f32>,
    loss: f64,
    input_gradient: Vec<f32>,
    gradients: GradientsParams,
    network: Network<B>,
}

fn pass<B: TrainBackend>(case: &Case, network: Network<B>, device: &B::Device) -> Pass<B> {
    let mut input = Input::new(&case.batch, &case.architecture, device);
    input.values = input.values.require_grad();
    let loss = &case.loss;
    let target = loss.target::<B>(&case.batch, loss.total(&case.batch), device).expect("some target counts");
    let output = network.forward(&case.architecture, &input, &mut Learning::none());
    let outputs = values(output.clone());
    let loss = loss.mean(output, &target);
    let value = loss.clone().into_scalar().elem::<f64>();
    let gradients = loss.backward();
    let input_gradient = input.values.grad(&gradients).map(values).unwrap_or_default();
    let gradients = GradientsParams::from_grads(gradients, &network);
    Pass { outputs, loss: value, input_gradient, gradients, network }
}

struct LossAlone<'a> {
    loss: &'a Loss,
    batch: &'a Batch,
    outputs: &'a [f32],
}

impl backend::Task for LossAlone<'_> {
    type Output = (f64, Vec<f32>);

    fn run<B: TrainBackend>(self, devices: &[B::Device]) -> Self::Output {
        let device = &devices[0];
        let width = self.batch.outputs;
        let data = TensorData::new(self.outputs.to_vec(), [self.outputs.len() / width, width]);
        let outputs = BurnTensor::<B, 2>::from_data(data, device).require_grad();
        let target =
            self.loss.target::<B>(self.batch, self.loss.total(self.batch), device).expect("some target counts");
        let loss = self.loss.mean(outputs.clone(), &target);
        let value = loss.clone().into_scalar().elem::<f64>();
        let gradient = outputs.grad(&loss.backward()).map(values).unwrap_or_default();
        (value, gradient)
    }
}

struct Backward<'a>(&'a Case);

impl backend::Task for Backward<'_> {
    type Output = Gradients;

    fn run<B: TrainBackend>(self, devices: &[B::Device]) -> Gradients {
        let (case, device) = (self.0, &devices[0]);
        let network = Network::<B>::from_tensors(&case.architecture, &case.tensors, &BTreeSet::new(), device);
        let input = Input::new(&case.batch, &case.architecture, device);
        let states = values(network.hidden(&case.architecture, &input, &mut Learning::none(), Output::Every));
        let Pass { outputs, loss, input_gradient, gradients, network } = pass(case, network, device);
        let named = parameters(&network).into_iter().filter_map(|(name, parameter)| {
            let gradient = read::<B>(&gradients, &parameter)?;
            Some((name, gradient))
        });
        Gradients { outputs, states, input_gradient, loss, gradients: named.collect() }
    }
}

fn read<B: AutodiffBackend>(gradients: &GradientsParams, parameter: &Parameter<'_, B>) -> Option<Tensor> {
    let id = parameter.id();
    Some(match parameter {
        Parameter::Matrix(_) => host(gradients.get::<B::InnerBackend, 2>(id)?),
        Parameter::Transposed(_) => host(gradients.get::<B::InnerBackend, 2>(id)?.transpose()),
        Parameter::Vector(_) => host(gradients.get::<B::InnerBackend, 1>(id)?),
    })
}

struct Optimize<'a> {
    case: &'a Case,
    optimizer: &'a OptimizerConfig,
    clip: Option<ClipConfig>,
    steps: usize,
}

impl backend::Task for Optimize<'_> {
    type Output = Vec<Step>;

    fn run<B: TrainBackend>(self, devices: &[B::Device]) -> Self::Output {
        let (case, device) = (self.case, &devices[0]);
        let mut network = Network::<B>::from_tensors(&case.architecture, &case.tensors, &BTreeSet::new(), device);
        let mut optimizer = Optimizer::<B>::new(self.optimizer);
        (0..self.steps)
            .map(|_| {
                let mut pass = pass(case, network.clone(), device);
                let norm = clip(&mut pass.gradients, &pass.network, self.clip);
                network = optimizer.step(self.optimizer.learning_rate(), pass.network, pass.gradients);
                (network.valid().to_tensors(), norm)
            })
            .collect()
    }
}
