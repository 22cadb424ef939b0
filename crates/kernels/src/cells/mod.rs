//! What differs between the cells: one step forward, one step back. The equations stand in CELLS.md of `emberloop-cells`.

mod gru_after;
mod gru_before;
mod lstm;
mod rnn;

pub(crate) use gru_after::GruAfter;
pub(crate) use gru_before::GruBefore;
pub(crate) use lstm::Lstm;
pub(crate) use rnn::Rnn;

use crate::pack::Columns;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::simd::Simd;
use crate::tile::{Gates, Left, Product, Steps, Sums, WeightGradient, accumulate, rows_of, same_in_rows};

pub(crate) trait Cell: Send + Sync + 'static {
    /// Vectors of [`PANEL`](crate::shape::PANEL) units that a step keeps for the backward pass, which replaces them by the gradients of
    /// the pre-activations they belong to.
    const VECTORS: usize;
    /// All gates of the input product.
    const INPUT: Columns;
    /// The gates of the recurrent product; of the GRU reset-before, which has two, those of the second in [`Cell::SECOND`].
    const RECURRENT: Columns;
    /// The gates of the product with `r * h`.
    const SECOND: Option<Columns>;
    /// Whether a step leaves something beside the hidden state: the LSTM its cell state, the GRU reset-before `r * h`.
    const HAS_SECOND: bool;

    /// One step of all active rows.
    fn step<S: Simd>(s: S, step: Step<'_>);

    /// The same step back: what the step kept becomes gradients of the pre-activations, and the gradients of the states after the step
    /// become those of the states before it.
    fn step_back<S: Simd>(s: S, step: StepBack<'_>);

    /// Adds some steps' gradients of all weights and biases.
    fn weight_gradients<S: Simd>(
        s: S,
        steps: Steps<'_>,
        operands: Operands<'_>,
        sums: &mut WeightSums,
        from_zero: bool,
    );
}

/// Weights in the order of the forward tiles.
pub(crate) struct Packed {
    pub(crate) input: Buffer,
    pub(crate) recurrent: Buffer,
    /// Empty without [`Cell::SECOND`].
    pub(crate) second: Buffer,
    /// `[block of lanes][vector][lane]`
    pub(crate) bias: Buffer,
}

/// Weights in the order of the backward products.
pub(crate) struct Transposed {
    /// Empty if no gradient of the values is wanted.
    pub(crate) input: Buffer,
    pub(crate) recurrent: Buffer,
    /// Empty without [`Cell::SECOND`].
    pub(crate) second: Buffer,
}

/// Sums of gradients, packed like [`Packed`].
pub(crate) struct WeightSums {
    pub(crate) input: Buffer,
    pub(crate) recurrent: Buffer,
    pub(crate) second: Buffer,
    pub(crate) bias: Buffer,
}

/// What one step forward reads and writes. States are `[row][padded unit]`.
pub(crate) struct Step<'a> {
    pub(crate) shape: Shape,
    pub(crate) active: usize,
    pub(crate) weights: &'a Packed,
    /// `[row][input]`
    pub(crate) values: &'a [f32],
    pub(crate) before: &'a [f32],
    pub(crate) after: &'a mut [f32],
    pub(crate) second_before: &'a [f32],
    pub(crate) second_after: &'a mut [f32],
    /// `[panel][row][vector][unit]`
    pub(crate) kept: &'a mut [f32],
}

/// What one step back reads and writes.
pub(crate) struct StepBack<'a> {
    pub(crate) shape: Shape,
    pub(crate) active: usize,
    pub(crate) weights: &'a Transposed,
    /// The hidden state before the step.
    pub(crate) before: &'a [f32],
    pub(crate) second_before: &'a [f32],
    pub(crate) second_after: &'a [f32],
    pub(crate) kept: &'a mut [f32],
    /// Gradient of the hidden state.
    pub(crate) hidden: &'a mut [f32],
    /// Gradient of the cell state; for the GRU reset-before, room for that of `r * h`.
    pub(crate) second: &'a mut [f32],
}

/// Left operands of the weight gradients.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub(crate) values: Left<'a>,
    pub(crate) hidden: Left<'a>,
    /// `r * h`
    pub(crate) second: Left<'a>,
    /// A column of ones: what biases are multiplied by.
    pub(crate) ones: Left<'a>,
}

/// A block of a packed matrix: `[block of lanes][depth][vector][lane]`.
#[inline(always)]
fn block_of(packed: &[f32], block: usize, len: usize) -> &[f32] {
    &packed[block * len..][..len]
}

/// [`Cell::weight_gradients`] of a cell whose input, recurrent and bias sums have that many vectors.
#[inline(always)]
fn gradients_of<S: Simd, C: Cell, const INPUT: usize, const RECURRENT: usize, const BIAS: usize>(
    s: S,
    steps: Steps<'_>,
    operands: Operands<'_>,
    sums: &mut WeightSums,
    from_zero: bool,
) {
    let Operands { values, hidden, ones, .. } = operands;
    let gradient = &mut sums.input;
    s.run(WeightGradient::<INPUT> { steps, first: C::INPUT.first, left: values, gradient, from_zero });
    let gradient = &mut sums.recurrent;
    s.run(WeightGradient::<RECURRENT> { steps, first: C::RECURRENT.first, left: hidden, gradient, from_zero });
    let gradient = &mut sums.bias;
    s.run(WeightGradient::<BIAS> { steps, first: 0, left: ones, gradient, from_zero });
}

/// The pre-activations of a tile, where both products go into all `N` gates of a unit: bias, recurrent product, input product.
#[inline(always)]
fn pre_activations<S: Simd, const R: usize, const N: usize>(
    s: S,
    step: &Step<'_>,
    block: usize,
    first: usize,
) -> Sums<S, R, N> {
    let shape = step.shape;
    let width = N * S::LANES;
    let sums = same_in_rows::<S, R, N>(s, block_of(&step.weights.bias, block, width));
    let recurrent = block_of(&step.weights.recurrent, block, shape.hidden * width);
    let sums = accumulate(s, sums, rows_of(step.before, first, shape.padded, shape.hidden), recurrent);
    let input = block_of(&step.weights.input, block, shape.inputs * width);
    accumulate(s, sums, rows_of(step.values, first, shape.inputs, shape.inputs), input)
}

/// The gradient of the hidden state before a step of [`Cell`] `C`, through its recurrent product: added to what is there, or in
/// its place.
#[inline(always)]
fn through_recurrent<S: Simd, C: Cell>(s: S, step: &mut StepBack<'_>, add: bool) {
    let shape = step.shape;
    s.run(Product {
        gates: Gates { shape, active: step.active, kept: step.kept, vectors: C::VECTORS, columns: C::RECURRENT },
        transposed: &step.weights.recurrent,
        outputs: shape.padded,
        stride: shape.padded,
        out: step.hidden,
        add,
    });
}
