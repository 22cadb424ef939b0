//! The sweep file: which configuration, which values, how they are chosen, and by what the runs are judged.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use toml_edit::{Document, Item, TableLike, Value};

/// A sweep file as it was written.
pub struct SweepFile {
    /// The base configuration, relative to the sweep file.
    pub config: PathBuf,
    pub method: Method,
    /// Of a random search.
    pub runs: usize,
    /// Of a random search.
    pub seed: u64,
    /// What the runs are ranked by, where the file says so.
    pub metric: Option<String>,
    pub direction: Option<Direction>,
    /// In the order of the file.
    pub parameters: Vec<Parameter>,
}

/// How values are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Every combination.
    Grid,
    /// Independent draws.
    Random,
}

/// Which way the metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Min,
    Max,
}

/// A key of the configuration, and what it may be.
pub struct Parameter {
    /// Dotted from the top.
    pub key: String,
    pub domain: Domain,
}

/// The values of one key.
#[derive(Clone, Debug)]
pub enum Domain {
    /// A list of anything.
    Values(Vec<Value>),
    /// From `min` to `max`, both included.
    Integers { min: i64, max: i64, log: bool, steps: Option<usize> },
    /// From `min` to `max`.
    Floats { min: f64, max: f64, log: bool, steps: Option<usize> },
}

const KEYS: [&str; 7] = ["config", "method", "runs", "seed", "metric", "direction", "parameters"];
const DOMAIN_KEYS: [&str; 5] = ["values", "min", "max", "log", "steps"];

/// The file's text, with the place of everything in it.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl SweepFile {
    /// Reads and checks a sweep file; whether its keys and values fit the configuration is not known here.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let source = Source { path, text };
        let document = Document::parse(text).map_err(|error| {
            let reason = error.message().lines().collect::<Vec<_>>().join(", ");
            anyhow!("{}: {reason}", source.place(error.span()))
        })?;
        let (mut config, mut method, mut runs, mut seed) = (None, Method::Grid, None, None);
        let (mut metric, mut direction, mut parameters) = (None, None, Vec::new());
        for (key, item) in document.iter() {
            match key {
                "config" => config = Some(PathBuf::from(source.string(key, item)?)),
                "method" => {
                    method = match source.string(key, item)? {
                        "grid" => Method::Grid,
                        "random" => Method::Random,
                        other => return source.refuse(item, key, "\"grid\" or \"random\"", format!("{other:?}")),
                    }
                }
                "runs" => runs = Some(source.count(key, item)?),
                "seed" => {
                    let number = item.as_integer().and_then(|number| u64::try_from(number).ok());
                    let Some(number) = number else {
                        return source.refuse(item, key, "an integer of at least 0", text_of(item));
                    };
                    seed = Some(number);
                }
                "metric" => metric = Some(source.string(key, item)?.to_string()),
                "direction" => {
                    direction = match source.string(key, item)? {
                        "min" => Some(Direction::Min),
                        "max" => Some(Direction::Max),
                        other => return source.refuse(item, key, "\"min\" or \"max\"", format!("{other:?}")),
                    }
                }
                "parameters" => {
                    let Some(table) = item.as_table_like() else {
                        return source.refuse(item, key, "a table of keys and their values", text_of(item));
                    };
                    source.parameters("", table, &mut parameters)?;
                }
                _ => bail!(
                    "{}: unknown key {key:?}; expected one of: {}",
                    source.place_of(document.key(key)),
                    KEYS.join(", ")
                ),
            }
        }
        let file = path.display();
        let Some(config) = config else {
            bail!("{file}: config: expected the configuration to start from, found none")
        };
        if parameters.is_empty() {
            bail!(
                "{file}: parameters: expected at least one, as in \"training.batch\" = {{ values = [16, 32] }}, found none"
            );
        }
        for (index, parameter) in parameters.iter().enumerate() {
            if parameters[..index].iter().any(|other| other.key == parameter.key) {
                bail!("{file}: parameters: {} is there twice", parameter.key);
            }
        }
        match method {
            Method::Grid if runs.is_some() || seed.is_some() => {
                bail!("{file}: runs and seed: expected only with method = \"random\", found with \"grid\"")
            }
            Method::Random if runs.is_none() => {
                bail!("{file}: runs: expected how many runs a random search has, found none")
            }
            Method::Grid | Method::Random => {}
        }
        let file =
            Self { config, method, runs: runs.unwrap_or(0), seed: seed.unwrap_or(1), metric, direction, parameters };
        file.check_steps(path)?;
        Ok(file)
    }

    /// A range has so many points in a grid, and no steps in a random search.
    fn check_steps(&self, path: &Path) -> Result<()> {
        for Parameter { key, domain } in &self.parameters {
            let (Domain::Integers { steps, .. } | Domain::Floats { steps, .. }) = domain else { continue };
            match (self.method, steps) {
                (Method::Grid, None) => bail!(
                    "{}: parameters.{key}: expected values, or a range with steps, as method is \"grid\"; found a range \
                     without",
                    path.display()
                ),
                (Method::Random, Some(_)) => bail!(
                    "{}: parameters.{key}.steps: expected only with method = \"grid\", found with \"random\"",
                    path.display()
                ),
                (Method::Grid, Some(_)) | (Method::Random, None) => {}
            }
        }
        Ok(())
    }
}

impl Source<'_> {
    fn place(&self, span: Option<std::ops::Range<usize>>) -> String {
        match span {
            Some(span) => {
                let line = 1 + self.text.bytes().take(span.start).filter(|&byte| byte == b'\n').count();
                format!("{}, line {line}", self.path.display())
            }
            None => self.path.display().to_string(),
        }
    }

    fn place_of(&self, key: Option<&toml_edit::Key>) -> String {
        self.place(key.and_then(toml_edit::Key::span))
    }

    fn refuse<T>(&self, item: &Item, key: &str, expected: &str, found: impl fmt::Display) -> Result<T> {
        bail!("{}: {key}: expected {expected}, found {found}", self.place(item.span()))
    }

    fn string<'a>(&self, key: &str, item: &'a Item) -> Result<&'a str> {
        match item.as_str() {
            Some(text) => Ok(text),
            None => self.refuse(item, key, "a string", text_of(item)),
        }
    }

    fn count(&self, key: &str, item: &Item) -> Result<usize> {
        match item.as_integer().and_then(|number| usize::try_from(number).ok()) {
            Some(count @ 1..=MOST_RUNS) => Ok(count),
            _ => self.refuse(item, key, &format!("1 to {MOST_RUNS}"), text_of(item)),
        }
    }

    /// Keys may be dotted, quoted or tables in tables: all mean the same.
    fn parameters(&self, prefix: &str, table: &dyn TableLike, all: &mut Vec<Parameter>) -> Result<()> {
        for (key, item) in table.iter() {
            let key = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
            let Some(inner) = item.as_table_like() else {
                let expected = "{ values = [...] } or { min = ..., max = ... }";
                return self.refuse(item, &format!("parameters.{key}"), expected, text_of(item));
            };
            if DOMAIN_KEYS.iter().any(|name| inner.contains_key(name)) {
                all.push(Parameter { domain: self.domain(&key, item, inner)?, key });
            } else if inner.is_empty() {
                let expected = "{ values = [...] } or { min = ..., max = ... }";
                return self.refuse(item, &format!("parameters.{key}"), expected, "{}");
            } else {
                self.parameters(&key, inner, all)?;
            }
        }
        Ok(())
    }

    fn domain(&self, key: &str, item: &Item, table: &dyn TableLike) -> Result<Domain> {
        let key = format!("parameters.{key}");
        if let Some((name, _)) = table.iter().find(|(name, _)| !DOMAIN_KEYS.contains(name)) {
            let place = self.place_of(table.key(name));
            bail!("{place}: {key}: unknown key {name:?}; expected one of: {}", DOMAIN_KEYS.join(", "));
        }
        if let Some(values) = table.get("values") {
            if table.len() > 1 {
                return self.refuse(item, &key, "values, or min and max", "both");
            }
            let list = values.as_array().filter(|values| !values.is_empty());
            let Some(list) = list else {
                return self.refuse(values, &format!("{key}.values"), "a list of at least one", text_of(values));
            };
            let plain = |value: &Value| {
                let mut value = value.clone();
                value.decor_mut().clear();
                value
            };
            return Ok(Domain::Values(list.iter().map(plain).collect()));
        }
        let bound = |name: &str| match table.get(name) {
            Some(item) => match number(item) {
                Some(number) => Ok((item, number)),
                None => self.refuse(item, &format!("{key}.{name}"), "a finite number", text_of(item)),
            },
            None => self.refuse(item, &key, "both min and max", format!("no {name}")),
        };
        let ((min_item, min), (max_item, max)) = (bound("min")?, bound("max")?);
        if min >= max {
            return self.refuse(max_item, &format!("{key}.max"), &format!("more than min ({min})"), max);
        }
        let log = match table.get("log") {
            None => false,
            Some(item) => match item.as_bool() {
                Some(log) => log,
                None => return self.refuse(item, &format!("{key}.log"), "true or false", text_of(item)),
            },
        };
        if log && min <= 0.0 {
            return self.refuse(min_item, &format!("{key}.min"), "more than 0, as log = true", min);
        }
        let steps = table.get("steps").map(|item| match item.as_integer() {
            Some(steps @ 2..=10_000) => Ok(steps as usize),
            _ => self.refuse(item, &format!("{key}.steps"), "2 to 10000", text_of(item)),
        });
        let steps = steps.transpose()?;
        Ok(match (min_item.as_integer(), max_item.as_integer()) {
            (Some(min), Some(max)) => Domain::Integers { min, max, log, steps },
            _ => Domain::Floats { min, max, log, steps },
        })
    }
}

/// Runs of a sweep at most.
pub const MOST_RUNS: usize = 100_000;

fn number(item: &Item) -> Option<f64> {
    let number = item.as_float().or_else(|| item.as_integer().map(|number| number as f64));
    number.filter(|number| number.is_finite())
}

/// As it stands in the file, in one line.
fn text_of(item: &Item) -> String {
    item.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<SweepFile> {
        SweepFile::parse(&format!("config = \"a.toml\"\n{rest}"), Path::new("sweep.toml"))
    }

    #[test]
    fn keys_may_be_quoted_dotted_or_in_tables() {
        let file = parse(
            "[parameters]\n\"model.hidden\" = { values = [[8], [8, 8]] }\ntraining.batch = { min = 8, max = 64, steps = 3 }\n\
             [parameters.training.optimizer]\nlearning_rate = { min = 1e-4, max = 1, log = true, steps = 5 }\n",
        )
        .unwrap();
        let mut keys: Vec<&str> = file.parameters.iter().map(|parameter| parameter.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["model.hidden", "training.batch", "training.optimizer.learning_rate"]);
        let domain = |key: &str| &file.parameters.iter().find(|parameter| parameter.key == key).unwrap().domain;
        assert!(matches!(domain("training.batch"), Domain::Integers { min: 8, max: 64, log: false, steps: Some(3) }));
        let Domain::Floats { min, max, log: true, steps: Some(5) } = *domain("training.optimizer.learning_rate") else {
            panic!("one integer and one float are floats")
        };
        assert_eq!((min, max), (1e-4, 1.0));
        assert_eq!((file.method, file.seed), (Method::Grid, 1));
    }

    #[test]
    fn errors_name_line_key_expected_and_found() {
        let values = "\"training.batch\" = { values = [1] }\n";
        let cases = [
            ("[parameters]\n".to_string(), "sweep.toml: parameters: expected at least one"),
            ("metod = \"grid\"\n".into(), "sweep.toml, line 2: unknown key \"metod\"; expected one of: config, method"),
            ("method = \"bayes\"\n".into(), "line 2: method: expected \"grid\" or \"random\", found \"bayes\""),
            ("method = \"random\"\nruns = 0\n".into(), "line 3: runs: expected 1 to 100000, found 0"),
            ("direction = \"up\"\n".into(), "line 2: direction: expected \"min\" or \"max\", found \"up\""),
            ("seed = -1\n".into(), "line 2: seed: expected an integer of at least 0, found -1"),
            (format!("seed = 1\n[parameters]\n{values}"), "runs and seed: expected only with method = \"random\""),
            (format!("method = \"random\"\n[parameters]\n{values}"), "runs: expected how many runs"),
            ("[parameters]\nmodel.hidden = 3\n".into(), "line 3: parameters.model.hidden: expected { values = [...] }"),
            (
                "[parameters]\na.b = { values = [] }\n".into(),
                "line 3: parameters.a.b.values: expected a list of at least one",
            ),
            ("[parameters]\na.b = { values = [1], min = 2 }\n".into(), "expected values, or min and max, found both"),
            (
                "[parameters]\na.b = { min = 2 }\n".into(),
                "line 3: parameters.a.b: expected both min and max, found no max",
            ),
            (
                "[parameters]\na.b = { min = 2, max = 1 }\n".into(),
                "parameters.a.b.max: expected more than min (2), found 1",
            ),
            (
                "[parameters]\na.b = { min = 0, max = 1, log = true }\n".into(),
                "a.b.min: expected more than 0, as log = true",
            ),
            (
                "[parameters]\na.b = { min = 0, max = 1, lgo = true }\n".into(),
                "line 3: parameters.a.b: unknown key \"lgo\"",
            ),
            (
                "[parameters]\na.b = { min = nan, max = 1 }\n".into(),
                "parameters.a.b.min: expected a finite number, found nan",
            ),
            (
                "[parameters]\na.b = { min = 0, max = 1 }\n".into(),
                "parameters.a.b: expected values, or a range with steps",
            ),
            (
                "method = \"random\"\nruns = 2\n[parameters]\na.b = { min = 0, max = 1, steps = 2 }\n".into(),
                "parameters.a.b.steps: expected only with method = \"grid\", found with \"random\"",
            ),
            (
                "[parameters]\n\"a.b\" = { values = [1] }\na.b = { values = [1] }\n".into(),
                "parameters: a.b is there twice",
            ),
            ("method = \n".into(), "sweep.toml, line 2: "),
        ];
        for (rest, expected) in cases {
            let error = parse(&rest).err().unwrap_or_else(|| panic!("{rest}")).to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "expected {expected:?} in: {error}");
        }
    }
}
