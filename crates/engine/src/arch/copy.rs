//! Every Arm core: a few words from one place to another. The compiler calls a function of its library for that, which for a
//! layer's hidden state takes as long as two units do.

use core::arch::asm;

/// Copies whole groups of four values, as many as there are in both.
#[inline(always)]
pub(crate) fn copy_groups(to: &mut [i16], from: &[i16]) {
    let groups = to.len().min(from.len()) / 4;
    let words = to.as_ptr().addr() | from.as_ptr().addr();
    if groups == 0 || !words.is_multiple_of(4) {
        return;
    }
    // SAFETY: both have so many groups of two words each, at addresses that are multiples of four.
    unsafe {
        asm!(
            "2:",
            "ldm {from}!, {{r2, r3}}",
            "stm {to}!, {{r2, r3}}",
            "subs {groups}, {groups}, #1",
            "bne 2b",
            from = inout(reg) from.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr() => _,
            groups = inout(reg) groups => _,
            out("r2") _,
            out("r3") _,
            options(nostack),
        );
    }
}
