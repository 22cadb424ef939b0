//! What a call costs: its stack, by painting; its instructions, by two markers that `tools/icount.c` looks for.

use core::arch::asm;

use emberloop_engine::{Network, StepError};

/// What the free stack is filled with.
const PAINT: u32 = 0xcccc_cccc;
/// Bytes painted below the caller: many times what the engine's frames take.
const DEPTH: usize = 32 * 1024;

unsafe extern "C" {
    /// The lowest address that the stack may reach, from the linker script.
    #[cfg_attr(target_arch = "arm", link_name = "_stack_end")]
    #[cfg_attr(target_arch = "riscv32", link_name = "__estack")]
    static STACK_END: u32;
}

/// The stack that `call` takes, in bytes: how far below this function's frame a word has changed.
#[inline(never)]
pub fn stack_of(call: impl FnOnce()) -> usize {
    // A frame of its own, or what `call` keeps on the stack would count as this function's.
    #[inline(never)]
    fn framed(call: impl FnOnce()) {
        call();
    }

    let top = stack_pointer();
    let bottom = top.saturating_sub(DEPTH).max(&raw const STACK_END as usize) & !3;
    for address in (bottom..top).step_by(4) {
        // SAFETY: the words between the end of the stack's memory and the stack pointer belong to nobody: neither core
        // has a red zone, and this function calls nothing while it paints.
        unsafe { (address as *mut u32).write_volatile(PAINT) };
    }
    framed(call);
    // SAFETY: as above; these words are memory of the stack, whatever they hold.
    let changed = (bottom..top).step_by(4).find(|&address| unsafe { (address as *const u32).read_volatile() } != PAINT);
    changed.map_or(0, |lowest| top - lowest)
}

/// One step between two instructions that do nothing on any core.
#[inline(never)]
pub fn counted(network: &mut Network<'_, &mut [i32]>, sample: &[i32]) -> Result<(), StepError> {
    begin();
    let result = step(network, sample);
    end();
    result
}

/// Never inlined, so that no part of it moves over a marker.
#[inline(never)]
fn step(network: &mut Network<'_, &mut [i32]>, sample: &[i32]) -> Result<(), StepError> {
    network.step(sample).map(|_| ())
}

#[inline(always)]
fn begin() {
    // SAFETY: moves a register to itself (Arm), or writes to the zero register (RISC-V).
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!(".short 0x46c9"); // mov r9, r9
        #[cfg(target_arch = "riscv32")]
        asm!("slti x0, x0, 0x101");
    }
}

#[inline(always)]
fn end() {
    // SAFETY: as above.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!(".short 0x46d2"); // mov r10, r10
        #[cfg(target_arch = "riscv32")]
        asm!("slti x0, x0, 0x102");
    }
}

#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads the stack pointer.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "riscv32")]
        asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}
