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
