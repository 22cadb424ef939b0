//! The pipeline from a checkpoint to an image.

use emberloop_checkpoint::{Checkpoint, Task};
use emberloop_data::{DataError, Dataset, Inputs, Scaler, Sequence, Targets};
use emberloop_engine::self_test;
use emberloop_image::Image;

use crate::QuantizeError;
use crate::aligned::AlignedBytes;
use crate::calibration::{Calibration, Scaled};
use crate::embedding::quantize_embedding;
use crate::float_network::{FloatNetwork, embedding, exp2};
use crate::golden;
use crate::integer_model::{IntegerInput, IntegerModel};
use crate::layers::{quantize_head, quantize_layer};
use crate::options::Options;
use crate::report::{QuantizationReport, ScalerReport};
use crate::scaler::{self, InputFormat};

/// A quantized model.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The image, parsed and self-tested.
    pub image: AlignedBytes,
    /// Its content.
    pub model: IntegerModel,
    /// What was chosen and what it cost.
    pub report: QuantizationReport,
}

/// Quantizes a checkpoint by the ranges and correlations of calibration data, usually its training data.
///
/// The same checkpoint, data and options give the same image.
///
/// # Errors
/// If the data are not what the model was made for, the model has something that no image can hold, or its numbers do
/// not fit the device's integers: [`QuantizeError`] names tensor and row.
pub fn quantize(checkpoint: &Checkpoint, calibration: &Dataset, options: &Options) -> Result<Quantized, QuantizeError> {
    let network = FloatNetwork::new(checkpoint)?;
    let metadata = &checkpoint.metadata;
    let architecture = &metadata.architecture;
    check_inputs(checkpoint, calibration)?;
    if calibration.sequences.is_empty() {
        return Err(QuantizeError::Mismatch {
            what: format!("{}: calibration data", calibration.path.display()),
            expected: "at least one sequence".into(),
            found: "none".into(),
        });
    }
    let scaled = scale(calibration, &metadata.scaler)?;
    let observed = Calibration::run(&network, architecture, &scaled, options.calibration_steps);

    let (input, format, scalers) = quantize_input(checkpoint, &scaled)?;
    let mut weights = Vec::new();
    let mut layers = Vec::new();
    for (layer, calibration) in observed.layers.iter().enumerate() {
        let no_gains = vec![0; architecture.layer_inputs(layer)];
        let format = if layer == 0 { (format.fraction, format.gains.as_slice()) } else { (15, no_gains.as_slice()) };
        layers.push(quantize_layer(checkpoint, layer, calibration, format, options.rounding, &mut weights)?);
    }
    let head = quantize_head(checkpoint, &observed, options.rounding, &mut weights)?;
    let (channels, labels) = names(checkpoint)?;
    let name = line("the model's name", &options.name)?;
    let model = IntegerModel {
        name,
        checkpoint: checkpoint.hash()?,
        channels,
        labels,
        input,
        layers,
        head,
        golden: Vec::new(),
    };
    let model = golden::embed(model, calibration, options.golden_bytes)?;

    let bytes = AlignedBytes::new(&model.to_image()?);
    let image = Image::parse(&bytes)?;
    let golden_steps = self_test(&image, vec![0; image.memory().words()])?;
    let report = QuantizationReport {
        calibration_sequences: calibration.sequences.len(),
        calibration_steps: observed.steps,
        rounding: options.rounding,
        input_fraction: format.fraction as u8,
        scalers,
        cell_fractions: model.layers.iter().map(|layer| layer.shape.cell_fraction).filter(|&bits| bits > 0).collect(),
        output_fraction: model.head.shape.fraction,
        weights,
        image_bytes: image.len_bytes(),
        ram_bytes: image.ram_bytes(),
        golden_steps,
    };
    Ok(Quantized { image: bytes.clone(), model, report })
}

/// Scales a whole dataset; missing values are filled by the policy.
pub(crate) fn scale<'d>(dataset: &'d Dataset, scaler: &Scaler) -> Result<Scaled<'d>, QuantizeError> {
    let sequences = dataset.sequences.iter().map(|sequence| apply_scaler(dataset, scaler, sequence));
    Ok(Scaled { dataset, width: dataset.channels(), sequences: sequences.collect::<Result<_, _>>()? })
}

/// Scales one sequence, with errors that name the file and the channel.
pub(crate) fn apply_scaler(dataset: &Dataset, scaler: &Scaler, sequence: &Sequence) -> Result<Vec<f32>, QuantizeError> {
    scaler.apply(sequence).map_err(|error| match error {
        DataError::Missing { sequence, step, channel, .. } => {
            let channel = channel.parse().map_or(channel, |channel| dataset.channel_name(channel));
            QuantizeError::Data(DataError::Missing { path: dataset.path.clone(), sequence, step, channel })
        }
        other => QuantizeError::Data(other),
    })
}

/// The dataset must have the channels or the vocabulary that the model was trained on.
pub(crate) fn check_inputs(checkpoint: &Checkpoint, dataset: &Dataset) -> Result<(), QuantizeError> {
    let expected = &checkpoint.metadata.schema.inputs;
    if *expected == dataset.inputs {
        return Ok(());
    }
    let describe = |inputs: &Inputs| match inputs {
        Inputs::Channels(names) => format!("channels {}", names.join(", ")),
        Inputs::Tokens { column, vocabulary } => format!("{} tokens of {column:?}", vocabulary.len()),
    };
    Err(QuantizeError::Mismatch {
        what: format!("{}: inputs", dataset.path.display()),
        expected: describe(expected),
        found: describe(&dataset.inputs),
    })
}

fn quantize_input(
    checkpoint: &Checkpoint,
    scaled: &Scaled<'_>,
) -> Result<(IntegerInput, InputFormat, Vec<ScalerReport>), QuantizeError> {
    if let Some(table) = embedding(checkpoint) {
        let (fraction, table) = quantize_embedding(&table)?;
        let format = InputFormat { fraction: i32::from(fraction), gains: vec![0; table.columns] };
        return Ok((IntegerInput::Tokens { fraction, table }, format, Vec::new()));
    }
    let float = &checkpoint.metadata.scaler;
    let observed = scaler::observe(scaled, scaled.dataset);
    let format = scaler::input_format(&observed);
    let mut scalers = Vec::new();
    let mut reports = Vec::new();
    for (feature, (float, observed)) in float.features.iter().zip(&observed).enumerate() {
        let name = scaled.dataset.channel_name(feature);
        let integer = scaler::integer_scaler(&name, float, observed, format.fraction, format.gains[feature])?;
        let unit = exp2(format.gains[feature] - format.fraction);
        let raw = exp2(-i32::from(integer.raw_fraction));
        reports.push(ScalerReport {
            channel: name,
            raw_fraction: integer.raw_fraction,
            range: (f64::from(integer.min) * raw, f64::from(integer.max) * raw),
            largest_error: largest_error(scaled, feature, |value| f64::from(scaler::apply(&integer, value)) * unit),
        });
        scalers.push(integer);
    }
    let missing = match float.missing {
        emberloop_data::MissingPolicy::Error => emberloop_image::MissingPolicy::Error,
        emberloop_data::MissingPolicy::HoldLast => emberloop_image::MissingPolicy::HoldLast,
        emberloop_data::MissingPolicy::Mean => emberloop_image::MissingPolicy::Mean,
    };
    Ok((IntegerInput::Features { fraction: format.fraction as u8, missing, scalers }, format, reports))
}

/// Largest difference between the integer scaler and the float one over values that are not missing.
fn largest_error(scaled: &Scaled<'_>, feature: usize, integer: impl Fn(f32) -> f64) -> f64 {
    let pairs = scaled.dataset.sequences.iter().zip(&scaled.sequences);
    let values = pairs.flat_map(|(raw, scaled)| raw.values.iter().zip(scaled));
    let values = values.skip(feature).step_by(scaled.width).filter(|(raw, _)| !raw.is_nan());
    values.fold(0.0, |max, (&raw, &scaled)| max.max((integer(raw) - f64::from(scaled)).abs()))
}

/// Channels and labels as the image lists them.
fn names(checkpoint: &Checkpoint) -> Result<(Vec<String>, Vec<String>), QuantizeError> {
    let schema = &checkpoint.metadata.schema;
    let channels = match &schema.inputs {
        Inputs::Channels(names) => names.clone(),
        Inputs::Tokens { column, .. } => vec![column.clone()],
    };
    let labels = match &schema.targets {
        Targets::Classes { labels } => labels,
        Targets::Values { names } => names,
    };
    let what = match checkpoint.metadata.architecture.task {
        Task::Classification => "a label",
        Task::Regression => "a target's name",
    };
    let channels = channels.iter().map(|name| line("a channel's name", name)).collect::<Result<_, _>>()?;
    Ok((channels, labels.iter().map(|label| line(what, label)).collect::<Result<_, _>>()?))
}

/// An image lists names one a line.
fn line(what: &str, name: &str) -> Result<String, QuantizeError> {
    if !name.contains('\n') {
        return Ok(name.into());
    }
    Err(QuantizeError::Unsupported { what: what.into(), expected: "no line break".into(), found: format!("{name:?}") })
}
