//! The numbers of a NumPy array as they stand in the file.

use npyz::{DType, Endianness, TypeChar};

/// The type of an array's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    kind: Kind,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Single,
    Double,
    Bool,
}

impl Element {
    /// `None` for texts, records and numbers that are not read.
    pub(crate) fn of(dtype: &DType) -> Option<Element> {
        let DType::Plain(kind) = dtype else { return None };
        let big_endian = kind.endianness() == Endianness::Big;
        let kind = match (kind.type_char(), kind.size_field()) {
            (TypeChar::Int, 1) => Kind::Int8,
            (TypeChar::Int, 2) => Kind::Int16,
            (TypeChar::Int, 4) => Kind::Int32,
            (TypeChar::Int, 8) => Kind::Int64,
            (TypeChar::Uint, 1) => Kind::Uint8,
            (TypeChar::Uint, 2) => Kind::Uint16,
            (TypeChar::Uint, 4) => Kind::Uint32,
            (TypeChar::Uint, 8) => Kind::Uint64,
            (TypeChar::Float, 4) => Kind::Single,
            (TypeChar::Float, 8) => Kind::Double,
            (TypeChar::Bool, 1) => Kind::Bool,
            _ => return None,
        };
        Some(Element { kind, big_endian })
    }

    /// Bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self.kind {
            Kind::Int8 | Kind::Uint8 | Kind::Bool => 1,
            Kind::Int16 | Kind::Uint16 => 2,
            Kind::Int32 | Kind::Uint32 | Kind::Single => 4,
            Kind::Int64 | Kind::Uint64 | Kind::Double => 8,
        }
    }

    /// Appends the numbers of `bytes` as f32, rounded once, to the bit as an array that is read whole; the error says what
    /// cannot be.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut Vec<f32>) -> Result<(), &'static str> {
        macro_rules! numbers {
            ($type:ty) => {{
                let (numbers, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                match self.big_endian {
                    false => out.extend(numbers.iter().map(|&number| <$type>::from_le_bytes(number) as f32)),
                    true => out.extend(numbers.iter().map(|&number| <$type>::from_be_bytes(number) as f32)),
                }
            }};
        }
        match self.kind {
            Kind::Int8 => numbers!(i8),
            Kind::Int16 => numbers!(i16),
            Kind::Int32 => numbers!(i32),
            Kind::Int64 => numbers!(i64),
            Kind::Uint8 => numbers!(u8),
            Kind::Uint16 => numbers!(u16),
            Kind::Uint32 => numbers!(u32),
            Kind::Single => numbers!(f32),
            Kind::Double => numbers!(f64),
            Kind::Bool => out.extend(bytes.iter().map(|&byte| f32::from(u8::from(byte != 0)))),
            Kind::Uint64 => {
                let (numbers, _) = bytes.as_chunks::<8>();
                for &number in numbers {
                    let number = if self.big_endian { u64::from_be_bytes(number) } else { u64::from_le_bytes(number) };
                    out.push(i64::try_from(number).map_err(|_| BEYOND)? as f32);
                }
            }
        }
        Ok(())
    }
}

/// Arrays that are read whole are widened to int64.
pub(crate) const BEYOND: &str = "a uint64 beyond int64";

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(descr: &str, bytes: &[u8]) -> Result<Vec<f32>, &'static str> {
        let dtype = DType::Plain(descr.parse().unwrap());
        let mut out = Vec::new();
        Element::of(&dtype).unwrap().decode(bytes, &mut out).map(|()| out)
    }

    #[test]
    fn both_byte_orders_and_every_width() {
        assert_eq!(decoded("|i1", &[0xFF, 2]).unwrap(), [-1.0, 2.0]);
        assert_eq!(decoded("<i2", &[0xFE, 0xFF]).unwrap(), [-2.0]);
        assert_eq!(decoded(">i2", &[0xFF, 0xFE]).unwrap(), [-2.0]);
        assert_eq!(decoded(">f8", &1.1f64.to_be_bytes()).unwrap(), [1.1f32]);
        assert_eq!(decoded("<f4", &f32::NAN.to_le_bytes()).unwrap()[0].to_bits(), f32::NAN.to_bits());
        assert_eq!(decoded("|b1", &[0, 1, 7]).unwrap(), [0.0, 1.0, 1.0]);
        assert_eq!(decoded("<u8", &(1u64 << 40).to_le_bytes()).unwrap(), [(1u64 << 40) as f32]);
        assert_eq!(decoded("<u8", &u64::MAX.to_le_bytes()), Err(BEYOND));
    }

    #[test]
    fn other_types_are_none() {
        for descr in ["<f2", "<c8", "<U3", "|S4", "|O"] {
            assert_eq!(Element::of(&DType::Plain(descr.parse().unwrap())), None, "{descr}");
        }
    }
}
