//! Data-parallel training: each device learns from its part of the sequences, the first one adds the gradients up.
//!
//! burn has collective operations of its own (burn-collective); they add tensors in the order of a hash map, which differs
//! from run to run as soon as three devices take part, and they bring a web server along. Adding up on the first device in
//! the devices' order is deterministic, and networks for microcontrollers are small enough to be sent whole.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
    thread::Scope,
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Tensor, backend::AutodiffBackend},
};

use rayon::ThreadPool;

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
    /// Starts a thread for each device, which computes in a pool of its own; each ends when the team is dropped.
    pub(super) fn start<'scope, 'env>(
        devices: &[B::Device],
        lesson: &'env Lesson<'env>,
        pools: Vec<ThreadPool>,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Self {
        let helper = |(device, pool): (&B::Device, ThreadPool)| {
            let (parts, inbox) = channel::<(Network<B>, Part)>();
            let (outbox, learned) = channel();
            let own = device.clone();
            scope.spawn(move || {
                let work = || {
                    for (network, part) in inbox {
                        if outbox.send(lesson.learn(&network, &part, &own)).is_err() {
                            break;
                        }
                    }
                };
                // A panic (a driver's, of a lost GPU) has been printed; the training hears of it by the closed channel.
                let _ = catch_unwind(AssertUnwindSafe(|| pool.install(work)));
            });
            Helper { device: device.clone(), parts, learned }
        };
        Self { helpers: devices.iter().zip(pools).map(helper).collect() }
    }

    /// How many devices learn, the first one included.
    pub(super) fn size(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Learns from at most one part for each device, and moves all gradients to the first. In the order of the parts; `Err`
    /// with the number of a device whose thread has ended, as a driver's panic ends it.
    pub(super) fn learn(
        &self,
        lesson: &Lesson<'_>,
        network: &Network<B>,
        parts: &[Part],
        device: &B::Device,
    ) -> Result<Vec<Option<Learned>>, usize> {
        let (own, others) = parts.split_first().expect("a step has a part");
        for ((number, helper), part) in (1usize..).zip(&self.helpers).zip(others) {
            // A leaf of the graph on the other device: gradients end there, and come back as they are.
            let copy = network.clone().fork(&helper.device);
            helper.parts.send((copy, part.clone())).map_err(|_| number)?;
        }
        let mut all = vec![lesson.learn(network, own, device)];
        for ((number, helper), _) in (1usize..).zip(&self.helpers).zip(others) {
            let learned = helper.learned.recv().map_err(|_| number)?;
            all.push(
                learned.map(|learned| Learned {
                    gradients: learned.gradients.to_device::<B, _>(device, network),
                    ..learned
                }),
            );
        }
        Ok(all)
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
