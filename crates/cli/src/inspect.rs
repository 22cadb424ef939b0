//! `emberloop inspect`: what is in a model file.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use emberloop_checkpoint::Checkpoint;
use emberloop_image::{Image, InputShape, Multipliers, limits};
use serde_json::{Value, json};

use crate::certificate::Certificate;
use crate::model::{ImageFile, Model};
use crate::output::{self, bytes};

/// Show a model file: shapes, scales, bytes, RAM, provenance, and what is proved of its arithmetic. Reads checkpoints,
/// quantized safetensors and images.
#[derive(Args)]
pub struct Inspect {
    /// The file.
    file: PathBuf,
    /// Images: also the proved bounds of every single row.
    #[arg(long)]
    rows: bool,
}

impl Inspect {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let model = Model::read(&self.file)?;
        let certificate = match &model {
            Model::Float(_) => None,
            Model::Image(file) | Model::Quantized(file, _) => Some(Certificate::new(&file.parse()?, self.rows)),
        };
        let mut facts = match model {
            Model::Float(checkpoint) => of_checkpoint(&checkpoint)?,
            Model::Image(file) => of_image(&file, "device image")?,
            Model::Quantized(file, metadata) => {
                let mut facts = of_image(&file, "quantized safetensors")?;
                facts["architecture"] = json!(metadata.architecture);
                facts["schema"] = json!(metadata.schema);
                facts["provenance"] = json!(metadata.provenance);
                facts["quantization"] = json!(metadata.report);
                facts
            }
        };
        if json {
            if let Some(certificate) = certificate {
                facts["certificate"] = serde_json::to_value(certificate)?;
            }
            return output::print_json(&facts);
        }
        output::print(&(text(&facts, 0) + &certificate.map_or(String::new(), |certificate| certificate.text())))
    }
}

fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Value> {
    let metadata = &checkpoint.metadata;
    let tensors: serde_json::Map<_, _> =
        checkpoint.tensors.iter().map(|(name, tensor)| (name.clone(), json!(tensor.shape))).collect();
    Ok(json!({
        "kind": "float checkpoint",
        "content_hash": checkpoint.hash()?,
        "parameters": metadata.architecture.parameters(),
        "architecture": metadata.architecture,
        "tensors": tensors,
        "schema": metadata.schema,
        "scaler": metadata.scaler,
        "target_scaler": metadata.target_scaler,
        "metrics": metadata.metrics,
        "provenance": metadata.provenance,
        "config": metadata.config,
    }))
}

fn of_image(file: &ImageFile, kind: &str) -> Result<Value> {
    let image = file.parse()?;
    let header = image.header();
    let input = match header.input {
        InputShape::Features { features, fraction, missing } => json!({
            "features": features, "format": format!("Q{}.{fraction}", 15 - fraction), "missing": missing,
            "channels": channels(&image, fraction),
        }),
        InputShape::Tokens { vocabulary, dimension, fraction } => json!({
            "vocabulary": vocabulary, "dimension": dimension, "format": format!("Q{}.{fraction}", 15 - fraction),
        }),
    };
    let golden = image.golden();
    let head = image.head().multipliers.iter().map(|&word| Multipliers::from_word(word).input());
    Ok(json!({
        "kind": kind,
        "name": header.name,
        "checkpoint": header.checkpoint,
        "image_bytes": image.len_bytes(),
        "ram_bytes": image.ram_bytes(),
        "ram_words": image.memory().words(),
        "state_words": image.memory().saved_words(),
        "multiply_accumulates_per_step": macs(&image),
        "input": input,
        "layers": layers(&image, input_fraction(header.input)),
        "head": {
            "outputs": header.head.outputs,
            "task": format!("{:?}", header.head.task).to_lowercase(),
            "pooling": format!("{:?}", header.head.pooling).to_lowercase(),
            "format": format!("Q{}.{}", 31 - header.head.fraction, header.head.fraction),
            "shift": header.head.shift,
            "weight_scales": weight_scales(head, header.head.shift, HIDDEN_FRACTION, header.head.fraction),
            "labels": header.labels.split('\n').collect::<Vec<_>>(),
        },
        "golden": { "sequences": golden.len(), "steps": golden.iter().map(|sequence| sequence.steps()).sum::<usize>() },
    }))
}

/// The scalers in the unit of the training data: `scaled = (value - offset) / scale`.
fn channels(image: &Image<'_>, fraction: u8) -> Vec<Value> {
    let scalers = image.input().feature_scalers().collect::<Vec<_>>();
    let channels = image.channels().zip(scalers).map(|(name, scaler)| {
        let unit = f64::from(scaler.raw_fraction).exp2();
        let shifted = unit * f64::from(scaler.pre_shift).exp2();
        json!({
            "name": name, "offset": f64::from(scaler.offset) / shifted,
            "scale": f64::from(fraction).exp2() / (scaler.requantizer.factor() * shifted),
            "raw_fraction": scaler.raw_fraction,
            "smallest": f64::from(scaler.min) / unit, "largest": f64::from(scaler.max) / unit,
        })
    });
    channels.collect()
}

/// Fraction bits of a hidden state.
const HIDDEN_FRACTION: u8 = 15;

fn input_fraction(input: InputShape) -> u8 {
    match input {
        InputShape::Features { fraction, .. } | InputShape::Tokens { fraction, .. } => fraction,
    }
}

/// Smallest and largest real value of one unit of int8, over the rows with these multipliers: what turns activations with
/// `from` fraction bits into sums with `to` of them, shifted left by `shift` (NUMERICS §3.1).
fn weight_scales(multipliers: impl Iterator<Item = i32>, shift: u8, from: u8, to: u8) -> Value {
    let unit = (f64::from(from) + f64::from(shift) - 16.0 - f64::from(to)).exp2();
    let scales = multipliers.map(|multiplier| f64::from(multiplier) * unit).filter(|&scale| scale > 0.0);
    let (smallest, largest) =
        scales.fold((f64::INFINITY, 0.0f64), |(low, high), scale| (low.min(scale), high.max(scale)));
    if largest == 0.0 { Value::Null } else { json!({ "smallest": smallest, "largest": largest }) }
}

fn layers(image: &Image<'_>, input_fraction: u8) -> Vec<Value> {
    let mut fraction = input_fraction;
    let layers = image.layers().map(|layer| {
        let from = std::mem::replace(&mut fraction, HIDDEN_FRACTION);
        let (to, shift) = (limits::PREACTIVATION_FRACTION, layer.shape.shift);
        let multipliers = layer.multipliers.iter().map(|&word| Multipliers::from_word(word));
        json!({
            "cell": layer.shape.cell.name(), "inputs": layer.input.columns, "hidden": layer.shape.hidden,
            "weights": format!("{:?}", layer.shape.weights).to_lowercase(),
            "cell_fraction": layer.shape.cell_fraction, "shift": shift,
            "weight_scales": {
                "input": weight_scales(multipliers.clone().map(Multipliers::input), shift, from, to),
                "recurrent": weight_scales(multipliers.map(Multipliers::recurrent), shift, HIDDEN_FRACTION, to),
            },
        })
    });
    layers.collect()
}

/// The zeros that fill up tiles and rows are no part of the model.
fn macs(image: &Image<'_>) -> usize {
    let layers = image.layers().map(|layer| {
        let units = usize::from(layer.shape.hidden);
        layer.shape.cell.gate_count() * units * (layer.input.columns + units)
    });
    layers.sum::<usize>() + usize::from(image.head().shape.outputs) * image.head().weights.columns
}

/// JSON as an indented outline: short lists on their line, long ones cut.
fn text(value: &Value, depth: usize) -> String {
    let Value::Object(map) = value else { return format!("{}\n", inline(value)) };
    let indent = "  ".repeat(depth);
    let mut out = String::new();
    for (key, value) in map {
        let label = key;
        match value {
            Value::Null => {}
            Value::Object(map) if map.is_empty() => {}
            Value::Object(_) => out += &format!("{indent}{label}:\n{}", text(value, depth + 1)),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                out += &format!("{indent}{label}:\n");
                for item in items {
                    out += &format!("{indent}  - {}\n", inline(item));
                }
            }
            Value::Number(number) if key.ends_with("_bytes") => {
                let count = number.as_u64().unwrap_or(0) as usize;
                out += &format!("{indent}{label}: {}\n", bytes(count));
            }
            _ => out += &format!("{indent}{label}: {}\n", inline(value)),
        }
    }
    out
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float != 0.0 && float.abs() < 0.001 => format!("{float:.3e}"),
            Some(float) if number.is_f64() => format!("{float:.4}"),
            _ => number.to_string(),
        },
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let fields = map.iter().filter(|(_, value)| !value.is_null());
            fields.map(|(key, value)| format!("{key} {}", inline(value))).collect::<Vec<_>>().join(", ")
        }
        plain => plain.to_string(),
    }
}
