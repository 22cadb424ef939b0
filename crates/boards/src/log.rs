//! The lines that the firmware logs, as values (firmware/README.md lists them).

use std::str::FromStr;

/// One step's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Index of the model, in the order of their names.
    pub model: usize,
    /// Index of the sequence within the model's test sequences.
    pub sequence: usize,
    /// Index of the step within the sequence.
    pub step: usize,
    /// The largest output's index, for a classification.
    pub class: Option<usize>,
    /// Every output.
    pub values: Vec<i32>,
}

/// What the firmware says of a model that passed its self-test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// The name of its file, without `.ember`.
    pub name: String,
    /// Bytes of the image in flash.
    pub image_bytes: usize,
    /// Bytes of the network's RAM.
    pub ram_bytes: usize,
    /// Number of test sequences.
    pub sequences: usize,
}

/// What a model took of the RAM, in bytes; only a build with `measure` logs it. Stacks are those below the caller's frame,
/// at worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Stack of checking the image and of building the network.
    pub prepare: usize,
    /// Stack of the self-test.
    pub self_test: usize,
    /// Stack of one step.
    pub step: usize,
    /// The checked image and the network: views of the flash and of the memory.
    pub views: usize,
}

/// The last line: what was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Models that passed their self-test.
    pub models: usize,
    /// Sequences run.
    pub sequences: usize,
    /// Steps run.
    pub steps: usize,
}

/// The whole log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub models: Vec<ModelFacts>,
    pub outputs: Vec<Output>,
    pub stacks: Vec<Measurement>,
    pub summary: Option<Summary>,
}

impl Log {
    /// Reads `LEVEL message` lines; those of other kinds are left alone.
    pub fn parse(lines: &[String]) -> Result<Self, String> {
        let mut log = Self::default();
        for line in lines {
            let Some(message) = line.trim_start().strip_prefix("INFO") else { continue };
            let message = message.trim_start();
            let (kind, fields) = message.split_once(' ').unwrap_or((message, ""));
            let fields = Fields { line, fields };
            match kind {
                "model" => log.models.push(fields.model()?),
                "output" => log.outputs.push(fields.output()?),
                "stack" => log.stacks.push(fields.stack()?),
                "done" => log.summary = Some(fields.summary()?),
                _ => {}
            }
        }
        Ok(log)
    }
}

/// `key=value` fields of a line, separated by spaces; a list is `[1, 2]` and comes last.
struct Fields<'a> {
    line: &'a str,
    fields: &'a str,
}

impl Fields<'_> {
    fn text(&self, key: &str) -> Result<&str, String> {
        let mut rest = self.fields;
        loop {
            let (name, value) = rest.split_once('=').ok_or_else(|| format!("expected `{key}=` in `{}`", self.line))?;
            let end = if value.starts_with('[') { value.len() } else { value.find(' ').unwrap_or(value.len()) };
            if name == key {
                return Ok(&value[..end]);
            }
            rest = value[end..].trim_start();
        }
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, String> {
        self.parse(key, self.text(key)?)
    }

    fn parse<T: FromStr>(&self, key: &str, text: &str) -> Result<T, String> {
        text.parse().map_err(|_| format!("expected a number after `{key}=`, found `{text}` in `{}`", self.line))
    }

    fn list(&self, key: &str) -> Result<Vec<i32>, String> {
        let text = self.text(key)?;
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let inner =
            inner.ok_or_else(|| format!("expected a list after `{key}=`, found `{text}` in `{}`", self.line))?;
        let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| self.parse(key, item)).collect()
    }

    fn model(&self) -> Result<ModelFacts, String> {
        Ok(ModelFacts {
            name: self.text("name")?.into(),
            image_bytes: self.number("image_bytes")?,
            ram_bytes: self.number("ram_bytes")?,
            sequences: self.number("sequences")?,
        })
    }

    fn output(&self) -> Result<Output, String> {
        let class: i32 = self.number("class")?;
        Ok(Output {
            model: self.number("model")?,
            sequence: self.number("sequence")?,
            step: self.number("step")?,
            class: usize::try_from(class).ok(),
            values: self.list("values")?,
        })
    }

    fn stack(&self) -> Result<Measurement, String> {
        Ok(Measurement {
            prepare: self.number("prepare")?,
            self_test: self.number("self_test")?,
            step: self.number("step")?,
            views: self.number("views")?,
        })
    }

    fn summary(&self) -> Result<Summary, String> {
        Ok(Summary {
            models: self.number("models")?,
            sequences: self.number("sequences")?,
            steps: self.number("steps")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Result<Log, String> {
        Log::parse(&lines.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn every_kind_of_line_is_read() {
        let log = parse(&[
            "INFO model name=vowels image_bytes=9000 ram_bytes=512 sequences=3",
            "INFO output model=0 sequence=1 step=2 class=8 values=[-1, 2147483647, -2147483648]",
            "INFO output model=0 sequence=1 step=3 class=-1 values=[]",
            "WARN output of another kind",
            "INFO stack prepare=100 self_test=300 step=200 views=400",
            "INFO done models=1 sequences=3 steps=40",
        ])
        .unwrap();
        assert_eq!(log.models[0].name, "vowels");
        assert_eq!(log.outputs[0].values, [-1, i32::MAX, i32::MIN]);
        assert_eq!((log.outputs[0].class, log.outputs[1].class), (Some(8), None));
        assert_eq!(log.outputs.len(), 2);
        assert_eq!(log.stacks, [Measurement { prepare: 100, self_test: 300, step: 200, views: 400 }]);
        assert_eq!(log.summary, Some(Summary { models: 1, sequences: 3, steps: 40 }));
    }

    #[test]
    fn a_damaged_line_is_named() {
        let message = parse(&["INFO output model=0 sequence=x step=2 class=8 values=[1]"]).unwrap_err();
        assert!(message.contains("found `x`"), "{message}");
        let message = parse(&["INFO output model=0 sequence=1 step=2 class=8 values=[1"]).unwrap_err();
        assert!(message.contains("expected a list"), "{message}");
        let message = parse(&["INFO done models=1 steps=2"]).unwrap_err();
        assert!(message.contains("expected `sequences=`"), "{message}");
    }
}
