//! Which vector instructions to use.

use std::fmt;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Operation, Portable, Simd};

/// The environment variable that forces an instruction set for the whole process: `avx512`, `avx2` or `portable`.
pub const ISA_VARIABLE: &str = "EMBERLOOP_ISA";

/// A set of vector instructions. Results are the same bits with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// AVX-512F, on x86-64.
    Avx512,
    /// AVX2 and FMA, on x86-64.
    Avx2,
    /// No special instructions: plain Rust that the compiler vectorises for its target (NEON on aarch64).
    Portable,
}

/// An instruction set that cannot be used. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsaError {
    /// The name is none of the known ones.
    Unknown(String),
    /// This CPU does not have it.
    Missing(Isa),
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IsaError::Unknown(name) => {
                write!(f, "{ISA_VARIABLE}: expected avx512, avx2 or portable, found {name:?}")
            }
            IsaError::Missing(isa) => {
                let available: Vec<_> = Isa::available().into_iter().map(Isa::name).collect();
                write!(f, "{ISA_VARIABLE}: this CPU lacks {}; it has {}", isa.name(), available.join(", "))
            }
        }
    }
}

impl std::error::Error for IsaError {}

impl Isa {
    /// All of them, the fastest first.
    pub const ALL: [Isa; 3] = [Isa::Avx512, Isa::Avx2, Isa::Portable];

    /// The name in [`ISA_VARIABLE`].
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        }
    }

    /// Whether this CPU has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512 | Isa::Avx2 => false,
            Isa::Portable => true,
        }
    }

    /// Those that this CPU has, the fastest first. Never empty.
    pub fn available() -> Vec<Isa> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The fastest that this CPU has.
    pub fn best() -> Isa {
        Self::available()[0]
    }

    /// By its name, if this CPU has it.
    ///
    /// # Errors
    /// A name that is unknown, or instructions that this CPU lacks.
    pub fn from_name(name: &str) -> Result<Isa, IsaError> {
        let isa = Self::ALL.into_iter().find(|isa| isa.name() == name);
        let isa = isa.ok_or_else(|| IsaError::Unknown(name.to_owned()))?;
        if isa.is_available() { Ok(isa) } else { Err(IsaError::Missing(isa)) }
    }

    /// What the process uses: what [`ISA_VARIABLE`] names, else the fastest. The variable is read once.
    ///
    /// # Errors
    /// The variable holds a name that is unknown or that of instructions that this CPU lacks. A program can ask at its start,
    /// and print the error; the kernels panic with the same line.
    pub fn chosen() -> Result<Isa, IsaError> {
        static CHOSEN: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        let choose = || match std::env::var_os(ISA_VARIABLE) {
            None => Ok(Isa::best()),
            // Set to nothing is not set, as with most programs.
            Some(name) if name.is_empty() => Ok(Isa::best()),
            Some(name) => Isa::from_name(&name.to_string_lossy()),
        };
        CHOSEN.get_or_init(choose).clone()
    }

    /// Numbers per vector.
    pub(crate) const fn lanes(self) -> usize {
        match self {
            Isa::Avx512 => 16,
            Isa::Avx2 | Isa::Portable => 8,
        }
    }

    /// Runs the operation with these instructions.
    ///
    /// # Panics
    /// If this CPU lacks them.
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::new().unwrap_or_else(|| self.panic_missing()).run(operation),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::new().unwrap_or_else(|| self.panic_missing()).run(operation),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512 | Isa::Avx2 => self.panic_missing(),
            Isa::Portable => Portable.run(operation),
        }
    }

    pub(crate) fn panic_missing(self) -> ! {
        panic!("{}", IsaError::Missing(self))
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
