//! Between the network's parameters and named tensors in PyTorch's layout.

use std::collections::{BTreeMap, BTreeSet};

use burn::{
    module::{Param, ParamId},
    nn::{Embedding, Linear},
    tensor::{Tensor, TensorData, backend::Backend},
};
use emberloop_cells::{Direction as Reading, RecurrentTensor, TensorName};
use emberloop_checkpoint::{Architecture, Tensor as HostTensor};

use super::{Direction, Layer, Network};

/// A parameter of the network, and how it relates to the tensor of its name.
pub enum Parameter<'a, B: Backend> {
    /// Stored as in the checkpoint.
    Matrix(&'a Param<Tensor<B, 2>>),
    /// burn's `Linear` holds `[inputs, outputs]`, PyTorch and the checkpoint `[outputs, inputs]`.
    Transposed(&'a Param<Tensor<B, 2>>),
    /// A bias.
    Vector(&'a Param<Tensor<B, 1>>),
}

impl<B: Backend> Parameter<'_, B> {
    /// The identifier under which gradients and optimizer states are filed.
    pub fn id(&self) -> ParamId {
        match self {
            Parameter::Matrix(param) | Parameter::Transposed(param) => param.id,
            Parameter::Vector(param) => param.id,
        }
    }

    /// The values in the checkpoint's layout.
    pub fn read(&self) -> HostTensor {
        match self {
            Parameter::Matrix(param) => host(param.val()),
            Parameter::Transposed(param) => host(param.val().transpose()),
            Parameter::Vector(param) => host(param.val()),
        }
    }
}

/// Every parameter by its name in the checkpoint, in the order of [`Architecture::tensors`].
pub fn parameters<B: Backend>(network: &Network<B>) -> Vec<(String, Parameter<'_, B>)> {
    let mut all = Vec::new();
    if let Some(embedding) = &network.embedding {
        all.push((Architecture::EMBEDDING_WEIGHT.to_string(), Parameter::Matrix(&embedding.weight)));
    }
    for (layer, parts) in network.layers.iter().enumerate() {
        let readings = [(Reading::Forward, Some(&parts.forward)), (Reading::Reverse, parts.reverse.as_ref())];
        for (direction, part) in readings {
            let Some(part) = part else { continue };
            for tensor in RecurrentTensor::ALL {
                let parameter = match tensor {
                    RecurrentTensor::InputWeight => Parameter::Transposed(&part.input.weight),
                    RecurrentTensor::RecurrentWeight => Parameter::Transposed(&part.recurrent.weight),
                    RecurrentTensor::InputBias => Parameter::Vector(bias(&part.input)),
                    RecurrentTensor::RecurrentBias => Parameter::Vector(bias(&part.recurrent)),
                };
                all.push((TensorName { layer, direction, tensor }.to_string(), parameter));
            }
        }
    }
    all.push((Architecture::HEAD_WEIGHT.to_string(), Parameter::Transposed(&network.head.weight)));
    all.push((Architecture::HEAD_BIAS.to_string(), Parameter::Vector(bias(&network.head))));
    all
}

impl<B: Backend> Network<B> {
    /// The network with these weights; `frozen` ones will receive no gradient.
    ///
    /// # Panics
    /// If a tensor of the architecture is missing or has another shape: `Checkpoint::validate` has checked them.
    pub fn from_tensors(
        architecture: &Architecture,
        tensors: &BTreeMap<String, HostTensor>,
        frozen: &BTreeSet<String>,
        device: &B::Device,
    ) -> Self {
        let loader = Loader { architecture, tensors, frozen, device };
        let layers = 0..architecture.hidden.len();
        Self {
            embedding: architecture
                .embedding
                .map(|_| Embedding { weight: loader.matrix(Architecture::EMBEDDING_WEIGHT, false) }),
            layers: layers
                .map(|layer| Layer {
                    forward: loader.direction(layer, Reading::Forward),
                    reverse: architecture.bidirectional.then(|| loader.direction(layer, Reading::Reverse)),
                })
                .collect(),
            head: loader.linear(Architecture::HEAD_WEIGHT, Architecture::HEAD_BIAS),
        }
    }

    /// Every weight by its name in the checkpoint.
    pub fn to_tensors(&self) -> BTreeMap<String, HostTensor> {
        parameters(self).into_iter().map(|(name, parameter)| (name, parameter.read())).collect()
    }
}

struct Loader<'a, B: Backend> {
    architecture: &'a Architecture,
    tensors: &'a BTreeMap<String, HostTensor>,
    frozen: &'a BTreeSet<String>,
    device: &'a B::Device,
}

impl<B: Backend> Loader<'_, B> {
    fn direction(&self, layer: usize, direction: Reading) -> Direction<B> {
        let name = |tensor| TensorName { layer, direction, tensor }.to_string();
        Direction {
            input: self.linear(&name(RecurrentTensor::InputWeight), &name(RecurrentTensor::InputBias)),
            recurrent: self.linear(&name(RecurrentTensor::RecurrentWeight), &name(RecurrentTensor::RecurrentBias)),
        }
    }

    fn linear(&self, weight: &str, bias: &str) -> Linear<B> {
        Linear { weight: self.matrix(weight, true), bias: Some(self.parameter(bias, self.tensor::<1>(bias))) }
    }

    fn matrix(&self, name: &str, transposed: bool) -> Param<Tensor<B, 2>> {
        let stored = self.tensor::<2>(name);
        self.parameter(name, if transposed { contiguous(&stored.transpose()) } else { stored })
    }

    fn tensor<const D: usize>(&self, name: &str) -> Tensor<B, D> {
        let stored = &self.tensors[name];
        Tensor::from_data(TensorData::new(stored.values.clone(), stored.shape.clone()), self.device)
    }

    /// The identifier is the tensor's place in the architecture, so that a saved optimizer state finds it again.
    fn parameter<const D: usize>(&self, name: &str, value: Tensor<B, D>) -> Param<Tensor<B, D>> {
        let place = self.architecture.tensors().iter().position(|tensor| tensor.name == name);
        let id = ParamId::from(place.expect("a tensor of the architecture") as u64);
        Param::initialized(id, value.set_require_grad(!self.frozen.contains(name)))
    }
}

fn bias<B: Backend>(linear: &Linear<B>) -> &Param<Tensor<B, 1>> {
    linear.bias.as_ref().expect("every map has a bias")
}

/// A view with its own memory order: a matrix product with it then copies nothing.
fn contiguous<B: Backend>(tensor: &Tensor<B, 2>) -> Tensor<B, 2> {
    Tensor::from_data(tensor.to_data(), &tensor.device())
}

/// A tensor's values on the host.
pub fn host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> HostTensor {
    let shape = tensor.dims().to_vec();
    HostTensor { shape, values: values(tensor) }
}

/// A tensor's values on the host, row-major.
pub fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("just converted to f32")
}
