//! The header of a `.npy` array.

use std::io::{Cursor, Read};

use npyz::NpyHeader;

/// Bytes of a header beyond which it is none: NumPy's own limit is 10,000.
const LONGEST: usize = 1 << 16;

/// Reads the header off the front of an array of `size` bytes, header included, and says how long it is; the error says in
/// a few words what is wrong.
///
/// A header that promises more elements than there are bytes is refused before anything is allocated by it.
pub(crate) fn read(mut reader: impl Read, size: u64) -> Result<(NpyHeader, u64), String> {
    let wrong = |error: std::io::Error| error.to_string();
    let mut bytes = vec![0; 10];
    reader.read_exact(&mut bytes).map_err(wrong)?;
    let wide = bytes[6] > 1;
    if wide {
        bytes.resize(12, 0);
        reader.read_exact(&mut bytes[10..]).map_err(wrong)?;
    }
    let low = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let high = if wide { usize::from(u16::from_le_bytes([bytes[10], bytes[11]])) } else { 0 };
    let (start, length) = (bytes.len(), low + (high << 16));
    if length > LONGEST {
        return Err("it does not begin as one".into());
    }
    bytes.resize(start + length, 0);
    reader.read_exact(&mut bytes[start..]).map_err(wrong)?;
    check_size(&bytes[start..], size)?;
    let header = NpyHeader::from_reader(Cursor::new(&bytes)).map_err(wrong)?;
    Ok((header, bytes.len() as u64))
}

/// npyz multiplies the shape unchecked; so the text of the header is looked at first.
fn check_size(header: &[u8], size: u64) -> Result<(), &'static str> {
    let header = String::from_utf8_lossy(header);
    let shape = header.split_once("'shape'").and_then(|(_, rest)| rest.split_once('(')?.1.split_once(')'));
    let Some((shape, _)) = shape else { return Err("its header names no shape") };
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty()).map(str::parse::<u64>);
    let count = sizes.into_iter().try_fold(1u64, |count, size| count.checked_mul(size.ok()?));
    // One byte is the least that an element takes.
    match count {
        Some(count) if count <= size => Ok(()),
        _ => Err("its shape promises more elements than it has bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_beyond_the_bytes_is_refused() {
        let promise = |shape: &str| check_size(format!("'shape': ({shape}), }}").as_bytes(), 24);
        assert!(promise("2, 3").is_ok());
        assert!(promise("5,").is_ok());
        assert!(promise("4000000000, 4000000000, 4000000000").is_err());
        assert!(promise("1000").is_err());
        assert!(promise("x").is_err());
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [&b"\x93NUMPY\x01\x00"[..], b"\x93NUMPY\x01\x00\xFF\xFF{'shape': (1,)", &[0xFF; 64]] {
            assert!(read(bytes, 1000).is_err());
        }
    }
}
