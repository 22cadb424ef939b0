//! The pipeline from a checkpoint to an image.

use emberloop_checkpoint::{Checkpoint, Task};
use emberloop_data::{DataError, Dataset, Inputs, Scaler, Sequence, Targets};
use emberloop_engine::self_test;
use emberloop_image::Image;

use crate::QuantizeError;
use crate::aligned::AlignedBytes;
use crate::calibration::{Calibration, Scaled};
use crate::float_network::FloatNetwork;
use crate::golden;
use crate::head::quantize_head;
use crate::input::quantize_input;
use crate::integer_model::{IntegerInput, IntegerLayer, IntegerModel};
use crate::layers::quantize_layer;
use crate::options::{Options, Rounding};
use crate::report::{QuantizationReport, ScalerReport, WeightReport};
use crate::scaler::InputFormat;

/// Numbers of streamed calibration data that are loaded: 64 MiB, and again as many scaled.
const CALIBRATION_NUMBERS: usize = 1 << 24;

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
/// The same checkpoint, data and options give the same image. Of streamed data about 16 million numbers are looked at,
/// taken evenly from the first sequence to the last.
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
    let calibration = &*calibration.sample(CALIBRATION_NUMBERS)?;
    let scaled = scale(calibration, &metadata.scaler)?;
    let observed = Calibration::run(&network, architecture, &scaled, options.calibration_steps);

    let first = quantize_first_layer(checkpoint, &scaled, &observed, options.rounding)?;
    let (mut layers, mut weights) = (vec![first.layer], first.weights);
    for (layer, calibration) in observed.layers.iter().enumerate().skip(1) {
        let format = InputFormat { fraction: 15, gains: vec![0; architecture.layer_inputs(layer)] };
        let (layer, reports) = quantize_layer(checkpoint, layer, calibration, &format, options.rounding)?;
        layers.push(layer);
        weights.extend(reports);
    }
    let (head, report) = quantize_head(checkpoint, &observed, options.rounding)?;
    weights.push(report);
    let (channels, labels) = names(checkpoint)?;
    let name = line("the model's name", &options.name)?;
    let model = IntegerModel {
        name,
        checkpoint: checkpoint.hash()?,
        channels,
        labels,
        input: first.input,
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
        input_fraction: first.fraction,
        scalers: first.scalers,
        cell_fractions: model.layers.iter().map(|layer| layer.shape.cell_fraction).filter(|&bits| bits > 0).collect(),
        shifts: model.layers.iter().map(|layer| layer.shape.shift).chain([model.head.shape.shift]).collect(),
        output_fraction: model.head.shape.fraction,
        weights,
        image_bytes: image.len_bytes(),
        ram_bytes: image.ram_bytes(),
        golden_steps,
    };
    Ok(Quantized { image: bytes.clone(), model, report })
}

/// The input and the layer that reads it: their formats depend on each other.
struct FirstLayer {
    input: IntegerInput,
    fraction: u8,
    scalers: Vec<ScalerReport>,
    layer: IntegerLayer,
    weights: Vec<WeightReport>,
}

/// A product is proved over the whole range of the input. Where that is too much for the weights, the input's range is
/// narrowed, as far as the calibration data allow.
fn quantize_first_layer(
    checkpoint: &Checkpoint,
    scaled: &Scaled<'_>,
    observed: &Calibration,
    rounding: Rounding,
) -> Result<FirstLayer, QuantizeError> {
    let (mut narrowing, mut refusal) = (0, None);
    loop {
        let (input, format, scalers) = match (quantize_input(checkpoint, scaled, narrowing), refusal) {
            (Ok(input), _) => input,
            // What was wrong before is the better reason.
            (Err(_), Some(refusal)) => return Err(refusal),
            (Err(error), None) => return Err(error),
        };
        match quantize_layer(checkpoint, 0, &observed.layers[0], &format, rounding) {
            Ok((layer, weights)) => {
                return Ok(FirstLayer { input, fraction: format.fraction as u8, scalers, layer, weights });
            }
            Err(error @ QuantizeError::Range { .. }) => refusal = Some(error),
            Err(error) => return Err(error),
        }
        narrowing += 1;
    }
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
