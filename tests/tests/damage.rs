//! Damaged images: refused where the checksum can tell, harmless where it cannot.

use std::panic::{AssertUnwindSafe, catch_unwind};

use emberloop_engine::{MISSING, Network, RestoreError, self_test};
use emberloop_image::{Image, ImageError, Part, Sequences};
use emberloop_tests::aligned::Aligned;
use emberloop_tests::cases;
use emberloop_tests::model::{CellKind, Golden, Input};
use emberloop_tests::reference::{Reference, reader};
use emberloop_tests::writer::{fix_bounds, fix_checksum, image, offset, sequences};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One of every cell, with features and with tokens, with every pooling.
const SMALL: [&str; 8] =
    ["rnn", "lstm", "gru", "gru_before", "lstm_tokens", "gru_before_wild", "rnn_wild", "gru_eight"];

/// So small that every bit of them is flipped, one at a time.
const FLIPPED: [&str; 6] = ["rnn", "lstm", "gru", "gru_before", "gru_smallest", "gru_before_wild"];

#[test]
fn every_flipped_bit_is_refused() {
    for name in ["gru", "gru_smallest"] {
        let mut bytes = Aligned::new(&cases::named(name).image).to_vec();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(Image::parse(&Aligned::new(&bytes)).is_err(), "{name}: bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
        }
        Image::parse(&Aligned::new(&bytes)).expect("whole again");
    }
}

/// Every flip again, with the checksum made right, and then with the bounds made right, too: the checks behind them refuse it,
/// or it is an image like another, which steps without a panic and as the reference does.
#[test]
fn every_flipped_bit_that_hides_itself_is_refused_or_harmless() {
    for name in FLIPPED {
        let whole = cases::named(name).image;
        let (mut flips, mut parsed) = (0, [0; 2]);
        for at in (0..whole.len()).filter(|at| !(offset::CHECKSUM..offset::HEADER).contains(at)) {
            for bit in 0..8 {
                let survives = |bytes: &[u8]| {
                    survives(bytes, 4).unwrap_or_else(|error| panic!("{name}: bit {bit} of byte {at}: {error}"))
                };
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                fix_checksum(&mut bytes);
                flips += 1;
                if survives(&bytes) {
                    parsed[0] += 1;
                } else if with_right_bounds(&mut bytes) && survives(&bytes) {
                    parsed[1] += 1;
                }
            }
        }
        let [plain, certified] = parsed;
        eprintln!("{name}: {flips} flips, {plain} of them are images, {certified} with other bounds");
        // Otherwise this says little.
        assert!(
            plain > flips / 4 && certified > flips / 20 && plain + certified < flips,
            "{name}: {parsed:?} of {flips}"
        );
    }
}

/// Makes the bounds right, if all else can be read; says whether they were wrong.
fn with_right_bounds(bytes: &mut [u8]) -> bool {
    let Ok((model, _)) = reader::read_with_bounds(bytes) else { return false };
    let before = bytes.to_vec();
    fix_bounds(bytes, &model);
    bytes != before
}

#[test]
fn every_truncation_is_refused() {
    for name in SMALL {
        let bytes = Aligned::new(&cases::named(name).image);
        for length in 0..bytes.len() {
            assert!(Image::parse(&bytes[..length]).is_err(), "{name}: {length} of {} bytes", bytes.len());
        }
    }
}

/// A truncation that also states its own length, and has a right checksum: the sections are what refuses it.
#[test]
fn every_truncation_that_hides_itself_is_refused() {
    for name in SMALL {
        let whole = cases::named(name).image;
        for length in 32..whole.len() {
            let mut bytes = whole[..length].to_vec();
            bytes[8..12].copy_from_slice(&(length as u32).to_le_bytes());
            fix_checksum(&mut bytes);
            assert!(Image::parse(&Aligned::new(&bytes)).is_err(), "{name}: {length} of {} bytes", whole.len());
        }
    }
}

#[test]
fn every_truncation_of_a_seq_file_is_refused() {
    let case = cases::named("lstm");
    for bytes in [case.seq_file(), sequences(case.model.input.raw_width(), 0, &case.sequences)] {
        let aligned = Aligned::new(&bytes);
        Sequences::parse(&aligned).expect("the whole file");
        for length in 0..bytes.len() {
            assert!(Sequences::parse(&aligned[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
    }
}

/// A change of a few bytes anywhere behind the preamble's length, or of the 32-bit word there, which is where
/// counts, shifts and biases are.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Bit(Index, u32),
    Word(Index, u32),
    Copy(Index, Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let words = select(&[0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x4000_0000, 0x0001_0000, 0x7FFF, 0x8000][..]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, value)| Damage::Byte(at, value)),
        (any::<Index>(), 0..8u32).prop_map(|(at, bit)| Damage::Bit(at, bit)),
        (any::<Index>(), words).prop_map(|(at, value)| Damage::Word(at, value)),
        (any::<Index>(), any::<Index>(), 1..16usize).prop_map(|(from, to, count)| Damage::Copy(from, to, count)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut [u8]) {
        const START: usize = 12;
        let at = |index: &Index, count: usize| START + index.index(bytes.len() - START - count + 1);
        match self {
            Damage::Byte(index, value) => bytes[at(index, 1)] = *value,
            Damage::Bit(index, bit) => bytes[at(index, 1)] ^= 1 << bit,
            Damage::Word(index, value) => {
                let at = at(index, 4) & !3;
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            Damage::Copy(from, to, count) => {
                let (from, to) = (at(from, *count), at(to, *count));
                bytes.copy_within(from..from + count, to);
            }
        }
        fix_checksum(bytes);
    }
}

/// Raw samples at the ends of every range.
fn extreme_samples(width: usize) -> Vec<Vec<i32>> {
    let values = [0, i32::MAX, i32::MIN + 1, MISSING, 1, -1, 1 << 30];
    let mixed = (0..width).map(|index| values[index % values.len()]).collect();
    values.iter().map(|&value| vec![value; width]).chain([mixed]).collect()
}

/// What the parser and the reference's reader make of an image: nothing or everything, both the same. A varint that is longer
/// than it needs to be is the one thing that a parser need not see (FORMAT §1): the reference is then `None`.
fn read_by_both(bytes: &[u8]) -> Result<Option<Option<Reference>>, TestCaseError> {
    match (Image::parse(&Aligned::new(bytes)), Reference::read(bytes)) {
        (Err(_), Err(_)) => Ok(None),
        (Ok(_), Ok(reference)) => Ok(Some(Some(reference))),
        (Ok(_), Err(error)) if error.contains("longer than it needs to be") => Ok(Some(None)),
        (Ok(_), Err(error)) => Err(TestCaseError::fail(format!("the parser lets through what is wrong: {error}"))),
        (Err(error), Ok(_)) => Err(TestCaseError::fail(format!("the reader finds nothing wrong, the parser: {error}"))),
    }
}

/// Runs whatever the image lets itself be used for, with every step checked against the reference. Returns whether it parsed.
fn survives(bytes: &[u8], steps: usize) -> Result<bool, TestCaseError> {
    let Some(mut reference) = read_by_both(bytes)? else { return Ok(false) };
    let aligned = Aligned::new(bytes);
    let image = Image::parse(&aligned).expect("parsed before");
    let mut network = Network::new(&image, vec![0; image.memory().words()]).expect("the memory that it asks for");
    for sample in extreme_samples(image.header().raw_width()).iter().cycle().take(steps) {
        let found = network.step(sample).map(|output| output.values().to_vec());
        if let Some(reference) = &mut reference {
            let expected =
                reference.step(sample).map(|trace| trace.outputs.iter().map(|&value| value as i32).collect());
            prop_assert_eq!(found.ok(), expected.ok());
        }
    }
    let saved = network.save().to_vec();
    network.restore(&saved).expect("its own state");
    let mut probabilities = vec![0; usize::from(image.header().head.outputs)];
    if let Ok(output) = network.step(&vec![0; image.header().raw_width()]) {
        output.probabilities(&mut probabilities);
        let _ = (output.class(), output.label());
    }
    let _ = self_test(&image, vec![0; image.memory().words()]);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// The parser proves what the engine relies on: an image that it lets through cannot make the engine overflow
    /// (its overflow checks are on in tests) and computes what the reference says, whatever it computes.
    #[test]
    fn damage_that_hides_itself_is_refused_or_harmless(
        name in select(&SMALL[..]),
        damages in prop::collection::vec(damage(), 1..4),
        certified: bool,
    ) {
        let mut bytes = cases::named(name).image;
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        if certified {
            with_right_bounds(&mut bytes);
        }
        survives(&bytes, 40)?;
    }

    /// A state from anywhere: refused, or one from which the engine runs on.
    #[test]
    fn a_foreign_state_is_refused_or_harmless(
        name in select(&SMALL[..]),
        changes in prop::collection::vec((any::<Index>(), prop_oneof![any::<i32>(), -70000..70000i32]), 0..3),
    ) {
        let case = cases::named(name);
        let aligned = Aligned::new(&case.image);
        let image = Image::parse(&aligned).expect("a valid image");
        let mut network = Network::new(&image, vec![0; image.memory().words()]).expect("enough memory");
        for sample in &case.sequences[1].samples {
            network.step(sample).expect("a valid sample");
        }
        let mut state = network.save().to_vec();
        for (index, value) in &changes {
            let at = index.index(state.len());
            state[at] = *value;
        }
        let before = network.save().to_vec();
        if network.restore(&state).is_ok() {
            prop_assert_eq!(network.save(), state);
            for sample in extreme_samples(image.header().raw_width()).iter().cycle().take(20) {
                let _ = network.step(sample);
            }
        } else {
            prop_assert_eq!(network.save(), before);
        }
    }

    /// Whatever a `.seq` file holds, reading it does not panic, and what is read fits.
    #[test]
    fn damaged_sequences_are_refused_or_whole(damages in prop::collection::vec(damage(), 1..4)) {
        let case = cases::named("gru_smallest");
        let golden: Vec<Golden> = case.sequences.into_iter().take(3).collect();
        let mut bytes = [vec![0; 32], sequences(1, 1, &golden)].concat();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        let aligned = Aligned::new(&bytes[32..]);
        if let Ok(read) = Sequences::parse(&aligned) {
            let numbers: usize = read.iter().map(|one| one.steps() * (read.width() + read.outputs()) + 1).sum();
            prop_assert_eq!(4 * (4 + numbers), aligned.len());
        }
    }
}

/// Found by the property above: the check of the sums multiplied by the count before it had checked the count.
#[test]
fn a_state_with_an_impossible_count_is_refused() {
    let case = cases::named("gru_eight");
    let aligned = Aligned::new(&case.image);
    let image = Image::parse(&aligned).expect("a valid image");
    let mut network = Network::new(&image, vec![0; image.memory().words()]).expect("enough memory");
    for count in [-1, (1 << 15) + 1, i32::MAX, i32::MIN] {
        let mut state = network.save().to_vec();
        *state.last_mut().expect("mean pooling keeps a count") = count;
        assert_eq!(network.restore(&state), Err(RestoreError::Value), "{count}");
    }
}

/// Found by the property above: the embedding's scales shifted before they were checked.
#[test]
fn a_scale_with_an_impossible_shift_is_refused() {
    for shift in [16, 31, 32, 64, 255] {
        let mut model = cases::named("gru_tokens").model;
        let Input::Tokens { embedding, .. } = &mut model.input else { panic!("a model with tokens") };
        embedding.rows[0].scale.left = shift;
        let error = Image::parse(&Aligned::new(&image(&model))).map(drop);
        assert_eq!(error, Err(ImageError::Requantizer { part: Part::Embedding, row: 0 }), "{shift}");
    }
}

#[test]
fn every_cell_is_damaged() {
    for names in [&SMALL[..], &FLIPPED[..]] {
        let layers = names.iter().flat_map(|name| cases::named(name).model.layers);
        let cells: Vec<_> = layers.map(|layer| layer.cell).collect();
        assert!(CellKind::ALL.iter().all(|cell| cells.contains(cell)));
    }
}

/// The overflow checks that these tests rely on are compiled into the engine.
#[test]
fn overflow_is_checked() {
    let overflows = || emberloop_engine::arithmetic::round_shift(std::hint::black_box(i32::MAX), 1);
    assert!(catch_unwind(AssertUnwindSafe(overflows)).is_err());
}
