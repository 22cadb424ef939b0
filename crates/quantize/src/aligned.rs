//! Image bytes where `Image::parse` can borrow them.

use std::fs;
use std::io;
use std::path::Path;

/// Bytes at an address that is a multiple of 4, as images and `.seq` files must lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlignedBytes {
    words: Vec<u32>,
    length: usize,
}

impl AlignedBytes {
    /// A copy that is aligned.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, length: bytes.len() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::new(&fs::read(path)?))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }
}

impl std::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}
