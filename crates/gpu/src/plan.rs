//! How a time loop is laid out on a device: sequences per cube, threads, and where the recurrent weights live.
//!
//! The reasoning is for a large NVIDIA GPU (H100, H200: 132 multiprocessors, each with 64 Ki registers and 227 KiB of
//! shared memory). A step cannot begin before the one before it has ended, so what counts is the time of one step in one
//! cube. Shared memory delivers 128 bytes per clock to a multiprocessor that multiplies 128 floats in it: weights that are
//! read from there once per row would leave three quarters of the multipliers idle. So they are held in registers as far
//! as they go; the rest is in shared memory, and only what fits in neither comes from the L2 cache. Rows share the weights
//! once read, but more rows per cube mean fewer cubes: as many rows as give each multiprocessor one cube.

use cubecl::{Runtime, client::ComputeClient};
use emberloop_cells::CellKind;

use crate::{
    kernels::{product::Product, state::Loop},
    layer::Layer,
};

/// Choices that a caller may make in place of the plan's own. All are bounded by what the device can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Sequences per cube.
    pub rows: Option<usize>,
    /// Threads per cube.
    pub threads: Option<usize>,
    /// Outputs of the recurrent product per thread.
    pub columns: Option<usize>,
    /// Recurrent weights of a thread that stay in registers.
    pub registers: Option<usize>,
    /// Bytes of shared memory for a cube.
    pub shared: Option<usize>,
    /// Read shared memory 16 bytes at a time; only CUDA can.
    pub wide: Option<bool>,
    /// Cubes at which a sum over all steps and sequences is split.
    pub cubes: Option<usize>,
}

/// What a device can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Threads per cube.
    pub threads: usize,
    /// Bytes of shared memory per cube.
    pub shared: usize,
    /// Where it is known: on CUDA.
    pub multiprocessors: Option<usize>,
    /// Cubes along y and z.
    pub cubes: usize,
}

impl Limits {
    pub fn of<R: Runtime>(client: &ComputeClient<R>) -> Self {
        let hardware = &client.properties().hardware;
        Self {
            threads: hardware.max_units_per_cube.min(hardware.max_cube_dim.0) as usize,
            shared: hardware.max_shared_memory_size,
            multiprocessors: hardware.num_streaming_multiprocessors.map(|count| count as usize),
            cubes: hardware.max_cube_count.1.min(hardware.max_cube_count.2) as usize,
        }
    }

    /// Whether shared memory is read 16 bytes at a time.
    pub fn wide(&self, tuning: &Tuning) -> bool {
        self.multiprocessors.is_some() && tuning.wide.unwrap_or(true)
    }

    /// Cubes that keep the device busy.
    pub fn busy(&self) -> usize {
        self.multiprocessors.unwrap_or(64)
    }
}

/// Which way a time loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// What the two loops' plans have in common: rows, threads and both products; the flags are off.
///
/// # Panics
/// If not even one row of the layer fits the device's shared memory.
pub(crate) fn plan(layer: Layer, batch: usize, direction: Direction, limits: &Limits, tuning: &Tuning) -> Loop {
    let sizes = sizes(layer, direction);
    let shared = tuning.shared.map_or(limits.shared, |bytes| bytes.min(limits.shared));
    let weights: usize = sizes.iter().flatten().map(|(outputs, inner)| outputs * inner).sum();
    // 256 threads of up to 255 registers hold more than 512 of 128, a good part of which is bookkeeping; but weights that
    // come from the cache need many threads to wait for them.
    let most = if limits.multiprocessors.is_some() && weights > 65_536 { 512 } else { 256 };
    let threads = tuning.threads.unwrap_or_else(|| (weights / 64).next_power_of_two().clamp(64, most));
    let threads = threads.clamp(1, limits.threads).next_multiple_of(32).min(limits.threads);
    let mut rows = tuning.rows.unwrap_or_else(|| batch.div_ceil(limits.busy())).clamp(1, 8);
    let mut slices = usize::MAX;
    loop {
        let [first, second] = sizes.map(|size| product(size, threads, slices, limits.wide(tuning), tuning));
        let mut plan = Loop {
            cell: layer.cell,
            hidden: layer.hidden,
            rows,
            threads,
            first,
            second,
            padded: false,
            reverse: false,
            initial: false,
            hidden_every: false,
            last: false,
            tape: false,
            truncate: 0,
        };
        let base = shared_bytes(&plan);
        if base <= shared {
            place(&mut plan, shared - base, limits, tuning);
            return plan;
        }
        // Fewer partial sums, then fewer rows.
        slices = first.slices.max(second.slices) / 2;
        if slices == 0 {
            assert!(
                rows > 1,
                "a layer of {} units needs {base} bytes of shared memory, the device has {shared}",
                layer.hidden
            );
            (rows, slices) = (rows / 2, usize::MAX);
        }
    }
}

/// Outputs and length of the sum of both products.
fn sizes(layer: Layer, direction: Direction) -> [Option<(usize, usize)>; 2] {
    let units = layer.hidden;
    let (gates, second) = match layer.cell {
        CellKind::Rnn | CellKind::Lstm | CellKind::GruResetAfter => (layer.columns(), None),
        CellKind::GruResetBefore => (2 * units, Some((units, units))),
    };
    match direction {
        Direction::Forward => [Some((gates, units)), second],
        Direction::Backward => [Some((units, gates)), second],
    }
}

/// Spreads a product over the threads; its weights have no place yet.
fn product(size: Option<(usize, usize)>, threads: usize, most_slices: usize, wide: bool, tuning: &Tuning) -> Product {
    // A product that is not there still has a type in the kernel.
    let (outputs, inner) = size.unwrap_or((1, 1));
    let columns = tuning.columns.unwrap_or(4).clamp(1, outputs).max(outputs.div_ceil(threads));
    let groups = outputs.div_ceil(columns);
    let slices = (threads / groups).min(inner.div_ceil(4)).min(most_slices).max(1);
    let blocks = inner.div_ceil(4 * slices);
    Product { outputs, inner, columns, groups, slices, blocks, held: 0, shared: 0, wide }
}

/// Shared memory of everything but weights, in bytes. The last 1,024 are for alignment and what a driver keeps.
fn shared_bytes(plan: &Loop) -> usize {
    4 * (plan.rows * plan.first.operand() + plan.second_operand() + plan.partials()) + 2 * 16 + 1024
}

/// Gives the weights their places.
fn place(plan: &mut Loop, mut shared: usize, limits: &Limits, tuning: &Tuning) {
    // The accumulators, the operand's values, what a step loads ahead and addresses take the rest of a thread's registers:
    // measured with NVRTC 12.8 for sm_90, so that nothing spills (but for 4 rows of 256 units).
    let second = if plan.has_second() { 16 } else { 0 };
    let others = 68 + plan.rows * plan.first.columns + 16 * (plan.pairs() - 1) + second;
    let available = match limits.multiprocessors {
        Some(_) => (65_536 / plan.threads).min(255).saturating_sub(others).min(160),
        None => 64,
    };
    let mut registers = tuning.registers.unwrap_or(available);
    let has_second = plan.has_second();
    for product in [Some(&mut plan.first), has_second.then_some(&mut plan.second)].into_iter().flatten() {
        let floats = 4 * product.columns;
        product.held = (registers / floats).min(product.blocks);
        registers -= product.held * floats;
        let bytes = 16 * product.columns * product.lanes();
        product.shared = (shared / bytes).min(product.blocks - product.held);
        shared -= product.shared * bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h200() -> Limits {
        Limits { threads: 1024, shared: 232_448, multiprocessors: Some(132), cubes: 65_535 }
    }

    fn small() -> Limits {
        Limits { threads: 256, shared: 32_768, multiprocessors: None, cubes: 65_535 }
    }

    #[test]
    fn every_plan_fits_its_device_and_covers_its_product() {
        for limits in [h200(), small(), Limits { threads: 128, shared: 16_384, ..small() }] {
            for cell in CellKind::ALL {
                for hidden in [1, 2, 5, 31, 32, 33, 64, 100, 128, 130, 256, 512] {
                    for batch in [1, 3, 64, 512, 5000] {
                        for direction in [Direction::Forward, Direction::Backward] {
                            let layer = Layer { cell, inputs: 3, hidden };
                            let plan = plan(layer, batch, direction, &limits, &Tuning::default());
                            assert!(plan.threads <= limits.threads);
                            for product in [plan.first, plan.second] {
                                assert!(product.lanes() <= plan.threads, "{plan:?}");
                                assert!(product.partial() >= product.outputs, "{plan:?}");
                                assert!(product.operand() >= product.inner, "{plan:?}");
                                assert!(product.held + product.shared <= product.blocks, "{plan:?}");
                            }
                            let weights = 16 * (plan.first.stored() + plan.second.stored());
                            assert!(shared_bytes(&plan) + weights <= limits.shared, "{plan:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn up_to_128_units_no_weight_is_read_twice_on_a_large_gpu() {
        for cell in CellKind::ALL {
            for (hidden, batch) in [(32, 64), (64, 64), (128, 64), (32, 512), (64, 512), (128, 512)] {
                for direction in [Direction::Forward, Direction::Backward] {
                    let layer = Layer { cell, inputs: 3, hidden };
                    let plan = plan(layer, batch, direction, &h200(), &Tuning::default());
                    assert_eq!(plan.rows, batch / 128 + usize::from(batch < 128), "one cube per multiprocessor");
                    assert_eq!(plan.first.held + plan.first.shared, plan.first.blocks, "{plan:?}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a layer of 100000 units needs")]
    fn a_layer_beyond_the_device_says_so() {
        let layer = Layer { cell: CellKind::Lstm, inputs: 1, hidden: 100_000 };
        plan(layer, 1, Direction::Forward, &small(), &Tuning::default());
    }
}
