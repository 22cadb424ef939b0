//! NUMERICS §4: the bounds of every row, and with them everything that a valid image must keep to.
//!
//! In 64 bits nothing here overflows, whatever the weights: a row of 65,535 columns has `A < 2^38`, and a sum of its
//! products and two biases, shifted by 15, stays below 2^55.

use super::arithmetic::{pow2, requantize, scale_row};
use crate::model::{CellKind, Embedding, Head, Input, Layer, Matrix, Model, Row, Scale, Scaler, Task};

/// What is proved of a row; of a layer or of the head, the largest of its rows' (FORMAT §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// `A` of the row of `W`, or of `V`.
    pub input: i64,
    /// `A` of the row of `U`; 0 for the head.
    pub recurrent: i64,
    /// `(P(W) + P(U) + |b| + |b'|) · 2^k`, or `(P + |b|) · 2^k`.
    pub sum: i64,
}

/// The largest int32: what no bound may exceed.
pub const LIMIT: i64 = (1 << 31) - 1;

impl Bounds {
    /// Field by field.
    fn largest(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            recurrent: self.recurrent.max(other.recurrent),
            sum: self.sum.max(other.sum),
        }
    }

    /// In the order of the image's words.
    pub fn fields(self) -> [i64; 3] {
        [self.input, self.recurrent, self.sum]
    }
}

/// `A = Σ|w| · 2^15`.
pub fn accumulator(weights: &[i8]) -> i64 {
    weights.iter().map(|&weight| i64::from(weight).abs()).sum::<i64>() * pow2(15)
}

/// `P = S(A) + 1`; without a multiplier there is no product.
pub fn product(accumulator: i64, multiplier: u16) -> i64 {
    if multiplier == 0 { 0 } else { scale_row(accumulator, multiplier) + 1 }
}

/// The product bound of a row.
fn row_product(row: &Row) -> i64 {
    product(accumulator(&row.weights), row.multiplier)
}

/// The bounds of the row of this gate and unit.
pub fn layer_row(layer: &Layer, gate: usize, unit: usize) -> Bounds {
    let at = gate * layer.hidden + unit;
    let (input, recurrent) = (&layer.input.rows[at], &layer.recurrent.rows[at]);
    let is_separate = layer.cell == CellKind::GruResetAfter && gate == 2;
    let recurrent_bias = if is_separate { i64::from(layer.recurrent_bias[unit]) } else { 0 };
    let products = row_product(input) + row_product(recurrent);
    let sum = products + i64::from(layer.bias[at]).abs() + recurrent_bias.abs();
    Bounds {
        input: accumulator(&input.weights),
        recurrent: accumulator(&recurrent.weights),
        sum: shifted(sum, layer.shift),
    }
}

/// `sum · 2^k`. Damaged shifts get here, too: what they give is beyond any bound.
fn shifted(sum: i64, shift: u8) -> i64 {
    sum.saturating_mul(pow2(u32::from(shift).min(62)))
}

/// The largest bounds of a layer's rows.
pub fn layer(layer: &Layer) -> Bounds {
    let rows = (0..layer.cell.gate_count()).flat_map(|gate| (0..layer.hidden).map(move |unit| (gate, unit)));
    rows.map(|(gate, unit)| layer_row(layer, gate, unit)).fold(Bounds::default(), Bounds::largest)
}

/// The bounds of the row of this output.
pub fn head_row(head: &Head, output: usize) -> Bounds {
    let row = &head.weights.rows[output];
    let sum = row_product(row) + i64::from(head.bias[output]).abs();
    Bounds { input: accumulator(&row.weights), recurrent: 0, sum: shifted(sum, head.shift) }
}

/// The largest bounds of the head's rows.
pub fn head(head: &Head) -> Bounds {
    (0..head.outputs()).map(|output| head_row(head, output)).fold(Bounds::default(), Bounds::largest)
}

/// Everything that NUMERICS and FORMAT demand of a content.
///
/// # Errors
/// One line that names the first demand that is not met.
pub fn check(model: &Model) -> Result<(), String> {
    check_input(model)?;
    demand((1..=8).contains(&model.layers.len()), || "number of layers".to_owned())?;
    for (index, layer) in model.layers.iter().enumerate() {
        check_layer(layer).map_err(|what| format!("layer {index}: {what}"))?;
    }
    check_head(&model.head).map_err(|what| format!("head: {what}"))?;
    demand(model.labels.len() == model.head.outputs(), || "number of labels".to_owned())
}

fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn check_input(model: &Model) -> Result<(), String> {
    let (Input::Features { fraction, .. } | Input::Tokens { fraction, .. }) = &model.input;
    demand(*fraction <= 15, || format!("input fraction {fraction}"))?;
    match &model.input {
        Input::Features { scalers, .. } => {
            demand(!scalers.is_empty(), || "no features".to_owned())?;
            demand(model.channels.len() == scalers.len(), || "number of channels".to_owned())?;
            let wrong = scalers.iter().position(|scaler| !is_valid_scaler(scaler));
            demand(wrong.is_none(), || format!("scaler {wrong:?}"))
        }
        Input::Tokens { embedding, .. } => check_embedding(embedding),
    }
}

/// §5: `x = R(v·2^k - offset)` at both ends, without leaving int32 on the way.
fn is_valid_scaler(scaler: &Scaler) -> bool {
    let end = |raw: i32| {
        let shifted = i64::from(raw) * pow2(scaler.pre_shift.into());
        let difference = shifted - i64::from(scaler.offset);
        let fits = |value: i64| (-pow2(31)..pow2(31)).contains(&value);
        fits(shifted)
            && fits(difference)
            && fits(difference * pow2(scaler.scale.left.into()))
            && requantize(difference, scaler.scale).abs() <= 32767
    };
    scaler.min > i32::MIN
        && scaler.min <= scaler.max
        && scaler.fill != i16::MIN
        && scaler.pre_shift <= 30
        && (-16..=30).contains(&scaler.raw_fraction)
        && is_valid_scale(scaler.scale)
        && end(scaler.min)
        && end(scaler.max)
}

/// §3.2.
fn is_valid_scale(scale: Scale) -> bool {
    (scale.multiplier == 0 || (1 << 14..1 << 15).contains(&scale.multiplier))
        && scale.left <= 15
        && (1..=30).contains(&scale.right)
        && (scale.left == 0 || scale.right == 1)
}

fn check_embedding(embedding: &Embedding) -> Result<(), String> {
    demand(!embedding.rows.is_empty() && embedding.columns > 0, || "an empty embedding".to_owned())?;
    for (token, row) in embedding.rows.iter().enumerate() {
        let largest = row.weights.iter().map(|&weight| i64::from(weight).abs()).max().unwrap_or(0);
        demand(!row.weights.contains(&i8::MIN), || format!("embedding: weight -128 of token {token}"))?;
        let valid = is_valid_scale(row.scale) && requantize(largest, row.scale) <= 32767;
        demand(valid, || format!("embedding: scale of token {token}"))?;
    }
    Ok(())
}

fn check_matrix(matrix: &Matrix) -> Result<(), String> {
    for (index, row) in matrix.rows.iter().enumerate() {
        demand(!row.weights.contains(&i8::MIN), || format!("weight -128 in row {index}"))?;
        demand(row.multiplier < 1 << 15, || format!("multiplier of row {index}"))?;
    }
    Ok(())
}

fn check_bounds(bounds: Bounds) -> Result<(), String> {
    demand(bounds.fields().iter().all(|&bound| bound <= LIMIT), || format!("overflow: {bounds:?}"))
}

fn check_layer(layer: &Layer) -> Result<(), String> {
    demand((1..=16384).contains(&layer.hidden), || format!("{} units", layer.hidden))?;
    let fractions = if layer.cell == CellKind::Lstm { 18..=24 } else { 0..=0 };
    demand(fractions.contains(&layer.cell_fraction), || format!("cell fraction {}", layer.cell_fraction))?;
    demand(layer.shift <= 15, || format!("shift {}", layer.shift))?;
    check_matrix(&layer.input)?;
    check_matrix(&layer.recurrent)?;
    check_bounds(self::layer(layer))
}

fn check_head(head: &Head) -> Result<(), String> {
    demand((1..=4096).contains(&head.outputs()), || "number of outputs".to_owned())?;
    let fractions = if head.task == Task::Classification { 16..=16 } else { 0..=30 };
    demand(fractions.contains(&head.fraction), || format!("fraction {}", head.fraction))?;
    demand(head.shift <= 15, || format!("shift {}", head.shift))?;
    check_matrix(&head.weights)?;
    check_bounds(self::head(head))
}
