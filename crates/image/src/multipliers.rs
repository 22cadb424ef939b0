//! The packed scales of one row.

/// The multipliers of a row of `W` and of the same row of `U`, 0 to 32767 (NUMERICS §3.1), packed into one word: that of
/// `W` in bits 0 to 15, that of `U` in bits 16 to 31, where SMLAWB and SMLAWT find them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Multipliers(u32);

impl Multipliers {
    /// Packs two multipliers.
    pub const fn new(input: i16, recurrent: i16) -> Self {
        Self(input as u16 as u32 | (recurrent as u16 as u32) << 16)
    }

    /// As it lies in the image.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// As it lies in the image.
    pub const fn word(self) -> u32 {
        self.0
    }

    /// That of the input product.
    #[inline(always)]
    pub const fn input(self) -> i32 {
        self.0 as u16 as i16 as i32
    }

    /// That of the recurrent product.
    #[inline(always)]
    pub const fn recurrent(self) -> i32 {
        (self.0 as i32) >> 16
    }

    /// Whether both are within 0 to 32767.
    pub const fn is_valid(self) -> bool {
        self.input() >= 0 && self.recurrent() >= 0
    }
}
