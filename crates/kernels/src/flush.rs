//! Denormal numbers flushed to zero for a while.
//!
//! A gradient that vanishes over hundreds of steps becomes denormal, and arithmetic with denormals costs a factor of twenty.

/// While this lives, this thread's results that would be denormal are zero, and so are denormal operands (x86-64, aarch64;
/// other CPUs are left as they are). The state before returns when it is dropped, also by a panic.
pub(crate) struct FlushToZero {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    before: Register,
}

#[cfg(target_arch = "x86_64")]
type Register = u32;
#[cfg(target_arch = "aarch64")]
type Register = u64;

impl FlushToZero {
    pub(crate) fn new() -> Self {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        {
            let before = read();
            write(before | FLUSH);
            Self { before }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        Self {}
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Drop for FlushToZero {
    fn drop(&mut self) {
        write(self.before);
    }
}

/// MXCSR: results (FTZ, bit 15) and operands (DAZ, bit 6).
#[cfg(target_arch = "x86_64")]
const FLUSH: u32 = 1 << 15 | 1 << 6;

#[cfg(target_arch = "x86_64")]
fn read() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores the 32 bits of MXCSR at the address of a local u32. (The intrinsic for it is deprecated in favour of this.)
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack, preserves_flags)) };
    value
}

/// `value` is what `read` gave, with or without the flush bits. Rust assumes the default floating-point environment; this is a
/// knowing departure, as in BLAS libraries and audio programs: the compiler may still compute a denormal constant ahead of time or not,
/// and the kernels, which hold no such constants, are right with either.
#[cfg(target_arch = "x86_64")]
fn write(value: u32) {
    // SAFETY: loads MXCSR from the address of a local u32; all its reserved bits are as the CPU had them.
    // It also restores the exception flags, so it does not preserve them.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &value, options(nostack)) };
}

/// FPCR: FZ, bit 24.
#[cfg(target_arch = "aarch64")]
const FLUSH: u64 = 1 << 24;

#[cfg(target_arch = "aarch64")]
fn read() -> u64 {
    let value: u64;
    // SAFETY: reads a register that every aarch64 program may read.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// `value` is what `read` gave, with or without the flush bit.
#[cfg(target_arch = "aarch64")]
fn write(value: u64) {
    // SAFETY: writes a register that every aarch64 program may write; its reserved bits are as the CPU had them.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) value, options(nostack, preserves_flags)) };
}
