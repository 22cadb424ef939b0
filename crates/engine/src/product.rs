//! Matrix times vector: where the time goes.

use emberloop_image::{Layer, Matrix, Requantizer};

use crate::arithmetic::requantize;

/// `Σ weights·activations` in 32 bits.
///
/// Cannot overflow for the rows of a parsed image: `Image::parse` proves `Σ|w|·32767 < 2^31` (NUMERICS §4).
#[inline(always)]
fn dot(weights: &[i8], activations: &[i16]) -> i32 {
    weights.iter().zip(activations).map(|(&weight, &activation)| i32::from(weight) * i32::from(activation)).sum()
}

/// `R(W·x)` of the rows from `first_row` on, in the matrix's next format (Q15.16 for the cells); no rows where the
/// matrix has none there.
#[inline(always)]
pub(crate) fn products(matrix: Matrix<'_>, first_row: usize, activations: &[i16]) -> impl Iterator<Item = i32> {
    let weights = matrix.weights.get(first_row * matrix.columns..).unwrap_or(&[]);
    let scales = matrix.scales.get(first_row..).unwrap_or(&[]);
    weights
        .chunks_exact(matrix.columns)
        .zip(scales)
        .map(move |(row, &scale)| requantize(dot(row, activations), Requantizer::from_word(scale)))
}

/// The pre-activations of a layer's gate number `gate`, one per unit, in Q15.16: `R(W·x) + R(U·h) + b`.
///
/// The sum cannot overflow: both products stay below 2^29 and the bias within 2^30 (NUMERICS §4).
#[inline(always)]
pub(crate) fn preactivations(
    layer: &Layer<'_>,
    gate: usize,
    input: &[i16],
    hidden: &[i16],
) -> impl Iterator<Item = i32> {
    let first_row = gate * usize::from(layer.shape.hidden);
    let bias = layer.bias.get(first_row..).unwrap_or(&[]);
    products(layer.input, first_row, input)
        .zip(products(layer.recurrent, first_row, hidden))
        .zip(bias)
        .map(|((input, recurrent), &bias)| input + recurrent + bias)
}
