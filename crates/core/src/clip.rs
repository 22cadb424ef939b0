//! Gradient clipping over all parameters together.
//!
//! burn clips each tensor by its own norm, which changes the gradient's direction; a recurrent network wants the global
//! norm (Pascanu et al. 2013), as PyTorch's `clip_grad_norm_`.

use std::marker::PhantomData;

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Tensor, backend::AutodiffBackend},
};

use crate::config::ClipConfig;

/// Clips the gradients of `module` in place; returns their global norm before clipping.
pub fn clip<B: AutodiffBackend, M: Module<B>>(
    gradients: &mut GradientsParams,
    module: &M,
    config: Option<ClipConfig>,
) -> f64 {
    let mut squares = SumOfSquares::<B> { gradients, sum: None };
    module.visit(&mut squares);
    let Some(sum) = squares.sum else { return 0.0 };
    let norm = f64::from(sum.into_data().convert::<f32>().as_slice::<f32>().expect("just converted")[0]).sqrt();
    match config {
        None => (),
        Some(ClipConfig::Norm(limit)) => {
            // PyTorch's 1e-6. It also scales by a factor of exactly 1; that changes nothing and is left out.
            let factor = limit / (norm + 1e-6);
            if factor < 1.0 {
                module.visit(&mut Change::<B> {
                    gradients,
                    change: Changing::Scale(factor as f32),
                    backend: PhantomData,
                });
            }
        }
        Some(ClipConfig::Value(limit)) => {
            module.visit(&mut Change::<B> { gradients, change: Changing::Cut(limit as f32), backend: PhantomData });
        }
    }
    norm
}

/// Adds up the squares of all gradients on the device, so that the host waits once.
struct SumOfSquares<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for SumOfSquares<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
            let squares = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}

#[derive(Clone, Copy)]
enum Changing {
    Scale(f32),
    Cut(f32),
}

struct Change<'a, B> {
    gradients: &'a mut GradientsParams,
    change: Changing,
    backend: PhantomData<B>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Change<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) {
            let changed = match self.change {
                Changing::Scale(factor) => gradient.mul_scalar(factor),
                Changing::Cut(limit) => gradient.clamp(-limit, limit),
            };
            self.gradients.register::<B::InnerBackend, D>(param.id, changed);
        }
    }
}

#[cfg(test)]
mod tests;
