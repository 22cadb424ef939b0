//! Cutting the payload into sections.

use crate::ImageError;

/// Takes sections off the front of the payload, one after the other (FORMAT §4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections<'a> {
    rest: &'a [u32],
}

impl<'a> Sections<'a> {
    pub(crate) fn new(words: &'a [u32]) -> Self {
        Self { rest: words }
    }

    /// The next `count` words; `None` where there are fewer.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u32]> {
        let (section, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(section)
    }

    /// What `part` takes off the front, itself included: a section of sections.
    pub(crate) fn spanned<T>(&mut self, part: impl FnOnce(&mut Self) -> Option<T>) -> Option<(&'a [u32], T)> {
        let before = self.rest;
        let value = part(self)?;
        let (span, _) = before.split_at_checked(before.len().checked_sub(self.rest.len())?)?;
        Some((span, value))
    }

    /// What has not been taken.
    pub(crate) fn rest(&self) -> &'a [u32] {
        self.rest
    }
}

/// A payload that ends before its shapes do.
pub(crate) fn too_short(payload: &[u32]) -> ImageError {
    let found = u32::try_from(payload.len()).unwrap_or(u32::MAX).saturating_mul(4);
    ImageError::Length { expected: found.saturating_add(4), found }
}
