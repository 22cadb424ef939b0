//! Cortex-M0, M0+ and M23: Thumb-1 has one multiplication, 32 bits wide, and byte loads.
//!
//! Four rows at a time, a column after the other: three instructions a product, a load of the activation for all four, and
//! less than one to get to the next column. The accumulators are in r8 to r11, which ADD reaches although loads and MULS do
//! not. LDRB, for the unsigned weights, takes a constant offset, LDRSB and LDRSH a register: those for a first and a second
//! column of both pairs stay in registers, and serve the activations as well. Of 16 columns the first two are done, then
//! the ninth and the tenth, whose activations have the second pair's offsets, and so on.

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
        let prepare = (run as unsafe extern "C" fn(_, _, _)) as usize as u32 + 2;
        // In one expression: made apart, the state would be copied.
        Self {
            state: State {
                input: Pass::new(input, prepare),
                recurrent: Pass::new(recurrent, 0),
                multipliers: multipliers.as_ptr(),
                bias: bias.as_ptr(),
                shift,
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
            self.state.input.tiles = self.state.input.tiles.wrapping_add(tiles * input);
            self.state.recurrent.tiles = self.state.recurrent.tiles.wrapping_add(tiles * recurrent);
            self.state.multipliers = self.state.multipliers.wrapping_add(4 * tiles);
            self.state.bias = self.state.bias.wrapping_add(4 * tiles);
        }
    }
}

/// Whether there are so many tiles that [`run`] can read, and the columns are as [`crate::kernel::Vector`] says.
#[inline(always)]
fn holds(product: Product<'_>, tiles: usize) -> bool {
    let (weights, values) = (product.tiles, product.vector.values);
    values.is_empty()
        || values.len() == product.vector.columns.next_multiple_of(2)
            && values.as_ptr().addr().is_multiple_of(4)
            && weights.len() >= tiles * 2 * values.len()
}

/// An address in [`run`], or a number.
type Word = MaybeUninit<u32>;

/// What one product needs at the start of each tile.
#[repr(C)]
struct Pass {
    /// The offsets of a first and a second column's signed weights in the second pair,
    far: [u32; 2],
    /// less one, because the offsets are odd,
    activations: *const i16,
    tiles: *const i16,
    /// and in the first pair.
    near: [u32; 2],
    /// `-128·Σx`: what the rows start with whose weights have 128 added.
    start: Word,
    /// The end of the activations in blocks of 16, less one as above.
    end: Word,
    /// Where the code for this number of columns begins; before the first tile, where all that is not set is computed.
    entry: u32,
    /// Where it goes on after the blocks of 16; before the first tile, the number of columns.
    after: u32,
    /// Where it goes on after a single block of eight.
    rest: Word,
    /// And when all is done.
    done: Word,
    /// The end of the activations in twos, less one.
    twos_end: Word,
}

impl Pass {
    #[inline(always)]
    fn new(product: Product<'_>, entry: u32) -> Self {
        Self {
            far: [17, 19],
            activations: product.vector.values.as_ptr().wrapping_byte_sub(1),
            tiles: product.tiles.as_ptr(),
            near: [1, 3],
            start: Word::uninit(),
            end: Word::uninit(),
            entry,
            after: product.vector.columns as u32,
            rest: Word::uninit(),
            done: Word::uninit(),
            twos_end: Word::uninit(),
        }
    }
}

/// What [`run`] works from: the order is that in which its instructions load several words.
#[repr(C)]
struct State {
    input: Pass,
    recurrent: Pass,
    multipliers: *const u32,
    bias: *const i32,
    shift: u32,
    /// `b + S(W·x)` of the last tile.
    input_part: MaybeUninit<[i32; 4]>,
}

/// The next `tiles` tiles, at least one, into `sums`.
///
/// r2 points to activations, less one, r3 into a tile; r4, r5 and r0, r1 hold the offsets of the signed weights in both
/// pairs; r12 is the end of the blocks of 16. On the stack: the state, the middle of the pass, the sums, their end, and
/// `b + S(W·x)` of the tile in progress.
///
/// # Safety
/// What [`Sums::next`] says.
#[unsafe(naked)]
unsafe extern "C" fn run(state: *mut State, sums: *mut [i32; 4], tiles: usize) {
    naked_asm!(
        // One column, with the offsets of its activation, of its signed weights and of its unsigned ones.
        ".macro EMBERLOOP_COLUMN x, near, far, low, high",
        "ldrsh r6, [r2, \\x]",
        "ldrsb r7, [r3, \\near]",
        "muls r7, r6, r7",
        "add r8, r7",
        "ldrb r7, [r3, #\\low]",
        "muls r7, r6, r7",
        "add r9, r7",
        "ldrsb r7, [r3, \\far]",
        "muls r7, r6, r7",
        "add r10, r7",
        "ldrb r7, [r3, #\\high]",
        "muls r7, r6, r7",
        "add r11, r7",
        ".endm",
        // Two columns of a block, and two of the block behind it.
        ".macro EMBERLOOP_FOUR tiles, activations",
        "EMBERLOOP_COLUMN r4, r4, r0, 0, 16",
        "EMBERLOOP_COLUMN r5, r5, r1, 2, 18",
        "adds r3, #32",
        "EMBERLOOP_COLUMN r0, r4, r0, 0, 16",
        "EMBERLOOP_COLUMN r1, r5, r1, 2, 18",
        "\\tiles",
        "adds r2, #\\activations",
        ".endm",
        // Two columns of the only block, and how far the next ones are.
        ".macro EMBERLOOP_TWO tiles, activations",
        "EMBERLOOP_COLUMN r4, r4, r0, 0, 16",
        "EMBERLOOP_COLUMN r5, r5, r1, 2, 18",
        "adds r3, #\\tiles",
        "adds r2, #\\activations",
        ".endm",
        // On to an address that the pass has, so far behind its middle.
        ".macro EMBERLOOP_GO at",
        "ldr r6, [sp, #4]",
        "ldr r6, [r6, #\\at - {start}]",
        "bx r6",
        ".endm",
        // S(acc; multiplier) in `result`, with the row's two multipliers at r0.
        ".macro EMBERLOOP_SCALE result, acc, at",
        "mov \\result, \\acc",
        "asrs r5, \\result, #16",
        "uxth \\result, \\result",
        "ldrh r4, [r0, #\\at]",
        "muls r5, r4, r5",
        "muls \\result, r4, \\result",
        "lsrs \\result, \\result, #16",
        "adds \\result, \\result, r5",
        ".endm",
        // Two rows of W: b + S waits on the stack.
        ".macro EMBERLOOP_INPUT_ROWS first, second, at",
        "EMBERLOOP_SCALE r3, \\first, \\at",
        "EMBERLOOP_SCALE r7, \\second, \\at + 4",
        "ldm r1!, {{r4, r5}}",
        "adds r3, r3, r4",
        "adds r7, r7, r5",
        "stm r2!, {{r3, r7}}",
        ".endm",
        // Two rows of U: with what waits there, shifted, it is the sum.
        ".macro EMBERLOOP_RECURRENT_ROWS first, second, at",
        "EMBERLOOP_SCALE r3, \\first, \\at + 2",
        "EMBERLOOP_SCALE r7, \\second, \\at + 6",
        "ldm r1!, {{r4, r5}}",
        "adds r3, r3, r4",
        "adds r7, r7, r5",
        "lsls r3, r6",
        "lsls r7, r6",
        "stm r2!, {{r3, r7}}",
        ".endm",
        "emberloop_stage_shared:",
        "b 4f",
        // The first tile comes here, two bytes behind the start.
        "emberloop_stage_recurrent_prepare:",
        "ldr r0, [sp]",
        "ldr r1, 12f",
        "bl 20f",
        "adds r0, #{recurrent}",
        "ldr r1, 13f",
        "bl 20f",
        "ldr r6, [sp]",
        "b 6f",
        // Completes the pass at r0; r1 is where it goes on when all is done.
        "20:",
        "str r1, [r0, #{done}]",
        "ldr r2, [r0, #{activations}]",
        "adds r2, #1",
        "ldr r3, [r0, #{after}]",
        "movs r4, #0",
        "adds r5, r3, #1",
        "lsrs r5, r5, #1",
        "beq 22f",
        "21:",
        "ldm r2!, {{r6}}",
        "sxth r7, r6",
        "asrs r6, r6, #16",
        "adds r4, r4, r7",
        "adds r4, r4, r6",
        "subs r5, #1",
        "bne 21b",
        "22:",
        "lsls r4, r4, #7",
        "rsbs r4, r4, #0",
        "str r4, [r0, #{start}]",
        // r4: whole blocks; r3: columns behind them, -1 where the last of a block's is not there; r5: whose activations.
        "adds r4, r3, #1",
        "lsrs r4, r4, #3",
        "lsls r5, r4, #3",
        "subs r3, r3, r5",
        "ldr r6, [r0, #{activations}]",
        "lsls r5, r4, #4",
        "adds r5, r5, r6",
        "lsrs r7, r4, #1",
        "lsls r7, r7, #5",
        "adds r7, r7, r6",
        "str r7, [r0, #{end}]",
        // r1: the code for these columns.
        "adr r2, 14f",
        "cmp r3, #0",
        "ble 23f",
        "lsrs r7, r3, #1",
        "lsls r7, r7, #2",
        "adds r5, r5, r7",
        "str r5, [r0, #{twos_end}]",
        "ldr r1, [r2, #8]",
        "cmp r3, #1",
        "beq 23f",
        "lsls r3, r3, #31",
        "lsrs r3, r3, #29",
        "adds r3, #12",
        "ldr r1, [r2, r3]",
        "23:",
        "str r1, [r0, #{rest}]",
        "lsrs r3, r4, #1",
        "bcc 24f",
        "ldr r1, [r2, #4]",
        "24:",
        "str r1, [r0, #{after}]",
        "cmp r3, #0",
        "beq 25f",
        "ldr r1, [r2]",
        "25:",
        "str r1, [r0, #{entry}]",
        "bx lr",
        ".balign 4",
        // The lowest bit of an address says Thumb.
        "12: .word .Lemberloop_input_done + 1",
        "13: .word .Lemberloop_recurrent_done + 1",
        "14: .word .Lemberloop_sixteen + 1",
        ".word .Lemberloop_eight + 1",
        ".word .Lemberloop_last + 1",
        ".word .Lemberloop_twos + 1",
        ".word .Lemberloop_twos_and_last + 1",
        "emberloop_stage_shared_2:",
        "4:",
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "lsls r3, r2, #4",
        "adds r3, r1, r3",
        "sub sp, #16",
        "mov r2, r1",
        "push {{r0-r3}}",
        // A tile: W,
        "emberloop_stage_input:",
        "5:",
        "ldr r6, [sp]",
        "b 6f",
        // then U.
        ".Lemberloop_input_done:",
        "emberloop_stage_scale:",
        "ldr r6, [sp]",
        "str r3, [r6, #{tiles}]",
        "ldr r0, [r6, #{multipliers}]",
        "ldr r1, [r6, #{bias}]",
        "add r2, sp, #16",
        "EMBERLOOP_INPUT_ROWS r8, r9, 0",
        "EMBERLOOP_INPUT_ROWS r10, r11, 8",
        "str r1, [r6, #{bias}]",
        "emberloop_stage_recurrent:",
        "adds r6, #{recurrent}",
        "emberloop_stage_shared_3:",
        "6:",
        "ldm r6!, {{r0-r5}}",
        "str r6, [sp, #4]",
        "ldr r7, [r6, #{entry} - {start}]",
        "mov lr, r7",
        "ldm r6, {{r6, r7}}",
        "mov r12, r7",
        "mov r9, r6",
        "mov r11, r6",
        "movs r6, #0",
        "mov r8, r6",
        "mov r10, r6",
        "bx lr",
        ".Lemberloop_sixteen:",
        "EMBERLOOP_FOUR \"subs r3, #28\", 4",
        "EMBERLOOP_FOUR \"subs r3, #28\", 4",
        "EMBERLOOP_FOUR \"subs r3, #28\", 4",
        "EMBERLOOP_FOUR \"adds r3, #20\", 20",
        "cmp r2, r12",
        "beq 7f",
        "b .Lemberloop_sixteen",
        "7:",
        "EMBERLOOP_GO {after}",
        ".Lemberloop_eight:",
        "EMBERLOOP_TWO 4, 4",
        "EMBERLOOP_TWO 4, 4",
        "EMBERLOOP_TWO 4, 4",
        "EMBERLOOP_TWO 20, 4",
        "EMBERLOOP_GO {rest}",
        // The columns that are left: the second pair's values lie behind the first's two.
        ".Lemberloop_twos:",
        "movs r0, #5",
        "movs r1, #7",
        "ldr r6, [sp, #4]",
        "ldr r6, [r6, #{twos_end} - {start}]",
        "mov r12, r6",
        "8:",
        "EMBERLOOP_COLUMN r4, r4, r0, 0, 4",
        "EMBERLOOP_COLUMN r5, r5, r1, 2, 6",
        "adds r3, #8",
        "adds r2, #4",
        "cmp r2, r12",
        "bne 8b",
        "EMBERLOOP_GO {done}",
        ".Lemberloop_twos_and_last:",
        "movs r0, #5",
        "movs r1, #7",
        "ldr r6, [sp, #4]",
        "ldr r6, [r6, #{twos_end} - {start}]",
        "mov r12, r6",
        "9:",
        "EMBERLOOP_COLUMN r4, r4, r0, 0, 4",
        "EMBERLOOP_COLUMN r5, r5, r1, 2, 6",
        "adds r3, #8",
        "adds r2, #4",
        "cmp r2, r12",
        "bne 9b",
        ".Lemberloop_last:",
        "movs r0, #5",
        "EMBERLOOP_COLUMN r4, r4, r0, 0, 4",
        "adds r3, #8",
        "EMBERLOOP_GO {done}",
        ".Lemberloop_recurrent_done:",
        "emberloop_stage_scale_2:",
        "ldr r6, [sp]",
        "str r3, [r6, #{recurrent} + {tiles}]",
        "ldr r0, [r6, #{multipliers}]",
        "ldr r6, [r6, #{shift}]",
        "add r1, sp, #16",
        "ldr r2, [sp, #8]",
        "EMBERLOOP_RECURRENT_ROWS r8, r9, 0",
        "EMBERLOOP_RECURRENT_ROWS r10, r11, 8",
        "adds r0, #16",
        "ldr r6, [sp]",
        "str r0, [r6, #{multipliers}]",
        "str r2, [sp, #8]",
        "ldr r3, [sp, #12]",
        "cmp r2, r3",
        "beq 7f",
        "b 5b",
        "7:",
        "emberloop_stage_shared_4:",
        "subs r1, #16",
        "ldm r1!, {{r2-r5}}",
        "adds r6, #{input_part}",
        "stm r6!, {{r2-r5}}",
        "add sp, #32",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
        "emberloop_stage_end:",
        ".purgem EMBERLOOP_COLUMN",
        ".purgem EMBERLOOP_FOUR",
        ".purgem EMBERLOOP_TWO",
        ".purgem EMBERLOOP_GO",
        ".purgem EMBERLOOP_SCALE",
        ".purgem EMBERLOOP_INPUT_ROWS",
        ".purgem EMBERLOOP_RECURRENT_ROWS",
        activations = const offset_of!(Pass, activations),
        tiles = const offset_of!(Pass, tiles),
        start = const offset_of!(Pass, start),
        end = const offset_of!(Pass, end),
        entry = const offset_of!(Pass, entry),
        after = const offset_of!(Pass, after),
        rest = const offset_of!(Pass, rest),
        done = const offset_of!(Pass, done),
        twos_end = const offset_of!(Pass, twos_end),
        recurrent = const offset_of!(State, recurrent),
        multipliers = const offset_of!(State, multipliers),
        bias = const offset_of!(State, bias),
        shift = const offset_of!(State, shift),
        input_part = const offset_of!(State, input_part),
    )
}

// The order that the code above relies on.
const _: () = {
    assert!(offset_of!(Pass, near) == 16 && offset_of!(Pass, start) == 24 && offset_of!(Pass, end) == 28);
    // As far as a load reaches.
    assert!(offset_of!(State, shift) <= 124 && offset_of!(State, recurrent) == size_of::<Pass>());
};
