//! The same training step with burn's own modules on burn-ndarray: `Lstm`, `Gru` or `Rnn`, `Linear`, cross-entropy, Adam.
//! burn clips each tensor by its own norm; that is what it has.

use std::path::PathBuf;

use burn::backend::{Autodiff, NdArray};
use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{Gru, GruConfig, Linear, LinearConfig, Lstm, LstmConfig, Rnn, RnnConfig};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{ElementConversion, Int, Tensor, TensorData};
use emberloop_core::config::CellName;
use serde_json::Value;

use crate::protocol::{Case, LossOn, Pass, Prepared, Worker};
use crate::synthetic::Random;
use crate::{Result, clock};

type B = Autodiff<NdArray>;

/// burn's contender.
#[derive(Default)]
pub struct BurnOwn(Option<Training>);

#[derive(Module, Debug)]
struct Network<B: burn::tensor::backend::Backend> {
    lstm: Option<Lstm<B>>,
    gru: Option<Gru<B>>,
    rnn: Option<Rnn<B>>,
    head: Linear<B>,
}

struct Training {
    case: Case,
    network: Network<B>,
    optimizer: OptimizerAdaptor<Adam, Network<B>, B>,
    loss: CrossEntropyLoss<B>,
    /// `[sequences, steps, inputs]` and its classes, by sequence.
    values: Vec<f32>,
    classes: Vec<i64>,
    at: usize,
}

impl Worker for BurnOwn {
    fn prepare(&mut self, case: &Case) -> Result<Prepared> {
        if case.pass != Pass::Train {
            return Err("burn's own modules are compared in training alone".into());
        }
        self.0 = Some(Training::new(case));
        let times = self.run(2)?;
        let variant = "ndarray, each tensor clipped by itself".into();
        Ok(Prepared { ms: times.into_iter().fold(f64::INFINITY, f64::min), variant })
    }

    fn run(&mut self, count: usize) -> Result<Vec<f64>> {
        let training = self.0.as_mut().ok_or("nothing is prepared")?;
        Ok((0..count)
            .map(|_| {
                let began = clock::now();
                training.step();
                clock::since(began)
            })
            .collect())
    }

    fn end_to_end(&mut self, _config: PathBuf, _epochs: usize) -> Result<Value> {
        Err("burn's own modules have no trainer of files".into())
    }
}

impl Training {
    fn new(case: &Case) -> Self {
        let device = Default::default();
        let (inputs, hidden) = (case.inputs, case.hidden);
        let is = |cell| case.cell == cell;
        let network = Network {
            lstm: is(CellName::Lstm).then(|| LstmConfig::new(inputs, hidden, true).init(&device)),
            gru: is(CellName::Gru)
                .then(|| GruConfig::new(inputs, hidden, true).with_reset_after(case.reset_after).init(&device)),
            rnn: is(CellName::Rnn).then(|| RnnConfig::new(inputs, hidden, true).init(&device)),
            head: LinearConfig::new(hidden, case.classes).init(&device),
        };
        let clipping = GradientClippingConfig::Norm(1.0);
        let optimizer = AdamConfig::new().with_epsilon(1e-8).with_grad_clipping(Some(clipping)).init();
        let targets = match case.loss {
            LossOn::Last => 1,
            LossOn::Every => case.steps,
        };
        let mut random = Random(1);
        Self {
            network,
            optimizer,
            loss: CrossEntropyLossConfig::new().init(&device),
            values: (0..case.sequences * case.steps * inputs).map(|_| random.sample()).collect(),
            classes: (0..case.sequences * targets).map(|_| random.below(case.classes) as i64).collect(),
            at: 0,
            case: case.clone(),
        }
    }

    fn step(&mut self) {
        let Case { batch, steps, inputs, hidden, sequences, .. } = self.case;
        let device = Default::default();
        let first = self.at * batch % sequences;
        let count = batch.min(sequences - first);
        self.at += 1;
        let width = steps * inputs;
        let values = self.values[first * width..(first + count) * width].to_vec();
        let values = Tensor::<B, 3>::from_data(TensorData::new(values, [count, steps, inputs]), &device);
        let targets = self.classes.len() / sequences;
        let classes = self.classes[first * targets..(first + count) * targets].to_vec();
        let classes = Tensor::<B, 1, Int>::from_data(TensorData::new(classes, [count * targets]), &device);

        let network = &self.network;
        let states = if let Some(lstm) = &network.lstm {
            lstm.forward(values, None).0
        } else if let Some(gru) = &network.gru {
            gru.forward(values, None)
        } else {
            network.rnn.as_ref().expect("one of the three").forward(values, None).0
        };
        let states = match self.case.loss {
            LossOn::Last => states.slice([0..count, steps - 1..steps, 0..hidden]).reshape([count, hidden]),
            LossOn::Every => states.reshape([count * steps, hidden]),
        };
        let loss = self.loss.forward(network.head.forward(states), classes);
        std::hint::black_box(loss.clone().into_scalar().elem::<f64>());
        let gradients = GradientsParams::from_grads(loss.backward(), network);
        self.network = self.optimizer.step(1e-3, self.network.clone(), gradients);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_and_loss_runs() {
        for cell in [CellName::Rnn, CellName::Lstm, CellName::Gru] {
            for loss in [LossOn::Last, LossOn::Every] {
                let case = Case {
                    pass: Pass::Train,
                    cell,
                    reset_after: true,
                    hidden: 3,
                    loss,
                    steps: 4,
                    batch: 8,
                    inputs: 2,
                    classes: 2,
                    sequences: 20,
                };
                let mut worker = BurnOwn::default();
                worker.prepare(&case).unwrap();
                assert_eq!(worker.run(4).unwrap().len(), 4);
            }
        }
    }
}
