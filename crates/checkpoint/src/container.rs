//! Safetensors bytes in a fixed order, with their hash.
//!
//! The `safetensors` crate keeps `__metadata__` in a hash map and so writes two keys in either order; here the header is
//! written sorted. Reading goes through the crate, with all its checks.
//!
//! Every file carries the key `emberloop.sha256`: the SHA-256, in lower-case hexadecimal, of the whole file with these
//! 64 digits replaced by `0`. In Python:
//!
//! ```python
//! hashlib.sha256(data.replace(digits.encode(), b"0" * 64)).hexdigest() == digits
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorInfo};
use serde::ser::{Serialize, SerializeMap, Serializer};
use sha2::{Digest, Sha256};

/// The key under which a file's hash stands in its `__metadata__`.
pub const HASH_KEY: &str = "emberloop.sha256";

const METADATA_KEY: &str = "__metadata__";
const LENGTH_BYTES: usize = 8;
const HASH_DIGITS: usize = 64;

/// One tensor as bytes: little-endian, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTensor<'data> {
    /// The element type.
    pub dtype: Dtype,
    /// The dimensions.
    pub shape: Vec<usize>,
    /// The elements.
    pub bytes: Cow<'data, [u8]>,
}

/// A safetensors file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container<'data> {
    /// `__metadata__` without [`HASH_KEY`].
    pub metadata: BTreeMap<String, String>,
    /// The tensors by name.
    pub tensors: BTreeMap<String, RawTensor<'data>>,
}

/// What is wrong with a safetensors file.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Ends too early.
    #[error("truncated: expected {expected} bytes, found {found}")]
    Truncated {
        /// The length that the file itself announces, as far as it could be read.
        expected: String,
        /// The length it has.
        found: usize,
    },
    /// The header is damaged, or this was never safetensors.
    #[error("not a valid safetensors file: {reason}")]
    Header {
        /// What the parser says.
        reason: String,
    },
    /// No hash to check against.
    #[error(
        "{HASH_KEY}: expected 64 hexadecimal digits in __metadata__, found none; was the file edited by another tool?"
    )]
    NoHash,
    /// The hash differs.
    #[error("damaged or edited by another tool: its SHA-256 is {found}, recorded is {expected}")]
    Hash {
        /// The recorded hash.
        expected: String,
        /// The hash of what is there.
        found: String,
    },
    /// Elements and shape contradict each other, or a name is not allowed. Only when writing.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

impl<'data> Container<'data> {
    /// The file's bytes and its hash. The same content gives the same bytes.
    ///
    /// Tensors stand by descending size of their elements, then by name, as the `safetensors` packages write them.
    ///
    /// # Errors
    /// If a tensor's bytes do not fit its shape, or it is called `__metadata__`.
    pub fn encode(&self) -> Result<(Vec<u8>, String), ContainerError> {
        let mut order: Vec<_> = self.tensors.iter().collect();
        order.sort_by(|(left_name, left), (right_name, right)| {
            right.dtype.cmp(&left.dtype).then_with(|| left_name.cmp(right_name))
        });
        let mut infos = Vec::with_capacity(order.len());
        let mut offset = 0;
        for (name, tensor) in &order {
            check_size(name, tensor)?;
            let end = offset + tensor.bytes.len();
            let info = TensorInfo { dtype: tensor.dtype, shape: tensor.shape.clone(), data_offsets: (offset, end) };
            infos.push((name.as_str(), info));
            offset = end;
        }
        let mut metadata = self.metadata.clone();
        metadata.insert(HASH_KEY.into(), "0".repeat(HASH_DIGITS));
        let header = serde_json::to_string(&Header { metadata: &metadata, tensors: &infos })
            .map_err(|error| ContainerError::Header { reason: error.to_string() })?;

        let padded = header.len().next_multiple_of(LENGTH_BYTES);
        let mut bytes = Vec::with_capacity(LENGTH_BYTES + padded + offset);
        bytes.extend((padded as u64).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(LENGTH_BYTES + padded, b' ');
        for (_, tensor) in order {
            bytes.extend_from_slice(&tensor.bytes);
        }
        let hash = hexadecimal(&Sha256::digest(&bytes));
        let place = hash_place(&bytes).ok_or(ContainerError::NoHash)?;
        bytes[place..place + HASH_DIGITS].copy_from_slice(hash.as_bytes());
        Ok((bytes, hash))
    }

    /// Reads a file's structure; [`check_hash`] says whether the content is what was written.
    ///
    /// # Errors
    /// If the file is cut off, too long, or its header is not what safetensors asks for.
    pub fn decode(bytes: &'data [u8]) -> Result<Self, ContainerError> {
        check_length(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| header_error(&error))?;
        let view = SafeTensors::deserialize(bytes).map_err(|error| header_error(&error))?;
        let mut metadata: BTreeMap<String, String> = header.metadata().iter().flatten().map(owned).collect();
        metadata.remove(HASH_KEY);
        let tensors = view.iter().map(|(name, tensor)| {
            let raw = RawTensor {
                dtype: tensor.dtype(),
                shape: tensor.shape().to_vec(),
                bytes: Cow::Borrowed(tensor.data()),
            };
            (name.to_string(), raw)
        });
        Ok(Container { metadata, tensors: tensors.collect() })
    }
}

/// Checks that not one bit of a file differs from what [`Container::encode`] wrote, and returns the hash.
///
/// # Errors
/// If the hash is absent or differs.
pub fn check_hash(bytes: &[u8]) -> Result<String, ContainerError> {
    let place = hash_place(bytes).ok_or(ContainerError::NoHash)?;
    let (before, rest) = bytes.split_at(place);
    let (recorded, after) = rest.split_at(HASH_DIGITS);
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update([b'0'; HASH_DIGITS]);
    hasher.update(after);
    let found = hexadecimal(&hasher.finalize());
    if recorded == found.as_bytes() {
        Ok(found)
    } else {
        Err(ContainerError::Hash { expected: String::from_utf8_lossy(recorded).escape_debug().to_string(), found })
    }
}

/// Where the hash's digits stand. A quotation mark inside a JSON string is escaped, so no value can look like the key.
fn hash_place(bytes: &[u8]) -> Option<usize> {
    let end = LENGTH_BYTES.checked_add(header_length(bytes)?)?;
    let header = bytes.get(..end)?;
    let key = format!("\"{HASH_KEY}\":\"");
    let place = header.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
    (header.get(place + HASH_DIGITS) == Some(&b'"')).then_some(place)
}

/// The header's length as the file's first eight bytes announce it.
fn header_length(bytes: &[u8]) -> Option<usize> {
    let length = u64::from_le_bytes(*bytes.first_chunk::<LENGTH_BYTES>()?);
    usize::try_from(length).ok()
}

/// Tells a cut-off file from any other damage: the commonest accident deserves the clearest words.
fn check_length(bytes: &[u8]) -> Result<(), ContainerError> {
    let found = bytes.len();
    let Some(header) = header_length(bytes) else {
        return Err(ContainerError::Truncated { expected: format!("at least {LENGTH_BYTES}"), found });
    };
    let Some(data_start) = header.checked_add(LENGTH_BYTES) else { return Ok(()) };
    let Some(json) = bytes.get(LENGTH_BYTES..data_start) else {
        // A text or an image announces an absurd length: the parser has better words for that.
        let plausible = header < 100_000_000 && bytes.get(LENGTH_BYTES).is_none_or(|&first| first == b'{');
        let expected = format!("at least {data_start}");
        return if plausible { Err(ContainerError::Truncated { expected, found }) } else { Ok(()) };
    };
    let Ok(entries) = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(json) else { return Ok(()) };
    let ends = entries.values().filter_map(|entry| entry.get("data_offsets")?.get(1)?.as_u64());
    let announced = ends.max().unwrap_or(0).saturating_add(data_start as u64);
    if announced > found as u64 {
        return Err(ContainerError::Truncated { expected: announced.to_string(), found });
    }
    Ok(())
}

fn check_size(name: &str, tensor: &RawTensor<'_>) -> Result<(), ContainerError> {
    let fault = |reason: String| Err(ContainerError::Tensor { name: name.to_string(), reason });
    if name == METADATA_KEY {
        return fault("safetensors keeps this name for itself".into());
    }
    let elements = tensor.shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let bits = elements.and_then(|elements| elements.checked_mul(tensor.dtype.bitsize()));
    if bits.is_none_or(|bits| bits % 8 != 0 || bits / 8 != tensor.bytes.len()) {
        let RawTensor { dtype, shape, bytes } = tensor;
        return fault(format!("{dtype:?} {shape:?} cannot be made of {} bytes", bytes.len()));
    }
    Ok(())
}

fn header_error(error: &SafeTensorError) -> ContainerError {
    ContainerError::Header { reason: error.to_string() }
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a String takes everything");
        digits
    })
}

/// The header as JSON, metadata first, everything in a fixed order.
struct Header<'a> {
    metadata: &'a BTreeMap<String, String>,
    tensors: &'a [(&'a str, TensorInfo)],
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.tensors.len()))?;
        map.serialize_entry(METADATA_KEY, self.metadata)?;
        for (name, info) in self.tensors {
            map.serialize_entry(name, info)?;
        }
        map.end()
    }
}
