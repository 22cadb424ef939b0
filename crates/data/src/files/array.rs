//! NumPy arrays of any plain type, out of an NPZ archive or `.npy` files.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use npyz::{DType, NpyFile, NpyHeader, Order, TypeChar};
use sha2::{Digest, Sha256};
use zip::{CompressionMethod, ZipArchive};

use super::element::{BEYOND, Element};
use super::header;
use super::stored::Location;
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
    Archive {
        path: PathBuf,
        archive: ZipArchive<BufReader<File>>,
        names: Vec<String>,
        /// Bytes of the whole archive.
        length: u64,
        /// The member that is read where it stands: its bytes and their checksum.
        streamed: Option<(String, Range<u64>, u32)>,
    },
    /// `.npy` files: names are paths relative to `base`.
    Files { base: PathBuf, hash: Sha256 },
}

/// Whether an array can be read a piece at a time.
pub(crate) enum Streamable {
    Yes(Location),
    /// Why not, and what would help.
    No(&'static str),
}

impl Arrays {
    pub(crate) fn open(path: &Path) -> Result<Arrays, DataError> {
        let io = |source| DataError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let broken = |error: &dyn std::fmt::Display| DataError::Content {
            path: path.to_owned(),
            place: "archive".into(),
            expected: "a complete NPZ (a zip of .npy arrays)".into(),
            found: format!("{length} bytes that are none: {error}"),
        };
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(&error))?;
        let names = archive
            .file_names()
            .map(|name| Ok(name?.trim_end_matches(".npy").to_owned()))
            .collect::<zip::result::ZipResult<Vec<String>>>()
            .map_err(|error| broken(&error))?;
        Ok(Arrays::Archive { path: path.to_owned(), archive, names, length, streamed: None })
    }

    /// Whether there is an array of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Arrays::Archive { names, .. } => names.iter().any(|known| known == name),
            Arrays::Files { base, .. } => base.join(name).is_file(),
        }
    }

    /// Refuses a name that is no array of the archive.
    fn expect(&self, name: &str) -> Result<(), DataError> {
        match self {
            Arrays::Archive { path, names, .. } if !self.has(name) => Err(DataError::NotThere {
                path: path.clone(),
                what: "array",
                name: name.into(),
                nearest: nearest(name, names),
                known: names.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// An array, whole.
    pub(crate) fn read(&mut self, name: &str) -> Result<Array, DataError> {
        self.expect(name)?;
        match self {
            Arrays::Archive { path, archive, length, .. } => {
                let unreadable = |error: String| unreadable(path, name, &error);
                let mut member = archive.by_name(&member(name)).map_err(|error| unreadable(error.to_string()))?;
                let size = member.size();
                if member.compression() == CompressionMethod::Stored && size <= *length {
                    let array = Array::parse(path, name, BufReader::new(&mut member), size)?;
                    // Whatever is left of it, so that its checksum is looked at.
                    std::io::copy(&mut member, &mut std::io::sink()).map_err(|error| unreadable(error.to_string()))?;
                    return Ok(array);
                }
                // What a compressed member says of its size may be wrong: how much there is shows when it is there.
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
                Array::parse(path, name, bytes.as_slice(), bytes.len() as u64)
            }
            Arrays::Files { base, hash } => {
                let path = base.join(name);
                let io = |source| DataError::Io { path: path.clone(), source };
                let mut file = File::open(&path).map_err(io)?;
                let length = hash_file(&mut file, hash, None).map_err(io)?;
                file.seek(SeekFrom::Start(0)).map_err(io)?;
                Array::parse(&path, "array", BufReader::new(file), length)
            }
        }
    }

    /// Where an array stands, if it can be read a piece at a time, and its shape; no number of it is read.
    pub(crate) fn locate(&mut self, name: &str) -> Result<(Vec<usize>, Streamable), DataError> {
        self.expect(name)?;
        let (path, array, mut file, range) = match self {
            Arrays::Files { base, .. } => {
                let path = base.join(name);
                let io = |source| DataError::Io { path: path.clone(), source };
                let file = File::open(&path).map_err(io)?;
                let length = file.metadata().map_err(io)?.len();
                (path, "array", file, 0..length)
            }
            Arrays::Archive { path, archive, length, .. } => {
                let unreadable = |error: String| unreadable(path, name, &error);
                let mut member = archive.by_name(&member(name)).map_err(|error| unreadable(error.to_string()))?;
                let (start, size) = (member.data_start(), member.size());
                let plain = member.compression() == CompressionMethod::Stored && !member.encrypted();
                let (Some(start), true) = (start.filter(|start| start + size <= *length), plain) else {
                    let (header, _) = header::read(&mut member, size).map_err(unreadable)?;
                    let reason = "they are compressed: save them with numpy.savez, or as .npy";
                    return Ok((shape(&header), Streamable::No(reason)));
                };
                let file = File::open(&*path).map_err(|source| DataError::Io { path: path.clone(), source })?;
                (path.clone(), name, file, start..start + size)
            }
        };
        let unreadable = |error: String| unreadable(&path, array, &error);
        file.seek(SeekFrom::Start(range.start)).map_err(|error| unreadable(error.to_string()))?;
        let (header, begins) = header::read(BufReader::new(&file), range.end - range.start).map_err(unreadable)?;
        let shape = shape(&header);
        let Some(element) = Element::of(&header.dtype()) else {
            return Ok((shape, Streamable::No("they are no plain numbers")));
        };
        if header.order() == Order::Fortran {
            return Ok((shape, Streamable::No("they are in Fortran order: save numpy.ascontiguousarray of them")));
        }
        let bytes = header.len().checked_mul(element.size() as u64);
        if bytes.is_none_or(|bytes| bytes > range.end - range.start - begins) {
            return Err(unreadable("it ends before its last element".into()));
        }
        let (name, start) = (array.into(), range.start + begins);
        Ok((shape.clone(), Streamable::Yes(Location { path, name, file, start, element, shape })))
    }

    /// Notes that an array stays in its file, so that the hash has it and its checksum is looked at.
    pub(crate) fn keep_in_file(&mut self, name: &str) -> Result<(), DataError> {
        match self {
            Arrays::Archive { path, archive, streamed, .. } => {
                let file = archive.by_name(&member(name));
                let file = file.map_err(|error| unreadable(path, name, &error.to_string()))?;
                let start = file.data_start().unwrap_or(0);
                *streamed = Some((name.into(), start..start + file.size(), file.crc32()));
                Ok(())
            }
            Arrays::Files { base, hash } => {
                let path = base.join(name);
                let hashed = File::open(&path).and_then(|mut file| hash_file(&mut file, hash, None));
                hashed.map(|_| ()).map_err(|source| DataError::Io { path, source })
            }
        }
    }

    /// The hash of the archive, or of the files in the order in which they were read.
    pub(crate) fn finish(self) -> Result<String, DataError> {
        match self {
            Arrays::Files { hash, .. } => Ok(super::digits(hash)),
            Arrays::Archive { path, archive, streamed, .. } => {
                let mut hash = Sha256::new();
                let mut checked = streamed.as_ref().map(|(_, range, _)| (range.clone(), crc32fast::Hasher::new()));
                let mut file = archive.into_inner().into_inner();
                let hashed =
                    file.seek(SeekFrom::Start(0)).and_then(|_| hash_file(&mut file, &mut hash, checked.as_mut()));
                hashed.map_err(|source| DataError::Io { path: path.clone(), source })?;
                if let (Some((name, _, expected)), Some((_, found))) = (streamed, checked)
                    && found.finalize() != expected
                {
                    return Err(unreadable(&path, &name, "Invalid checksum"));
                }
                Ok(super::digits(hash))
            }
        }
    }
}

fn member(name: &str) -> String {
    format!("{name}.npy")
}

fn shape(header: &NpyHeader) -> Vec<usize> {
    header.shape().iter().map(|&size| size as usize).collect()
}

/// Hashes what is left of a file, and a part of it for its own checksum; returns how many bytes there were.
fn hash_file(
    file: &mut File,
    hash: &mut Sha256,
    mut part: Option<&mut (Range<u64>, crc32fast::Hasher)>,
) -> std::io::Result<u64> {
    let mut bytes = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let read = match file.read(&mut bytes) {
            Ok(0) => return Ok(at),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&bytes[..read]);
        let end = at + read as u64;
        if let Some((range, checksum)) = part.as_deref_mut()
            && range.start < end
            && range.end > at
        {
            let (first, last) = (range.start.max(at) - at, range.end.min(end) - at);
            checksum.update(&bytes[first as usize..last as usize]);
        }
        at = end;
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

/// The error that an array is not what was expected.
pub(crate) fn wrong(path: &Path, name: &str, place: &str, expected: &str, found: &str) -> DataError {
    let place = match place {
        "" => format!("array {name:?}"),
        place => format!("array {name:?}, {place}"),
    };
    DataError::Content { path: path.to_owned(), place, expected: expected.into(), found: found.into() }
}

impl Array {
    /// `size` is how many bytes `reader` has.
    fn parse(path: &Path, name: &str, mut reader: impl Read, size: u64) -> Result<Array, DataError> {
        let unreadable = |problem: String| unreadable(path, name, &problem);
        let (header, _) = header::read(&mut reader, size).map_err(unreadable)?;
        let (shape, order) = (shape(&header), header.order());
        let items = read_items(NpyFile::with_header(header, reader)).map_err(unreadable)?;
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
        wrong(&self.path, &self.name, place, expected, found)
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

fn read_items<R: Read>(file: NpyFile<R>) -> Result<Items, String> {
    let DType::Plain(kind) = file.dtype() else { return Err("its elements are records".into()) };
    let integers = |items: Result<Vec<i64>, std::io::Error>| items.map(Items::Integers);
    let items = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 4) => file.into_vec().map(Items::Single),
        (TypeChar::Float, 8) => file.into_vec().map(Items::Double),
        (TypeChar::Int, 1) => integers(widen::<i8, R>(file)),
        (TypeChar::Int, 2) => integers(widen::<i16, R>(file)),
        (TypeChar::Int, 4) => integers(widen::<i32, R>(file)),
        (TypeChar::Int, 8) => integers(file.into_vec()),
        (TypeChar::Uint, 1) => integers(widen::<u8, R>(file)),
        (TypeChar::Uint, 2) => integers(widen::<u16, R>(file)),
        (TypeChar::Uint, 4) => integers(widen::<u32, R>(file)),
        (TypeChar::Uint, 8) => {
            let wide: Vec<u64> = file.into_vec().map_err(|error| error.to_string())?;
            let narrow: Result<Vec<i64>, _> = wide.into_iter().map(i64::try_from).collect();
            return narrow.map(Items::Integers).map_err(|_| BEYOND.into());
        }
        (TypeChar::Bool, _) => integers(widen::<bool, R>(file)),
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

fn widen<T: npyz::Deserialize + Into<i64>, R: Read>(file: NpyFile<R>) -> Result<Vec<i64>, std::io::Error> {
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
}
