//! `emberloop run`: samples in, scores out, one line each, for as long as the pipe is open.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use emberloop_engine::{Network, Output};
use emberloop_image::Header;
use serde_json::json;

use crate::model::ImageFile;
use crate::output;
use crate::samples::SampleReader;

/// Run a device image on samples from stdin, one line in, one line out, with the board's own arithmetic.
///
/// A line holds one sample: numbers separated by commas (in the unit of the training data; an empty field or NaN is
/// missing), or one token. A first line that names the channels chooses and orders columns. An empty line starts a new
/// sequence, and so does a new value in the --sequence column. Each line of output: the label and its probability, or the
/// values of a regression.
#[derive(Args)]
pub struct Run {
    /// The image (.ember).
    model: PathBuf,
    /// The column (named in the first line) that groups rows into sequences, as in the training data.
    #[arg(long, value_name = "COLUMN")]
    sequence: Option<String>,
    /// Samples are raw integers already, as the board's driver delivers them.
    #[arg(long)]
    raw: bool,
}

impl Run {
    /// Runs the command.
    pub fn run(self, json: bool) -> Result<()> {
        let file = ImageFile::read(&self.model)?;
        let image = file.parse()?;
        let mut reader = SampleReader::new(&file, &image, self.raw, self.sequence)?;
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
            let text = reader.trim(&line);
            if text.is_empty() {
                network.reset();
                step = 0;
                continue;
            }
            let Some(sample) = reader.sample(text, number)? else { continue };
            if sample.starts_sequence {
                network.reset();
                step = 0;
            }
            let output = network.step(&sample.raw).map_err(|error| reader.explain(error, number))?;
            step += 1;
            write_output(&mut stdout, &output, image.header(), step, json)?;
            // Whoever feeds us line by line wants the answer before the next line.
            stdout.flush()?;
        }
        let counters = network.counters();
        let say = |count: u64, what: &str| {
            if count > 0 {
                output::message(&format!("note: {what}: {count}"));
            }
        };
        say(u64::from(counters.clipped), "numbers beyond the scaler's range, clipped to it");
        say(u64::from(counters.missing), "missing numbers, filled in by the model's policy");
        say(reader.unknown_tokens(), "tokens that training never showed");
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
        // A label may hold a comma.
        let mut line = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        line.write_record([label, &format!("{probability:.4}")])?;
        out.write_all(&line.into_inner()?)?;
    }
    Ok(())
}
