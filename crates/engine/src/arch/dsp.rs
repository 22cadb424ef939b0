//! Cortex-M4, M7 and M33 with the DSP extension: two products of 16 bits in one instruction.
//!
//! A word of a tile holds one pair of rows for two columns, `v = 256·w1 + w2 + 128` for each. SMLALD adds both `v·x` to 64
//! bits; UXTB16 and SMLAD add both `(w2 + 128)·x` to 32. Both start from `-128·Σx`, so they end as `256·A + B` and `B`, and
//! `A = floor((256·A + B) / 2^8) - floor(B / 2^8)`: three instructions for eight products, where one product for each weight
//! takes four for the loads alone.
//!
//! The code of one tile uses all fourteen registers, and nothing in it is decided twice: [`Sums`] holds where to jump to for
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
        let (input, input_done, input_loop) = pass(input, &entries.input, INPUT_BLOCKS);
        let (recurrent, recurrent_done, recurrent_loop) = pass(recurrent, &entries.recurrent, RECURRENT_BLOCKS);
        // In one expression: made apart, the state would be copied.
        Self {
            state: State {
                partial: [0; 4],
                bias: bias.as_ptr(),
                input,
                input_done,
                sums_end: MaybeUninit::uninit(),
                shift,
                sums: MaybeUninit::uninit(),
                multipliers: multipliers.as_ptr(),
                recurrent,
                recurrent_done,
                input_loop,
                recurrent_loop,
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
            self.state.input.tiles = self.state.input.tiles.wrapping_add(tiles * input);
            self.state.recurrent.tiles = self.state.recurrent.tiles.wrapping_add(tiles * recurrent);
            self.state.multipliers = self.state.multipliers.wrapping_add(4 * tiles);
            self.state.bias = self.state.bias.wrapping_add(4 * tiles);
        }
    }
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
                options(pure, readonly, nostack, preserves_flags),
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

/// See [`crate::kernel::Vector::new`].
#[inline(always)]
pub(crate) fn total(values: &[i16]) -> i32 {
    let (blocks, rest) = values.as_chunks::<8>();
    let pairs = |total, values: &[i16]| values.as_chunks::<2>().0.iter().fold(total, add_pair);
    pairs(blocks.iter().fold(0, |total, block| pairs(total, block)), rest)
}

#[inline(always)]
fn add_pair(mut total: i32, &[low, high]: &[i16; 2]) -> i32 {
    let pair = i32::from(low) & 0xffff | i32::from(high) << 16;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!(
            "smlad {total}, {pair}, {ones}, {total}",
            total = inout(reg) total,
            pair = in(reg) pair,
            ones = in(reg) 0x0001_0001,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    total
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

/// What one product needs at the start of each tile; loaded by one instruction.
#[repr(C)]
struct Pass {
    tiles: *const i16,
    /// `-128·Σx`: the low halves of both rows' `B`, those of both `256·A + B`, and the high halves of these.
    start: [i32; 6],
    activations: *const i16,
    /// Where the code for this number of columns begins.
    entry: Code,
}

/// For a product of more columns than the straight code takes at once.
#[repr(C)]
struct Loop {
    /// Behind the last activation of a whole block.
    end: *const i16,
    /// The code for the columns that are left.
    rest: Code,
}

/// What [`run`] copies to its stack: the order is that in which its instructions load several words.
#[repr(C)]
struct State {
    /// `b + S(W·x)` of the tile in progress.
    partial: [i32; 4],
    bias: *const i32,
    input: Pass,
    /// Where to go when all blocks of `W` are done.
    input_done: Code,
    sums_end: MaybeUninit<*const i32>,
    shift: u32,
    sums: MaybeUninit<*const i32>,
    multipliers: *const u32,
    recurrent: Pass,
    recurrent_done: Code,
    // From here on it is not copied.
    input_loop: Loop,
    recurrent_loop: Loop,
}

/// An address in [`run`].
type Code = u32;

/// Places in the code of one product.
#[repr(C)]
struct Entry {
    /// For the columns that are left after the last block: 0, 2, 4 and 6 of them.
    rest: [Code; 4],
    /// Behind the straight code for whole blocks, all of the same size.
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

/// Bytes of the code for one block of eight columns.
const BLOCK_BYTES: u32 = 116;
/// Blocks in the straight code for the product with the input, and for the recurrent one; powers of two.
const INPUT_BLOCKS: usize = 2;
const RECURRENT_BLOCKS: usize = 4;

/// What [`run`] needs for one product, by its number of columns. The first time the straight code does 1 to all of its
/// blocks, the others all.
#[inline(always)]
fn pass(product: Product<'_>, places: &Entry, straight: usize) -> (Pass, Code, Loop) {
    let values = product.vector.values;
    let blocks = values.len() / 8;
    let rest = places.rest[values.len() / 2 % 4];
    let first = match blocks {
        0 => rest,
        _ => places.blocks_end - BLOCK_BYTES * ((blocks - 1) % straight + 1) as u32,
    };
    let done = if blocks <= straight { rest } else { places.again };
    let start = -128 * i64::from(product.vector.total);
    let (low, high) = (start as i32, (start >> 32) as i32);
    let pass = Pass {
        tiles: product.tiles.as_ptr(),
        start: [low, low, low, low, high, high],
        activations: values.as_ptr(),
        entry: first,
    };
    (pass, done, Loop { end: values.as_ptr().wrapping_add(8 * blocks), rest })
}

/// Activations in r0 to r3, values in r4 and lr: one block of eight columns. 29 instructions, 116 bytes.
macro_rules! block {
    () => {
        "
        ldm.w r12!, {{r0-r3}}
        ldm.w r5!, {{r4, lr}}
        smlald r8, r10, r4, r0
        uxtb16 r4, r4
        smlad r6, r4, r0, r6
        smlald r8, r10, lr, r1
        uxtb16 lr, lr
        smlad r6, lr, r1, r6
        ldm.w r5!, {{r4, lr}}
        smlald r8, r10, r4, r2
        uxtb16 r4, r4
        smlad r6, r4, r2, r6
        smlald r8, r10, lr, r3
        uxtb16 lr, lr
        smlad r6, lr, r3, r6
        ldm.w r5!, {{r4, lr}}
        smlald r9, r11, r4, r0
        uxtb16 r4, r4
        smlad r7, r4, r0, r7
        smlald r9, r11, lr, r1
        uxtb16 lr, lr
        smlad r7, lr, r1, r7
        ldm.w r5!, {{r4, lr}}
        smlald r9, r11, r4, r2
        uxtb16 r4, r4
        smlad r7, r4, r2, r7
        smlald r9, r11, lr, r3
        uxtb16 lr, lr
        smlad r7, lr, r3, r7
        "
    };
}

/// Two columns: activations in the first register, the values of both pairs in the others.
macro_rules! two_columns {
    ($x:literal, $first:literal, $second:literal) => {
        concat!(
            "smlald r8, r10, ",
            $first,
            ", ",
            $x,
            "\n",
            "uxtb16 ",
            $first,
            ", ",
            $first,
            "\n",
            "smlad r6, ",
            $first,
            ", ",
            $x,
            ", r6\n",
            "smlald r9, r11, ",
            $second,
            ", ",
            $x,
            "\n",
            "uxtb16 ",
            $second,
            ", ",
            $second,
            "\n",
            "smlad r7, ",
            $second,
            ", ",
            $x,
            ", r7\n",
        )
    };
}

/// From the sums to the rows' accumulators: r8, r6, r9, r7.
macro_rules! separate {
    () => {
        "
        lsr r8, r8, #8
        orr r8, r8, r10, lsl #24
        sub r8, r8, r6, asr #8
        lsr r9, r9, #8
        orr r9, r9, r11, lsl #24
        sub r9, r9, r7, asr #8
        "
    };
}

/// All columns of a product. Control comes from `entry`; it leaves at the end. `$done` is the offset of where to go after
/// the last block, `$end` and `$rest` those within the [`State`] to which `self` points.
macro_rules! columns {
    ($name:literal, $blocks:literal, $done:literal, $end:literal, $rest:literal) => {
        concat!(
            ".Lemberloop_",
            $name,
            "_blocks:\n",
            ".rept ",
            $blocks,
            "\n",
            block!(),
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
            "ldr r0, [sp, #{this}]\n",
            "ldr r1, [r0, #",
            $end,
            "]\n",
            "cmp r12, r1\n",
            "bne.w .Lemberloop_",
            $name,
            "_blocks\n",
            "ldr pc, [r0, #",
            $rest,
            "]\n",
            ".Lemberloop_",
            $name,
            "_rest_6:\n",
            "ldm r12!, {{r0-r2}}\n",
            "ldm r5!, {{r3, r4, lr}}\n",
            two_columns!("r0", "r3", "r4"),
            "smlald r8, r10, lr, r1\n",
            "uxtb16 lr, lr\n",
            "smlad r6, lr, r1, r6\n",
            "ldm r5!, {{r3, r4, lr}}\n",
            "smlald r9, r11, r3, r1\n",
            "uxtb16 r3, r3\n",
            "smlad r7, r3, r1, r7\n",
            two_columns!("r2", "r4", "lr"),
            "b .Lemberloop_",
            $name,
            "_rest_0\n",
            ".Lemberloop_",
            $name,
            "_rest_4:\n",
            "ldm r12!, {{r0, r1}}\n",
            "ldm r5!, {{r2, r3, r4, lr}}\n",
            two_columns!("r0", "r2", "r3"),
            two_columns!("r1", "r4", "lr"),
            "b .Lemberloop_",
            $name,
            "_rest_0\n",
            ".Lemberloop_",
            $name,
            "_rest_2:\n",
            "ldr r0, [r12]\n",
            "ldm r5!, {{r3, r4}}\n",
            two_columns!("r0", "r3", "r4"),
            ".Lemberloop_",
            $name,
            "_rest_0:\n",
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
            "_blocks_end + 1\n",
            ".word .Lemberloop_",
            $name,
            "_again + 1\n",
        )
    };
}

/// The next `tiles` tiles, at least one, into `sums`.
///
/// # Safety
/// What [`Sums::next`] says.
#[unsafe(naked)]
unsafe extern "C" fn run(state: *mut State, sums: *mut [i32; 4], tiles: usize) {
    naked_asm!(
        "emberloop_stage_shared:",
        "b.w 4f",
        ".balign 4",
        entry!("input"),
        entry!("recurrent"),
        "4:",
        "push {{r0, r4-r11, lr}}",
        "add r2, r1, r2, lsl #4",
        "str r2, [r0, #{sums_end}]",
        "str r1, [r0, #{sums}]",
        "add r12, r0, #64",
        "ldm r12, {{r1-r12, lr}}",
        "push {{r1-r12, lr}}",
        "add r12, r0, #16",
        "ldm r12, {{r1-r12}}",
        "push {{r1-r12}}",
        "sub sp, sp, #16",

        "emberloop_stage_input:",
        "5: ldm sp, {{r0-r12, pc}}",
        columns!("input", "2", "56", "116", "120"),
        separate!(),
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
        "add r0, sp, #{input_done}",
        "ldm r0, {{r0-r12, pc}}",
        columns!("recurrent", "4", "112", "124", "128"),
        separate!(),
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

        "emberloop_stage_shared_2:",
        "ldr r0, [sp, #{this}]",
        "strd r4, r5, [r0, #{multipliers}]",
        "ldm sp, {{r1-r6}}",
        "stm r0, {{r1-r6}}",
        "add sp, sp, #{this}",
        "pop {{r0, r4-r11, pc}}",
        "emberloop_stage_end:",
        bias = const offset_of!(State, bias),
        sums = const offset_of!(State, sums),
        sums_end = const offset_of!(State, sums_end),
        multipliers = const offset_of!(State, multipliers),
        input_done = const offset_of!(State, input_done),
        // The first word that is not copied; in its place lies the pointer to the state.
        this = const offset_of!(State, input_loop),
    )
}

// The offsets that the code above has as numbers.
const _: () = {
    assert!(offset_of!(State, bias) == 16 && offset_of!(State, shift) == 64);
    assert!(offset_of!(State, input.activations) == 48 && offset_of!(State, input.entry) == 52);
    assert!(offset_of!(State, input_done) == 56 && offset_of!(State, input_loop) == 116);
    assert!(offset_of!(State, recurrent.activations) == 104 && offset_of!(State, recurrent.entry) == 108);
    assert!(offset_of!(State, recurrent_done) == 112 && offset_of!(State, recurrent_loop) == 124);
    assert!(INPUT_BLOCKS == 2 && RECURRENT_BLOCKS == 4);
};
