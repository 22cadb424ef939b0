//! A CSV file as columns of the few kinds that the configuration names.

use std::path::{Path, PathBuf};

use csv::ByteRecord;
use sha2::{Digest, Sha256};

use super::{Request, SourceInputs, SourceTargets};
use crate::error::DataError;
use crate::names::{Names, nearest};

/// Stands for a missing label.
pub(crate) const MISSING: usize = usize::MAX;

/// The rows of a CSV file, column by column.
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) hash: String,
    /// The line of each row, from 1, the header's line included.
    pub(crate) lines: Vec<u64>,
    pub(crate) inputs: SourceInputs,
    /// `[rows, width]`: values, NaN where missing; or the numbers of tokens.
    pub(crate) values: Vec<f32>,
    pub(crate) targets: SourceTargets,
    /// The label's number for each row, [`MISSING`] where there is none; empty without labels.
    pub(crate) labels: Vec<usize>,
    /// `[rows, outputs]`, NaN where missing; empty without values.
    pub(crate) target_values: Vec<f32>,
    pub(crate) sequence: Option<TextColumn>,
    pub(crate) group: Option<TextColumn>,
    pub(crate) step: Option<Vec<String>>,
    /// Columns that are not numeric and that nothing names.
    pub(crate) left_out: Vec<String>,
}

/// A column of few distinct texts.
#[derive(Default)]
pub(crate) struct TextColumn {
    pub(crate) names: Names,
    /// The text's number, for each row.
    pub(crate) rows: Vec<usize>,
}

impl Table {
    pub(crate) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Numbers per row of `values`.
    pub(crate) fn width(&self) -> usize {
        match &self.inputs {
            SourceInputs::Channels(names) => names.len(),
            SourceInputs::Tokens { .. } => 1,
        }
    }

    pub(crate) fn read(path: &Path, delimiter: u8, request: Request<'_>) -> Result<Table, DataError> {
        let bytes = super::bytes(path)?;
        let mut hash = Sha256::new();
        hash.update(&bytes);
        // Spreadsheets put a byte order mark before the header.
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let mut reader = Reader::new(path, text, delimiter)?;
        let layout = Layout::new(&reader, request)?;
        let (layout, left_out) = layout.settle_channels(&reader, request)?;
        let mut table = layout.empty_table(&reader, super::digits(hash), left_out);
        while let Some(row) = reader.next_row()? {
            layout.push(&mut table, &row, request)?;
        }
        if table.rows() == 0 {
            return Err(reader.no_rows());
        }
        Ok(table)
    }
}

/// Rows of a CSV, each with as many fields as the header.
struct Reader<'a> {
    path: &'a Path,
    text: &'a [u8],
    delimiter: u8,
    csv: csv::Reader<&'a [u8]>,
    header: Vec<String>,
    lines: Lines<'a>,
}

/// Counts lines as an editor does. The csv crate's own count is short: it stops behind the `\r` of `\r\n`, and before
/// empty lines.
struct Lines<'a> {
    /// What is not counted yet.
    rest: &'a [u8],
    /// The line that `rest` starts on, from 1.
    line: u64,
}

impl Lines<'_> {
    /// The line of the record that the csv crate says begins at `place`, counted from the start of the text.
    fn of_record(&mut self, text_length: usize, place: usize) -> u64 {
        let ahead = place.saturating_sub(text_length - self.rest.len()).min(self.rest.len());
        // What is left of the line before, and empty lines.
        let ends = self.rest[ahead..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (passed, rest) = self.rest.split_at(ahead + ends);
        let newlines = passed.iter().filter(|byte| **byte == b'\n').count();
        // A `\r` alone ends a line as well: old files.
        let returns =
            passed.iter().enumerate().filter(|(at, byte)| **byte == b'\r' && passed.get(at + 1) != Some(&b'\n'));
        self.line += (newlines + returns.count()) as u64;
        self.rest = rest;
        self.line
    }
}

struct Row<'a> {
    line: u64,
    record: ByteRecord,
    path: &'a Path,
    header: &'a [String],
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, text: &'a [u8], delimiter: u8) -> Result<Reader<'a>, DataError> {
        let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text);
        let header = csv.byte_headers().map(|header| {
            header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect::<Vec<String>>()
        });
        let mut reader =
            Reader { path, text, delimiter, csv, header: Vec::new(), lines: Lines { rest: text, line: 1 } };
        reader.header = header.map_err(|error| reader.wrong("line 1", "a header", &error.to_string()))?;
        if reader.header.is_empty() {
            return Err(reader.wrong("line 1", "a header that names the columns", "an empty file"));
        }
        if let [only] = reader.header.as_slice()
            && only.contains(';')
        {
            return Err(reader.wrong("line 1", "columns separated by commas", &format!("semicolons: {only}")));
        }
        let twice = reader.header.iter().enumerate().find(|(at, name)| reader.header[..*at].contains(name));
        if let Some((_, name)) = twice {
            return Err(reader.wrong("line 1", "a name of its own for each column", &format!("{name:?} twice")));
        }
        Ok(reader)
    }

    /// From the first row again.
    fn restarted(&self) -> Result<Reader<'a>, DataError> {
        Reader::new(self.path, self.text, self.delimiter)
    }

    fn next_row(&mut self) -> Result<Option<Row<'_>>, DataError> {
        let mut record = ByteRecord::new();
        match self.csv.read_byte_record(&mut record) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => return Err(self.wrong("somewhere", "CSV", &error.to_string())),
        }
        let place = record.position().map_or(0, csv::Position::byte);
        let line = self.lines.of_record(self.text.len(), place as usize);
        if record.len() != self.header.len() {
            let hint = match record.len() == self.header.len() + 1 && line <= 2 {
                true => " (does the header lack the name of a leading index column?)",
                false => "",
            };
            let expected = format!("{} fields as in the header", self.header.len());
            return Err(self.wrong(&format!("line {line}"), &expected, &format!("{}{hint}", record.len())));
        }
        Ok(Some(Row { line, record, path: self.path, header: &self.header }))
    }

    fn no_rows(&self) -> DataError {
        self.wrong("line 2", "a row of data", "the end of the file (a header without rows)")
    }

    fn wrong(&self, place: &str, expected: &str, found: &str) -> DataError {
        DataError::Content {
            path: self.path.to_owned(),
            place: place.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The place of a named column.
    fn column(&self, name: &str) -> Result<usize, DataError> {
        match self.header.iter().position(|column| column == name) {
            Some(column) => Ok(column),
            None => Err(DataError::NotThere {
                path: self.path.to_owned(),
                what: "column",
                name: name.into(),
                nearest: nearest(name, &self.header),
                known: self.header.clone(),
            }),
        }
    }
}

impl Row<'_> {
    /// The cell as it stands, blanks included.
    fn text(&self, column: usize) -> Result<&str, DataError> {
        std::str::from_utf8(&self.record[column]).map_err(|_| {
            self.wrong(column, "text in UTF-8", &format!("{:?}", String::from_utf8_lossy(&self.record[column])))
        })
    }

    /// The cell without the blanks around it; a cell without a value is an error.
    fn name(&self, column: usize) -> Result<&str, DataError> {
        match self.text(column)?.trim() {
            "" => Err(self.wrong(column, "a value", "an empty cell")),
            text => Ok(text),
        }
    }

    /// The cell as a number, NaN where it is missing.
    fn number(&self, column: usize, missing: &[String]) -> Result<f32, DataError> {
        let text = self.text(column)?.trim();
        if missing.iter().any(|value| value == text) {
            return Ok(f32::NAN);
        }
        match text.parse::<f32>() {
            Ok(value) if value.is_infinite() => Err(self.wrong(column, "a finite number", &format!("{text:?}"))),
            Ok(value) => Ok(value),
            Err(_) => Err(self.wrong(column, "a number", &format!("{text:?}"))),
        }
    }

    fn place(&self, column: usize) -> String {
        format!("line {}, column {}", self.line, self.header[column])
    }

    fn wrong(&self, column: usize, expected: &str, found: &str) -> DataError {
        DataError::Content {
            path: self.path.to_owned(),
            place: self.place(column),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// Which column is what.
#[derive(Default)]
struct Layout {
    sequence: Option<usize>,
    step: Option<usize>,
    group: Option<usize>,
    token: Option<usize>,
    channels: Vec<usize>,
    targets: Vec<usize>,
    classes: bool,
}

impl Layout {
    /// Everything but the default channels.
    fn new(reader: &Reader<'_>, request: Request<'_>) -> Result<Layout, DataError> {
        let config = request.config;
        let optional = |name: &Option<String>| name.as_ref().map(|name| reader.column(name)).transpose();
        // Only a split needs the groups: a file for a trained model may do without the column.
        let group = match optional(&config.group) {
            Err(_) if request.schema.is_some() => None,
            group => group?,
        };
        let targets = match (&config.target, request.targets) {
            (_, false) => Vec::new(),
            (None, true) => vec![reader.column("label")?],
            (Some(columns), true) => {
                columns.names().iter().map(|name| reader.column(name)).collect::<Result<_, _>>()?
            }
        };
        let channels = request.channels().unwrap_or(&[]);
        Ok(Layout {
            sequence: optional(&config.sequence)?,
            step: optional(&config.step)?,
            group,
            token: request.token().map(|name| reader.column(name)).transpose()?,
            channels: channels.iter().map(|name| reader.column(name)).collect::<Result<_, _>>()?,
            targets,
            classes: request.classes(),
        })
    }

    /// Without named channels: every column that nothing else names and whose first value is a number.
    ///
    /// The first value decides, so that a stray text further down is an error and not a lost channel.
    fn settle_channels(
        mut self,
        reader: &Reader<'_>,
        request: Request<'_>,
    ) -> Result<(Layout, Vec<String>), DataError> {
        if self.token.is_some() || !self.channels.is_empty() {
            return Ok((self, Vec::new()));
        }
        let named = [self.sequence, self.step, self.group];
        let free = |column: &usize| !named.contains(&Some(*column)) && !self.targets.contains(column);
        let mut open: Vec<usize> = (0..reader.header.len()).filter(free).collect();
        let missing = &request.config.missing_values;
        // Without a row, no column is numeric; that is not what should be said.
        if reader.restarted()?.next_row()?.is_none() {
            return Err(reader.no_rows());
        }
        let mut rows = reader.restarted()?;
        while let (false, Some(row)) = (open.is_empty(), rows.next_row()?) {
            open.retain(|&column| match row.number(column, missing) {
                Ok(value) if value.is_nan() => true,
                Ok(_) => {
                    self.channels.push(column);
                    false
                }
                Err(_) => false,
            });
        }
        self.channels.sort_unstable();
        if self.channels.is_empty() {
            let columns = reader.header.join(", ");
            return Err(reader.wrong("header", "at least one numeric column that no other key names", &columns));
        }
        let free = |column: &usize| !named.contains(&Some(*column)) && !self.targets.contains(column);
        let left_out = (0..reader.header.len()).filter(free).filter(|column| !self.channels.contains(column));
        let left_out = left_out.map(|column| reader.header[column].clone()).collect();
        Ok((self, left_out))
    }

    fn empty_table(&self, reader: &Reader<'_>, hash: String, left_out: Vec<String>) -> Table {
        let names = |columns: &[usize]| columns.iter().map(|&column| reader.header[column].clone()).collect();
        Table {
            path: reader.path.to_owned(),
            hash,
            lines: Vec::new(),
            inputs: match self.token {
                Some(column) => {
                    SourceInputs::Tokens { column: reader.header[column].clone(), tokens: Names::default() }
                }
                None => SourceInputs::Channels(names(&self.channels)),
            },
            values: Vec::new(),
            targets: match (self.targets.is_empty(), self.classes) {
                (true, _) => SourceTargets::Absent,
                (false, true) => SourceTargets::Labels(Names::default()),
                (false, false) => SourceTargets::Values(names(&self.targets)),
            },
            labels: Vec::new(),
            target_values: Vec::new(),
            sequence: self.sequence.map(|_| TextColumn::default()),
            group: self.group.map(|_| TextColumn::default()),
            step: self.step.map(|_| Vec::new()),
            left_out,
        }
    }

    fn push(&self, table: &mut Table, row: &Row<'_>, request: Request<'_>) -> Result<(), DataError> {
        let missing = &request.config.missing_values;
        table.lines.push(row.line);
        if let (SourceInputs::Tokens { tokens, .. }, Some(column)) = (&mut table.inputs, self.token) {
            // A token is what it is: a blank or a question mark may well be one.
            let id = match row.text(column)? {
                "" => return Err(row.wrong(column, "a token", "an empty cell")),
                text => tokens.id(text, || row.place(column)),
            };
            table.values.push(id as f32);
        }
        for &column in &self.channels {
            table.values.push(row.number(column, missing)?);
        }
        match &mut table.targets {
            SourceTargets::Labels(names) => {
                let column = self.targets[0];
                let text = row.text(column)?.trim();
                let absent = missing.iter().any(|value| value == text);
                table.labels.push(if absent { MISSING } else { names.id(text, || row.place(column)) });
            }
            SourceTargets::Values(_) => {
                for &column in &self.targets {
                    table.target_values.push(row.number(column, missing)?);
                }
            }
            SourceTargets::Absent => {}
        }
        for (column, place) in [(&mut table.sequence, self.sequence), (&mut table.group, self.group)] {
            if let (Some(column), Some(place)) = (column, place) {
                let id = column.names.id(row.name(place)?, || row.place(place));
                column.rows.push(id);
            }
        }
        if let (Some(steps), Some(place)) = (&mut table.step, self.step) {
            steps.push(row.name(place)?.to_owned());
        }
        Ok(())
    }
}
