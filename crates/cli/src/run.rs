//! `emberloop run`: samples in, scores out, one line each, for as long as the pipe is open.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use emberloop_engine::{Image, MISSING, Network, Output, StepError, from_f32_bits};
use emberloop_image::{Header, InputShape};
use serde_json::json;

use crate::model::{self, ImageFile};
use crate::output;

/// Run a device image on samples from stdin, one line in, one line out, with the board's own arithmetic.
///
/// A line holds one sample: numbers separated by commas (in the unit of the training data; an empty field or NaN is
/// missing), or one token. A first line that names the channels chooses and orders columns. An empty line starts a new
/// sequence. Each line of output: the label and its probability, or the values of a regression.
#[derive(Args)]
pub struct Run {
    /// The image (.ember).
    model: PathBuf,
    /// Samples are raw integers already, as the board's driver delivers them.
    #[arg(long)]
    raw: bool,
}

impl Run {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let file = ImageFile::read(&self.model)?;
        let image = file.parse()?;
        let mut reader = SampleReader::new(&file, &image, self.raw)?;
        let mut network = Network::new(&image, vec![0; image.memory().words()])?;
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let mut stdin = io::stdin().lock();
        let (mut line, mut number, mut step) = (String::new(), 0usize, 0usize);
        loop {
            line.clear();
            number += 1;
            if stdin.read_line(&mut line).with_context(|| format!("stdin, line {number}: cannot read"))? == 0 {
                break;
            }
            let text = line.trim();
            if text.is_empty() {
                network.reset();
                step = 0;
                continue;
            }
            let Some(sample) = reader.sample(text, number)? else { continue };
            let output = network.step(&sample).map_err(|error| reader.explain(error, number))?;
            step += 1;
            write_output(&mut stdout, &output, image.header(), step, json)?;
            // Whoever feeds us line by line wants the answer before the next line.
            stdout.flush()?;
        }
        let counters = network.counters();
        if counters.clipped > 0 {
            output::message(&format!("note: {} numbers were beyond the scaler's range and clipped", counters.clipped));
        }
        if counters.missing > 0 {
            output::message(&format!(
                "note: {} numbers were missing and filled in by the model's policy",
                counters.missing
            ));
        }
        Ok(())
    }
}

fn write_output(out: &mut impl Write, output: &Output<'_>, header: &Header<'_>, step: usize, json: bool) -> Result<()> {
    let unit = f64::from(output.fraction()).exp2();
    let values: Vec<f64> = output.values().iter().map(|&value| f64::from(value) / unit).collect();
    let Some(class) = output.class() else {
        if json {
            let named: serde_json::Map<_, _> =
                header.labels.split('\n').map(str::to_string).zip(values.iter().map(|&value| json!(value))).collect();
            writeln!(out, "{}", json!({ "step": step, "values": named }))?;
        } else {
            let shown: Vec<String> = values.iter().map(|value| format!("{value:.6}")).collect();
            writeln!(out, "{}", shown.join(","))?;
        }
        return Ok(());
    };
    let mut probabilities = vec![0u16; values.len()];
    output.probabilities(&mut probabilities);
    let probability = f64::from(probabilities[class]) / 32_768.0;
    let label = output.label().unwrap_or_default();
    if json {
        writeln!(
            out,
            "{}",
            json!({ "step": step, "label": label, "class": class, "probability": probability, "logits": values })
        )?;
    } else {
        writeln!(out, "{label},{probability:.4}")?;
    }
    Ok(())
}

/// Turns lines into raw samples.
struct SampleReader {
    /// Channel names, or nothing for tokens.
    channels: Vec<String>,
    /// Fraction bits of each channel's raw number.
    fractions: Vec<i8>,
    /// For each channel, the column that holds it.
    columns: Vec<usize>,
    /// Fields per line.
    width: usize,
    /// For tokens: their names, where a checkpoint beside the image knows them.
    vocabulary: Vec<String>,
    raw: bool,
    first: bool,
}

impl SampleReader {
    fn new(file: &ImageFile, image: &Image<'_>, raw: bool) -> Result<Self> {
        let (channels, vocabulary) = match image.header().input {
            InputShape::Features { .. } => (image.channels().map(str::to_string).collect(), Vec::new()),
            InputShape::Tokens { .. } => {
                let vocabulary = match model::checkpoint_beside(file).map(|found| found.metadata.schema.inputs) {
                    Some(emberloop_data::Inputs::Tokens { vocabulary, .. }) => vocabulary,
                    _ => Vec::new(),
                };
                (Vec::new(), vocabulary)
            }
        };
        let fractions: Vec<i8> = image.input().feature_scalers().map(|scaler| scaler.raw_fraction).collect();
        let width = fractions.len().max(1);
        Ok(Self { columns: (0..width).collect(), width, channels, fractions, vocabulary, raw, first: true })
    }

    /// The sample of a line; `None` for a header.
    fn sample(&mut self, text: &str, line: usize) -> Result<Option<Vec<i32>>> {
        let is_first = std::mem::take(&mut self.first);
        if self.channels.is_empty() {
            return self.token(text, line).map(|token| Some(vec![token]));
        }
        let record = csv::ReaderBuilder::new()
            .has_headers(false)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes())
            .into_records()
            .next()
            .transpose()
            .with_context(|| format!("stdin, line {line}"))?
            .unwrap_or_default();
        let fields: Vec<&str> = record.iter().collect();
        if is_first && self.take_header(&fields, line)? {
            return Ok(None);
        }
        if fields.len() != self.width {
            bail!("stdin, line {line}: expected {} numbers, found {}", self.width, fields.len());
        }
        let channels = self.columns.iter().zip(&self.fractions).zip(&self.channels);
        let sample =
            channels.map(|((&column, &fraction), channel)| self.number(fields[column], fraction, channel, line));
        sample.collect::<Result<Vec<i32>>>().map(Some)
    }

    /// Whether the first line names columns; then it says where each channel is.
    fn take_header(&mut self, fields: &[&str], line: usize) -> Result<bool> {
        let names_a_channel = fields.iter().any(|field| self.channels.iter().any(|channel| channel == field));
        if !names_a_channel {
            return Ok(false);
        }
        let place = |channel: &String| {
            let found = fields.iter().position(|field| field == channel);
            found.with_context(|| format!("stdin, line {line}: the header lacks the model's channel {channel:?}"))
        };
        self.columns = self.channels.iter().map(place).collect::<Result<_>>()?;
        self.width = fields.len();
        Ok(true)
    }

    fn number(&self, field: &str, fraction: i8, channel: &str, line: usize) -> Result<i32> {
        if matches!(field, "" | "NA" | "NaN" | "nan" | "?") {
            return Ok(MISSING);
        }
        let wrong = |expected: &str| anyhow!("stdin, line {line}, {channel}: expected {expected}, found {field:?}");
        if self.raw {
            return field.parse::<i32>().map_err(|_| wrong("an integer of 32 bits"));
        }
        let value: f32 = field.parse().map_err(|_| wrong("a number"))?;
        if value.is_nan() {
            return Ok(MISSING);
        }
        if value.is_infinite() {
            return Err(wrong("a finite number"));
        }
        Ok(from_f32_bits(value.to_bits(), fraction))
    }

    /// The engine knows channels by number; people, by name.
    fn explain(&self, error: StepError, line: usize) -> anyhow::Error {
        match error {
            StepError::Missing { feature } => anyhow!(
                "stdin, line {line}, {}: expected a number, found none, which this model's policy is to refuse",
                self.channels.get(feature).map_or("?", String::as_str)
            ),
            error => anyhow!("stdin, line {line}: {error}"),
        }
    }

    fn token(&self, text: &str, line: usize) -> Result<i32> {
        if !self.raw && !self.vocabulary.is_empty() {
            // Entry 0 stands for whatever training never showed.
            return Ok(self.vocabulary.iter().position(|token| token == text).unwrap_or(0) as i32);
        }
        text.parse().map_err(|_| anyhow!("stdin, line {line}: expected a token's number, found {text:?}"))
    }
}
