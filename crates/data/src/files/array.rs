//! NumPy arrays of any plain type, out of an NPZ archive or `.npy` files.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use npyz::{DType, NpyFile, Order, TypeChar};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::error::DataError;
use crate::names::nearest;

/// One array in C order.
#[derive(Debug)]
pub(crate) struct Array {
    /// The file it is from.
    pub(crate) path: PathBuf,
    /// Its name in the archive, or "array" for a file that is one.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) items: Items,
}

/// The elements, widened to one of a few types.
#[derive(Debug)]
pub(crate) enum Items {
    Single(Vec<f32>),
    Double(Vec<f64>),
    Integers(Vec<i64>),
    Texts(Vec<String>),
}

/// Where arrays come from by name.
pub(crate) enum Arrays {
    /// An NPZ: names are arrays of the archive.
    Archive { path: PathBuf, archive: ZipArchive<Cursor<Vec<u8>>>, names: Vec<String>, hash: Sha256 },
    /// `.npy` files: names are paths relative to `base`.
    Files { base: PathBuf, hash: Sha256 },
}

impl Arrays {
    pub(crate) fn open(path: &Path) -> Result<Arrays, DataError> {
        let bytes = super::bytes(path)?;
        let mut hash = Sha256::new();
        hash.update(&bytes);
        let size = bytes.len();
        let broken = |error: &dyn std::fmt::Display| DataError::Content {
            path: path.to_owned(),
            place: "archive".into(),
            expected: "a complete NPZ (a zip of .npy arrays)".into(),
            found: format!("{size} bytes that are none: {error}"),
        };
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
        let names = archive
            .file_names()
            .map(|name| Ok(name?.trim_end_matches(".npy").to_owned()))
            .collect::<zip::result::ZipResult<Vec<String>>>()
            .map_err(|error| broken(&error))?;
        Ok(Arrays::Archive { path: path.to_owned(), archive, names, hash })
    }

    /// Whether there is an array of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Arrays::Archive { names, .. } => names.iter().any(|known| known == name),
            Arrays::Files { base, .. } => base.join(name).is_file(),
        }
    }

    pub(crate) fn read(&mut self, name: &str) -> Result<Array, DataError> {
        match self {
            Arrays::Archive { path, archive, names, .. } => {
                if !names.iter().any(|known| known == name) {
                    return Err(DataError::NotThere {
                        path: path.clone(),
                        what: "array",
                        name: name.into(),
                        nearest: nearest(name, names),
                        known: names.clone(),
                    });
                }
                let mut bytes = Vec::new();
                let read = archive.by_name(&format!("{name}.npy")).map_err(|error| error.to_string());
                read.and_then(|mut file| file.read_to_end(&mut bytes).map_err(|error| error.to_string()))
                    .map_err(|error| unreadable(path, name, &error))?;
                Array::parse(path, name, &bytes)
            }
            Arrays::Files { base, hash } => {
                let path = base.join(name);
                let bytes = super::bytes(&path)?;
                hash.update(&bytes);
                Array::parse(&path, "array", &bytes)
            }
        }
    }

    /// The hash of everything read.
    pub(crate) fn into_hash(self) -> String {
        match self {
            Arrays::Archive { hash, .. } | Arrays::Files { hash, .. } => super::digits(hash),
        }
    }
}

fn unreadable(path: &Path, name: &str, problem: &str) -> DataError {
    DataError::Content {
        path: path.to_owned(),
        place: format!("array {name:?}"),
        expected: "a complete .npy array".into(),
        found: format!("one that cannot be read: {problem}"),
    }
}

impl Array {
    fn parse(path: &Path, name: &str, bytes: &[u8]) -> Result<Array, DataError> {
        let unreadable = |problem: &str| unreadable(path, name, problem);
        check_size(bytes).map_err(unreadable)?;
        let file = NpyFile::new(bytes).map_err(|error| unreadable(&error.to_string()))?;
        let shape: Vec<usize> = file.shape().iter().map(|&size| size as usize).collect();
        let order = file.order();
        let items = read_items(file).map_err(|problem| unreadable(&problem))?;
        let items = match (order, items) {
            (Order::C, items) => items,
            (Order::Fortran, Items::Single(items)) => Items::Single(to_c_order(&shape, &items)),
            (Order::Fortran, Items::Double(items)) => Items::Double(to_c_order(&shape, &items)),
            (Order::Fortran, Items::Integers(items)) => Items::Integers(to_c_order(&shape, &items)),
            (Order::Fortran, Items::Texts(items)) => Items::Texts(to_c_order(&shape, &items)),
        };
        Ok(Array { path: path.to_owned(), name: name.into(), shape, items })
    }

    /// The error that this array is not what was expected.
    pub(crate) fn wrong(&self, place: &str, expected: &str, found: &str) -> DataError {
        let place = match place {
            "" => format!("array {:?}", self.name),
            place => format!("array {:?}, {place}", self.name),
        };
        DataError::Content { path: self.path.clone(), place, expected: expected.into(), found: found.into() }
    }

    /// Refuses another shape.
    pub(crate) fn expect_shape(&self, allowed: &[&[usize]], means: &str) -> Result<(), DataError> {
        if allowed.contains(&self.shape.as_slice()) {
            return Ok(());
        }
        let shapes: Vec<String> = allowed.iter().map(|shape| format!("{shape:?}")).collect();
        Err(self.wrong("", &format!("shape {} ({means})", shapes.join(" or ")), &format!("{:?}", self.shape)))
    }

    /// The elements as f32; texts are an error.
    pub(crate) fn into_floats(self) -> Result<Vec<f32>, DataError> {
        match self.items {
            Items::Single(items) => Ok(items),
            Items::Double(items) => Ok(items.into_iter().map(|item| item as f32).collect()),
            Items::Integers(items) => Ok(items.into_iter().map(|item| item as f32).collect()),
            Items::Texts(_) => Err(self.wrong("", "numbers", "texts")),
        }
    }

    /// One element as the text of a label, token or group; a number that is no integer is an error.
    pub(crate) fn text(&self, index: usize) -> Result<String, DataError> {
        let float = |value: f64| match value.fract() == 0.0 && value.abs() < 9e15 {
            true => Ok((value as i64).to_string()),
            false => Err(self.wrong(&format!("element {index}"), "an integer or a text", &value.to_string())),
        };
        match &self.items {
            Items::Single(items) => float(f64::from(items[index])),
            Items::Double(items) => float(items[index]),
            Items::Integers(items) => Ok(items[index].to_string()),
            Items::Texts(items) => Ok(items[index].clone()),
        }
    }
}

/// Refuses a header that promises another number of bytes than there are, before anything is allocated by it.
fn check_size(bytes: &[u8]) -> Result<(), &'static str> {
    // npyz multiplies the shape unchecked; so the text of the header is looked at first.
    let header = String::from_utf8_lossy(&bytes[..bytes.len().min(1 << 16)]);
    let shape = header.split_once("'shape'").and_then(|(_, rest)| rest.split_once('(')?.1.split_once(')'));
    let Some((shape, _)) = shape else { return Err("its header names no shape") };
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty()).map(str::parse::<u64>);
    let count = sizes.into_iter().try_fold(1u64, |count, size| count.checked_mul(size.ok()?));
    // One byte is the least that an element takes.
    match count {
        Some(count) if count <= bytes.len() as u64 => Ok(()),
        _ => Err("its shape promises more elements than it has bytes"),
    }
}

fn read_items(file: NpyFile<&[u8]>) -> Result<Items, String> {
    let DType::Plain(kind) = file.dtype() else { return Err("its elements are records".into()) };
    let integers = |items: Result<Vec<i64>, std::io::Error>| items.map(Items::Integers);
    let items = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 4) => file.into_vec().map(Items::Single),
        (TypeChar::Float, 8) => file.into_vec().map(Items::Double),
        (TypeChar::Int, 1) => integers(widen::<i8>(file)),
        (TypeChar::Int, 2) => integers(widen::<i16>(file)),
        (TypeChar::Int, 4) => integers(widen::<i32>(file)),
        (TypeChar::Int, 8) => integers(file.into_vec()),
        (TypeChar::Uint, 1) => integers(widen::<u8>(file)),
        (TypeChar::Uint, 2) => integers(widen::<u16>(file)),
        (TypeChar::Uint, 4) => integers(widen::<u32>(file)),
        (TypeChar::Uint, 8) => {
            let wide: Vec<u64> = file.into_vec().map_err(|error| error.to_string())?;
            let narrow: Result<Vec<i64>, _> = wide.into_iter().map(i64::try_from).collect();
            return narrow.map(Items::Integers).map_err(|_| "a uint64 beyond int64".into());
        }
        (TypeChar::Bool, _) => integers(widen::<bool>(file)),
        (TypeChar::ByteStr | TypeChar::UnicodeStr, _) => file.into_vec().map(Items::Texts),
        _ => {
            let what = match kind.type_char() {
                TypeChar::Object => "pickled Python objects",
                _ => "of a type that is not read",
            };
            return Err(format!("its elements are {what} ({kind}); save float32, float64, integers or texts"));
        }
    };
    items.map_err(|error| error.to_string())
}

fn widen<T: npyz::Deserialize + Into<i64>>(file: NpyFile<&[u8]>) -> Result<Vec<i64>, std::io::Error> {
    let items = file.data::<T>().map_err(std::io::Error::other)?;
    items.map(|item| item.map(Into::into)).collect()
}

/// From first index fastest to last index fastest.
fn to_c_order<T: Clone>(shape: &[usize], items: &[T]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &size in shape {
        strides.push(stride);
        stride *= size;
    }
    let place = |mut index: usize| {
        let mut place = 0;
        for (size, stride) in shape.iter().zip(&strides).rev() {
            place += index % size * stride;
            index /= size;
        }
        place
    };
    (0..items.len()).map(|index| items[place(index)].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [[0, 1, 2], [3, 4, 5]] is stored as 0 3 1 4 2 5 in Fortran's order.
    #[test]
    fn fortran_order_is_turned() {
        assert_eq!(to_c_order(&[2, 3], &[0, 3, 1, 4, 2, 5]), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_shape_beyond_the_bytes_is_refused() {
        let promise = |shape: &str| check_size(format!("'shape': ({shape}), }}").as_bytes());
        assert!(promise("2, 3").is_ok());
        assert!(promise("5,").is_ok());
        assert!(promise("4000000000, 4000000000, 4000000000").is_err());
        assert!(promise("1000").is_err());
        assert!(promise("x").is_err());
    }
}
