//! Cutting the payload into typed, borrowed sections.

use bytemuck::AnyBitPattern;

use crate::ImageError;

/// Takes sections off the front of the payload, one after the other; each is padded to 4 bytes (FORMAT §4).
pub(crate) struct Sections<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Sections<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, taken: 0 }
    }

    /// The next `count` values. The padding behind them must be zero, so that every bit of an image means something.
    pub(crate) fn take<T: AnyBitPattern>(&mut self, count: Option<usize>) -> Result<&'a [T], ImageError> {
        let too_short = |needed: usize, there: usize| ImageError::Length {
            expected: u32::try_from(needed).unwrap_or(u32::MAX),
            found: u32::try_from(there).unwrap_or(u32::MAX),
        };
        let there = self.taken + self.rest.len();
        let bytes = count.and_then(|count| count.checked_mul(size_of::<T>()));
        let padded = bytes.and_then(|bytes| bytes.checked_next_multiple_of(4));
        let (Some(bytes), Some(padded)) = (bytes, padded) else { return Err(too_short(usize::MAX, there)) };
        let Some((section, rest)) = self.rest.split_at_checked(padded) else {
            return Err(too_short(self.taken.saturating_add(padded), there));
        };
        let Some((values, padding)) = section.split_at_checked(bytes) else { return Err(too_short(padded, there)) };
        if padding.iter().any(|&byte| byte != 0) {
            return Err(ImageError::NotZero);
        }
        self.rest = rest;
        self.taken += padded;
        bytemuck::try_cast_slice(values).map_err(|_| ImageError::Misaligned)
    }

    /// What has not been taken.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}
