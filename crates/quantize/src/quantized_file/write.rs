//! From integers to tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use emberloop_checkpoint::{Container, RawTensor};
use emberloop_image::{Bounds, ImageError, Part, Requantizer, limits};
use safetensors::Dtype;

use super::{METADATA_KEY, QuantizedFile, QuantizedFlaw};
use crate::float_network::exp2;
use crate::integer_model::{IntegerInput, IntegerMatrix, IntegerTable};

impl QuantizedFile {
    /// The file's bytes; the same model always gives the same.
    ///
    /// # Errors
    /// If the metadata cannot be written as JSON, or a row could overflow.
    pub fn to_bytes(&self) -> Result<Vec<u8>, QuantizedFlaw> {
        let json =
            serde_json::to_string(&self.metadata).map_err(|error| QuantizedFlaw::Json { reason: error.to_string() })?;
        let metadata = BTreeMap::from([(METADATA_KEY.to_string(), json)]);
        Ok(Container { metadata, tensors: self.tensors()? }.encode()?.0)
    }

    /// All tensors, by name.
    pub(super) fn tensors(&self) -> Result<BTreeMap<String, RawTensor<'static>>, QuantizedFlaw> {
        let mut tensors = Tensors(BTreeMap::new());
        let mut fraction = i32::from(self.metadata.input_fraction);
        match &self.model.input {
            IntegerInput::Features { scalers, .. } => {
                let integers = scalers.iter().flat_map(|scaler| {
                    let [multiplier, left, right] = parts(scaler.requantizer).map(i32::from);
                    let (fill, shift, raw) = (scaler.fill, scaler.pre_shift, scaler.raw_fraction);
                    let tail = [i32::from(fill), i32::from(shift), i32::from(raw)];
                    [scaler.min, scaler.max, scaler.offset, multiplier, left, right].into_iter().chain(tail)
                });
                tensors.integers("scaler", vec![scalers.len(), 9], integers);
                tensors.floats("scaler.factor", scalers.iter().map(|scaler| scaler.requantizer.factor()));
            }
            IntegerInput::Tokens { table, .. } => tensors.table("embedding.weight", table, fraction),
        }
        for (index, layer) in self.model.layers.iter().enumerate() {
            let to = i32::from(limits::PREACTIVATION_FRACTION) - i32::from(layer.shape.shift);
            tensors.matrix(&format!("rnn.weight_ih_l{index}"), &layer.input, fraction, to)?;
            tensors.matrix(&format!("rnn.weight_hh_l{index}"), &layer.recurrent, 15, to)?;
            tensors.vector(&format!("rnn.bias_l{index}"), &layer.bias);
            if !layer.recurrent_bias.is_empty() {
                tensors.vector(&format!("rnn.bias_hn_l{index}"), &layer.recurrent_bias);
            }
            tensors.bounds(&format!("rnn.bounds_l{index}"), layer.bounds(), Part::Layer(index as u8))?;
            fraction = 15;
        }
        let head = &self.model.head;
        let to = i32::from(head.shape.fraction) - i32::from(head.shape.shift);
        tensors.matrix("head.weight", &head.weights, fraction, to)?;
        tensors.vector("head.bias", &head.bias);
        tensors.bounds("head.bounds", head.bounds(), Part::Head)?;
        let (width, outputs) = (self.model.raw_width(), self.model.labels.len());
        for (index, golden) in self.model.golden.iter().enumerate() {
            let steps = golden.samples.len() / width;
            let (inputs, expected) = (golden.samples.iter().copied(), golden.outputs.iter().copied());
            tensors.integers(&format!("golden.{index}.inputs"), vec![steps, width], inputs);
            tensors.integers(&format!("golden.{index}.outputs"), vec![steps, outputs], expected);
        }
        Ok(tensors.0)
    }
}

/// Multiplier, left shift, right shift.
fn parts(requantizer: Requantizer) -> [i16; 3] {
    [requantizer.multiplier() as i16, requantizer.left_shift() as i16, requantizer.right_shift() as i16]
}

struct Tensors(BTreeMap<String, RawTensor<'static>>);

impl Tensors {
    fn push(&mut self, name: &str, dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) {
        self.0.insert(name.to_string(), RawTensor { dtype, shape, bytes: Cow::Owned(bytes) });
    }

    /// A matrix of int8 rows that brings `from` fraction bits to `to`.
    fn matrix(&mut self, name: &str, matrix: &IntegerMatrix, from: i32, to: i32) -> Result<(), QuantizedFlaw> {
        let rows = matrix.rows();
        self.weights(name, &matrix.weights, rows, matrix.columns);
        let multipliers = matrix.multipliers.iter();
        self.floats(&format!("{name}.scale"), multipliers.map(|&m| f64::from(m) * exp2(from - to - 16)));
        let multipliers = matrix.multipliers.iter().flat_map(|m| m.to_le_bytes()).collect();
        self.push(&format!("{name}.multiplier"), Dtype::I16, vec![rows], multipliers);
        let bound = |(row, bound)| {
            i32::try_from(bound).map_err(|_| {
                let (name, expected) = (name.into(), format!("an accumulator below 2^31 in row {row}"));
                QuantizedFlaw::Tensor { name, expected, found: format!("one that reaches {bound}") }
            })
        };
        let bounds = matrix.accumulator_bounds().enumerate().map(bound).collect::<Result<Vec<_>, _>>()?;
        self.vector(&format!("{name}.accumulator_bound"), &bounds);
        Ok(())
    }

    /// The embedding table: rows that become `to` fraction bits.
    fn table(&mut self, name: &str, table: &IntegerTable, to: i32) {
        self.weights(name, &table.weights, table.rows(), table.columns);
        self.floats(&format!("{name}.scale"), table.scales.iter().map(|scale| scale.factor() * exp2(-to)));
        let requantizers = table.scales.iter().flat_map(|&scale| parts(scale)).flat_map(i16::to_le_bytes).collect();
        self.push(&format!("{name}.requantizer"), Dtype::I16, vec![table.rows(), 3], requantizers);
    }

    fn weights(&mut self, name: &str, weights: &[i8], rows: usize, columns: usize) {
        let bytes = weights.iter().map(|&weight| weight as u8).collect();
        self.push(name, Dtype::I8, vec![rows, columns], bytes);
    }

    fn bounds(&mut self, name: &str, bounds: Result<Bounds, usize>, part: Part) -> Result<(), QuantizedFlaw> {
        let bounds = bounds.map_err(|row| ImageError::Overflow { part, row: row as u32 })?;
        // Below 2^31 each.
        self.vector(name, &bounds.to_words().map(|bound| bound as i32));
        Ok(())
    }

    fn vector(&mut self, name: &str, values: &[i32]) {
        self.integers(name, vec![values.len()], values.iter().copied());
    }

    fn integers(&mut self, name: &str, shape: Vec<usize>, values: impl Iterator<Item = i32>) {
        self.push(name, Dtype::I32, shape, values.flat_map(i32::to_le_bytes).collect());
    }

    fn floats(&mut self, name: &str, values: impl Iterator<Item = f64>) {
        let bytes: Vec<u8> = values.flat_map(f64::to_le_bytes).collect();
        self.push(name, Dtype::F64, vec![bytes.len() / 8], bytes);
    }
}
