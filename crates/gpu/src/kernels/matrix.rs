//! The large matrix products outside the time loops: input projection, weight and bias gradients, input gradients.
//!
//! One tiled kernel for all of them, because two of its needs are special: a sum over all steps and sequences with a small
//! result must be split over the GPU (deterministically: partial results, added in a fixed order), and the left factor of
//! the recurrent weight's gradient, the state *before* each step, exists only as another step's hidden state.

use cubecl::prelude::*;

use super::product::{Four, four};

/// The left factor `L(m, k)` of `L R`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Left {
    /// `left[m * stride + k]`
    Rows,
    /// `left[k * stride + m]`; the last `m` is 1 throughout, so that its row of the result is the column sums of `R`.
    ColumnsAndOne,
    /// As [`Left::ColumnsAndOne`] of the hidden states, each taken from the step before `k = step * batch + sequence`.
    PreviousAndOne {
        /// The step before is the next one in time.
        reverse: bool,
        /// Sequences have lengths of their own.
        padded: bool,
        /// Before the first step stands an initial state; otherwise zeros.
        initial: bool,
    },
}

/// The right factor `R(k, n)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// `right[k * stride + n]`
    Rows,
    /// `right[n * stride + k]`
    Columns,
}

/// What a product's kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tiles {
    pub left: Left,
    pub right: Right,
    /// Threads over the rows of the tile.
    pub threads_m: usize,
    /// Threads over its columns.
    pub threads_n: usize,
    /// A thread owns this many strips of four rows, and as many of four columns.
    pub strips: usize,
    /// Length of the sum per tile in shared memory.
    pub depth: usize,
    /// Add both biases to each row.
    pub bias: bool,
    /// Shared memory is read 16 bytes at a time.
    pub wide: bool,
}

impl Tiles {
    pub const fn threads(&self) -> usize {
        self.threads_m * self.threads_n
    }

    pub const fn m(&self) -> usize {
        4 * self.strips * self.threads_m
    }

    pub const fn n(&self) -> usize {
        4 * self.strips * self.threads_n
    }

    /// Rows in shared memory are apart by four more than they are long, which spreads them over the banks.
    const fn left_stride(&self) -> usize {
        self.m() + 4
    }

    const fn right_stride(&self) -> usize {
        self.n() + 4
    }
}

/// Sizes of one product, known at run time.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Extent {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// Length of the part of the sum that one slice (the cube's z) adds.
    pub k_slice: u32,
    pub left_stride: u32,
    pub right_stride: u32,
    /// First column of the right factor.
    pub right_start: u32,
    /// Of [`Left::PreviousAndOne`]; of the bias: columns that take the second bias.
    pub batch: u32,
    pub steps: u32,
}

/// `output[slice, m, n]`: the product's part of each slice. One cube per tile (x over columns, y over rows, z over slices).
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub(crate) fn matrix_product(
    left: &Array<f32>,
    right: &Array<f32>,
    initial: &Array<f32>,
    lengths: &Array<u32>,
    bias: &Array<f32>,
    second_bias: &Array<f32>,
    output: &mut Array<f32>,
    extent: Extent,
    #[comptime] tiles: Tiles,
) {
    let strips = comptime!(tiles.strips);
    let depth = comptime!(tiles.depth);
    let mut left_tile = SharedMemory::<f32>::new_aligned(comptime!(depth * tiles.left_stride()), 16usize);
    let mut right_tile = SharedMemory::<f32>::new_aligned(comptime!(depth * tiles.right_stride()), 16usize);
    let thread = UNIT_POS as usize;
    let thread_m = thread / comptime!(tiles.threads_n);
    let thread_n = thread % comptime!(tiles.threads_n);
    let first_m = CUBE_POS_Y as usize * comptime!(tiles.m());
    let first_n = CUBE_POS_X as usize * comptime!(tiles.n());
    let (m, n, k) = (extent.m as usize, extent.n as usize, extent.k as usize);
    let start = CUBE_POS_Z as usize * extent.k_slice as usize;
    let end = usize::min(start + extent.k_slice as usize, k);

    let width = comptime!(4 * strips);
    let mut sums = Array::<f32>::new(comptime!(width * width));
    #[unroll]
    for index in 0..comptime!(width * width) {
        sums[index] = 0.0;
    }

    let mut tile = start;
    while tile < end {
        #[unroll]
        for part in 0..comptime!((depth * tiles.m()).div_ceil(tiles.threads())) {
            let at = thread + comptime!(part * tiles.threads());
            if at < comptime!(depth * tiles.m()) {
                let mut of_m = at % comptime!(tiles.m());
                let mut of_k = at / comptime!(tiles.m());
                if comptime!(tiles.left == Left::Rows) {
                    of_m = at / depth;
                    of_k = at % depth;
                }
                let mut value = 0.0f32;
                if first_m + of_m < m && tile + of_k < end {
                    value = left_element(
                        left,
                        initial,
                        lengths,
                        first_m + of_m,
                        tile + of_k,
                        &extent,
                        comptime!(tiles.left),
                    );
                }
                left_tile[of_k * comptime!(tiles.left_stride()) + of_m] = value;
            }
        }
        #[unroll]
        for part in 0..comptime!((depth * tiles.n()).div_ceil(tiles.threads())) {
            let at = thread + comptime!(part * tiles.threads());
            if at < comptime!(depth * tiles.n()) {
                let mut of_n = at % comptime!(tiles.n());
                let mut of_k = at / comptime!(tiles.n());
                if comptime!(tiles.right == Right::Columns) {
                    of_n = at / depth;
                    of_k = at % depth;
                }
                let mut value = 0.0f32;
                if first_n + of_n < n && tile + of_k < end {
                    let stride = extent.right_stride as usize;
                    let mut element = extent.right_start as usize + (tile + of_k) * stride + first_n + of_n;
                    if comptime!(tiles.right == Right::Columns) {
                        element = (first_n + of_n) * stride + tile + of_k;
                    }
                    value = right[element];
                }
                right_tile[of_k * comptime!(tiles.right_stride()) + of_n] = value;
            }
        }
        sync_cube();

        for inner in 0..depth {
            let mut rows = Sequence::<Four>::new();
            let mut columns = Sequence::<Four>::new();
            #[unroll]
            for strip in 0..strips {
                let row = comptime!(strip * tiles.threads_m) + thread_m;
                rows.push(four(&left_tile, inner * comptime!(tiles.left_stride() / 4) + row, comptime!(tiles.wide)));
                let column = comptime!(strip * tiles.threads_n) + thread_n;
                columns.push(four(
                    &right_tile,
                    inner * comptime!(tiles.right_stride() / 4) + column,
                    comptime!(tiles.wide),
                ));
            }
            #[unroll]
            for row in 0..width {
                let of_row = *rows.index(comptime!(row / 4));
                #[unroll]
                for column in 0..width {
                    let of_column = *columns.index(comptime!(column / 4));
                    let at = comptime!(row * width + column);
                    sums[at] = fma(of_row[comptime!(row % 4)], of_column[comptime!(column % 4)], sums[at]);
                }
            }
        }
        sync_cube();
        tile += depth;
    }

    #[unroll]
    for row in 0..width {
        let of_m = first_m + comptime!(row / 4 * 4 * tiles.threads_m + row % 4) + thread_m * 4;
        #[unroll]
        for column in 0..width {
            let of_n = first_n + comptime!(column / 4 * 4 * tiles.threads_n + column % 4) + thread_n * 4;
            if of_m < m && of_n < n {
                let mut value = sums[comptime!(row * width + column)];
                if comptime!(tiles.bias) {
                    value += bias[of_n];
                    if of_n < extent.batch as usize {
                        value += second_bias[of_n];
                    }
                }
                output[(CUBE_POS_Z as usize * m + of_m) * n + of_n] = value;
            }
        }
    }
}

#[cube]
fn left_element(
    left: &Array<f32>,
    initial: &Array<f32>,
    lengths: &Array<u32>,
    m: usize,
    k: usize,
    extent: &Extent,
    #[comptime] kind: Left,
) -> f32 {
    let stride = extent.left_stride as usize;
    let mut value = 1.0f32;
    if comptime!(kind == Left::Rows) {
        value = left[m * stride + k];
    } else if m + 1 < extent.m as usize {
        if comptime!(kind == Left::ColumnsAndOne) {
            value = left[k * stride + m];
        } else {
            let (reverse, padded, has_initial) = comptime!(match kind {
                Left::PreviousAndOne { reverse, padded, initial } => (reverse, padded, initial),
                Left::Rows | Left::ColumnsAndOne => (false, false, false),
            });
            let batch = extent.batch as usize;
            let sequence = k % batch;
            let step = k / batch;
            let mut steps = extent.steps as usize;
            if comptime!(padded) {
                steps = lengths[sequence] as usize;
            }
            let mut has_previous = step > 0;
            // Wraps at the first step, where it is not used.
            let mut from = k - batch;
            if comptime!(reverse) {
                has_previous = step + 1 < steps;
                from = k + batch;
            }
            value = 0.0;
            if has_previous {
                value = left[from * stride + m];
            } else if comptime!(has_initial) {
                value = initial[sequence * stride + m];
            }
        }
    }
    value
}

/// Adds the slices of [`matrix_product`] in their order: all rows but the last to `weight[m * stride + start + n]`, the
/// last one to `bias[start + n]`. One thread per element.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub(crate) fn add_slices(
    partial: &Array<f32>,
    weight: &mut Array<f32>,
    bias: &mut Array<f32>,
    m: u32,
    n: u32,
    slices: u32,
    stride: u32,
    start: u32,
) {
    let index = ABSOLUTE_POS;
    let (m, n) = (m as usize, n as usize);
    if index < m * n {
        let row = index / n;
        let column = start as usize + index % n;
        let mut sum = 0.0f32;
        for slice in 0..slices as usize {
            sum += partial[slice * m * n + index];
        }
        if row + 1 < m {
            weight[row * stride as usize + column] = sum;
        } else {
            bias[column] = sum;
        }
    }
}
