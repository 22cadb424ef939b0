//! The recurrent product of one step: rows of an operand in shared memory times a matrix that stays with its threads.
//!
//! A thread owns `columns` outputs and one of `slices` parts of the sum. Its weights lie in three places, filled in this
//! order: registers for the whole sequence (`held` blocks), shared memory (`shared` blocks), and what fits in neither is
//! read anew at each step through the L2 cache. A block is four neighbouring elements of the sum, so that weights are
//! read 16 bytes at a time, and operands where the runtime allows it.

use cubecl::prelude::*;

/// Four neighbouring elements of a sum.
pub(crate) type Four = Vector<f32, Const<4>>;

/// How one matrix product is spread over the threads of a cube.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Product {
    /// Length of the result of one row.
    pub outputs: usize,
    /// Length of the sum.
    pub inner: usize,
    /// Outputs per thread: `group`, `group + groups`, ...
    pub columns: usize,
    /// Threads side by side over the outputs.
    pub groups: usize,
    /// Threads side by side over the sum.
    pub slices: usize,
    /// Blocks of the sum per slice.
    pub blocks: usize,
    /// Blocks of each thread that stay in registers.
    pub held: usize,
    /// Blocks of each thread that stay in shared memory.
    pub shared: usize,
    /// Operands are read 16 bytes at a time.
    pub wide: bool,
}

impl Product {
    /// Threads that take part.
    pub const fn lanes(&self) -> usize {
        self.groups * self.slices
    }

    /// Elements of one row of the operand: the sum's length, rounded up with zeros to whole blocks.
    pub const fn operand(&self) -> usize {
        4 * self.blocks * self.slices
    }

    /// Elements of one row of one slice's partial sums.
    pub const fn partial(&self) -> usize {
        self.columns * self.groups
    }

    /// Vectors of four weights in all.
    pub const fn weights(&self) -> usize {
        self.blocks * self.columns * self.lanes()
    }

    /// Vectors of four weights in shared memory.
    pub const fn stored(&self) -> usize {
        self.shared * self.columns * self.lanes()
    }
}

/// Reads the thread's weights for the registers.
#[cube]
pub(crate) fn hold(packed: &Array<Four>, #[comptime] product: Product) -> Sequence<Four> {
    let lane = UNIT_POS as usize % comptime!(product.lanes());
    let mut held = Sequence::<Four>::new();
    #[unroll]
    for index in 0..comptime!(product.held * product.columns) {
        held.push(packed[comptime!(index * product.lanes()) + lane]);
    }
    held
}

/// Copies the weights that live in shared memory. The caller synchronizes.
#[cube]
pub(crate) fn store(packed: &Array<Four>, stored: &mut SharedMemory<Four>, #[comptime] product: Product) {
    let lane = UNIT_POS as usize;
    let lanes = comptime!(product.lanes());
    if lane < lanes {
        for index in 0..comptime!(product.shared * product.columns) {
            stored[index * lanes + lane] = packed[(index + comptime!(product.held * product.columns)) * lanes + lane];
        }
    }
}

/// Partial sums of `rows` rows: `partials[(slice * rows + row) * partial + output]`. The caller synchronizes before and
/// after.
#[cube]
#[allow(clippy::too_many_arguments)]
pub(crate) fn multiply(
    operand: &SharedMemory<f32>,
    held: &Sequence<Four>,
    stored: &SharedMemory<Four>,
    packed: &Array<Four>,
    partials: &mut SharedMemory<f32>,
    #[comptime] product: Product,
    #[comptime] rows: usize,
) {
    let lane = UNIT_POS as usize;
    let lanes = comptime!(product.lanes());
    let columns = comptime!(product.columns);
    let slices = comptime!(product.slices);
    if lane < lanes {
        let slice = lane / comptime!(product.groups);
        let group = lane % comptime!(product.groups);
        let mut sums = Array::<f32>::new(comptime!(rows * columns));
        #[unroll]
        for index in 0..comptime!(rows * columns) {
            sums[index] = 0.0;
        }
        #[unroll]
        for block in 0..comptime!(product.held) {
            let mut weights = Sequence::<Four>::new();
            #[unroll]
            for column in 0..columns {
                weights.push(*held.index(comptime!(block * columns + column)));
            }
            accumulate(operand, &weights, &mut sums, comptime!(block * slices) + slice, product, rows);
        }
        for block in 0..comptime!(product.shared) {
            let mut weights = Sequence::<Four>::new();
            #[unroll]
            for column in 0..columns {
                weights.push(stored[(block * columns + column) * lanes + lane]);
            }
            let at = (block + comptime!(product.held)) * slices + slice;
            accumulate(operand, &weights, &mut sums, at, product, rows);
        }
        for block in comptime!(product.held + product.shared)..comptime!(product.blocks) {
            let mut weights = Sequence::<Four>::new();
            #[unroll]
            for column in 0..columns {
                weights.push(packed[(block * columns + column) * lanes + lane]);
            }
            accumulate(operand, &weights, &mut sums, block * slices + slice, product, rows);
        }
        #[unroll]
        for row in 0..rows {
            #[unroll]
            for column in 0..columns {
                let at =
                    (slice * rows + row) * comptime!(product.partial()) + column * comptime!(product.groups) + group;
                partials[at] = sums[comptime!(row * columns + column)];
            }
        }
    }
}

/// The `at`-th four elements of shared memory; `wide`: in one load, which cubecl has on CUDA and not on Vulkan.
#[cube]
pub(crate) fn four(memory: &SharedMemory<f32>, at: usize, #[comptime] wide: bool) -> Four {
    let mut vector = Four::empty();
    if comptime!(wide) {
        vector = memory.to_slice().into_vectorized().with_vector_size::<Const<4>>()[at];
    } else {
        #[unroll]
        for element in 0..4usize {
            vector[element] = memory[4 * at + element];
        }
    }
    vector
}

#[cube]
fn accumulate(
    operand: &SharedMemory<f32>,
    weights: &Sequence<Four>,
    sums: &mut Array<f32>,
    block: usize,
    #[comptime] product: Product,
    #[comptime] rows: usize,
) {
    let columns = comptime!(product.columns);
    #[unroll]
    for row in 0..rows {
        let values = four(operand, comptime!(row * product.operand() / 4) + block, comptime!(product.wide));
        #[unroll]
        for element in 0..4 {
            #[unroll]
            for column in 0..columns {
                let at = comptime!(row * columns + column);
                let weight = *weights.index(column);
                sums[at] = fma(weight[element], values[element], sums[at]);
            }
        }
    }
}

/// The finished sum of one output of one row, slices added in their order.
#[cube]
pub(crate) fn total(
    partials: &SharedMemory<f32>,
    row: usize,
    output: usize,
    #[comptime] product: Product,
    #[comptime] rows: usize,
) -> f32 {
    let mut sum = partials[row * comptime!(product.partial()) + output];
    #[unroll]
    for slice in 1..comptime!(product.slices) {
        sum += partials[(comptime!(slice * rows) + row) * comptime!(product.partial()) + output];
    }
    sum
}

/// Arranges a matrix for [`hold`], [`store`] and [`multiply`], padded with zeros. Output `o` and element `i` of the sum
/// is `matrix[start + o * output_stride + i * inner_stride]`. One thread per vector.
#[cube(launch_unchecked)]
pub(crate) fn pack(
    matrix: &Array<f32>,
    packed: &mut Array<Four>,
    start: u32,
    output_stride: u32,
    inner_stride: u32,
    #[comptime] product: Product,
) {
    let index = ABSOLUTE_POS;
    let lanes = comptime!(product.lanes());
    if index < comptime!(product.weights()) {
        let lane = index % lanes;
        let column = (index / lanes) % comptime!(product.columns);
        let block = index / comptime!(lanes * product.columns);
        let slice = lane / comptime!(product.groups);
        let output = column * comptime!(product.groups) + lane % comptime!(product.groups);
        let first = (block * comptime!(product.slices) + slice) * 4;
        let mut vector = Four::new(0.0);
        #[unroll]
        for element in 0..4 {
            let inner = first + element;
            if output < comptime!(product.outputs) && inner < comptime!(product.inner) {
                let at = start as usize + output * output_stride as usize + inner * inner_stride as usize;
                vector[element] = matrix[at];
            }
        }
        packed[index] = vector;
    }
}
