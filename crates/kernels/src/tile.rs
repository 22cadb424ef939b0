//! The products: tiles of sums that stay in registers.

use crate::pack::{Columns, groups};
use crate::plan::split;
use crate::shape::{PANEL, Shape};
use crate::simd::{Operation, Simd};

/// Calls a function that is generic over the rows of a tile: `for_rows!(rows, MOST, R => tile::<S, R>(..))`. Sizes above
/// `MOST`, a constant, cost nothing: the compiler drops them.
macro_rules! for_rows {
    ($rows:expr, $most:expr, $R:ident => $call:expr) => {
        for_rows!(@ $rows, $most, $R => $call, 1 2 3 4 5 6 7 8)
    };
    (@ $rows:expr, $most:expr, $R:ident => $call:expr, $($n:literal)*) => {
        match $rows {
            $($n if $n <= $most => { const $R: usize = $n; $call })*
            _ => unreachable!("a tile has 1 to {} rows", $most),
        }
    };
}
pub(crate) use for_rows;

/// `N` sums for each of `R` rows.
pub(crate) type Sums<S, const R: usize, const N: usize> = [[<S as Simd>::Vector; N]; R];

/// The rows `first..first + R` of a matrix with `stride` numbers per row, `len` of each.
#[inline(always)]
pub(crate) fn rows_of<const R: usize>(matrix: &[f32], first: usize, stride: usize, len: usize) -> [&[f32]; R] {
    let mut rows: [&[f32]; R] = [&[]; R];
    for (row, slice) in rows.iter_mut().enumerate() {
        *slice = &matrix[(first + row) * stride..][..len];
    }
    rows
}

/// The same `N` vectors in every row.
#[inline(always)]
pub(crate) fn same_in_rows<S: Simd, const R: usize, const N: usize>(s: S, from: &[f32]) -> Sums<S, R, N> {
    let mut sums = [[s.splat(0.0); N]; R];
    for n in 0..N {
        let vector = s.load(&from[n * S::LANES..]);
        for row in &mut sums {
            row[n] = vector;
        }
    }
    sums
}

/// `N` vectors of what a step keeps, for one row and the lanes that `kept` starts with.
#[inline(always)]
pub(crate) fn load_vectors<S: Simd, const N: usize>(s: S, kept: &[f32]) -> [S::Vector; N] {
    let kept = &kept[..(N - 1) * PANEL + S::LANES];
    let mut vectors = [s.splat(0.0); N];
    for n in 0..N {
        vectors[n] = s.load(&kept[n * PANEL..]);
    }
    vectors
}

/// The opposite of [`load_vectors`].
#[inline(always)]
pub(crate) fn store_vectors<S: Simd, const N: usize>(s: S, vectors: [S::Vector; N], kept: &mut [f32]) {
    let kept = &mut kept[..(N - 1) * PANEL + S::LANES];
    for n in 0..N {
        s.store(vectors[n], &mut kept[n * PANEL..]);
    }
}

/// `sums[r][n] + left[r][k] * right[k][n]`, one k after the other. By value: a caller that goes through the sums in a loop
/// that is not unrolled must not force them into memory here.
#[inline(always)]
pub(crate) fn accumulate<S: Simd, const R: usize, const N: usize>(
    s: S,
    mut sums: Sums<S, R, N>,
    left: [&[f32]; R],
    right: &[f32],
) -> Sums<S, R, N> {
    let depth = left[0].len();
    let width = N * S::LANES;
    assert!(left.iter().all(|row| row.len() >= depth) && right.len() >= depth * width, "as deep as the first row");
    for k in 0..depth {
        let mut values = [0.0; R];
        for r in 0..R {
            // SAFETY: every row has `depth` numbers.
            values[r] = unsafe { *left[r].get_unchecked(k) };
        }
        // SAFETY: `right` has `depth` times `width` numbers.
        let right = unsafe { right.get_unchecked(k * width..(k + 1) * width) };
        add_products(s, &mut sums, &values, right, S::LANES);
    }
    sums
}

/// `sums[r][n] += values[r] * vectors[n]`, vectors at a distance of `stride` numbers.
///
/// The smaller side waits in registers: with 16 of them, a tile of 3 rows of 4 vectors has but four beside its sums.
#[inline(always)]
fn add_products<S: Simd, const R: usize, const N: usize>(
    s: S,
    sums: &mut Sums<S, R, N>,
    values: &[f32; R],
    vectors: &[f32],
    stride: usize,
) {
    let vectors = &vectors[..(N - 1) * stride + S::LANES];
    if R < N {
        let mut rows = [s.splat(0.0); R];
        for r in 0..R {
            rows[r] = s.splat(values[r]);
        }
        for n in 0..N {
            let vector = s.load(&vectors[n * stride..]);
            for r in 0..R {
                sums[r][n] = s.mul_add(rows[r], vector, sums[r][n]);
            }
        }
    } else {
        let mut loaded = [s.splat(0.0); N];
        for n in 0..N {
            loaded[n] = s.load(&vectors[n * stride..]);
        }
        for r in 0..R {
            let value = s.splat(values[r]);
            for n in 0..N {
                sums[r][n] = s.mul_add(value, loaded[n], sums[r][n]);
            }
        }
    }
}

/// What a step keeps, seen as the left operand of a backward product.
#[derive(Clone, Copy)]
pub(crate) struct Gates<'a> {
    pub(crate) shape: Shape,
    /// Rows that are computed.
    pub(crate) active: usize,
    /// `[panel][row][vectors][PANEL]`
    pub(crate) kept: &'a [f32],
    pub(crate) vectors: usize,
    pub(crate) columns: Columns,
}

/// `out[row] = gates[row] * weights^T`, or `+=`. A function of its own: all cells share it.
pub(crate) struct Product<'a> {
    pub(crate) gates: Gates<'a>,
    /// From `Matrix::pack_transposed`.
    pub(crate) transposed: &'a [f32],
    /// A multiple of [`PANEL`].
    pub(crate) outputs: usize,
    /// Numbers from one row of `out` to the next.
    pub(crate) stride: usize,
    pub(crate) out: &'a mut [f32],
    /// `+=`
    pub(crate) add: bool,
}

impl Operation for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { gates, transposed, outputs, stride, out, add } = self;
        let depth = gates.shape.padded * gates.columns.gates.len();
        let mut start = 0;
        for vectors in groups(outputs, S::LANES) {
            let group = &transposed[start * depth..][..vectors * S::LANES * depth];
            match vectors {
                1 => product_group::<S, 1>(s, gates, group, start, stride, out, add),
                2 => product_group::<S, 2>(s, gates, group, start, stride, out, add),
                3 => product_group::<S, 3>(s, gates, group, start, stride, out, add),
                _ => product_group::<S, 4>(s, gates, group, start, stride, out, add),
            }
            start += vectors * S::LANES;
        }
    }
}

/// Panel by panel, so that the part of the weights that all rows need stays in the first-level cache.
#[inline(always)]
fn product_group<S: Simd, const N: usize>(
    s: S,
    gates: Gates<'_>,
    group: &[f32],
    start: usize,
    out_stride: usize,
    out: &mut [f32],
    add: bool,
) {
    let depth = gates.columns.gates.len() * PANEL;
    let stride = gates.vectors * PANEL;
    for (panel, right) in group.chunks_exact(depth * N * S::LANES).enumerate() {
        let left = &gates.kept[panel * gates.shape.rows * stride + gates.columns.first * PANEL..];
        let mut first = 0;
        for rows in split(gates.active, S::ROWS[N]) {
            let out = &mut out[first * out_stride + start..];
            let from_zero = panel == 0 && !add;
            for_rows!(rows, S::ROWS[N], R => {
                product_tile::<S, R, N>(s, rows_of::<R>(left, first, stride, depth), right, out, out_stride, from_zero)
            });
            first += rows;
        }
    }
}

#[inline(always)]
fn product_tile<S: Simd, const R: usize, const N: usize>(
    s: S,
    left: [&[f32]; R],
    right: &[f32],
    out: &mut [f32],
    stride: usize,
    from_zero: bool,
) {
    let mut sums = [[s.splat(0.0); N]; R];
    if !from_zero {
        for r in 0..R {
            for n in 0..N {
                sums[r][n] = s.load(&out[r * stride + n * S::LANES..]);
            }
        }
    }
    let sums = accumulate(s, sums, left, right);
    for r in 0..R {
        for n in 0..N {
            s.store(sums[r][n], &mut out[r * stride + n * S::LANES..]);
        }
    }
}

/// The left operand of a weight gradient: a matrix per step.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [f32],
    /// Numbers from one step to the next. 0: the same for all steps.
    pub(crate) step: usize,
    /// Numbers from one row to the next.
    pub(crate) stride: usize,
    /// Columns: rows of the weight matrix.
    pub(crate) depth: usize,
}

/// Consecutive steps' gate gradients.
#[derive(Clone, Copy)]
pub(crate) struct Steps<'a> {
    pub(crate) shape: Shape,
    /// `[step][panel][row][vectors][PANEL]`
    pub(crate) kept: &'a [f32],
    pub(crate) vectors: usize,
    /// Rows that each step has.
    pub(crate) active: &'a [usize],
}

/// `gradient += left^T * gates`, summed over rows and steps, for `N` vectors from `first`; packed like the weights,
/// `[block of lanes][depth][N][lane]`. A function of its own: all cells share it.
pub(crate) struct WeightGradient<'a, const N: usize> {
    pub(crate) steps: Steps<'a>,
    pub(crate) first: usize,
    pub(crate) left: Left<'a>,
    pub(crate) gradient: &'a mut [f32],
    /// `=` instead of `+=`.
    pub(crate) from_zero: bool,
}

impl<const N: usize> Operation for WeightGradient<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { steps, first, left, gradient, from_zero } = self;
        for (block, gradient) in gradient.chunks_exact_mut(left.depth * N * S::LANES).enumerate() {
            let place = steps.shape.kept(steps.vectors, 0, block * S::LANES) + first * PANEL;
            let mut start = 0;
            for rows in split(left.depth, S::ROWS[N]) {
                let gradient = &mut gradient[start * N * S::LANES..];
                for_rows!(rows, S::ROWS[N], R => {
                    gradient_tile::<S, R, N>(s, steps, place, left, start, gradient, from_zero)
                });
                start += rows;
            }
        }
    }
}

#[inline(always)]
fn gradient_tile<S: Simd, const R: usize, const N: usize>(
    s: S,
    steps: Steps<'_>,
    place: usize,
    left: Left<'_>,
    start: usize,
    gradient: &mut [f32],
    from_zero: bool,
) {
    let gradient = &mut gradient[..R * N * S::LANES];
    let mut sums = [[s.splat(0.0); N]; R];
    if !from_zero {
        for r in 0..R {
            for n in 0..N {
                sums[r][n] = s.load(&gradient[(r * N + n) * S::LANES..]);
            }
        }
    }
    let size = steps.shape.panels() * steps.shape.rows * steps.vectors * PANEL;
    let width = steps.vectors * PANEL;
    for (step, &active) in steps.active.iter().enumerate() {
        let Some(last) = active.checked_sub(1) else { continue };
        let values = &left.values[step * left.step + start..][..last * left.stride + R];
        let gates = &steps.kept[step * size + place..][..last * width + (N - 1) * PANEL + S::LANES];
        for row in 0..active {
            // SAFETY: so many numbers has the last row, and the others come before it.
            let (values, gates) = unsafe {
                (
                    values.get_unchecked(row * left.stride..row * left.stride + R),
                    gates.get_unchecked(row * width..row * width + (N - 1) * PANEL + S::LANES),
                )
            };
            let values: &[f32; R] = values.first_chunk().expect("R numbers");
            add_products(s, &mut sums, values, gates, PANEL);
        }
    }
    for r in 0..R {
        for n in 0..N {
            s.store(sums[r][n], &mut gradient[(r * N + n) * S::LANES..]);
        }
    }
}
