//! burn's optimizers with PyTorch's defaults and meaning.
//!
//! Checked in burn-optim 0.21: Adam, AdamW and RMSprop add eps outside the root, as PyTorch; Adam's and RMSprop's weight
//! decay is an L2 term of the gradient, AdamW's is apart from it; SGD starts its velocity with the first gradient. What
//! differs are defaults, all of which are set here (Adam's eps 1e-5, RMSprop's momentum 0.9, SGD's dampening 0.1).

use burn::{
    module::AutodiffModule,
    optim::{
        Adam, AdamConfig, AdamW, AdamWConfig, GradientsParams, Optimizer as _, RmsProp, RmsPropConfig, Sgd, SgdConfig,
        adaptor::OptimizerAdaptor, decay::WeightDecayConfig, momentum::MomentumConfig,
    },
    record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder},
    tensor::backend::AutodiffBackend,
};

use crate::{config::OptimizerConfig, model::Network};

/// One of burn's optimizers, with its moments.
#[derive(Clone)]
pub enum Optimizer<B: AutodiffBackend>
where
    Network<B>: AutodiffModule<B>,
{
    /// Adam
    Adam(OptimizerAdaptor<Adam, Network<B>, B>),
    /// AdamW
    AdamW(OptimizerAdaptor<AdamW, Network<B>, B>),
    /// RMSprop
    RmsProp(OptimizerAdaptor<RmsProp, Network<B>, B>),
    /// Stochastic gradient descent
    Sgd(OptimizerAdaptor<Sgd<B::InnerBackend>, Network<B>, B>),
}

impl<B: AutodiffBackend> Optimizer<B> {
    /// A fresh optimizer.
    pub fn new(config: &OptimizerConfig) -> Self {
        let decay = |penalty: f64| (penalty > 0.0).then(|| WeightDecayConfig::new(penalty as f32));
        match *config {
            OptimizerConfig::Adam { betas: [beta_1, beta_2], eps, weight_decay, .. } => Optimizer::Adam(
                AdamConfig::new()
                    .with_beta_1(beta_1 as f32)
                    .with_beta_2(beta_2 as f32)
                    .with_epsilon(eps as f32)
                    .with_weight_decay(decay(weight_decay))
                    .init(),
            ),
            OptimizerConfig::Adamw { betas: [beta_1, beta_2], eps, weight_decay, .. } => Optimizer::AdamW(
                AdamWConfig::new()
                    .with_beta_1(beta_1 as f32)
                    .with_beta_2(beta_2 as f32)
                    .with_epsilon(eps as f32)
                    .with_weight_decay(weight_decay as f32)
                    .init(),
            ),
            OptimizerConfig::Rmsprop { alpha, eps, momentum, weight_decay, .. } => Optimizer::RmsProp(
                RmsPropConfig::new()
                    .with_alpha(alpha as f32)
                    .with_epsilon(eps as f32)
                    .with_momentum(momentum as f32)
                    .with_weight_decay(decay(weight_decay))
                    .init(),
            ),
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay, .. } => {
                let momentum = MomentumConfig { momentum, dampening: 0.0, nesterov };
                let momentum = (momentum.momentum > 0.0).then_some(momentum);
                Optimizer::Sgd(SgdConfig::new().with_momentum(momentum).with_weight_decay(decay(weight_decay)).init())
            }
        }
    }

    /// One step.
    pub fn step(&mut self, learning_rate: f64, network: Network<B>, gradients: GradientsParams) -> Network<B> {
        match self {
            Optimizer::Adam(optimizer) => optimizer.step(learning_rate, network, gradients),
            Optimizer::AdamW(optimizer) => optimizer.step(learning_rate, network, gradients),
            Optimizer::RmsProp(optimizer) => optimizer.step(learning_rate, network, gradients),
            Optimizer::Sgd(optimizer) => optimizer.step(learning_rate, network, gradients),
        }
    }

    /// The moments as bytes, exact.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let recorder = Records::default();
        let bytes = match self {
            Optimizer::Adam(optimizer) => Recorder::<B>::record(&recorder, optimizer.to_record(), ()),
            Optimizer::AdamW(optimizer) => Recorder::<B>::record(&recorder, optimizer.to_record(), ()),
            Optimizer::RmsProp(optimizer) => Recorder::<B>::record(&recorder, optimizer.to_record(), ()),
            Optimizer::Sgd(optimizer) => Recorder::<B>::record(&recorder, optimizer.to_record(), ()),
        };
        bytes.map_err(|error| error.to_string())
    }

    /// The same optimizer with the moments that [`to_bytes`](Self::to_bytes) gave.
    pub fn with_bytes(self, bytes: Vec<u8>, device: &B::Device) -> Result<Self, String> {
        let recorder = Records::default();
        let failed = |error: burn::record::RecorderError| error.to_string();
        Ok(match self {
            Optimizer::Adam(optimizer) => {
                Optimizer::Adam(optimizer.load_record(Recorder::<B>::load(&recorder, bytes, device).map_err(failed)?))
            }
            Optimizer::AdamW(optimizer) => {
                Optimizer::AdamW(optimizer.load_record(Recorder::<B>::load(&recorder, bytes, device).map_err(failed)?))
            }
            Optimizer::RmsProp(optimizer) => Optimizer::RmsProp(
                optimizer.load_record(Recorder::<B>::load(&recorder, bytes, device).map_err(failed)?),
            ),
            Optimizer::Sgd(optimizer) => {
                Optimizer::Sgd(optimizer.load_record(Recorder::<B>::load(&recorder, bytes, device).map_err(failed)?))
            }
        })
    }
}

type Records = NamedMpkBytesRecorder<FullPrecisionSettings>;
