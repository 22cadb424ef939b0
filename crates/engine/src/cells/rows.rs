//! The rows of a layer, as the kernel takes them.

use emberloop_image::Layer;

use crate::kernel::{Product, Sums, Vector};

/// The pre-activations in Q15.16, `(S(W·x) + S(U·h) + b) · 2^k`: for each group of four units, for each gate.
#[inline(always)]
pub(super) fn sums<'a>(layer: &Layer<'a>, input: Vector<'a>, hidden: Vector<'a>) -> Sums<'a> {
    let input = Product { tiles: layer.input.values, vector: input };
    let recurrent = Product { tiles: layer.recurrent.values, vector: hidden };
    Sums::new(input, recurrent, layer.multipliers, layer.bias, u32::from(layer.shape.shift))
}

/// The same of the input alone: `(S(W·x) + b) · 2^k`.
#[cfg(feature = "gru")]
#[inline(always)]
pub(super) fn input_sums<'a>(layer: &Layer<'a>, input: Vector<'a>) -> Sums<'a> {
    let input = Product { tiles: layer.input.values, vector: input };
    Sums::new(input, Product::NONE, layer.multipliers, layer.bias, u32::from(layer.shape.shift))
}

/// The same of the hidden state alone, with the biases of the new gate, one for each unit: `(S(U·h) + b') · 2^k`.
#[cfg(feature = "gru")]
#[inline(always)]
pub(super) fn recurrent_sums<'a>(layer: &Layer<'a>, hidden: Vector<'a>) -> Sums<'a> {
    let recurrent = Product { tiles: layer.recurrent.values, vector: hidden };
    Sums::new(Product::NONE, recurrent, layer.multipliers, layer.recurrent_bias, u32::from(layer.shape.shift))
}
