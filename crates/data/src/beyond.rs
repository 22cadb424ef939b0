//! What stands in an array behind the lengths that say where each sequence ends.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;

use crate::config::{DataConfig, Padding};
use crate::error::DataError;
use crate::files::array::{Arrays, Items};
use crate::files::{Format, numpy};

/// See [`beyond_lengths`].
#[derive(Clone, Debug, PartialEq)]
pub struct BeyondLengths {
    /// How many sequences there are.
    pub sequences: usize,
    /// How many of them go on behind their length, by at least two rows of data.
    pub cut: usize,
    /// Steps within the lengths.
    pub used: usize,
    /// Steps behind them that have data: another row than the one before, and mostly not what sequences are filled up with.
    pub lost: usize,
    /// What sequences are filled up with.
    pub padding: Option<Padding>,
}

/// Numbers that are read in vain to know this, at most.
const MOST: usize = 1 << 24;

/// Looks at what stands behind the lengths in the NPZ file `path`. `None` where no array of lengths is used, or the inputs have
/// more than 16 million numbers.
///
/// # Errors
/// If the file cannot be read any more.
pub fn beyond_lengths(config: &DataConfig, path: &Path) -> Result<Option<BeyondLengths>, DataError> {
    if Format::of(path)? != Format::Npz || config.lengths.as_deref() == Some(numpy::NO_LENGTHS) {
        return Ok(None);
    }
    let mut arrays = Arrays::open(path)?;
    let name = config.lengths.as_deref().unwrap_or("lengths");
    if !arrays.has(name) {
        return Ok(None);
    }
    let inputs = config.token.as_deref().unwrap_or(&config.inputs);
    let (shape, _) = arrays.locate(inputs)?;
    let (count, steps, width) = match *shape.as_slice() {
        [count, steps] => (count, steps, 1),
        [count, steps, width] => (count, steps, width),
        _ => return Ok(None),
    };
    if count.saturating_mul(steps).saturating_mul(width) > MOST {
        return Ok(None);
    }
    let lengths = numpy::lengths(&arrays.read(name)?, count, steps)?;
    let x = arrays.read(inputs)?;
    let texts = BuildHasherDefault::<DefaultHasher>::default();
    let code = |index: usize| match &x.items {
        Items::Single(items) => u64::from(items[index].to_bits()),
        Items::Double(items) => items[index].to_bits(),
        Items::Integers(items) => items[index] as u64,
        Items::Texts(items) => texts.hash_one(&items[index]),
    };
    let is_missing = |index: usize| match &x.items {
        Items::Single(items) => items[index].is_nan(),
        Items::Double(items) => items[index].is_nan(),
        Items::Integers(_) | Items::Texts(_) => false,
    };
    // What stands most often in the last rows of those that are shorter than the array: what they were filled up with.
    let mut endings: HashMap<u64, (usize, usize)> = HashMap::new();
    for (sequence, _) in lengths.iter().enumerate().filter(|(_, length)| **length < steps) {
        let end = (sequence + 1) * steps * width;
        for index in (end - width..end).filter(|&index| !is_missing(index)) {
            endings.entry(code(index)).or_insert((0, index)).0 += 1;
        }
    }
    let filling = endings.into_iter().max_by_key(|&(_, (times, place))| (times, usize::MAX - place));
    let filling = filling.filter(|&(_, (times, _))| times > width);
    // A stray value in a row of padding makes no row of data.
    let is_data = |row: usize| {
        let own = (row..row + width).filter(|&index| !is_missing(index));
        2 * own.filter(|&index| filling.is_none_or(|(filling, _)| code(index) != filling)).count() > width
    };
    let is_new = |row: usize| (row..row + width).any(|index| code(index) != code(index - width));
    let mut found = BeyondLengths { sequences: count, cut: 0, used: lengths.iter().sum(), lost: 0, padding: None };
    let mut filled = false;
    for (sequence, &length) in lengths.iter().enumerate() {
        let row = |step: usize| (sequence * steps + step) * width;
        let lost = (length..steps).filter(|&step| is_data(row(step)) && is_new(row(step))).count();
        found.lost += lost;
        found.cut += usize::from(lost >= 2);
        filled |= !is_data(row(steps - 1));
    }
    if let Some((_, (_, place))) = filling.filter(|_| filled) {
        found.padding = Some(match &x.items {
            Items::Single(items) => Padding::Value(f64::from(items[place])),
            Items::Double(items) => Padding::Value(items[place]),
            Items::Integers(items) => Padding::Value(items[place] as f64),
            Items::Texts(items) => Padding::Token(items[place].clone()),
        });
    }
    Ok(Some(found))
}
