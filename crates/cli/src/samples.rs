//! Lines of text to raw samples.

use anyhow::{Context, Result, anyhow, bail};
use emberloop_data::Inputs;
use emberloop_engine::{Image, MISSING, StepError, from_f32_bits};
use emberloop_image::InputShape;

use crate::model::{self, ImageFile};
use crate::output;
use crate::source::REFUSES_MISSING;

/// Turns lines into raw samples.
pub struct SampleReader {
    /// What a sample is made of: the channels, or the one column of tokens.
    names: Vec<String>,
    /// What a field is.
    kind: Kind,
    /// The column that groups rows, by name, and then by place once a header has been seen.
    sequence: Option<(String, Option<usize>)>,
    /// The sequence of the row before.
    current: Option<String>,
    /// Where each name's column is, once a header has said so, and how many columns there are.
    header: Option<(Vec<usize>, usize)>,
    raw: bool,
    first: bool,
    unknown: u64,
}

/// What a field is.
enum Kind {
    /// A number with so many fraction bits, by channel.
    Numbers { fractions: Vec<i8> },
    /// A token; the vocabulary is empty where no checkpoint beside the image knows it.
    Token { vocabulary: Vec<String> },
}

/// One sample.
pub struct Sample {
    /// As the board's driver would deliver it.
    pub raw: Vec<i32>,
    /// Whether the state is to be forgotten first.
    pub starts_sequence: bool,
}

impl SampleReader {
    /// For an image; `sequence` is the column that groups rows.
    pub fn new(file: &ImageFile, image: &Image<'_>, raw: bool, sequence: Option<String>) -> Result<Self> {
        let kind = match image.header().input {
            InputShape::Features { .. } => {
                Kind::Numbers { fractions: image.input().feature_scalers().map(|scaler| scaler.raw_fraction).collect() }
            }
            InputShape::Tokens { .. } => {
                let inputs = model::checkpoint_beside(file).map(|found| found.metadata.schema.inputs);
                let vocabulary = match inputs {
                    Some(Inputs::Tokens { vocabulary, .. }) => vocabulary,
                    Some(Inputs::Channels(_)) | None => Vec::new(),
                };
                Kind::Token { vocabulary }
            }
        };
        let names = image.channels().map(str::to_string).collect();
        let sequence = sequence.map(|column| (column, None));
        Ok(Self { names, kind, sequence, current: None, header: None, raw, first: true, unknown: 0 })
    }

    /// Tokens so far that training never showed.
    pub fn unknown_tokens(&self) -> u64 {
        self.unknown
    }

    /// A line without its end and, unless it may be a token, without the blanks around it: a blank is a token like any
    /// other.
    pub fn trim<'l>(&self, line: &'l str) -> &'l str {
        match self.kind {
            Kind::Numbers { .. } => line.trim(),
            Kind::Token { .. } => line.trim_end_matches(['\r', '\n']),
        }
    }

    /// The sample of a line; `None` for a header.
    pub fn sample(&mut self, text: &str, line: usize) -> Result<Option<Sample>> {
        let record = csv::ReaderBuilder::new()
            .has_headers(false)
            .trim(if matches!(self.kind, Kind::Token { .. }) { csv::Trim::None } else { csv::Trim::All })
            .from_reader(text.as_bytes())
            .into_records()
            .next()
            .transpose()
            .with_context(|| format!("stdin, line {line}"))?
            .unwrap_or_default();
        let fields: Vec<&str> = record.iter().collect();
        if std::mem::take(&mut self.first) && self.take_header(&fields, line)? {
            return Ok(None);
        }
        let starts_sequence = self.starts_sequence(&fields, line)?;
        let raw = match (&self.kind, &self.header) {
            // Without a header a line is a token, commas and all.
            (Kind::Token { .. }, None) => vec![self.token(text, line)?],
            (Kind::Token { .. }, Some((columns, width))) => {
                check_width(&fields, *width, line)?;
                let column = columns[0];
                vec![self.token(fields[column], line)?]
            }
            (Kind::Numbers { fractions }, header) => {
                let all: Vec<usize> = (0..self.names.len()).collect();
                let (columns, width) =
                    header.as_ref().map_or((&all, self.names.len()), |(columns, width)| (columns, *width));
                check_width(&fields, width, line)?;
                let channels = columns.iter().zip(fractions).zip(&self.names);
                let numbers =
                    channels.map(|((&column, &fraction), name)| self.number(fields[column], fraction, name, line));
                numbers.collect::<Result<Vec<i32>>>()?
            }
        };
        Ok(Some(Sample { raw, starts_sequence }))
    }

    /// Whether the first line names columns; then it says where each is.
    fn take_header(&mut self, fields: &[&str], line: usize) -> Result<bool> {
        if !fields.iter().any(|field| self.names.iter().any(|name| name == field)) {
            if let Some((column, _)) = &self.sequence {
                bail!(
                    "stdin, line {line}: expected a header that names the column {column:?} of --sequence, found none"
                );
            }
            return Ok(false);
        }
        let place = |name: &String| {
            let mut places = fields.iter().enumerate().filter(|(_, field)| *field == name).map(|(place, _)| place);
            match (places.next(), places.next()) {
                (Some(place), None) => Ok(place),
                (Some(_), Some(_)) => Err(anyhow!("stdin, line {line}: the header names {name:?} twice")),
                (None, _) => {
                    Err(anyhow!("stdin, line {line}: the header lacks {name:?}; it has {}", fields.join(", ")))
                }
            }
        };
        let columns = self.names.iter().map(place).collect::<Result<Vec<_>>>()?;
        if let Some((column, at)) = &mut self.sequence {
            *at = Some(place(column)?);
        }
        let sequence = self.sequence.as_ref().and_then(|(_, at)| *at);
        let unused =
            fields.iter().enumerate().filter(|(place, _)| !columns.contains(place) && Some(*place) != sequence);
        let unused: Vec<&str> = unused.map(|(_, field)| *field).collect();
        if !unused.is_empty() {
            let hint = if sequence.is_none() {
                "; if one of them groups rows into sequences, name it by --sequence"
            } else {
                ""
            };
            output::message(&format!("note: columns that the model does not use: {}{hint}", unused.join(", ")));
        }
        self.header = Some((columns, fields.len()));
        Ok(true)
    }

    fn starts_sequence(&mut self, fields: &[&str], line: usize) -> Result<bool> {
        let Some((name, Some(column))) = &self.sequence else { return Ok(false) };
        let value =
            fields.get(*column).with_context(|| format!("stdin, line {line}: expected a {name}, found none"))?;
        let starts = self.current.as_deref() != Some(*value);
        self.current = Some(value.to_string());
        Ok(starts)
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

    fn token(&mut self, text: &str, line: usize) -> Result<i32> {
        if let Kind::Token { vocabulary } = &self.kind
            && !self.raw
            && !vocabulary.is_empty()
        {
            // Entry 0 stands for whatever training never showed.
            let id = vocabulary.iter().position(|token| token == text).unwrap_or(0);
            self.unknown += u64::from(id == 0);
            return Ok(id as i32);
        }
        text.parse().map_err(|_| anyhow!("stdin, line {line}: expected a token's number, found {text:?}"))
    }

    /// The engine knows channels by number; people, by name.
    pub fn explain(&self, error: StepError, line: usize) -> anyhow::Error {
        match error {
            StepError::Missing { feature } => anyhow!(
                "stdin, line {line}, {}: expected a number, found none ({REFUSES_MISSING})",
                self.names.get(feature).map_or("?", String::as_str)
            ),
            error => anyhow!("stdin, line {line}: {error}"),
        }
    }
}

fn check_width(fields: &[&str], width: usize, line: usize) -> Result<()> {
    if fields.len() == width {
        return Ok(());
    }
    bail!("stdin, line {line}: expected {width} numbers, found {}", fields.len())
}
