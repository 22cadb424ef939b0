//! What both time loops share: which sequence and unit a thread finishes, and where a step lies in memory.

use cubecl::prelude::*;
use emberloop_cells::CellKind;

use super::product::Product;

/// A time loop as its kernel is compiled: everything here is a constant of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Loop {
    pub cell: CellKind,
    pub hidden: usize,
    /// Sequences per cube.
    pub rows: usize,
    /// Threads per cube.
    pub threads: usize,
    /// Of all gates; of the reset-before GRU: of reset and update gate.
    pub first: Product,
    /// Of the reset-before GRU's new gate; otherwise not used.
    pub second: Product,
    /// Sequences have lengths of their own.
    pub padded: bool,
    /// From the last step to the first.
    pub reverse: bool,
    /// There is an initial state (forward), or its gradient is wanted (backward).
    pub initial: bool,
    /// Hidden states are written (forward), or have a gradient (backward).
    pub hidden_every: bool,
    /// The last state is written (forward), or has a gradient (backward).
    pub last: bool,
    /// What the backward pass needs is written (forward).
    pub tape: bool,
    /// Steps after which the gradient of the state is cut; 0: never (backward).
    pub truncate: usize,
}

impl Loop {
    pub const fn gates(&self) -> usize {
        self.cell.gate_count()
    }

    /// Elements of one step's gates of one sequence.
    pub const fn gate_row(&self) -> usize {
        self.cell.gate_count() * self.hidden
    }

    /// Pairs of sequence and unit that a thread finishes.
    pub const fn pairs(&self) -> usize {
        (self.rows * self.hidden).div_ceil(self.threads)
    }

    pub const fn has_second(&self) -> bool {
        matches!(self.cell, CellKind::GruResetBefore)
    }

    /// Elements of shared memory for partial sums.
    pub const fn partials(&self) -> usize {
        let first = self.rows * self.first.slices * self.first.partial();
        let second = self.rows * self.second.slices * self.second.partial();
        if self.has_second() && second > first { second } else { first }
    }

    /// Elements of shared memory of the second operand.
    pub const fn second_operand(&self) -> usize {
        if self.has_second() { self.rows * self.second.operand() } else { 4 }
    }
}

/// One sequence and one unit, to be finished by this thread.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Pair {
    /// Row of the cube's tile.
    pub row: usize,
    /// Index in the batch; 0 where there is none, so that loads stay in bounds.
    pub sequence: usize,
    pub unit: usize,
    /// Whether there is such a pair.
    pub real: bool,
    /// Steps of the sequence.
    pub length: usize,
}

#[cube]
pub(crate) fn pairs(lengths: &Array<u32>, steps: usize, batch: usize, #[comptime] plan: Loop) -> Sequence<Pair> {
    let mut all = Sequence::<Pair>::new();
    #[unroll]
    for index in 0..comptime!(plan.pairs()) {
        let at = UNIT_POS as usize + comptime!(index * plan.threads);
        let row = at / comptime!(plan.hidden);
        let sequence = CUBE_POS_X as usize * comptime!(plan.rows) + row;
        let real = row < comptime!(plan.rows) && sequence < batch;
        let sequence = select(real, sequence, 0);
        let row = select(real, row, 0);
        let mut length = steps;
        if comptime!(plan.padded) {
            length = lengths[sequence] as usize;
        }
        all.push(Pair { row, sequence, unit: at % comptime!(plan.hidden), real, length });
    }
    all
}

/// The step in time that is read `step`-th. Padding stays where it is.
#[cube]
pub(crate) fn time(step: usize, length: usize, #[comptime] reverse: bool) -> usize {
    let mut time = step;
    if comptime!(reverse) {
        // Wraps in padding, where it is not used.
        time = select(step < length, length - 1 - step, step);
    }
    time
}

/// `1 / (1 + exp(-x))`. The bound keeps the exponential finite: not every driver knows infinity.
#[cube]
pub(crate) fn sigmoid(x: f32) -> f32 {
    // By comparison, which lets a NaN pass; a maximum would hide it.
    let bounded = select(x < -80.0, -80.0, x);
    1.0 / (1.0 + f32::exp(-bounded))
}

/// Beyond the bound the result is 1 to the last bit; some drivers make `inf / inf` of large arguments.
#[cube]
pub(crate) fn tanh(x: f32) -> f32 {
    let bounded = select(x > 16.0, 16.0, x);
    let bounded = select(bounded < -16.0, -16.0, bounded);
    f32::tanh(bounded)
}

/// Takes numbers that are nothing as 0, as the CPU does: what vanishes along a sequence must not stay denormal.
#[cube]
pub(crate) fn faded(gradient: f32) -> f32 {
    select(f32::abs(gradient) < 1e-30, 0.0, gradient)
}

/// Fills shared memory with zeros. The caller synchronizes.
#[cube]
pub(crate) fn clear(memory: &mut SharedMemory<f32>, #[comptime] length: usize, #[comptime] threads: usize) {
    let mut at = UNIT_POS as usize;
    while at < length {
        memory[at] = 0.0;
        at += threads;
    }
}
