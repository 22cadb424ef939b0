//! From tensors back to integers, with every check that an image gets.

use std::collections::BTreeMap;

use emberloop_checkpoint::container::{Container, RawTensor, check_hash};
use emberloop_data::{Inputs, Targets};
use emberloop_engine::self_test;
use emberloop_image::{Bounds, FeatureScaler, Image, MAX_LAYERS, Requantizer, VERSION};
use safetensors::Dtype;

use super::{METADATA_KEY, QUANTIZED_FORMAT, QuantizedFile, QuantizedFlaw, QuantizedMetadata};
use crate::integer_model::{
    GoldenSequence, IntegerHead, IntegerInput, IntegerLayer, IntegerMatrix, IntegerModel, IntegerTable,
};

impl QuantizedFile {
    /// Reads and checks what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// If the bytes are no quantized model of this format, or differ in a single bit from what was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, QuantizedFlaw> {
        let container = Container::decode(bytes)?;
        let metadata = read_metadata(&container)?;
        // Before the tensors: a damaged file is best called that, and not a wrong shape.
        check_hash(bytes)?;
        let mut tensors = Tensors { left: container.tensors, derived: BTreeMap::new() };
        let model = read_model(&metadata, &mut tensors)?;
        if let Some((name, tensor)) = tensors.left.first_key_value() {
            let found = format!("{:?} {:?}", tensor.dtype, tensor.shape);
            return Err(flaw(name, "no such tensor in this model".into(), found));
        }
        let file = QuantizedFile { model, metadata };
        let bytes = file.image()?;
        let image = Image::parse(&bytes)?;
        self_test(&image, vec![0; image.memory().words()])?;
        file.check_derived(&tensors.derived)?;
        Ok(file)
    }

    /// Scales and bounds must be what the integers give.
    fn check_derived(&self, found: &BTreeMap<String, RawTensor<'_>>) -> Result<(), QuantizedFlaw> {
        let expected = self.tensors()?;
        for (name, found) in found {
            let Some(expected) = expected.get(name) else { continue };
            let (found, expected) = (numbers(found), numbers(expected));
            let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
            if let Some(at) = differs {
                let expected = format!("{} at {at}, as the integers give it", expected[at]);
                return Err(flaw(name, expected, found[at].clone()));
            }
        }
        Ok(())
    }
}

/// The elements of a derived tensor, integers or floats; floats print as exactly as they are.
fn numbers(tensor: &RawTensor<'_>) -> Vec<String> {
    match tensor.dtype {
        Dtype::F64 => {
            tensor.bytes.as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes).to_string()).collect()
        }
        _ => tensor.bytes.as_chunks::<4>().0.iter().map(|&bytes| i32::from_le_bytes(bytes).to_string()).collect(),
    }
}

fn read_metadata(container: &Container<'_>) -> Result<QuantizedMetadata, QuantizedFlaw> {
    let Some(json) = container.metadata.get(METADATA_KEY) else {
        let keys: Vec<&str> = container.metadata.keys().map(String::as_str).collect();
        let found = if keys.is_empty() { "none".into() } else { keys.join(", ") };
        return Err(QuantizedFlaw::NoMetadata { found });
    };
    let json_flaw = |error: serde_json::Error| QuantizedFlaw::Json { reason: error.to_string() };
    // The version first: another version's fields may be anything.
    let value: serde_json::Value = serde_json::from_str(json).map_err(json_flaw)?;
    let format = value.get("format");
    if format.and_then(serde_json::Value::as_u64) != Some(u64::from(QUANTIZED_FORMAT)) {
        let found = format.map_or("none".into(), ToString::to_string);
        return Err(QuantizedFlaw::Format { found });
    }
    let metadata: QuantizedMetadata = serde_json::from_str(json).map_err(json_flaw)?;
    if metadata.image_format != VERSION {
        return Err(QuantizedFlaw::ImageFormat { found: metadata.image_format });
    }
    Ok(metadata)
}

fn read_model(metadata: &QuantizedMetadata, tensors: &mut Tensors<'_>) -> Result<IntegerModel, QuantizedFlaw> {
    let fraction = metadata.input_fraction;
    let channels = match &metadata.schema.inputs {
        Inputs::Channels(names) => names.clone(),
        Inputs::Tokens { column, .. } => vec![column.clone()],
    };
    let labels = match &metadata.schema.targets {
        Targets::Classes { labels } => labels.clone(),
        Targets::Values { names } => names.clone(),
    };
    let (input, mut width) = match metadata.missing {
        Some(missing) => {
            let scalers = tensors.scalers(channels.len())?;
            (IntegerInput::Features { fraction, missing, scalers }, channels.len())
        }
        None => {
            let table = tensors.table("embedding.weight", metadata.architecture.inputs)?;
            let width = table.columns;
            (IntegerInput::Tokens { fraction, table }, width)
        }
    };
    if metadata.layers.len() > MAX_LAYERS {
        let reason = format!("layers: expected at most {MAX_LAYERS}, found {}", metadata.layers.len());
        return Err(QuantizedFlaw::Json { reason });
    }
    let mut layers = Vec::new();
    for (index, &shape) in metadata.layers.iter().enumerate() {
        let hidden = usize::from(shape.hidden);
        let rows = shape.cell.gate_count() * hidden;
        let input = tensors.matrix(&format!("rnn.weight_ih_l{index}"), rows, width)?;
        let recurrent = tensors.matrix(&format!("rnn.weight_hh_l{index}"), rows, hidden)?;
        let bias = tensors.integers(&format!("rnn.bias_l{index}"), &[rows])?;
        let separate = shape.cell.has_separate_recurrent_bias();
        let name = format!("rnn.bias_hn_l{index}");
        let recurrent_bias = if separate { tensors.integers(&name, &[hidden])? } else { Vec::new() };
        tensors.derived(&format!("rnn.bounds_l{index}"), Dtype::I32, Bounds::WORDS)?;
        layers.push(IntegerLayer { shape, input, recurrent, bias, recurrent_bias });
        width = hidden;
    }
    let outputs = usize::from(metadata.head.outputs);
    let weights = tensors.matrix("head.weight", outputs, width)?;
    tensors.derived("head.bounds", Dtype::I32, Bounds::WORDS)?;
    let head = IntegerHead { shape: metadata.head, weights, bias: tensors.integers("head.bias", &[outputs])? };
    let raw_width = if metadata.missing.is_some() { channels.len() } else { 1 };
    let golden = tensors.golden(raw_width, outputs)?;
    let (name, checkpoint) = (metadata.name.clone(), metadata.checkpoint.clone());
    Ok(IntegerModel { name, checkpoint, channels, labels, input, layers, head, golden })
}

struct Tensors<'data> {
    /// What has not been taken yet.
    left: BTreeMap<String, RawTensor<'data>>,
    /// What follows from the other tensors, to be checked against them.
    derived: BTreeMap<String, RawTensor<'data>>,
}

impl<'data> Tensors<'data> {
    /// Takes a tensor of this type and, where given, these dimensions.
    fn take(&mut self, name: &str, dtype: Dtype, shape: &[Option<usize>]) -> Result<RawTensor<'data>, QuantizedFlaw> {
        let dimensions = || {
            let each = shape.iter().map(|size| size.map_or("any".into(), |size| size.to_string()));
            format!("{dtype:?} [{}]", each.collect::<Vec<_>>().join(", "))
        };
        let Some(tensor) = self.left.remove(name) else {
            return Err(flaw(name, dimensions(), "no such tensor".into()));
        };
        let fits = tensor.shape.len() == shape.len()
            && tensor.shape.iter().zip(shape).all(|(found, expected)| expected.is_none_or(|size| size == *found));
        if tensor.dtype != dtype || !fits {
            return Err(flaw(name, dimensions(), format!("{:?} {:?}", tensor.dtype, tensor.shape)));
        }
        Ok(tensor)
    }

    fn integers(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i32>, QuantizedFlaw> {
        let shape: Vec<_> = shape.iter().copied().map(Some).collect();
        let tensor = self.take(name, Dtype::I32, &shape)?;
        Ok(tensor.bytes.as_chunks::<4>().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect())
    }

    /// Takes a vector that follows from other tensors.
    fn derived(&mut self, name: &str, dtype: Dtype, length: usize) -> Result<(), QuantizedFlaw> {
        let tensor = self.take(name, dtype, &[Some(length)])?;
        self.derived.insert(name.into(), tensor);
        Ok(())
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<IntegerMatrix, QuantizedFlaw> {
        let weights = self.take(name, Dtype::I8, &[Some(rows), Some(columns)])?;
        let multipliers = self.take(&format!("{name}.multiplier"), Dtype::I16, &[Some(rows)])?;
        self.derived(&format!("{name}.scale"), Dtype::F64, rows)?;
        self.derived(&format!("{name}.accumulator_bound"), Dtype::I32, rows)?;
        let multipliers = multipliers.bytes.as_chunks::<2>().0.iter().map(|&bytes| i16::from_le_bytes(bytes));
        Ok(IntegerMatrix { columns, multipliers: multipliers.collect(), weights: signed(&weights) })
    }

    fn table(&mut self, name: &str, columns: usize) -> Result<IntegerTable, QuantizedFlaw> {
        let weights = self.take(name, Dtype::I8, &[None, Some(columns)])?;
        let rows = weights.shape[0];
        let requantizer_name = format!("{name}.requantizer");
        let requantizers = self.take(&requantizer_name, Dtype::I16, &[Some(rows), Some(3)])?;
        self.derived(&format!("{name}.scale"), Dtype::F64, rows)?;
        let scales = requantizers.bytes.as_chunks::<6>().0.iter().map(|bytes| {
            let [m0, m1, l0, l1, r0, r1] = *bytes;
            let [multiplier, left, right] = [[m0, m1], [l0, l1], [r0, r1]].map(i16::from_le_bytes);
            requantizer(&requantizer_name, i32::from(multiplier), i32::from(left), i32::from(right))
        });
        Ok(IntegerTable { columns, scales: scales.collect::<Result<_, _>>()?, weights: signed(&weights) })
    }

    fn scalers(&mut self, features: usize) -> Result<Vec<FeatureScaler>, QuantizedFlaw> {
        let values = self.integers("scaler", &[features, 9])?;
        self.derived("scaler.factor", Dtype::F64, features)?;
        let scalers = values.as_chunks::<9>().0.iter().map(|values| {
            let &[min, max, offset, multiplier, left, right, fill, pre_shift, raw_fraction] = values;
            let out_of_range = |expected: &str, found: i32| flaw("scaler", expected.into(), found.to_string());
            Ok(FeatureScaler {
                min,
                max,
                offset,
                requantizer: requantizer("scaler", multiplier, left, right)?,
                fill: i16::try_from(fill).map_err(|_| out_of_range("a fill of 16 bits", fill))?,
                pre_shift: u8::try_from(pre_shift).map_err(|_| out_of_range("a pre-shift of 8 bits", pre_shift))?,
                raw_fraction: i8::try_from(raw_fraction)
                    .map_err(|_| out_of_range("a raw fraction of 8 bits", raw_fraction))?,
            })
        });
        scalers.collect()
    }

    fn golden(&mut self, width: usize, outputs: usize) -> Result<Vec<GoldenSequence>, QuantizedFlaw> {
        let mut golden = Vec::new();
        loop {
            let name = format!("golden.{}.inputs", golden.len());
            if !self.left.contains_key(&name) {
                return Ok(golden);
            }
            let steps = self.rows(&name, width)?;
            let samples = self.integers(&name, &[steps, width])?;
            let outputs = self.integers(&format!("golden.{}.outputs", golden.len()), &[steps, outputs])?;
            golden.push(GoldenSequence { samples, outputs });
        }
    }

    /// The number of rows of a tensor that is still to be taken.
    fn rows(&self, name: &str, width: usize) -> Result<usize, QuantizedFlaw> {
        match self.left.get(name).map(|tensor| tensor.shape.as_slice()) {
            Some(&[rows, _]) => Ok(rows),
            found => Err(flaw(name, format!("two dimensions, [any, {width}]"), format!("{found:?}"))),
        }
    }
}

fn signed(weights: &RawTensor<'_>) -> Vec<i8> {
    weights.bytes.iter().map(|&byte| byte as i8).collect()
}

/// A requantizer whose parts fit their bits; `Image::parse` judges its values.
fn requantizer(name: &str, multiplier: i32, left: i32, right: i32) -> Result<Requantizer, QuantizedFlaw> {
    match (i16::try_from(multiplier), u8::try_from(left), u8::try_from(right)) {
        (Ok(multiplier), Ok(left), Ok(right)) => Ok(Requantizer::new(multiplier, left, right)),
        _ => {
            Err(flaw(name, "a multiplier of 16 bits and shifts of 8".into(), format!("{multiplier}, {left}, {right}")))
        }
    }
}

fn flaw(name: &str, expected: String, found: String) -> QuantizedFlaw {
    QuantizedFlaw::Tensor { name: name.into(), expected, found }
}
