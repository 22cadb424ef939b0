//! Cortex-M55 and M85: eight products of 16 bits in one instruction, summed across the lanes into core registers.
//!
//! A vector of a tile holds one pair of rows for eight columns, `v = 256·w1 + w2 + 128` for each. VMLALDAVA adds all `v·x` to
//! 64 bits; VMOVLB leaves the low bytes and VMLADAVA adds all `(w2 + 128)·x` to 32. Both start from `-128·Σx`, so they end
//! as `256·A + B` and `B`, and `A = floor((256·A + B) / 2^8) - floor(B / 2^8)`. VLDM brings several vectors at once: 14
//! instructions for four rows of 16 columns.
//!
//! [`Sums`] holds where to jump to for a number of columns, so a tile of 16, 32, 48, ... columns runs through straight code
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
    /// As many tiles as all of the slices hold.
    #[inline(always)]
    pub(crate) fn new(
        input: Product<'a>,
        recurrent: Product<'a>,
        multipliers: &'a [u32],
        bias: &'a [i32],
        shift: u32,
    ) -> Self {
        let rows = multipliers.len().min(bias.len());
        let left = (rows / 4).min(whole_tiles(input)).min(whole_tiles(recurrent));
        let tile = [2 * input.vector.values.len(), 2 * recurrent.vector.values.len()];
        let entries = Entries::get();
        let (input_pass, input_ways, input_loop) = pass(input, &entries.input);
        let (recurrent_pass, recurrent_ways, recurrent_loop) = pass(recurrent, &entries.recurrent);
        // In one expression: made apart, the state would be copied.
        Self {
            state: State {
                input: input_pass,
                recurrent: recurrent_pass,
                input_ways,
                recurrent_ways,
                input_tiles: input.tiles.as_ptr(),
                recurrent_tiles: recurrent.tiles.as_ptr(),
                multipliers: multipliers.as_ptr(),
                bias: bias.as_ptr(),
                shift,
                input_loop,
                recurrent_loop,
                partial: [0; 4],
            },
            left,
            group: MaybeUninit::uninit(),
            tile,
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
        const { assert!(N <= GROUP) };
        if N <= self.left {
            self.left -= N;
            // SAFETY: as in `next`; there is room for `GROUP` tiles.
            unsafe { run(&mut self.state, self.group.as_mut_ptr().cast(), N) };
        } else {
            self.group = MaybeUninit::new([[0; 4]; GROUP]);
        }
        // SAFETY: the kernel has written the first `N` tiles, or the line above all of them.
        (unsafe { &*self.group.as_ptr().cast() }, &self.state.partial)
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

/// How many tiles there are that [`run`] can read: it takes two columns at a time, and words.
#[inline(always)]
fn whole_tiles(product: Product<'_>) -> usize {
    let (tiles, values) = (product.tiles, product.vector.values);
    if values.is_empty() {
        return usize::MAX;
    }
    if !values.len().is_multiple_of(2) || (tiles.as_ptr().addr() | values.as_ptr().addr()) % 4 != 0 {
        return 0;
    }
    tiles.len() / (2 * values.len())
}

/// What one product needs at the start of each tile; loaded by one instruction. `low` and `high` are the halves of
/// `-128·Σx`.
#[repr(C)]
struct Pass {
    first_low: i32,
    first_high: i32,
    first_bytes: i32,
    activations: *const i16,
    second_low: i32,
    second_high: i32,
    second_bytes: i32,
    /// Where the code for this number of columns begins.
    entry: Code,
}

/// Where that code goes on.
#[repr(C)]
struct Ways {
    /// After the one block of eight columns.
    next: Code,
    /// After the blocks of 16.
    done: Code,
}

/// For a product of more columns than the straight code takes at once.
#[repr(C)]
struct Loop {
    /// Behind the last activation of a whole block.
    end: *const i16,
    /// The code for the columns that are left.
    rest: Code,
}

/// What [`run`] works from: the order is that in which its instructions load several words.
#[repr(C)]
struct State {
    input: Pass,
    recurrent: Pass,
    input_ways: Ways,
    recurrent_ways: Ways,
    // Until here it is copied to the stack.
    input_tiles: *const i16,
    recurrent_tiles: *const i16,
    multipliers: *const u32,
    bias: *const i32,
    shift: u32,
    input_loop: Loop,
    recurrent_loop: Loop,
    /// `b + S(W·x)` of the last tile.
    partial: [i32; 4],
}

/// An address in [`run`].
type Code = u32;

/// Places in the code of one product.
#[repr(C)]
struct Entry {
    /// For the columns that are left after the last block: 0, 2, 4 and 6 of them.
    rest: [Code; 4],
    /// For one block of eight columns.
    single: Code,
    /// Behind the straight code for blocks of 16, all of the same size.
    blocks_end: Code,
    /// Whether to go through that code once more.
    again: Code,
}

/// The table at the start of [`run`], behind its first instruction.
#[repr(C)]
struct Entries {
    input: Entry,
    recurrent: Entry,
}

impl Entries {
    #[inline(always)]
    fn get() -> &'static Self {
        let start = (run as unsafe extern "C" fn(_, _, _)) as *const u8;
        // The first instruction of `run` has four bytes, the table follows at a multiple of four, and the lowest bit of a
        // function's address says Thumb.
        let table = start.map_addr(|address| ((address & !1) + 7) & !3);
        // SAFETY: it is there, in the order of the fields.
        unsafe { &*table.cast() }
    }
}

/// Bytes of the code for one block of 16 columns.
const BLOCK_BYTES: u32 = 56;
/// Blocks in the straight code.
const BLOCKS: usize = 8;

/// What [`run`] needs for one product, by its number of columns. The first time the straight code does 1 to all of its
/// blocks, the others all.
#[inline(always)]
fn pass(product: Product<'_>, places: &Entry) -> (Pass, Ways, Loop) {
    let values = product.vector.values;
    let blocks = values.len() / 16;
    let rest = places.rest[values.len() / 2 % 4];
    let next = match blocks {
        0 => rest,
        _ => places.blocks_end - BLOCK_BYTES * ((blocks - 1) % BLOCKS + 1) as u32,
    };
    let done = if blocks <= BLOCKS { rest } else { places.again };
    let start = -128 * i64::from(product.vector.total);
    let (low, high) = (start as i32, (start >> 32) as i32);
    let pass = Pass {
        first_low: low,
        first_high: high,
        first_bytes: low,
        activations: values.as_ptr(),
        second_low: low,
        second_high: high,
        second_bytes: low,
        entry: if values.len() / 8 % 2 == 1 { places.single } else { next },
    };
    let end = values.as_ptr().wrapping_add(values.len() / 8 * 8);
    (pass, Ways { next, done }, Loop { end, rest })
}

/// One pair of rows and eight columns: `256·A + B`, then `B`.
macro_rules! pair {
    ($low:literal, $high:literal, $bytes:literal, $values:literal, $activations:literal) => {
        concat!(
            "vmlaldava.s16 ",
            $low,
            ", ",
            $high,
            ", ",
            $activations,
            ", ",
            $values,
            "\n",
            "vmovlb.u8 ",
            $values,
            ", ",
            $values,
            "\n",
            "vmladava.s16 ",
            $bytes,
            ", ",
            $activations,
            ", ",
            $values,
            "\n",
        )
    };
}

macro_rules! first_pair {
    ($values:literal, $activations:literal) => {
        pair!("r0", "r1", "r2", $values, $activations)
    };
}

macro_rules! second_pair {
    ($values:literal, $activations:literal) => {
        pair!("r4", "r5", "r6", $values, $activations)
    };
}

/// One pair of rows and two columns, with the activations in r7 and r3 for the values.
macro_rules! two_columns {
    ($tiles:literal, $low:literal, $high:literal, $bytes:literal, $values:literal) => {
        concat!(
            "ldr ", $values, ", [", $tiles, "], #4\n", "smlald ", $low, ", ", $high, ", ", $values, ", r7\n",
            "uxtb16 ", $values, ", ", $values, "\n", "smlad ", $bytes, ", ", $values, ", r7, ", $bytes, "\n",
        )
    };
}

/// All columns of a product whose values `$tiles` points to. Control comes from `entry`; it leaves at the end, with the rows'
/// accumulators in the lanes of `$sums`. `$next` and `$done` are offsets of [`Ways`] on the stack, `$end` and `$rest` those
/// of [`Loop`] within the [`State`].
macro_rules! columns {
    ($name:literal, $tiles:literal, $sums:literal, $next:literal, $done:literal, $end:literal, $rest:literal) => {
        concat!(
            ".Lemberloop_",
            $name,
            "_single:\n",
            "vldmia r3!, {{d0-d1}}\n",
            "vldmia ",
            $tiles,
            "!, {{d4-d7}}\n",
            first_pair!("q2", "q0"),
            second_pair!("q3", "q0"),
            "ldr pc, [sp, #",
            $next,
            "]\n",
            ".Lemberloop_",
            $name,
            "_blocks:\n",
            ".rept {blocks}\n",
            "vldmia r3!, {{d0-d3}}\n",
            "vldmia ",
            $tiles,
            "!, {{d4-d11}}\n",
            first_pair!("q2", "q0"),
            second_pair!("q3", "q0"),
            first_pair!("q4", "q1"),
            second_pair!("q5", "q1"),
            ".endr\n",
            ".Lemberloop_",
            $name,
            "_blocks_end:\n",
            "ldr pc, [sp, #",
            $done,
            "]\n",
            ".Lemberloop_",
            $name,
            "_again:\n",
            "ldr r7, [sp, #{this}]\n",
            "ldr r7, [r7, #",
            $end,
            "]\n",
            "cmp r3, r7\n",
            "bne.w .Lemberloop_",
            $name,
            "_blocks\n",
            "ldr r7, [sp, #{this}]\n",
            "ldr pc, [r7, #",
            $rest,
            "]\n",
            // The last two columns need no pointer behind them, the others put it aside.
            ".Lemberloop_",
            $name,
            "_rest_6:\n",
            "ldr r7, [r3], #4\n",
            "vmov s0, r3\n",
            two_columns!($tiles, "r0", "r1", "r2", "r3"),
            two_columns!($tiles, "r4", "r5", "r6", "r3"),
            "vmov r3, s0\n",
            ".Lemberloop_",
            $name,
            "_rest_4:\n",
            "ldr r7, [r3], #4\n",
            "vmov s0, r3\n",
            two_columns!($tiles, "r0", "r1", "r2", "r3"),
            two_columns!($tiles, "r4", "r5", "r6", "r3"),
            "vmov r3, s0\n",
            ".Lemberloop_",
            $name,
            "_rest_2:\n",
            "ldr r7, [r3]\n",
            two_columns!($tiles, "r0", "r1", "r2", "r3"),
            two_columns!($tiles, "r4", "r5", "r6", "r3"),
            ".Lemberloop_",
            $name,
            "_rest_0:\n",
            "lsrl r0, r1, #8\n",
            "lsrl r4, r5, #8\n",
            "sub r0, r0, r2, asr #8\n",
            "sub r4, r4, r6, asr #8\n",
            "vmov ",
            $sums,
            "[2], ",
            $sums,
            "[0], r0, r4\n",
            "vmov ",
            $sums,
            "[3], ",
            $sums,
            "[1], r2, r6\n",
        )
    };
}

/// The table of [`Entry`].
macro_rules! entry {
    ($name:literal) => {
        concat!(
            // The lowest bit of an address says Thumb.
            ".word .Lemberloop_",
            $name,
            "_rest_0 + 1\n",
            ".word .Lemberloop_",
            $name,
            "_rest_2 + 1\n",
            ".word .Lemberloop_",
            $name,
            "_rest_4 + 1\n",
            ".word .Lemberloop_",
            $name,
            "_rest_6 + 1\n",
            ".word .Lemberloop_",
            $name,
            "_single + 1\n",
            ".word .Lemberloop_",
            $name,
            "_blocks_end + 1\n",
            ".word .Lemberloop_",
            $name,
            "_again + 1\n",
        )
    };
}

/// The next `tiles` tiles, at least one, into `sums`.
///
/// r8 and r9 point into the tiles of both products, r10 to the multipliers, r11 to the bias, r12 to the sums; lr counts
/// tiles; q6 holds the shift.
///
/// # Safety
/// What [`Sums::next`] says.
#[unsafe(naked)]
unsafe extern "C" fn run(state: *mut State, sums: *mut [i32; 4], tiles: usize) {
    naked_asm!(
        // The assembler reads this once more when the program is linked, and then knows no target-cpu.
        ".cpu cortex-m55",
        "emberloop_stage_shared:",
        "b.w 4f",
        ".balign 4",
        entry!("input"),
        entry!("recurrent"),
        "4:",
        "push {{r0, r4-r11, lr}}",
        "vpush {{d8-d15}}",
        "mov r12, r1",
        "dls lr, r2",
        "vldmia r0!, {{d0-d9}}",
        "vpush {{d0-d9}}",
        "ldm r0, {{r8-r11}}",
        "ldr r3, [r0, #{shift} - {tiles}]",
        "vdup.32 q6, r3",

        "emberloop_stage_input:",
        "5: ldm sp, {{r0-r6, pc}}",
        columns!("input", "r8", "q7", "64", "68", "100", "104"),

        "emberloop_stage_recurrent:",
        "add r7, sp, #32",
        "ldm r7, {{r0-r6, pc}}",
        columns!("recurrent", "r9", "q0", "72", "76", "108", "112"),

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

        "emberloop_stage_shared_2:",
        "ldr r0, [sp, #{this}]",
        "vstrw.32 q7, [r0, #{partial}]",
        "add r0, r0, #{tiles}",
        "stm r0, {{r8-r11}}",
        "add sp, sp, #{tiles}",
        "vpop {{d8-d15}}",
        "pop {{r0, r4-r11, pc}}",
        "emberloop_stage_end:",
        blocks = const BLOCKS,
        shift = const offset_of!(State, shift),
        partial = const offset_of!(State, partial),
        // The first word that is not copied.
        tiles = const offset_of!(State, input_tiles),
        // Where the pointer to the state lies, behind the copy and eight vector registers.
        this = const offset_of!(State, input_tiles) + 64,
    )
}

// The offsets that the code above has as numbers.
const _: () = {
    assert!(offset_of!(State, recurrent) == 32 && offset_of!(State, input_ways) == 64);
    assert!(offset_of!(State, recurrent_ways) == 72 && offset_of!(State, input_tiles) == 80);
    assert!(offset_of!(State, input_loop) == 100 && offset_of!(State, recurrent_loop) == 108);
};
