//! Cortex-M55 and M85: eight products of 16 bits in one instruction, summed across the lanes into core registers.
//!
//! A vector of a tile holds one pair of rows for eight columns, `v = 256·w1 + w2 + 128` for each. VMLALDAVA adds all `v·x` to
//! 64 bits; VMOVLB leaves the low bytes and VMLADAVA adds all `(w2 + 128)·x` to 32. Both start from `-128·Σx`, so they end
//! as `256·A + B` and `B`, and `A = floor((256·A + B) / 2^8) - floor(B / 2^8)`. VLDM brings several vectors at once: 14
//! instructions for four rows of 16 columns.
//!
//! The state holds where to jump to for a number of columns, so a tile of 16, 32, 48, ... columns runs through straight code
//! without a comparison.

use core::arch::naked_asm;
use core::marker::PhantomData;
use core::mem::{MaybeUninit, offset_of};

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
                input_way: Way::new(input),
                input: Pass::new(input, prepare),
                recurrent: Pass::new(recurrent, 0),
                recurrent_way: Way::new(recurrent),
                shift,
                input_tiles: input.tiles.as_ptr(),
                recurrent_tiles: recurrent.tiles.as_ptr(),
                multipliers: multipliers.as_ptr(),
                bias: bias.as_ptr(),
                input_part: MaybeUninit::uninit(),
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
            self.state.input_tiles = self.state.input_tiles.wrapping_add(tiles * input);
            self.state.recurrent_tiles = self.state.recurrent_tiles.wrapping_add(tiles * recurrent);
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

/// An address in [`run`], or a number.
type Word = MaybeUninit<u32>;

/// What one product needs at the start of each tile; loaded by one instruction. `low` and `high` are the halves of
/// `-128·Σx`.
#[repr(C)]
struct Pass {
    first_low: Word,
    first_high: Word,
    first_bytes: Word,
    activations: *const i16,
    second_low: Word,
    second_high: Word,
    second_bytes: Word,
    /// Where the code for this number of columns begins; before the first tile, where all that is not set is computed.
    entry: u32,
}

impl Pass {
    #[inline(always)]
    fn new(product: Product<'_>, entry: u32) -> Self {
        Self {
            first_low: Word::uninit(),
            first_high: Word::uninit(),
            first_bytes: Word::uninit(),
            activations: product.vector.values.as_ptr(),
            second_low: Word::uninit(),
            second_high: Word::uninit(),
            second_bytes: Word::uninit(),
            entry,
        }
    }
}

/// Where that code goes on.
#[repr(C)]
struct Way {
    /// After the blocks of 16 columns; before the first tile, the number of columns.
    done: u32,
    /// Behind the last activation of these blocks.
    end: Word,
    /// The code for the columns that are left.
    rest: Word,
    /// The activations of these: eight, where there are so many; then for two and two more columns, whose values lie as
    /// they go into both pairs' sums, with zeros between; and for the last two, of the first pair.
    last: [Word; 16],
}

impl Way {
    #[inline(always)]
    fn new(product: Product<'_>) -> Self {
        let columns = product.vector.values.len() as u32;
        Self { done: columns, end: Word::uninit(), rest: Word::uninit(), last: [Word::uninit(); 16] }
    }
}

/// What [`run`] works from; r7 points to the middle of it, between the two that are loaded.
#[repr(C)]
struct State {
    input_way: Way,
    input: Pass,
    recurrent: Pass,
    recurrent_way: Way,
    shift: u32,
    input_tiles: *const i16,
    recurrent_tiles: *const i16,
    multipliers: *const u32,
    bias: *const i32,
    /// `b + S(W·x)` of the last tile.
    input_part: MaybeUninit<[i32; 4]>,
}

/// The next `tiles` tiles, at least one, into `sums`.
///
/// r7 points to the state, r8 and r9 into the tiles of both products, r10 to the multipliers, r11 to the bias, r12 to the
/// sums; lr counts tiles; q6 holds the shift, q7 the input part. The first pair's sums are r1:r0 and r2, the second's r5:r4
/// and r6; r3 points to activations.
///
/// # Safety
/// What [`Sums::next`] says.
#[unsafe(naked)]
unsafe extern "C" fn run(state: *mut State, sums: *mut [i32; 4], tiles: usize) {
    naked_asm!(
        // The assembler reads this once more when the program is linked, and then knows no target-cpu.
        ".cpu cortex-m55",
        // Eight columns of a pair of rows: 256·A + B, then B.
        ".macro EMBERLOOP_FIRST x, values",
        "vmlaldava.s16 r0, r1, \\x, \\values",
        "vmovlb.u8 \\values, \\values",
        "vmladava.s16 r2, \\x, \\values",
        ".endm",
        ".macro EMBERLOOP_SECOND x, values",
        "vmlaldava.s16 r4, r5, \\x, \\values",
        "vmovlb.u8 \\values, \\values",
        "vmladava.s16 r6, \\x, \\values",
        ".endm",
        // Columns by twos, both pairs in one vector; what the others' lanes hold meets zeros.
        ".macro EMBERLOOP_BOTH first, second, values",
        "vmlaldava.s16 r0, r1, \\first, \\values",
        "vmlaldava.s16 r4, r5, \\second, \\values",
        "vmovlb.u8 \\values, \\values",
        "vmladava.s16 r2, \\first, \\values",
        "vmladava.s16 r6, \\second, \\values",
        ".endm",
        // Eight columns and `twos` times two, of which `registers` take the values.
        ".macro EMBERLOOP_LAST_EIGHT name, tiles, last, twos, registers:vararg",
        ".Lemberloop_\\name\\()_eight_\\twos:",
        "add r3, r7, #\\last",
        "vldmia r3, {{d0-d5}}",
        "vldmia \\tiles!, {{\\registers}}",
        "EMBERLOOP_FIRST q0, q3",
        "EMBERLOOP_SECOND q0, q4",
        "EMBERLOOP_BOTH q1, q2, q5",
        ".endm",
        ".macro EMBERLOOP_LAST name, tiles, last, twos, registers:vararg",
        ".Lemberloop_\\name\\()_\\twos:",
        "add r3, r7, #\\last + 16",
        "vldmia r3!, {{d0-d3}}",
        "vldmia \\tiles!, {{\\registers}}",
        "EMBERLOOP_BOTH q0, q1, q5",
        ".endm",
        // The third two, behind four vectors of activations.
        ".macro EMBERLOOP_THIRD tiles, last",
        "add r3, r7, #\\last + 48",
        "vldrw.u32 q0, [r3]",
        "vldmia \\tiles!, {{d10}}",
        "vrev64.32 q1, q0",
        "EMBERLOOP_BOTH q0, q1, q5",
        ".endm",
        // All columns of a product. Control comes from `entry`; it leaves at the end, with the rows' accumulators in the
        // lanes of `sums`.
        ".macro EMBERLOOP_COLUMNS name, tiles, sums, way",
        ".Lemberloop_\\name\\()_blocks:",
        ".rept 8",
        "vldmia r3!, {{d0-d3}}",
        "vldmia \\tiles!, {{d4-d11}}",
        "EMBERLOOP_FIRST q0, q2",
        "EMBERLOOP_SECOND q0, q3",
        "EMBERLOOP_FIRST q1, q4",
        "EMBERLOOP_SECOND q1, q5",
        ".endr",
        ".Lemberloop_\\name\\()_blocks_end:",
        "ldr pc, [r7, #\\way]",
        ".Lemberloop_\\name\\()_again:",
        "vmov s0, r2",
        "ldr r2, [r7, #\\way + 4]",
        "cmp r3, r2",
        "vmov r2, s0",
        "bne.w .Lemberloop_\\name\\()_blocks",
        "ldr pc, [r7, #\\way + 8]",
        "EMBERLOOP_LAST_EIGHT \\name, \\tiles, \\way + 12, 3, d6-d11",
        "EMBERLOOP_THIRD \\tiles, \\way + 12",
        "b.w .Lemberloop_\\name\\()_0",
        "EMBERLOOP_LAST_EIGHT \\name, \\tiles, \\way + 12, 2, d6-d11",
        "b.w .Lemberloop_\\name\\()_0",
        "EMBERLOOP_LAST \\name, \\tiles, \\way + 12, 3, d10-d11",
        "EMBERLOOP_THIRD \\tiles, \\way + 12",
        "b.w .Lemberloop_\\name\\()_0",
        "EMBERLOOP_LAST \\name, \\tiles, \\way + 12, 2, d10-d11",
        "b.w .Lemberloop_\\name\\()_0",
        "EMBERLOOP_LAST \\name, \\tiles, \\way + 12, 1, d10",
        "b.w .Lemberloop_\\name\\()_0",
        ".Lemberloop_\\name\\()_eight_0:",
        "vldmia r3, {{d0-d1}}",
        "vldmia \\tiles!, {{d4-d7}}",
        "EMBERLOOP_FIRST q0, q2",
        "EMBERLOOP_SECOND q0, q3",
        "b.w .Lemberloop_\\name\\()_0",
        "EMBERLOOP_LAST_EIGHT \\name, \\tiles, \\way + 12, 1, d6-d10",
        ".Lemberloop_\\name\\()_0:",
        "lsrl r0, r1, #8",
        "lsrl r4, r5, #8",
        "sub r0, r0, r2, asr #8",
        "sub r4, r4, r6, asr #8",
        "vmov \\sums[2], \\sums[0], r0, r4",
        "vmov \\sums[3], \\sums[1], r2, r6",
        ".endm",
        // By half the number of columns that blocks of 16 leave; the lowest bit of an address says Thumb.
        ".macro EMBERLOOP_TABLE name",
        ".word .Lemberloop_\\name\\()_0 + 1",
        ".word .Lemberloop_\\name\\()_1 + 1",
        ".word .Lemberloop_\\name\\()_2 + 1",
        ".word .Lemberloop_\\name\\()_3 + 1",
        ".word .Lemberloop_\\name\\()_eight_0 + 1",
        ".word .Lemberloop_\\name\\()_eight_1 + 1",
        ".word .Lemberloop_\\name\\()_eight_2 + 1",
        ".word .Lemberloop_\\name\\()_eight_3 + 1",
        ".word .Lemberloop_\\name\\()_blocks_end + 1 - 56",
        ".word .Lemberloop_\\name\\()_again + 1",
        ".endm",
        "emberloop_stage_shared:",
        "b.w 4f",
        // The first tile comes here, four bytes behind the start.
        "emberloop_stage_recurrent_prepare:",
        "push {{r8-r12, lr}}",
        "sub r0, r7, #32",
        "sub r1, r7, #{input_way}",
        "adr.w r2, 10f",
        "bl 20f",
        "mov r0, r7",
        "add r1, r7, #32",
        "adr.w r2, 11f",
        "bl 20f",
        "pop {{r8-r12, lr}}",
        "b.w 5f",
        // Completes the pass at r0 and the way at r1; the table is at r2.
        "20:",
        "push {{r7, lr}}",
        "ldr r3, [r0, #12]",
        "ldr r4, [r1]",
        "movs r6, #0",
        "mov r5, r3",
        "wlstp.16 lr, r4, 22f",
        "21:",
        "vldrh.u16 q0, [r5], #16",
        "vaddva.s16 r6, q0",
        "letp lr, 21b",
        "22:",
        "rsb r6, r6, #0",
        "lsl r8, r6, #7",
        "asr r9, r6, #25",
        "mov r10, r8",
        "mov r11, r3",
        "stm r0!, {{r8-r11}}",
        // r5: blocks; r6: the end of their activations; r12: the code for the rest; r7: that for these columns.
        "lsrs r5, r4, #4",
        "add r6, r3, r5, lsl #5",
        "ubfx lr, r4, #1, #3",
        "ldr r12, [r2, lr, lsl #2]",
        "mov r7, r12",
        "cbz r5, 23f",
        "sub lr, r5, #1",
        "and lr, lr, #7",
        "movs r3, #56",
        "ldr r7, [r2, #32]",
        "mls r7, lr, r3, r7",
        "23:",
        "mov r11, r7",
        "stm r0, {{r8-r11}}",
        "mov r11, r12",
        "cmp r5, #8",
        "it hi",
        "ldrhi r11, [r2, #36]",
        "strd r11, r6, [r1]",
        "str r12, [r1, #8]",
        // The rest's activations.
        "tst r4, #6",
        "beq 25f",
        "adds r1, #12",
        "lsls r3, r4, #28",
        "bpl 24f",
        "vldrw.u32 q0, [r6], #16",
        "vstrw.32 q0, [r1]",
        "24:",
        "vmov.i32 q0, #0",
        "vstrw.32 q0, [r1, #16]",
        "vstrw.32 q0, [r1, #32]",
        "vstrw.32 q0, [r1, #48]",
        "ldr r3, [r6]",
        "str r3, [r1, #16]",
        "str r3, [r1, #36]",
        "lsls r3, r4, #29",
        "bpl 25f",
        "ldr r3, [r6, #4]",
        "str r3, [r1, #24]",
        "str r3, [r1, #44]",
        "lsls r3, r4, #30",
        "bpl 25f",
        "ldr r3, [r6, #8]",
        "str r3, [r1, #48]",
        "25:",
        "pop {{r7, pc}}",
        ".balign 4",
        "10:",
        "EMBERLOOP_TABLE input",
        "11:",
        "EMBERLOOP_TABLE recurrent",
        "emberloop_stage_shared_2:",
        "4:",
        "push {{r4-r11, lr}}",
        "vpush {{d8-d15}}",
        "add r7, r0, #{input_way}",
        "mov r12, r1",
        "add r0, r7, #{shift}",
        "dls lr, r2",
        "ldm r0, {{r3, r8-r11}}",
        "vdup.32 q6, r3",
        "emberloop_stage_input:",
        "5:",
        "ldmdb r7, {{r0-r6, pc}}",
        "EMBERLOOP_COLUMNS input, r8, q7, -{input_way}",
        "emberloop_stage_recurrent:",
        "ldm r7, {{r0-r6, pc}}",
        "EMBERLOOP_COLUMNS recurrent, r9, q0, 32",
        // (b + S(W·x) + S(U·h)) · 2^k: VSHLL brings each multiplier to the upper half, VMULH takes the upper word.
        "emberloop_stage_scale:",
        "vldrw.u32 q1, [r10], #16",
        "vldrw.u32 q4, [r11], #16",
        "vshllb.u16 q2, q1, #16",
        "vshllt.u16 q3, q1, #16",
        "vmulh.s32 q7, q7, q2",
        "vmulh.s32 q0, q0, q3",
        "vadd.i32 q7, q7, q4",
        "vadd.i32 q0, q0, q7",
        "vshl.s32 q0, q0, q6",
        "vstrw.32 q0, [r12], #16",
        "le lr, 5b",
        "emberloop_stage_shared_3:",
        "vstrw.32 q7, [r7, #{input_part}]",
        "add r0, r7, #{shift} + 4",
        "stm r0, {{r8-r11}}",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
        "emberloop_stage_end:",
        ".purgem EMBERLOOP_FIRST",
        ".purgem EMBERLOOP_SECOND",
        ".purgem EMBERLOOP_BOTH",
        ".purgem EMBERLOOP_LAST_EIGHT",
        ".purgem EMBERLOOP_LAST",
        ".purgem EMBERLOOP_THIRD",
        ".purgem EMBERLOOP_COLUMNS",
        ".purgem EMBERLOOP_TABLE",
        // From the middle of the state.
        input_way = const MIDDLE,
        shift = const offset_of!(State, shift) - MIDDLE,
        input_part = const offset_of!(State, input_part) - MIDDLE,
    )
}

/// Where r7 points to.
const MIDDLE: usize = offset_of!(State, recurrent);

// The offsets that the code above has as numbers.
const _: () = {
    assert!(offset_of!(State, input) + 32 == MIDDLE && offset_of!(State, recurrent_way) == MIDDLE + 32);
    assert!(offset_of!(Pass, activations) == 12 && offset_of!(Pass, entry) == 28 && size_of::<Pass>() == 32);
    assert!(offset_of!(Way, end) == 4 && offset_of!(Way, rest) == 8 && offset_of!(Way, last) == 12);
    assert!(offset_of!(State, bias) == offset_of!(State, shift) + 16);
};
