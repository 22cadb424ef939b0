//! Bytes at a chosen distance from an address that is a multiple of 4.

/// Owned bytes.
pub struct Aligned {
    words: Vec<u32>,
    offset: usize,
    length: usize,
}

impl Aligned {
    pub fn new(bytes: &[u8], offset: usize) -> Self {
        let mut words = vec![0; (offset + bytes.len()).div_ceil(4)];
        bytemuck::cast_slice_mut::<u32, u8>(&mut words)[offset..offset + bytes.len()].copy_from_slice(bytes);
        Self { words, offset, length: bytes.len() }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[self.offset..self.offset + self.length]
    }
}
