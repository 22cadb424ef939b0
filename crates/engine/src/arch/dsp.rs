//! Cortex-M4, M7 and M33 with the DSP extension: two products of 16 bits in one instruction.
//!
//! A word of a tile holds one pair of rows for two columns, `v = 256·w1 + w2 + 128` for each. SMLALD adds both `v·x` to 64
//! bits; UXTB16 and SMLAD add both `(w2 + 128)·x` to 32. Both start from `-128·Σx`, so they end as `256·A + B` and `B`, and
//! `A = floor((256·A + B) / 2^8) - floor(B / 2^8)`: three instructions for eight products, where one product for each weight
//! takes four for the loads alone.
//!
//! The code of one tile uses all fourteen registers, and nothing in it is decided twice: the state holds where to jump to for
//! this number of columns, so a tile of 8, 16, 24, ... columns runs through straight code without a comparison.

use core::arch::{asm, naked_asm};
use core::marker::PhantomData;
use core::mem::{MaybeUninit, offset_of};

use crate::TANH;
use crate::kernel::{GROUP, Product};

/// See [`crate::kernel::PortableSums`].
pub(crate) struct Sums<'a> {
    state: State,
    /// Whole tiles left.
    left: usize,
    /// Where [`Sums::group`] has its tiles written.
    group: MaybeUninit<[[i32; 4]; GROUP]>,
    /// Values of a tile of each product.
    tile: [usize; 2],
    borrowed: PhantomData<&'a [i32]>,
}

impl<'a> Sums<'a> {
    /// As many tiles as there are multipliers and biases for, or none where a product has fewer.
    #[inline(always)]
    pub(crate) fn new(
        input: Product<'a>,
        recurrent: Product<'a>,
        multipliers: &'a [u32],
        bias: &'a [i32],
        shift: u32,
    ) -> Self {
        let tiles = multipliers.len().min(bias.len()) / 4;
        let left = if holds(input, tiles) && holds(recurrent, tiles) { tiles } else { 0 };
        let prepare = (run as unsafe extern "C" fn(_, _, _)) as usize as u32 + 4;
        // In one expression: made apart, the state would be copied.
        Self {
            state: State {
                input_part: MaybeUninit::uninit(),
                bias: bias.as_ptr(),
                input: Pass::new(input, prepare),
                sums_end: Word::uninit(),
                shift,
                sums: Word::uninit(),
                multipliers: multipliers.as_ptr(),
                recurrent: Pass::new(recurrent, 0),
                loops: [Word::uninit(); 4],
            },
            left,
            group: MaybeUninit::uninit(),
            tile: [2 * input.vector.values.len(), 2 * recurrent.vector.values.len()],
            borrowed: PhantomData,
        }
    }

    /// Takes as many tiles as there are `sums`. Those beyond the last are left as they are.
    #[inline(always)]
    pub(crate) fn next(&mut self, sums: &mut [[i32; 4]]) {
        let tiles = sums.len().min(self.left);
        if tiles > 0 {
            self.left -= tiles;
            // SAFETY: `new` and the line above see to it that every product's slice holds `tiles` more tiles of twice as
            // many values as its vector, on word boundaries, and that there are four words for each in the other slices.
            unsafe { run(&mut self.state, sums.as_mut_ptr(), tiles) };
        }
    }

    #[inline(always)]
    pub(crate) fn group<const N: usize>(&mut self) -> (&[[i32; 4]; N], &[i32; 4]) {
        const { assert!(0 < N && N <= GROUP) };
        if N <= self.left {
            self.left -= N;
            // SAFETY: as in `next`; there is room for `GROUP` tiles.
            unsafe { run(&mut self.state, self.group.as_mut_ptr().cast(), N) };
        } else {
            self.group = MaybeUninit::new([[0; 4]; GROUP]);
            self.state.input_part = MaybeUninit::new([0; 4]);
        }
        // SAFETY: the kernel has written the first `N` tiles and the input part, or the lines above have written all.
        unsafe { (&*self.group.as_ptr().cast(), self.state.input_part.assume_init_ref()) }
    }

    #[inline(always)]
    pub(crate) fn skip(&mut self, tiles: usize) {
        if tiles <= self.left {
            self.left -= tiles;
            let [input, recurrent] = self.tile;
            self.state.input.tiles = self.state.input.tiles.wrapping_add(tiles * input);
            self.state.recurrent.tiles = self.state.recurrent.tiles.wrapping_add(tiles * recurrent);
            self.state.multipliers = self.state.multipliers.wrapping_add(4 * tiles);
            self.state.bias = self.state.bias.wrapping_add(4 * tiles);
        }
    }
}

/// Whether there are so many tiles that [`run`] can read: it takes two columns at a time, and words.
#[inline(always)]
fn holds(product: Product<'_>, tiles: usize) -> bool {
    let (weights, values) = (product.tiles, product.vector.values);
    let words = weights.as_ptr().addr() | values.as_ptr().addr();
    values.is_empty()
        || values.len().is_multiple_of(2) && words.is_multiple_of(4) && weights.len() >= tiles * 2 * values.len()
}

/// `L(v) + addend` of [`crate::activation`], with `$saturate` as the first instruction, which makes `v` of the register.
/// Both entries of the table come by one load, at any address, and meet their weights, `fraction` and `1024 - fraction`, in
/// one instruction.
macro_rules! interpolate {
    ($saturate:literal, $v:expr, $addend:expr) => {{
        let middle = TANH.as_ptr().wrapping_add(TANH.len() / 2);
        let result;
        // SAFETY: SSAT leaves -2^19 ..= 2^19 - 1, so the index is -512 ..= 511 from the middle of 1,025 entries, and the one
        // behind it is there as well.
        unsafe {
            asm!(
                $saturate,
                "asr {pair}, {v}, #10",
                "ldr {pair}, [{middle}, {pair}, lsl #1]",
                "ubfx {v}, {v}, #0, #10",
                "mla {v}, {v}, {spread}, {one}",
                "smlad {v}, {pair}, {v}, {addend}",
                v = inout(reg) $v => result,
                pair = out(reg) _,
                middle = in(reg) middle,
                // fraction·65535 + 1024 = fraction·2^16 + (1024 - fraction)
                spread = in(reg) 65_535,
                one = in(reg) 1_024,
                addend = in(reg) $addend,
                // Not `preserves_flags`: SSAT and SMLAD set Q.
                options(pure, readonly, nostack),
            );
        }
        result
    }};
}

/// See [`crate::activation::portable::interpolate`].
#[inline(always)]
pub(crate) fn interpolate(v: i32, addend: i32) -> i32 {
    interpolate!("ssat {v}, #20, {v}", v, addend)
}

/// See [`crate::activation::portable::interpolate_half`].
#[inline(always)]
pub(crate) fn interpolate_half(v: i32, addend: i32) -> i32 {
    interpolate!("ssat {v}, #20, {v}, asr #1", v, addend)
}

/// An address in [`run`], or a number.
type Word = MaybeUninit<u32>;

/// What one product needs at the start of each tile; loaded by one instruction, but for the last word.
#[repr(C)]
struct Pass {
    tiles: *const i16,
    /// `-128·Σx`: the low halves of both rows' `B`, those of both `256·A + B`, and the high halves of these.
    start: [Word; 6],
    activations: *const i16,
    /// Where the code for this number of columns begins; before the first tile, where all that is not set is computed.
    entry: u32,
    /// Where it goes on after the blocks of eight; before the first tile, the number of columns.
    done: u32,
}

impl Pass {
    #[inline(always)]
    fn new(product: Product<'_>, entry: u32) -> Self {
        let values = product.vector.values;
        Self {
            tiles: product.tiles.as_ptr(),
            start: [Word::uninit(); 6],
            activations: values.as_ptr(),
            entry,
            done: values.len() as u32,
        }
    }
}

/// What [`run`] works from: the order is that in which its instructions load several words.
#[repr(C)]
struct State {
    /// `b + S(W·x)` of the tile in progress.
    input_part: MaybeUninit<[i32; 4]>,
    bias: *const i32,
    input: Pass,
    sums_end: Word,
    shift: u32,
    sums: Word,
    multipliers: *const u32,
    recurrent: Pass,
    /// Of each product the end of the activations in blocks, and the code for the columns that are left. This is not
    /// copied to the stack; in its place there lies a pointer to the state.
    loops: [Word; 4],
}

/// The next `tiles` tiles, at least one, into `sums`.
///
/// A copy of the state lies on the stack. r5 points into a product's tiles, r12 to activations; r6 and r7 are the sums of the
/// second and the fourth row, r10:r8 and r11:r9 those of both pairs; activations and values come into the others.
///
/// # Safety
/// What [`Sums::next`] says.
#[unsafe(naked)]
unsafe extern "C" fn run(state: *mut State, sums: *mut [i32; 4], tiles: usize) {
    naked_asm!(
        extension!(),
        // Two columns of a pair of rows: 256·A + B, then B.
        ".macro EMBERLOOP_FIRST x, values",
        "smlald r8, r10, \\values, \\x",
        "uxtb16 \\values, \\values",
        "smlad r6, \\values, \\x, r6",
        ".endm",
        ".macro EMBERLOOP_SECOND x, values",
        "smlald r9, r11, \\values, \\x",
        "uxtb16 \\values, \\values",
        "smlad r7, \\values, \\x, r7",
        ".endm",
        // All columns of a product, `blocks` blocks of eight in straight code: 29 instructions and 116 bytes each. Control
        // comes from `entry`; it leaves at the end, with the rows' accumulators in r8, r6, r9 and r7. `done` lies so far
        // behind the stack pointer, what belongs to a loop so far behind the state.
        ".macro EMBERLOOP_COLUMNS name, blocks, done, loop",
        ".Lemberloop_\\name\\()_blocks:",
        ".rept \\blocks",
        "ldm.w r12!, {{r0-r3}}",
        "ldm.w r5!, {{r4, lr}}",
        "EMBERLOOP_FIRST r0, r4",
        "EMBERLOOP_FIRST r1, lr",
        "ldm.w r5!, {{r4, lr}}",
        "EMBERLOOP_FIRST r2, r4",
        "EMBERLOOP_FIRST r3, lr",
        "ldm.w r5!, {{r4, lr}}",
        "EMBERLOOP_SECOND r0, r4",
        "EMBERLOOP_SECOND r1, lr",
        "ldm.w r5!, {{r4, lr}}",
        "EMBERLOOP_SECOND r2, r4",
        "EMBERLOOP_SECOND r3, lr",
        ".endr",
        ".Lemberloop_\\name\\()_blocks_end:",
        "ldr pc, [sp, #\\done]",
        ".Lemberloop_\\name\\()_again:",
        "ldr r0, [sp, #{loops}]",
        "ldrd r1, r0, [r0, #\\loop]",
        "cmp r12, r1",
        "bne.w .Lemberloop_\\name\\()_blocks",
        "bx r0",
        ".Lemberloop_\\name\\()_6:",
        "ldr r0, [r12], #4",
        "ldm r5!, {{r3, r4}}",
        "EMBERLOOP_FIRST r0, r3",
        "EMBERLOOP_SECOND r0, r4",
        ".Lemberloop_\\name\\()_4:",
        "ldr r0, [r12], #4",
        "ldm r5!, {{r3, r4}}",
        "EMBERLOOP_FIRST r0, r3",
        "EMBERLOOP_SECOND r0, r4",
        ".Lemberloop_\\name\\()_2:",
        "ldr r0, [r12]",
        "ldm r5!, {{r3, r4}}",
        "EMBERLOOP_FIRST r0, r3",
        "EMBERLOOP_SECOND r0, r4",
        ".Lemberloop_\\name\\()_0:",
        "lsr r8, r8, #8",
        "orr r8, r8, r10, lsl #24",
        "sub r8, r8, r6, asr #8",
        "lsr r9, r9, #8",
        "orr r9, r9, r11, lsl #24",
        "sub r9, r9, r7, asr #8",
        ".endm",
        // By half the number of columns that the blocks leave; the lowest bit of an address says Thumb.
        ".macro EMBERLOOP_TABLE name, blocks",
        ".word .Lemberloop_\\name\\()_0 + 1",
        ".word .Lemberloop_\\name\\()_2 + 1",
        ".word .Lemberloop_\\name\\()_4 + 1",
        ".word .Lemberloop_\\name\\()_6 + 1",
        ".word .Lemberloop_\\name\\()_blocks_end + 1 - 116",
        ".word .Lemberloop_\\name\\()_again + 1",
        ".word \\blocks - 1",
        ".endm",
        "emberloop_stage_shared:",
        "b.w 4f",
        // The first tile comes here, four bytes behind the start.
        "emberloop_stage_recurrent_prepare:",
        "ldr r0, [sp, #{loops}]",
        "add sp, sp, #{loops}",
        "add r1, r0, #{loops}",
        "adds r0, #{input}",
        "adr.w r3, 10f",
        "bl 20f",
        "adds r0, #{recurrent} - {input}",
        "adds r1, #8",
        "adr.w r3, 11f",
        "bl 20f",
        "subs r0, #{recurrent}",
        "b.w 3f",
        // Completes the pass at r0 and its two words at r1; the table is at r3.
        "20:",
        "push {{r0, r1, lr}}",
        "ldr r10, [r0, #28]",
        "ldr r2, [r0, #36]",
        "mov r1, r10",
        "movs r0, #0",
        "mov r12, #0x10001",
        "lsrs lr, r2, #3",
        "beq 22f",
        "21:",
        "ldm r1!, {{r4-r7}}",
        "smlad r0, r4, r12, r0",
        "smlad r0, r5, r12, r0",
        "smlad r0, r6, r12, r0",
        "smlad r0, r7, r12, r0",
        "subs lr, lr, #1",
        "bne 21b",
        "22:",
        "ands lr, r2, #6",
        "beq 24f",
        "23:",
        "ldr r4, [r1], #4",
        "smlad r0, r4, r12, r0",
        "subs lr, lr, #2",
        "bne 23b",
        "24:",
        "rsbs r0, r0, #0",
        "lsls r4, r0, #7",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        "asr r8, r0, #25",
        "mov r9, r8",
        // lr: the code for the rest; r11: that for these columns; r12: that after the blocks. The first time the straight
        // code does 1 to all of its blocks, then all.
        "ubfx lr, r2, #1, #2",
        "ldr lr, [r3, lr, lsl #2]",
        "mov r11, lr",
        "mov r12, lr",
        "lsrs r2, r2, #3",
        "beq 25f",
        "subs r1, r2, #1",
        "ldr r0, [r3, #24]",
        "cmp r1, r0",
        "it hi",
        "ldrhi r12, [r3, #20]",
        "ands r1, r0",
        "ldr r11, [r3, #16]",
        "movs r0, #116",
        "mls r11, r1, r0, r11",
        "25:",
        "pop {{r0, r1}}",
        "adds r3, r0, #4",
        "stm r3, {{r4-r12}}",
        "add r10, r10, r2, lsl #4",
        "strd r10, lr, [r1]",
        "pop {{pc}}",
        ".balign 4",
        "10:",
        "EMBERLOOP_TABLE input, {input_blocks}",
        "11:",
        "EMBERLOOP_TABLE recurrent, {recurrent_blocks}",
        "emberloop_stage_shared_2:",
        "4:",
        "push {{r0, r4-r11, lr}}",
        "add r2, r1, r2, lsl #4",
        "str r2, [r0, #{sums_end}]",
        "str r1, [r0, #{sums}]",
        "3:",
        "add r12, r0, #{shift}",
        "ldm r12, {{r1-r12, lr}}",
        "push {{r1-r12, lr}}",
        "add r12, r0, #{bias}",
        "ldm r12, {{r1-r12}}",
        "push {{r1-r12}}",
        "sub sp, sp, #16",
        "emberloop_stage_input:",
        "5:",
        "ldm sp, {{r0-r12, pc}}",
        "EMBERLOOP_COLUMNS input, {input_blocks}, {input} + 36, {loops}",
        // b + S(W·x)
        "emberloop_stage_scale:",
        "ldr r4, [sp, #{bias}]",
        "ldr r12, [sp, #{multipliers}]",
        "ldm r4!, {{r0-r3}}",
        "ldm r12, {{r10, r11, r12, lr}}",
        "smlawb r0, r8, r10, r0",
        "smlawb r1, r6, r11, r1",
        "smlawb r2, r9, r12, r2",
        "smlawb r3, r7, lr, r3",
        "stm sp, {{r0-r5}}",
        "emberloop_stage_recurrent:",
        "add r0, sp, #{recurrent} - 20",
        "ldm r0, {{r0-r12, pc}}",
        "EMBERLOOP_COLUMNS recurrent, {recurrent_blocks}, {recurrent} + 36, {loops} + 8",
        // + S(U·h), shifted
        "emberloop_stage_scale_2:",
        "ldr r4, [sp, #{multipliers}]",
        "ldm sp, {{r0-r3}}",
        "ldm r4!, {{r10, r11, r12, lr}}",
        "smlawt r10, r8, r10, r0",
        "smlawt r11, r6, r11, r1",
        "smlawt r12, r9, r12, r2",
        "smlawt lr, r7, lr, r3",
        "add r0, sp, #{sums_end}",
        "ldm r0, {{r1-r3}}",
        "lsl r10, r10, r2",
        "lsl r11, r11, r2",
        "lsl r12, r12, r2",
        "lsl lr, lr, r2",
        "stm r3!, {{r10, r11, r12, lr}}",
        "stm r0, {{r1-r5}}",
        "cmp r3, r1",
        "bne.w 5b",
        "emberloop_stage_shared_3:",
        "ldr r0, [sp, #{loops}]",
        "strd r4, r5, [r0, #{multipliers}]",
        "ldm sp, {{r1-r6}}",
        "stm r0, {{r1-r6}}",
        "add sp, sp, #{loops}",
        "pop {{r0, r4-r11, pc}}",
        "emberloop_stage_end:",
        ".purgem EMBERLOOP_FIRST",
        ".purgem EMBERLOOP_SECOND",
        ".purgem EMBERLOOP_COLUMNS",
        ".purgem EMBERLOOP_TABLE",
        input_blocks = const 2,
        recurrent_blocks = const 4,
        bias = const offset_of!(State, bias),
        input = const offset_of!(State, input),
        sums_end = const offset_of!(State, sums_end),
        shift = const offset_of!(State, shift),
        sums = const offset_of!(State, sums),
        multipliers = const offset_of!(State, multipliers),
        recurrent = const offset_of!(State, recurrent),
        loops = const offset_of!(State, loops),
    )
}

// The order that the code above relies on.
const _: () = {
    assert!(offset_of!(Pass, activations) == 28 && offset_of!(Pass, entry) == 32 && offset_of!(Pass, done) == 36);
    assert!(offset_of!(State, input) == 20 && offset_of!(State, bias) == 16 && offset_of!(State, sums_end) == 60);
    assert!(offset_of!(State, shift) == 64 && offset_of!(State, sums) == 68 && offset_of!(State, multipliers) == 72);
    assert!(offset_of!(State, recurrent) == 76 && offset_of!(State, loops) == 116);
};
