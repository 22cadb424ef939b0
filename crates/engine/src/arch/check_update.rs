//! Compares the hand-written updates of four units with NUMERICS §6 and §8 in 64 bits, on random and on extreme values.

use emberloop_image::{FeatureScaler, Input, MissingPolicy};

use super::check::{Mismatch, Random, same};
use crate::TANH;
use crate::input::check;
use crate::network::Counters;
use crate::update as hand;
use crate::{MISSING, StepError};

/// Runs `cases` of every update; returns their number.
///
/// # Errors
/// The first difference.
pub fn updates(seed: u32, cases: u32) -> Result<u32, Mismatch> {
    let mut random = Random::new(seed);
    let mut done = 0;
    for (function, compare) in FUNCTIONS {
        for case in 0..cases {
            compare(&mut random).map_err(|(index, expected, found)| Mismatch {
                function,
                case,
                columns: [0; 2],
                index,
                expected,
                found,
            })?;
            done += 1;
        }
    }
    Ok(done)
}

type Comparison = fn(&mut Random) -> Result<(), (usize, i32, i32)>;

const FUNCTIONS: [(&str, Comparison); 6] = [
    ("scale", scale),
    ("lstm_update", lstm),
    ("gru_update_reset_after", gru_reset_after),
    ("gru_reset_before", gru_reset_before),
    ("gru_update_reset_before", gru_update_reset_before),
    ("rnn_update", rnn),
];

/// Samples of numbers, which the hand-written code takes, against samples of perhaps missing numbers, which it does not.
fn scale(random: &mut Random) -> Result<(), (usize, i32, i32)> {
    const MOST: usize = 19;
    let features = random.below(1 + MOST as u32) as usize;
    let policy = [MissingPolicy::HoldLast, MissingPolicy::Mean][random.below(2) as usize];
    let (mut scalers, mut raw) = ([[0; FeatureScaler::WORDS]; MOST], [0; MOST]);
    for (scaler, raw) in scalers.iter_mut().zip(&mut raw) {
        let (pre_shift, left) = (random.below(4), random.below(2) * random.below(16));
        let limit = i32::MAX >> (pre_shift + left + 2);
        let [low, high, offset] = [(); 3].map(|()| random.next() as i32 % limit);
        // Half of the scalers let everything through that does not overflow.
        let (low, high) = if random.below(2) == 0 { (low.min(high), low.max(high)) } else { (-limit, limit) };
        let right = if left > 0 { 1 } else { 1 + random.below(30) };
        let multiplier = if random.below(8) == 0 { 0 } else { 1 << 14 | random.below(1 << 14) };
        let tail = pre_shift << 16 | random.next() & 0xff00_7fff;
        *scaler = [low as u32, high as u32, offset as u32, multiplier | left << 16 | right << 24, tail];
        *raw = match random.below(64) {
            0 => MISSING,
            1 => random.with_extremes(),
            2..32 => random.next() as i32 % limit,
            _ => low + (random.next() as i32 % (high - low + 1)).abs(),
        };
    }
    let (scalers, raw) = (&scalers.as_flattened()[..features * FeatureScaler::WORDS], &raw[..features]);
    let maybe = [(); MOST].map(|()| None::<i32>);
    let mut maybe = maybe;
    for (maybe, &number) in maybe.iter_mut().zip(raw) {
        *maybe = (number != MISSING).then_some(number);
    }
    let input = Input::Features { scalers, missing: policy };
    let (mut expected, mut found) = ([7; MOST], [7; MOST]);
    let (mut slow, mut fast) = (Counters::default(), Counters::default());
    crate::input::scale(&input, &maybe[..features], &mut expected, &mut slow);
    crate::input::scale(&input, raw, &mut found, &mut fast);
    same(&expected.map(i32::from), &found.map(i32::from))?;
    let [slow, fast] = [slow, fast].map(|counters| [counters.missing as i32, counters.clipped as i32]);
    same(&slow, &fast)?;
    let input = Input::Features { scalers, missing: MissingPolicy::Error };
    let position = |result: Result<(), StepError>| match result {
        Err(StepError::Missing { feature }) => feature as i32,
        _ => -1,
    };
    same(&[position(check(&input, &maybe[..features]))], &[position(check(&input, raw))])
}

fn lstm(random: &mut Random) -> Result<(), (usize, i32, i32)> {
    let gates = [(); 4].map(|()| preactivations(random));
    let old = [(); 4].map(|()| random.with_extremes());
    let fraction = 18 + random.below(7);
    let (mut cell, mut next) = (old, [0; 4]);
    hand::lstm_update(&gates, &mut cell, &mut next, &hand::lstm_constants(fraction));
    for unit in 0..4 {
        let [input, forget, candidate, output] = gates.map(|gate| gate[unit]);
        let entering = (sigmoid(input) * tanh(candidate) + (1 << (29 - fraction))) >> (30 - fraction);
        let wide = scale_by_gate(old[unit], sigmoid(forget)) + entering;
        let expected = wide.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let narrowed = ((expected >> (fraction - 17)) + 1) >> 1;
        let hidden = multiply_q15(sigmoid(output), tanh(narrowed));
        same(&[expected, hidden], &[cell[unit], next[unit].into()])?;
    }
    Ok(())
}

fn gru_reset_after(random: &mut Random) -> Result<(), (usize, i32, i32)> {
    let gates = [preactivations(random), preactivations(random), preactivations(random)];
    let shift = random.below(16);
    // What the bounds of an image allow: no sum passes 31 bits.
    let [input_part, bias] = [(); 2].map(|()| preactivations(random).map(|value| value >> (shift + 2)));
    let gates = gates.map(|gate| gate.map(|value| value >> 1));
    let old = [(); 4].map(|()| memory(random));
    let mut wide = old;
    hand::gru_update_reset_after(&gates, &input_part, &bias, &mut wide, &hand::gru_constants(shift));
    for unit in 0..4 {
        let [reset, update, new] = gates.map(|gate| gate[unit]);
        let new_input = input_part[unit] << shift;
        let new_recurrent = new - new_input + (bias[unit] << shift);
        let sum = i64::from(new_input) + scale_by_gate(new_recurrent, sigmoid(reset));
        same(&[blend(old[unit], tanh(sum as i32), sigmoid(update))], &[wide[unit]])?;
    }
    Ok(())
}

fn gru_reset_before(random: &mut Random) -> Result<(), (usize, i32, i32)> {
    let reset = preactivations(random);
    let hidden = [(); 4].map(|()| random.with_extremes() as i16);
    let mut kept = [0; 4];
    hand::gru_reset_before(&reset, &hidden, &mut kept);
    let expected: [i32; 4] = core::array::from_fn(|unit| multiply_q15(sigmoid(reset[unit]), hidden[unit].into()));
    same(&expected, &kept.map(i32::from))
}

fn gru_update_reset_before(random: &mut Random) -> Result<(), (usize, i32, i32)> {
    let [update, new] = [(); 2].map(|()| preactivations(random));
    let old = [(); 4].map(|()| memory(random));
    let mut wide = old;
    hand::gru_update_reset_before(&update, &new, &mut wide);
    let expected: [i32; 4] = core::array::from_fn(|unit| blend(old[unit], tanh(new[unit]), sigmoid(update[unit])));
    same(&expected, &wide)
}

fn rnn(random: &mut Random) -> Result<(), (usize, i32, i32)> {
    let sums = preactivations(random);
    let mut next = [0; 4];
    hand::rnn_update(&sums, &mut next);
    same(&sums.map(|sum| tanh(sum) as i32), &next.map(i32::from))
}

/// Some extreme, most of them where sigmoid and tanh are not flat.
fn preactivations(random: &mut Random) -> [i32; 4] {
    [(); 4].map(|()| match random.below(8) {
        0 => random.with_extremes(),
        1 => random.next() as i32 >> 10,
        _ => random.next() as i32 >> (12 + random.below(6)),
    })
}

/// A GRU's memory: -2^30 to 32767·2^15, often one of the two.
fn memory(random: &mut Random) -> i32 {
    match random.below(8) {
        0 => -(1 << 30),
        1 => 32_767 << 15,
        _ => (random.with_extremes() >> 1).clamp(-(1 << 30), 32_767 << 15),
    }
}

fn interpolated(v: i32) -> i64 {
    let v = v.clamp(-(1 << 19), (1 << 19) - 1);
    let (index, fraction) = ((v >> 10) + 512, i64::from(v & 1023));
    let [low, high] = [0, 1].map(|next| i64::from(TANH[index as usize + next]));
    low * (1024 - fraction) + high * fraction
}

fn tanh(p: i32) -> i64 {
    (interpolated(p) + (1 << 9)) >> 10
}

fn sigmoid(p: i32) -> i64 {
    (interpolated(p >> 1) + (1 << 25) + (1 << 10)) >> 11
}

fn scale_by_gate(value: i32, gate: i64) -> i64 {
    (i64::from(value) * gate + (1 << 14)) >> 15
}

fn multiply_q15(a: i64, b: i64) -> i32 {
    ((a * b + (1 << 14)) >> 15) as i32
}

fn blend(hidden: i32, new: i64, update: i64) -> i32 {
    let new = new << 15;
    (new + scale_by_gate((i64::from(hidden) - new) as i32, update)) as i32
}
