//! Launching the kernels: buffers, cube counts, and what all passes need.

use cubecl::{Runtime, client::ComputeClient, prelude::*, server::Handle};

use crate::{
    kernels::{
        matrix::{ExtentLaunch, Left, Right, Tiles, add_slices, matrix_product},
        product::{Product, pack},
    },
    plan::{Limits, Tuning},
};

/// Threads per cube of kernels without cooperation.
const THREADS: usize = 64;

/// A device with what is known about it.
pub(crate) struct Launcher<'a, R: Runtime> {
    pub client: &'a ComputeClient<R>,
    pub limits: Limits,
    pub tuning: Tuning,
    /// Stands in for buffers that a kernel has an argument for but does not touch.
    pub nothing: Handle,
}

/// Sizes of a matrix product `[m, k] [k, n]` and its strides in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub left_stride: usize,
    pub right_stride: usize,
    pub right_start: usize,
}

impl<'a, R: Runtime> Launcher<'a, R> {
    pub fn new(client: &'a ComputeClient<R>, tuning: Tuning) -> Self {
        Self { client, limits: Limits::of(client), tuning, nothing: client.empty(16) }
    }

    /// A buffer of so many f32.
    ///
    /// # Panics
    /// If it is beyond what one kernel can address.
    pub fn floats(&self, count: usize) -> Handle {
        let bytes = count as u64 * 4;
        let most = (self.client.properties().memory.max_page_size).min(u64::from(u32::MAX) * 4);
        assert!(bytes <= most, "a buffer of {bytes} bytes is needed, the device allows {most}: use smaller batches");
        self.client.empty(bytes as usize)
    }

    /// The lengths of the sequences as the kernels read them.
    pub fn lengths(&self, lengths: Option<&[usize]>) -> Handle {
        match lengths {
            Some(lengths) => {
                let lengths: Vec<u32> = lengths.iter().map(|&length| length as u32).collect();
                self.client.create_from_slice(u32::as_bytes(&lengths))
            }
            None => self.nothing.clone(),
        }
    }

    /// The part of a matrix that a product multiplies with, in its threads' order.
    pub fn pack(
        &self,
        matrix: &Handle,
        length: usize,
        start: usize,
        [output_stride, inner_stride]: [usize; 2],
        product: Product,
    ) -> Handle {
        let packed = self.floats(product.weights() * 4);
        // SAFETY: the kernel guards both its reads (by the product's sizes) and its writes (by its weights).
        unsafe {
            pack::launch_unchecked::<R>(
                self.client,
                CubeCount::new_1d(product.weights().div_ceil(THREADS) as u32),
                CubeDim::new_1d(THREADS as u32),
                argument(matrix, length),
                argument(&packed, product.weights()),
                start as u32,
                output_stride as u32,
                inner_stride as u32,
                product,
            );
        }
        packed
    }

    /// `left [m, k] * right [k, n] + bias + second_bias`, the second bias on the first columns only.
    pub fn product_with_bias(
        &self,
        left: &Handle,
        right: &Handle,
        biases: Option<(&Handle, &Handle, usize)>,
        kind: Right,
        sizes: Matrix,
    ) -> Handle {
        let tiles = self.tiles(Left::Rows, kind, sizes, biases.is_some());
        let output = self.floats(sizes.m * sizes.n);
        let (bias, second, columns) = biases.unwrap_or((&self.nothing, &self.nothing, 0));
        self.matrix_product(left, right, None, None, bias, second, &output, sizes, 1, columns, 0, tiles);
        output
    }

    /// `leftᵀ * right` with the left factor's columns and a column of ones: into rows of `weight` from column `start`, and
    /// into `bias` from there.
    #[allow(clippy::too_many_arguments)]
    pub fn gradient(
        &self,
        left: &Handle,
        right: &Handle,
        initial: Option<&Handle>,
        lengths: Option<&Handle>,
        kind: Left,
        [steps, batch]: [usize; 2],
        sizes: Matrix,
        (weight, bias, stride, start): (&Handle, &Handle, usize, usize),
    ) {
        let tiles = self.tiles(kind, Right::Rows, sizes, false);
        let across = sizes.m.div_ceil(tiles.m()) * sizes.n.div_ceil(tiles.n());
        let cubes = self.tuning.cubes.unwrap_or(3 * self.limits.busy());
        let slices = cubes.div_ceil(across).min(sizes.k.div_ceil(128)).clamp(1, self.limits.cubes);
        let partial = self.floats(slices * sizes.m * sizes.n);
        self.matrix_product(
            left,
            right,
            initial,
            lengths,
            &self.nothing,
            &self.nothing,
            &partial,
            sizes,
            slices,
            batch,
            steps,
            tiles,
        );
        let count = sizes.m * sizes.n;
        // SAFETY: guarded by `count`; rows and columns of the target are those of the product.
        unsafe {
            add_slices::launch_unchecked::<R>(
                self.client,
                CubeCount::new_1d(count.div_ceil(THREADS) as u32),
                CubeDim::new_1d(THREADS as u32),
                argument(&partial, slices * count),
                argument(weight, (sizes.m - 1) * stride),
                argument(bias, stride),
                sizes.m as u32,
                sizes.n as u32,
                slices as u32,
                stride as u32,
                start as u32,
            );
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn matrix_product(
        &self,
        left: &Handle,
        right: &Handle,
        initial: Option<&Handle>,
        lengths: Option<&Handle>,
        bias: &Handle,
        second_bias: &Handle,
        output: &Handle,
        sizes: Matrix,
        slices: usize,
        batch: usize,
        steps: usize,
        tiles: Tiles,
    ) {
        let [x, y] = [sizes.n.div_ceil(tiles.n()), sizes.m.div_ceil(tiles.m())];
        assert!(y <= self.limits.cubes, "a product of {} rows is beyond the device: use smaller batches", sizes.m);
        // SAFETY: loads and stores are guarded by the extent, which the callers take from the buffers' shapes.
        unsafe {
            matrix_product::launch_unchecked::<R>(
                self.client,
                CubeCount::new_3d(x as u32, y as u32, slices as u32),
                CubeDim::new_1d(tiles.threads() as u32),
                whole(left),
                whole(right),
                whole(initial.unwrap_or(&self.nothing)),
                whole(lengths.unwrap_or(&self.nothing)),
                whole(bias),
                whole(second_bias),
                whole(output),
                ExtentLaunch::new(
                    sizes.m as u32,
                    sizes.n as u32,
                    sizes.k as u32,
                    sizes.k.div_ceil(slices) as u32,
                    sizes.left_stride as u32,
                    sizes.right_stride as u32,
                    sizes.right_start as u32,
                    batch as u32,
                    steps as u32,
                ),
                tiles,
            );
        }
    }

    /// The tile for a product: flat for a few rows, as for the weights of a few inputs.
    fn tiles(&self, left: Left, right: Right, sizes: Matrix, bias: bool) -> Tiles {
        let (threads_m, threads_n, strips) = match (self.limits.threads, sizes.m, sizes.n) {
            (..256, ..) => (8, 8, 1),
            (_, ..=16, _) => (4, 64, 1),
            (_, _, ..=16) => (64, 4, 1),
            (_, 65.., 65..) if self.limits.multiprocessors.is_some() => (16, 16, 2),
            _ => (16, 16, 1),
        };
        Tiles { left, right, threads_m, threads_n, strips, depth: 16, bias, wide: self.limits.wide(&self.tuning) }
    }
}

/// A kernel's argument of so many elements.
pub(crate) fn argument<R: Runtime>(handle: &Handle, length: usize) -> ArrayArg<R> {
    // SAFETY: the callers know their buffers' shapes; `forward` and `backward` check those that come from outside.
    unsafe { ArrayArg::from_raw_parts(handle.clone(), length) }
}

/// A kernel's argument of all four-byte elements of a buffer.
pub(crate) fn whole<R: Runtime>(handle: &Handle) -> ArrayArg<R> {
    argument(handle, (handle.size_in_used() / 4) as usize)
}
