//! From the arrays of an NPZ (or `.npy` files) to sequences.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::array::{Array, Arrays, Items, Streamable};
use super::stored::{Contents, Location, StoredArray};
use super::{Format, Request, Source, SourceInputs, SourceTargets, padding};
use crate::config::{DataConfig, Memory, TargetColumns};
use crate::dataset::{Sequence, SequenceTarget, TargetPer};
use crate::error::DataError;
use crate::names::Names;
use crate::values::{self, Values};

/// What the key `lengths` says where an array of that name is not to be used.
pub(crate) const NO_LENGTHS: &str = "none";

/// Reads `path`; the other `.npy` files of a configuration are relative to `base`.
pub(crate) fn read(path: &Path, base: &Path, format: Format, request: Request<'_>) -> Result<Source, DataError> {
    let config = request.config;
    let mut notes = Vec::new();
    let (mut arrays, input_name) = match format {
        Format::Npy => (
            Arrays::Files { base: base.to_owned(), hash: Sha256::new() },
            // An absolute path replaces the base when joined to it.
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned(),
        ),
        Format::Npz | Format::Csv { .. } => (Arrays::open(path)?, request.token().unwrap_or(&config.inputs).to_owned()),
    };
    let x = inputs_of(&mut arrays, path, &input_name, request, &mut notes)?;
    let (count, steps, width) = input_shape(&x, request)?;
    let y = match (request.targets, target_name(config, format)?) {
        (true, name) => Some(arrays.read(&name)?),
        (false, _) => None,
    };
    let mut lengths = match &config.lengths {
        Some(name) if name == NO_LENGTHS => vec![steps; count],
        Some(name) => lengths(&arrays.read(name)?, count, steps)?,
        None if format == Format::Npz && arrays.has("lengths") => {
            notes.push(format!("{}: lengths are taken from the array \"lengths\"", path.display()));
            lengths(&arrays.read("lengths")?, count, steps)?
        }
        None => vec![steps; count],
    };
    match (&config.padding, &x) {
        (Some(padding), InputArray::Loaded(x)) => {
            padding::cut_lengths(x, &mut lengths, (steps, width), padding, request);
        }
        (Some(_), InputArray::Stored(_)) => {
            let problem = format!(
                "expected inputs in memory, found those of {} streamed: set memory = \"load\", or save an array of lengths",
                path.display()
            );
            return Err(DataError::Config { key: "padding".into(), problem });
        }
        (None, _) => {}
    }
    let group = match &config.group {
        // Only a split needs the groups: a file for a trained model may do without the array.
        Some(name) if request.schema.is_none() || arrays.has(name) => {
            let group = arrays.read(name)?;
            group.expect_shape(&[&[count], &[count, 1]], "one group per sequence")?;
            Some(group)
        }
        _ => None,
    };
    let hash = arrays.finish()?;

    let (targets, target_values) = match y {
        None => (SourceTargets::Absent, vec![SequenceTarget::Absent; count]),
        Some(y) if request.classes() => class_targets(&y, &lengths, steps, request)?,
        Some(y) => value_targets(y, &lengths, steps, request)?,
    };
    let (inputs, values) = inputs(x, &lengths, (steps, width), request)?;
    // A group of many sequences has one text.
    let mut groups: HashSet<Arc<str>> = HashSet::new();
    let mut group_of = |index: usize| -> Result<Option<Arc<str>>, DataError> {
        let Some(group) = &group else { return Ok(None) };
        let text = group.text(index)?;
        if !groups.contains(text.as_str()) {
            groups.insert(text.as_str().into());
        }
        Ok(groups.get(text.as_str()).cloned())
    };
    let mut sequences = Vec::with_capacity(count);
    for (index, (target, values)) in target_values.into_iter().zip(values).enumerate() {
        sequences.push(Sequence {
            name: index.to_string(),
            steps: lengths[index],
            values,
            target,
            group: group_of(index)?,
        });
    }
    let path = path.to_owned();
    Ok(Source { path, hash, inputs, targets, target_per: request.target_per(), sequences, notes })
}

/// The array of inputs: in memory, or where it stands in its file.
enum InputArray {
    Loaded(Array),
    Stored(Location),
}

impl InputArray {
    fn shape(&self) -> &[usize] {
        match self {
            InputArray::Loaded(array) => &array.shape,
            InputArray::Stored(location) => &location.shape,
        }
    }

    fn name(&self) -> &str {
        match self {
            InputArray::Loaded(array) => &array.name,
            InputArray::Stored(location) => &location.name,
        }
    }

    fn wrong(&self, place: &str, expected: &str, found: &str) -> DataError {
        let (path, name) = match self {
            InputArray::Loaded(array) => (&array.path, &array.name),
            InputArray::Stored(location) => (&location.path, &location.name),
        };
        super::array::wrong(path, name, place, expected, found)
    }
}

/// What `memory = "auto"` leaves in the file: an array that would take more than this, in bytes of float32.
///
/// It is a constant, and not a share of the machine's memory, so that a configuration trains alike on every machine: the
/// order of streamed sequences is another one.
const LOADED_MOST: u64 = 1 << 30;

/// Reads the inputs, or leaves them where they are, as `memory` says.
fn inputs_of(
    arrays: &mut Arrays,
    path: &Path,
    name: &str,
    request: Request<'_>,
    notes: &mut Vec<String>,
) -> Result<InputArray, DataError> {
    let memory = request.config.memory;
    if memory == Memory::Load {
        return arrays.read(name).map(InputArray::Loaded);
    }
    let (shape, streamable) = arrays.locate(name)?;
    let bytes = shape.iter().try_fold(4u64, |bytes, &size| bytes.checked_mul(size as u64)).unwrap_or(u64::MAX);
    let large = bytes > LOADED_MOST;
    let long = shape.iter().skip(1).fold(1usize, |numbers, &size| numbers.saturating_mul(size)) > u32::MAX as usize
        || shape.first().is_some_and(|&count| count > u32::MAX as usize);
    let streamable = match (request.token(), streamable) {
        (Some(_), _) => Streamable::No("tokens are always read whole"),
        (None, _) if long => Streamable::No("they are more than 2^32 sequences, or numbers of one"),
        (None, streamable) => streamable,
    };
    let mut note = |what: &str| {
        let size = bytes as f64 / LOADED_MOST as f64;
        notes.push(format!("{}: the inputs take {size:.1} GiB as float32 and {what}", path.display()));
    };
    match (memory, streamable) {
        (Memory::Stream, Streamable::No(why)) => {
            return Err(DataError::Config {
                key: "memory".into(),
                problem: format!("expected inputs that can be streamed, found those of {}: {why}", path.display()),
            });
        }
        (Memory::Auto, Streamable::No(why)) if large => note(&format!("cannot be streamed: {why}")),
        (Memory::Auto, Streamable::Yes(location)) if large => {
            note("are streamed: read a part at a time, and shuffled in blocks");
            arrays.keep_in_file(name)?;
            return Ok(InputArray::Stored(location));
        }
        (Memory::Stream, Streamable::Yes(location)) => {
            arrays.keep_in_file(name)?;
            return Ok(InputArray::Stored(location));
        }
        (Memory::Auto | Memory::Load, _) => {}
    }
    arrays.read(name).map(InputArray::Loaded)
}

fn target_name(config: &DataConfig, format: Format) -> Result<String, DataError> {
    match (&config.target, format) {
        (Some(TargetColumns::One(name)), _) => Ok(name.clone()),
        (None, Format::Npz) => Ok("y".into()),
        (None, _) => Err(DataError::Config {
            key: "target".into(),
            problem: "expected the path of the .npy file with the targets, found none".into(),
        }),
        (Some(TargetColumns::Many(_)), _) => Err(DataError::Config {
            key: "target".into(),
            problem: "expected the name of one array (it may have several values per sequence), found a list".into(),
        }),
    }
}

/// `(sequences, steps, channels)`.
fn input_shape(x: &InputArray, request: Request<'_>) -> Result<(usize, usize, usize), DataError> {
    let shape = match (x.shape(), request.token()) {
        (&[count, steps], _) => (count, steps, 1),
        (&[count, steps, width], None) => (count, steps, width),
        (shape, token) => {
            let expected =
                if token.is_some() { "shape [n, steps]" } else { "shape [n, steps, channels] or [n, steps]" };
            return Err(x.wrong("", expected, &format!("{shape:?}")));
        }
    };
    if shape.0 == 0 || shape.1 == 0 || shape.2 == 0 {
        return Err(x.wrong("", "at least one sequence, step and channel", &format!("shape {:?}", x.shape())));
    }
    if let Some(names) = request.channels().filter(|names| names.len() != shape.2) {
        let expected = format!("{} channels ({})", names.len(), names.join(", "));
        return Err(x.wrong("", &expected, &format!("{} (shape {:?})", shape.2, x.shape())));
    }
    Ok(shape)
}

pub(crate) fn lengths(array: &Array, count: usize, steps: usize) -> Result<Vec<usize>, DataError> {
    array.expect_shape(&[&[count], &[count, 1]], "one length per sequence")?;
    let length = |index: usize| {
        let text = array.text(index)?;
        match text.parse::<usize>() {
            Ok(length) if (1..=steps).contains(&length) => Ok(length),
            _ => Err(array.wrong(&format!("sequence {index}"), &format!("a length of 1 to {steps} steps"), &text)),
        }
    };
    (0..count).map(length).collect()
}

/// The inputs' names, and the values of each sequence without its padding.
fn inputs(
    x: InputArray,
    lengths: &[usize],
    (steps, width): (usize, usize),
    request: Request<'_>,
) -> Result<(SourceInputs, Vec<Values>), DataError> {
    if let (Some(column), InputArray::Loaded(x)) = (request.token(), &x) {
        let mut tokens = Names::default();
        let mut values = Vec::with_capacity(lengths.len());
        for (sequence, &length) in lengths.iter().enumerate() {
            let mut token = |step: usize| {
                let text = x.text(sequence * steps + step)?;
                Ok(tokens.id(&text, || place(sequence, Some(step))) as f32)
            };
            values.push(Values::from((0..length).map(&mut token).collect::<Result<Vec<f32>, DataError>>()?));
        }
        return Ok((SourceInputs::Tokens { column: column.into(), tokens }, values));
    }
    let names = match request.channels() {
        Some(names) => names.to_vec(),
        None if width == 1 => vec![x.name().to_owned()],
        None => (0..width).map(|channel| format!("{}_{channel}", x.name())).collect(),
    };
    let check =
        |(path, name): (&Path, &str), sequence: usize, own: &[f32]| match own.iter().position(|v| v.is_infinite()) {
            None => Ok(()),
            Some(at) => {
                let place = format!("sequence {sequence}, step {}, channel {}", at / width, names[at % width]);
                Err(super::array::wrong(path, name, &place, "a finite number", &own[at].to_string()))
            }
        };
    let values = match x {
        InputArray::Loaded(x) => {
            let (path, name) = (x.path.clone(), x.name.clone());
            let all = x.into_floats()?;
            let own =
                lengths.iter().zip(all.chunks_exact(steps * width)).enumerate().map(|(sequence, (length, row))| {
                    let own = &row[..length * width];
                    check((&path, &name), sequence, own).map(|()| Values::from(own.to_vec()))
                });
            own.collect::<Result<_, _>>()?
        }
        InputArray::Stored(location) => {
            let (path, name) = (location.path.clone(), location.name.clone());
            let array = Arc::new(StoredArray::new(location, steps * width, request.config.shuffle_block)?);
            let places = lengths.iter().enumerate();
            let places = places.map(|(sequence, length)| Values::stored(array.clone(), sequence, length * width));
            let places: Vec<Values> = places.collect();
            let mut contents = Contents::new(width);
            values::each(&places, |sequence, own| {
                contents.add(own);
                check((&path, &name), sequence, own)
            })?;
            array.set_contents(contents);
            places
        }
    };
    Ok((SourceInputs::Channels(names), values))
}

fn place(sequence: usize, step: Option<usize>) -> String {
    match step {
        None => format!("sequence {sequence}"),
        Some(step) => format!("sequence {sequence}, step {step}"),
    }
}

fn class_targets(
    y: &Array,
    lengths: &[usize],
    steps: usize,
    request: Request<'_>,
) -> Result<(SourceTargets, Vec<SequenceTarget>), DataError> {
    let count = lengths.len();
    let mut names = Names::default();
    let mut class = |index: usize, sequence: usize, step: Option<usize>| -> Result<usize, DataError> {
        let mut text = y.text(index)?;
        // `labels` names the codes; a text is its own label.
        if let (Some(labels), false) = (&request.config.labels, matches!(y.items, Items::Texts(_))) {
            match text.parse::<usize>().ok().and_then(|code| labels.get(code)) {
                Some(label) => text.clone_from(label),
                None => {
                    let expected = format!("a class below {}, the number of labels", labels.len());
                    return Err(y.wrong(&place(sequence, step), &expected, &text));
                }
            }
        }
        Ok(names.id(&text, || format!("array {:?}, {}", y.name, place(sequence, step))))
    };
    let mut targets = Vec::with_capacity(count);
    match request.target_per() {
        TargetPer::Sequence => {
            y.expect_shape(&[&[count], &[count, 1]], "one class per sequence")?;
            for sequence in 0..count {
                targets.push(SequenceTarget::Class(class(sequence, sequence, None)?));
            }
        }
        TargetPer::Step => {
            y.expect_shape(&[&[count, steps], &[count, steps, 1]], "one class per step")?;
            for (sequence, &length) in lengths.iter().enumerate() {
                let classes = (0..length).map(|step| class(sequence * steps + step, sequence, Some(step)));
                targets.push(SequenceTarget::Classes(classes.collect::<Result<_, _>>()?));
            }
        }
    }
    Ok((SourceTargets::Labels(names), targets))
}

fn value_targets(
    y: Array,
    lengths: &[usize],
    steps: usize,
    request: Request<'_>,
) -> Result<(SourceTargets, Vec<SequenceTarget>), DataError> {
    let count = lengths.len();
    let per_step = request.target_per() == TargetPer::Step;
    let outputs = match (y.shape.as_slice(), per_step) {
        (&[n], false) if n == count => 1,
        (&[n, outputs], false) if n == count && outputs > 0 => outputs,
        (&[n, s], true) if (n, s) == (count, steps) => 1,
        (&[n, s, outputs], true) if (n, s) == (count, steps) && outputs > 0 => outputs,
        (shape, false) => {
            return Err(y.wrong("", &format!("shape [{count}] or [{count}, outputs]"), &format!("{shape:?}")));
        }
        (shape, true) => {
            let expected = format!("shape [{count}, {steps}] or [{count}, {steps}, outputs]");
            return Err(y.wrong("", &expected, &format!("{shape:?}")));
        }
    };
    let names = match outputs {
        1 => vec![y.name.clone()],
        _ => (0..outputs).map(|output| format!("{}_{output}", y.name)).collect(),
    };
    let (path, name) = (y.path.clone(), y.name.clone());
    let values = y.into_floats()?;
    let each = if per_step { steps * outputs } else { outputs };
    let mut targets = Vec::with_capacity(count);
    for (sequence, &length) in lengths.iter().enumerate() {
        let own = &values[sequence * each..][..if per_step { length * outputs } else { outputs }];
        let wrong = |value: &f32| if per_step { value.is_infinite() } else { !value.is_finite() };
        if let Some(at) = own.iter().position(wrong) {
            return Err(DataError::Content {
                path,
                place: format!("array {name:?}, {}", place(sequence, per_step.then_some(at / outputs))),
                expected: "a finite number".into(),
                found: own[at].to_string(),
            });
        }
        targets.push(match per_step {
            true => SequenceTarget::StepValues(own.to_vec()),
            false => SequenceTarget::Values(own.to_vec()),
        });
    }
    Ok((SourceTargets::Values(names), targets))
}
