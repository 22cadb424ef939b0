//! The views of one recurrent layer and of the head, and their proofs.

use emberloop_cells::CellKind;

use crate::error::Part;
use crate::section::Sections;
use crate::tiles::{TILE_ROWS, Tiles};
use crate::{Bounds, HeadShape, ImageError, LayerShape, Multipliers, accumulator_bound, row_bounds};

/// One recurrent layer. Its rows lie in the order of the tiles: see [`Layer::row`].
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Cell, units, formats.
    pub shape: LayerShape,
    /// What was proved of its rows.
    pub bounds: Bounds,
    /// Packed [`Multipliers`], one word per row.
    pub multipliers: &'a [u32],
    /// One per row, `Q(15+k).(16-k)` with `k` the layer's shift.
    pub bias: &'a [i32],
    /// GRU with reset-after: one per unit (rounded up to four), added to the new gate's recurrent product, in the format of
    /// `bias`. Other cells: empty.
    pub recurrent_bias: &'a [i32],
    /// `W`.
    pub input: Tiles<'a>,
    /// `U`.
    pub recurrent: Tiles<'a>,
}

/// The dense head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Outputs, task, pooling, formats.
    pub shape: HeadShape,
    /// What was proved of its rows.
    pub bounds: Bounds,
    /// Packed [`Multipliers`], one word per output, rounded up to four.
    pub multipliers: &'a [u32],
    /// One per output, rounded up to four.
    pub bias: &'a [i32],
    /// `V`.
    pub weights: Tiles<'a>,
}

impl<'a> Layer<'a> {
    /// Cuts a layer off; `None` where there are fewer words.
    #[inline(always)]
    pub(crate) fn take(sections: &mut Sections<'a>, shape: LayerShape, inputs: usize) -> Option<Self> {
        let units = usize::from(shape.hidden);
        let padded = units.next_multiple_of(TILE_ROWS);
        let rows = shape.cell.gate_count() * padded;
        let separate = if shape.cell.has_separate_recurrent_bias() { padded } else { 0 };
        let bounds = Bounds::from_words(sections.take(Bounds::WORDS)?.first_chunk()?);
        let multipliers = sections.take(rows)?;
        let bias = bytemuck::cast_slice(sections.take(rows)?);
        let recurrent_bias = bytemuck::cast_slice(sections.take(separate)?);
        let input = Tiles::new(inputs, sections.take(Tiles::words(rows, inputs))?);
        let recurrent = Tiles::new(units, sections.take(Tiles::words(rows, units))?);
        Some(Self { shape, bounds, multipliers, bias, recurrent_bias, input, recurrent })
    }

    /// Where the row of this gate and unit lies: units go in groups of four, and in each group the gates one after the
    /// other (FORMAT §4.1).
    pub fn row(&self, gate: usize, unit: usize) -> usize {
        TILE_ROWS * (self.shape.cell.gate_count() * (unit / TILE_ROWS) + gate) + unit % TILE_ROWS
    }

    /// The bounds of the row of this gate and unit; `None` where it could overflow, or there is no such row.
    pub fn row_bounds(&self, gate: usize, unit: usize) -> Option<Bounds> {
        let row = self.row(gate, unit);
        let separate = self.shape.cell == CellKind::GruResetAfter && gate + 1 == self.shape.cell.gate_count();
        let recurrent_bias = if separate { *self.recurrent_bias.get(unit)? } else { 0 };
        row_bounds(
            accumulator_bound(self.input.row(row)),
            accumulator_bound(self.recurrent.row(row)),
            Multipliers::from_word(*self.multipliers.get(row)?),
            *self.bias.get(row)?,
            recurrent_bias,
            self.shape.shift,
        )
    }

    pub(crate) fn prove(&self, index: u8) -> Result<(), ImageError> {
        let units = usize::from(self.shape.hidden);
        let mut bounds = Bounds::default();
        for unit in 0..units.next_multiple_of(TILE_ROWS) {
            for gate in 0..self.shape.cell.gate_count() {
                let row = self.row(gate, unit);
                let is_zero = is_zero(row, self.multipliers, self.bias)
                    && self.recurrent_bias.get(unit).is_none_or(|&bias| bias == 0);
                let natural = (gate * units + unit) as u32;
                let (input, recurrent) = (Part::InputWeights(index), Part::RecurrentWeights(index));
                check_weights(self.input, row, unit < units, input, natural)?;
                check_weights(self.recurrent, row, unit < units, recurrent, natural)?;
                if unit >= units {
                    if !is_zero {
                        return Err(ImageError::NotZero);
                    }
                    continue;
                }
                check_multipliers(self.multipliers, row, Part::Layer(index), natural)?;
                let overflow = ImageError::Overflow { part: Part::Layer(index), row: natural };
                bounds = bounds.largest(self.row_bounds(gate, unit).ok_or(overflow)?);
            }
        }
        if bounds == self.bounds { Ok(()) } else { Err(ImageError::Bounds { part: Part::Layer(index) }) }
    }
}

impl<'a> Head<'a> {
    /// Cuts the head off; `None` where there are fewer words.
    #[inline(always)]
    pub(crate) fn take(sections: &mut Sections<'a>, shape: HeadShape, hidden: usize) -> Option<Self> {
        let rows = usize::from(shape.outputs).next_multiple_of(TILE_ROWS);
        let bounds = Bounds::from_words(sections.take(Bounds::WORDS)?.first_chunk()?);
        let multipliers = sections.take(rows)?;
        let bias = bytemuck::cast_slice(sections.take(rows)?);
        let weights = Tiles::new(hidden, sections.take(Tiles::words(rows, hidden))?);
        Some(Self { shape, bounds, multipliers, bias, weights })
    }

    /// A head without rows.
    pub(crate) fn empty(shape: HeadShape) -> Self {
        let weights = Tiles { columns: 0, values: &[] };
        Self { shape, bounds: Bounds::default(), multipliers: &[], bias: &[], weights }
    }

    /// The bounds of the row of this output; `None` where it could overflow, or there is no such row.
    pub fn row_bounds(&self, output: usize) -> Option<Bounds> {
        let multipliers = Multipliers::from_word(*self.multipliers.get(output)?);
        let accumulator = accumulator_bound(self.weights.row(output));
        row_bounds(accumulator, 0, multipliers, *self.bias.get(output)?, 0, self.shape.shift)
    }

    pub(crate) fn prove(&self) -> Result<(), ImageError> {
        let outputs = usize::from(self.shape.outputs);
        let mut bounds = Bounds::default();
        for row in 0..outputs.next_multiple_of(TILE_ROWS) {
            let natural = row as u32;
            check_weights(self.weights, row, row < outputs, Part::Head, natural)?;
            if row >= outputs {
                if !is_zero(row, self.multipliers, self.bias) {
                    return Err(ImageError::NotZero);
                }
                continue;
            }
            check_multipliers(self.multipliers, row, Part::Head, natural)?;
            // A head has no recurrent product.
            if self.multipliers.get(row).is_some_and(|&word| Multipliers::from_word(word).recurrent() != 0) {
                return Err(ImageError::NotZero);
            }
            let overflow = ImageError::Overflow { part: Part::Head, row: natural };
            bounds = bounds.largest(self.row_bounds(row).ok_or(overflow)?);
        }
        if bounds == self.bounds { Ok(()) } else { Err(ImageError::Bounds { part: Part::Head }) }
    }
}

fn is_zero(row: usize, multipliers: &[u32], bias: &[i32]) -> bool {
    multipliers.get(row).is_some_and(|&word| word == 0) && bias.get(row).is_some_and(|&bias| bias == 0)
}

fn check_multipliers(multipliers: &[u32], row: usize, part: Part, natural: u32) -> Result<(), ImageError> {
    match multipliers.get(row) {
        Some(&word) if Multipliers::from_word(word).is_valid() => Ok(()),
        _ => Err(ImageError::Multiplier { part, row: natural }),
    }
}

/// No -128, which has no negation in int8 (so every kernel may negate); zeros where there is no row or no column.
fn check_weights(tiles: Tiles<'_>, row: usize, exists: bool, part: Part, natural: u32) -> Result<(), ImageError> {
    let columns = if exists { tiles.columns } else { 0 };
    for (column, weight) in tiles.padded_row(row).enumerate() {
        if column >= columns && weight != 0 {
            return Err(ImageError::NotZero);
        }
        if weight == i8::MIN {
            return Err(ImageError::Weight { part, row: natural });
        }
    }
    Ok(())
}
