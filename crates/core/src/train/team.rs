//! Data-parallel training: each device learns from its part of the sequences, the first one adds the gradients up.
//!
//! burn has collective operations of its own (burn-collective); they add tensors in the order of a hash map, which differs
//! from run to run as soon as three devices take part, and they bring a web server along. Adding up on the first device in
//! the devices' order is deterministic, and networks for microcontrollers are small enough to be sent whole.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread::Scope,
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Tensor, backend::AutodiffBackend},
};

use super::part::{Learned, Lesson, Part};
use crate::{model::Network, recurrence::TrainBackend};

/// The devices beside the first.
pub(super) struct Team<B: TrainBackend> {
    helpers: Vec<Helper<B>>,
}

/// A device with a thread of its own, which lives as long as the training does.
struct Helper<B: TrainBackend> {
    device: B::Device,
    parts: Sender<(Network<B>, Part)>,
    learned: Receiver<Option<Learned>>,
}

impl<B: TrainBackend> Team<B> {
    /// Starts a thread for each device; each ends when the team is dropped.
    pub(super) fn start<'scope, 'env>(
        devices: &[B::Device],
        lesson: &'env Lesson<'env>,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Self {
        let helper = |device: &B::Device| {
            let (parts, inbox) = channel::<(Network<B>, Part)>();
            let (outbox, learned) = channel();
            let own = device.clone();
            scope.spawn(move || {
                for (network, part) in inbox {
                    if outbox.send(lesson.learn(&network, &part, &own)).is_err() {
                        break;
                    }
                }
            });
            Helper { device: device.clone(), parts, learned }
        };
        Self { helpers: devices.iter().map(helper).collect() }
    }

    /// How many devices learn, the first one included.
    pub(super) fn size(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Learns from at most one part for each device, and moves all gradients to the first. In the order of the parts.
    ///
    /// # Panics
    /// If a device's thread has panicked.
    pub(super) fn learn(
        &self,
        lesson: &Lesson<'_>,
        network: &Network<B>,
        parts: &[Part],
        device: &B::Device,
    ) -> Vec<Option<Learned>> {
        let (own, others) = parts.split_first().expect("a step has a part");
        for (helper, part) in self.helpers.iter().zip(others) {
            // A leaf of the graph on the other device: gradients end there, and come back as they are.
            let copy = network.clone().fork(&helper.device);
            helper.parts.send((copy, part.clone())).expect("the device's thread runs");
        }
        let mut all = vec![lesson.learn(network, own, device)];
        for (helper, _) in self.helpers.iter().zip(others) {
            let learned = helper.learned.recv().expect("the device's thread runs");
            all.push(
                learned.map(|learned| Learned {
                    gradients: learned.gradients.to_device::<B, _>(device, network),
                    ..learned
                }),
            );
        }
        all
    }
}

/// Adds gradients to others, both on the same device.
pub(super) fn add<B: AutodiffBackend, M: Module<B>>(sum: &mut GradientsParams, more: GradientsParams, module: &M) {
    module.visit(&mut Adding::<B> { sum, more, backend: std::marker::PhantomData });
}

struct Adding<'a, B> {
    sum: &'a mut GradientsParams,
    more: GradientsParams,
    backend: std::marker::PhantomData<B>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Adding<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(more) = self.more.remove::<B::InnerBackend, D>(param.id) {
            let sum = match self.sum.remove::<B::InnerBackend, D>(param.id) {
                Some(sum) => sum + more,
                None => more,
            };
            self.sum.register::<B::InnerBackend, D>(param.id, sum);
        }
    }
}

#[cfg(test)]
mod tests;
