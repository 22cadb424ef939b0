//! Cortex-M0, M0+ and M23: Thumb-1 has one multiplication, 32 bits wide, and byte loads.

use core::arch::naked_asm;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use crate::kernel::{GROUP, Product};

/// See [`crate::kernel::PortableSums`].
pub(crate) struct Sums<'a> {
    state: State,
    /// Whole tiles left.
    left: usize,
    /// Where [`Sums::group`] has its tiles written.
    group: MaybeUninit<[[i32; 4]; GROUP]>,
    borrowed: PhantomData<&'a [i32]>,
}

/// What [`kernel`] reads and moves on; the order is that of its loads.
#[repr(C)]
struct State {
    input: Operand,
    recurrent: Operand,
    multipliers: *const u32,
    bias: *const i32,
    shift: u32,
    /// Tiles of this call to go.
    tiles: usize,
    /// `S(W·x) + b` of the last tile.
    input_part: [i32; 4],
}

#[repr(C)]
struct Operand {
    /// Bytes of the activations, without one of an odd number that is 0.
    bytes: usize,
    /// Bytes of those in whole blocks of eight.
    block_bytes: usize,
    activations: *const i16,
    tiles: *const i16,
    /// What the rows start with whose weights have 128 added.
    start: i32,
}

impl Operand {
    #[inline(always)]
    fn new(product: Product<'_>) -> Self {
        let vector = product.vector;
        // At most 65,534 · 32,768, which fits.
        let total: i32 = vector.values.iter().map(|&value| i32::from(value)).sum();
        Self {
            bytes: 2 * vector.columns,
            block_bytes: vector.values.len() / 8 * 16,
            activations: vector.values.as_ptr(),
            tiles: product.tiles.as_ptr(),
            start: total.wrapping_mul(-128),
        }
    }

    /// Whether so many tiles are there, and the columns are as [`crate::kernel::Vector`] says.
    #[inline(always)]
    fn holds(product: Product<'_>, tiles: usize) -> bool {
        let columns = product.vector.values.len();
        columns == product.vector.columns.next_multiple_of(2) && product.tiles.len() >= 2 * columns * tiles
    }

    #[inline(always)]
    fn skip(&mut self, tiles: usize) {
        // Four bytes a column, of an even number of columns.
        self.tiles = self.tiles.wrapping_byte_add(tiles * 2 * self.bytes.next_multiple_of(4));
    }
}

impl<'a> Sums<'a> {
    /// All tiles of the products, or none of them where one is too short for the multipliers.
    #[inline(always)]
    pub(crate) fn new(
        input: Product<'a>,
        recurrent: Product<'a>,
        multipliers: &'a [u32],
        bias: &'a [i32],
        shift: u32,
    ) -> Self {
        let tiles = multipliers.len().min(bias.len()) / 4;
        let left = if Operand::holds(input, tiles) && Operand::holds(recurrent, tiles) { tiles } else { 0 };
        // In one expression: made apart, the state would be copied.
        Self {
            state: State {
                input: Operand::new(input),
                recurrent: Operand::new(recurrent),
                multipliers: multipliers.as_ptr(),
                bias: bias.as_ptr(),
                shift,
                tiles: 0,
                input_part: [0; 4],
            },
            left,
            group: MaybeUninit::uninit(),
            borrowed: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn next(&mut self, sums: &mut [[i32; 4]]) {
        let tiles = sums.len().min(self.left);
        if tiles > 0 {
            self.left -= tiles;
            self.state.tiles = tiles;
            // SAFETY: `new` saw to it that each product has its values for every tile that is left, and its activations; four multipliers and biases per tile are left; `sums` has room.
            unsafe { kernel(&mut self.state, sums.as_mut_ptr().cast()) }
        }
    }

    #[inline(always)]
    pub(crate) fn group<const N: usize>(&mut self) -> (&[[i32; 4]; N], &[i32; 4]) {
        const { assert!(N <= GROUP) };
        if N <= self.left {
            self.left -= N;
            self.state.tiles = N;
            // SAFETY: as in `next`; there is room for `GROUP` tiles.
            unsafe { kernel(&mut self.state, self.group.as_mut_ptr().cast()) };
        } else {
            self.group = MaybeUninit::new([[0; 4]; GROUP]);
        }
        // SAFETY: the kernel has written the first `N` tiles, or the line above all of them.
        (unsafe { &*self.group.as_ptr().cast() }, &self.state.input_part)
    }

    #[inline(always)]
    pub(crate) fn skip(&mut self, tiles: usize) {
        if tiles <= self.left {
            self.left -= tiles;
            self.state.input.skip(tiles);
            self.state.recurrent.skip(tiles);
            self.state.multipliers = self.state.multipliers.wrapping_add(4 * tiles);
            self.state.bias = self.state.bias.wrapping_add(4 * tiles);
        }
    }
}

/// Four rows at a time, a column after the other: three instructions a product and one activation load for four.
///
/// The accumulators live in r8 to r11, which ADD reaches although loads and MULS do not. r1 counts bytes of activations; it
/// is also the offset of the signed weights (LDRSB takes no constant), the others are LDRB with a constant.
///
/// # Safety
/// What [`Sums::next`] says.
#[unsafe(naked)]
unsafe extern "C" fn kernel(state: *mut State, sums: *mut i32) {
    naked_asm!(
        // One column: `$low` and `$high` are the offsets of the two pairs' unsigned weights from r3.
        ".macro EMBERLOOP_COLUMN low, high",
        "ldrsh r6, [r2, r1]",
        "ldrsb r7, [r4, r1]",
        "muls r7, r6, r7",
        "add r8, r7",
        "ldrb r7, [r3, #\\low]",
        "muls r7, r6, r7",
        "add r9, r7",
        "ldrsb r7, [r5, r1]",
        "muls r7, r6, r7",
        "add r10, r7",
        "ldrb r7, [r3, #\\high]",
        "muls r7, r6, r7",
        "add r11, r7",
        "adds r1, #2",
        ".endm",
        // S(r3; multiplier), with the row's two multipliers at r0.
        ".macro EMBERLOOP_SCALE acc, at",
        "mov r3, \\acc",
        "asrs r5, r3, #16",
        "uxth r3, r3",
        "ldrh r4, [r0, #\\at]",
        "muls r5, r4, r5",
        "muls r3, r4, r3",
        "lsrs r3, r3, #16",
        "adds r3, r3, r5",
        ".endm",
        // One row of W: S + b waits on the stack.
        ".macro EMBERLOOP_INPUT_ROW acc, at",
        "EMBERLOOP_SCALE \\acc, \\at",
        "ldr r4, [r1, #\\at]",
        "adds r3, r3, r4",
        "str r3, [sp, #8 + \\at]",
        ".endm",
        // One row of U: with what waits there, shifted, it is the sum.
        ".macro EMBERLOOP_RECURRENT_ROW acc, at",
        "EMBERLOOP_SCALE \\acc, 2 + \\at",
        "ldr r4, [sp, #8 + \\at]",
        "adds r3, r3, r4",
        "lsls r3, r7",
        "str r3, [r2, #\\at]",
        ".endm",
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "sub sp, #24",
        "str r0, [sp]",
        "str r1, [sp, #4]",
        // A tile: W,
        "emberloop_stage_input:",
        "2:",
        "ldr r6, [sp]",
        "ldm r6!, {{r0, r1, r2, r3, r7}}",
        "bl 20f",
        "emberloop_stage_scale:",
        "ldr r6, [sp]",
        "str r3, [r6, #12]",
        "ldr r0, [r6, #40]",
        "ldr r1, [r6, #44]",
        "EMBERLOOP_INPUT_ROW r8, 0",
        "EMBERLOOP_INPUT_ROW r9, 4",
        "EMBERLOOP_INPUT_ROW r10, 8",
        "EMBERLOOP_INPUT_ROW r11, 12",
        "adds r1, #16",
        "str r1, [r6, #44]",
        // then U.
        "emberloop_stage_recurrent:",
        "adds r6, #20",
        "ldm r6!, {{r0, r1, r2, r3, r7}}",
        "bl 20f",
        "emberloop_stage_scale_2:",
        "ldr r6, [sp]",
        "str r3, [r6, #32]",
        "ldr r0, [r6, #40]",
        "ldr r7, [r6, #48]",
        "ldr r2, [sp, #4]",
        "EMBERLOOP_RECURRENT_ROW r8, 0",
        "EMBERLOOP_RECURRENT_ROW r9, 4",
        "EMBERLOOP_RECURRENT_ROW r10, 8",
        "EMBERLOOP_RECURRENT_ROW r11, 12",
        "adds r0, #16",
        "adds r2, #16",
        "str r0, [r6, #40]",
        "str r2, [sp, #4]",
        "ldr r3, [r6, #52]",
        "subs r3, #1",
        "str r3, [r6, #52]",
        "beq 3f",
        "b 2b",
        "3:",
        // r6 points at the state, and the input part of the last tile goes there.
        "add r0, sp, #8",
        "ldm r0!, {{r1-r4}}",
        "adds r6, #56",
        "stm r6!, {{r1-r4}}",
        "add sp, #24",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
        // The accumulators of one tile: r0 and r1 bytes, r2 activations, r3 tile (moved behind it), r7 start.
        "emberloop_stage_shared:",
        "20:",
        "mov r12, r1",
        "movs r1, #0",
        "mov r8, r1",
        "mov r9, r7",
        "mov r10, r1",
        "mov r11, r7",
        "adds r4, r3, #1",
        "mov r5, r4",
        "adds r5, #16",
        "cmp r1, r12",
        "beq 22f",
        // Eight columns: the first pair's values, then the second's, 16 bytes on.
        "21:",
        "EMBERLOOP_COLUMN 0, 16",
        "EMBERLOOP_COLUMN 2, 18",
        "EMBERLOOP_COLUMN 4, 20",
        "EMBERLOOP_COLUMN 6, 22",
        "EMBERLOOP_COLUMN 8, 24",
        "EMBERLOOP_COLUMN 10, 26",
        "EMBERLOOP_COLUMN 12, 28",
        "EMBERLOOP_COLUMN 14, 30",
        "adds r3, #32",
        "adds r4, #16",
        "adds r5, #16",
        "cmp r1, r12",
        "bne 21b",
        "22:",
        "cmp r1, r0",
        "bhs 24f",
        "subs r5, #12",
        // Two columns, or the last one of an odd number; the second pair is 4 bytes on.
        "23:",
        "EMBERLOOP_COLUMN 0, 4",
        "adds r3, #8",
        "cmp r1, r0",
        "beq 24f",
        "subs r3, #8",
        "EMBERLOOP_COLUMN 2, 6",
        "adds r3, #8",
        "adds r4, #4",
        "adds r5, #4",
        "cmp r1, r0",
        "bne 23b",
        "24:",
        "bx lr",
        "emberloop_stage_end:",
        ".purgem EMBERLOOP_COLUMN",
        ".purgem EMBERLOOP_SCALE",
        ".purgem EMBERLOOP_INPUT_ROW",
        ".purgem EMBERLOOP_RECURRENT_ROW",
    )
}
