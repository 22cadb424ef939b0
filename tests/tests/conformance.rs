//! The host engine against the reference, bit for bit, at every step of every case.

use emberloop_engine::{MISSING, Network, RestoreError, SelfTestError, self_test};
use emberloop_image::Image;
use emberloop_tests::aligned::Aligned;
use emberloop_tests::cases::{self, Case};
use emberloop_tests::model::{CellKind, Input, Missing, Model, Pooling};
use emberloop_tests::random::Random;
use emberloop_tests::recipe::{Recipe, samples};
use emberloop_tests::reference::Reference;
use emberloop_tests::reference::arithmetic::pow2;
use emberloop_tests::runner::{Pair, with_pair};
use emberloop_tests::writer;

/// Runs `check` for every case, and names the case in what it panics with.
fn for_every_case(check: impl Fn(&Case, Pair<'_>)) {
    for case in cases::all() {
        eprintln!("case {}", case.name);
        with_pair(&case.image, |pair| check(&case, pair));
    }
}

#[test]
fn every_step_is_bit_exact() {
    for_every_case(|case, mut pair| {
        for (number, sequence) in case.sequences.iter().enumerate() {
            let outputs = pair.run(&sequence.samples).unwrap_or_else(|error| {
                panic!("{}, sequence {number}, {error}", case.name);
            });
            let expected: Vec<_> = sequence.outputs.iter().cloned().map(Some).collect();
            assert_eq!(outputs, expected, "{}, sequence {number}", case.name);
        }
    });
}

/// The cases reach the ends of the formats; otherwise they would say little about them.
#[test]
fn the_cases_reach_saturation() {
    let (mut gates, mut cells, mut counts) = ([false; 2], [false; 2], [0; 2]);
    for case in cases::all() {
        let mut reference = Reference::new(case.model.clone());
        for sequence in &case.sequences {
            reference.reset();
            for sample in &sequence.samples {
                let trace = reference.step(sample).expect("a step that the case says is taken");
                for unit in trace.layers.iter().flat_map(|layer| &layer.units) {
                    let stages = || unit.stages.iter().filter(|stage| stage.0.format_row() == "sigmoid gate");
                    gates[0] |= stages().any(|stage| stage.1 == 0);
                    gates[1] |= stages().any(|stage| stage.1 == 32768);
                    cells[0] |= unit.memory == Some(-pow2(31));
                    cells[1] |= unit.memory == Some(pow2(31) - 1);
                }
            }
        }
        counts[0] += reference.counts().clipped;
        counts[1] += reference.counts().missing;
    }
    assert_eq!(gates, [true; 2], "a gate closed, a gate open");
    assert!(cells.contains(&true), "an LSTM's cell saturated");
    assert!(counts[0] > 100 && counts[1] > 100, "clipped and missing numbers: {counts:?}");
}

#[test]
fn a_restored_state_goes_on_as_if_uninterrupted() {
    for_every_case(|case, mut pair| {
        let longest = case.sequences.iter().max_by_key(|sequence| sequence.samples.len()).expect("a sequence");
        let half = longest.samples.len() / 2;
        pair.reset();
        longest.samples[..half].iter().for_each(|sample| drop(pair.step(sample).expect("no difference")));
        let saved = pair.network.save().to_vec();
        assert_eq!(saved.len(), pair.network.state_words());

        // Another network, with another past.
        let bytes = Aligned::new(&case.image);
        let image = Image::parse(&bytes).expect("a valid image");
        let mut other = Network::new(&image, vec![0; image.memory().words()]).expect("enough memory");
        other.step(&longest.samples[0]).expect("a valid sample");
        other.restore(&saved).expect("a state of the same image");
        for (sample, expected) in longest.samples[half..].iter().zip(&longest.outputs[half..]) {
            assert_eq!(other.step(sample).expect("a valid sample").values(), expected, "{}", case.name);
        }
    });
}

#[test]
fn a_refused_state_changes_nothing() {
    for_every_case(|case, mut pair| {
        pair.step(&case.sequences[0].samples[0]).expect("no difference");
        let before = pair.network.save().to_vec();
        let (short, long) = (&before[1..], [&before[..], &[0]].concat());
        for wrong in [short, &long] {
            assert!(matches!(pair.network.restore(wrong), Err(RestoreError::Length { .. })), "{}", case.name);
        }
        for (word, wrong) in unreachable_words(&case.model, &before) {
            let mut state = before.clone();
            state[word] = wrong;
            let refused = pair.network.restore(&state);
            assert_eq!(refused, Err(RestoreError::Value), "{}: word {word} is {wrong}", case.name);
        }
        assert_eq!(pair.network.save(), before, "{}", case.name);
    });
}

/// Words of a saved state (FORMAT §5), each with values that no step can leave there.
fn unreachable_words(model: &Model, state: &[i32]) -> Vec<(usize, i32)> {
    let mut wrong = Vec::new();
    // One half of a word, the low one first.
    let half = |at: usize, number: usize, value: u16| {
        let (word, shift) = (at + number / 2, 16 * (number % 2));
        (word, (state[word] & !(0xFFFF << shift)) | (i32::from(value) << shift))
    };
    let padded = |units: usize| units.next_multiple_of(4);
    let width = model.input.width();
    wrong.extend((0..width).map(|number| half(0, number, 0x8000)));
    wrong.extend((width..width.next_multiple_of(2)).map(|number| half(0, number, 1)));
    let mut at = width.div_ceil(2);
    for layer in &model.layers {
        let (units, beyond) = (0..layer.hidden, layer.hidden..padded(layer.hidden));
        if matches!(layer.cell, CellKind::GruResetAfter | CellKind::GruResetBefore) {
            // A memory beyond its bounds, and one whose rounding is not the hidden state beside it.
            let ends = [32_767 * (1 << 15) + 1, -(1 << 30) - 1, i32::MIN, i32::MAX];
            wrong.extend(units.clone().flat_map(|unit| ends.map(|value| (at + unit, value))));
            wrong.extend(units.map(|unit| (at + unit, state[at + unit] - state[at + unit].signum() * (1 << 15))));
            wrong.retain(|&(word, value)| state[word] != value);
        }
        if layer.cell != CellKind::Rnn {
            wrong.extend(beyond.clone().flat_map(|unit| [1, -1, 1 << 14].map(|value| (at + unit, value))));
            at += padded(layer.hidden);
        }
        wrong.extend(beyond.map(|unit| half(at, unit, 1)));
        at += padded(layer.hidden) / 2;
    }
    if model.head.pooling == Pooling::Mean {
        let count = state.len() - 1;
        let ends = [32_767 * state[count] + 1, -32_768 * state[count] - 1, i32::MIN];
        wrong.extend((at..count).flat_map(|word| ends.map(|value| (word, value))));
        let last = model.layers.last().expect("a layer").hidden;
        wrong.extend((at + last..count).map(|word| (word, 1)));
        wrong.extend([-1, (1 << 15) + 1].map(|value| (count, value)));
    }
    wrong
}

/// The ends of the formats are reachable: a hidden state of -32768, of which version 1 knew nothing, among them.
#[test]
fn a_state_at_the_ends_of_its_formats_is_taken() {
    for_every_case(|case, mut pair| {
        for end in [-32_768, 32_767] {
            for (layer, shape) in case.model.layers.iter().enumerate() {
                pair.reference.set_hidden(layer, &vec![end; shape.hidden]);
            }
            let state = pair.reference.save();
            pair.network.restore(&state).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            for sample in &case.sequences[1].samples {
                pair.step(sample).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            }
            pair.reset();
        }
    });
}

#[test]
fn a_reset_network_is_a_fresh_one() {
    for_every_case(|case, mut pair| {
        let fresh = pair.network.save().to_vec();
        for sample in &case.sequences[1].samples {
            pair.step(sample).expect("no difference");
        }
        pair.reset();
        assert_eq!(pair.network.save(), fresh, "{}", case.name);
        assert_eq!(pair.network.save(), pair.reference.save(), "{}", case.name);
    });
}

#[test]
fn a_refused_step_changes_nothing() {
    for_every_case(|case, mut pair| {
        let sequence = &case.sequences[1];
        pair.step(&sequence.samples[0]).expect("no difference");
        let (state, counters) = (pair.network.save().to_vec(), pair.network.counters());
        let sample = &sequence.samples[1];
        let mut refused = vec![vec![], [&sample[..], &[0]].concat()];
        match &case.model.input {
            Input::Features { missing: Missing::Error, scalers, .. } => {
                // The last one missing, the others clipped: what is before it must not be counted either.
                let mut clipped = vec![i32::MAX; scalers.len()];
                clipped[scalers.len() - 1] = MISSING;
                refused.push(clipped);
            }
            Input::Features { .. } => {}
            Input::Tokens { embedding, .. } => {
                refused.extend([-1, i32::MIN, i32::MAX, embedding.rows.len() as i32].map(|token| vec![token]));
            }
        }
        for raw in &refused {
            assert_eq!(pair.step(raw), Ok(None), "{}: {raw:?}", case.name);
            assert_eq!(pair.network.save(), state, "{}: {raw:?}", case.name);
            assert_eq!(pair.network.counters(), counters, "{}: {raw:?}", case.name);
        }
        let output = pair.step(sample).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert!(output.is_some(), "{}", case.name);
    });
}

#[test]
fn the_self_test_passes_and_finds_a_changed_word() {
    for case in cases::all() {
        let run = |bytes: &[u8]| {
            let bytes = Aligned::new(bytes);
            let image = Image::parse(&bytes).expect("a valid image");
            self_test(&image, vec![0; image.memory().words()])
        };
        let steps: usize = case.model.golden.iter().map(|golden| golden.samples.len()).sum();
        assert_eq!(run(&case.image), Ok(steps), "{}", case.name);

        // The image ends with the expected outputs of its last golden sequence.
        let mut changed = case.image.clone();
        let last = changed.len() - 4;
        changed[last] ^= 1;
        writer::fix_checksum(&mut changed);
        let (sequence, output) = (case.model.golden.len() - 1, case.model.head.outputs() - 1);
        let step = case.model.golden[sequence].samples.len() - 1;
        let Err(SelfTestError::Differs { sequence: s, step: t, output: o, expected, found }) = run(&changed) else {
            panic!("{}: a changed golden word passes", case.name);
        };
        assert_eq!((s, t, o, expected), (sequence, step, output, found ^ 1), "{}", case.name);
    }
}

#[test]
fn an_image_without_golden_vectors_fails_its_self_test() {
    let model = Model { golden: Vec::new(), ..cases::named("gru").model };
    let bytes = Aligned::new(&writer::image(&model));
    let image = Image::parse(&bytes).expect("no golden vectors is valid, but proves nothing");
    assert_eq!(self_test(&image, vec![0; image.memory().words()]), Err(SelfTestError::Empty));
}

/// Mean pooling halves its sums after 32,768 steps; the memories of LSTM and GRU run as long as they like.
#[test]
fn streams_longer_than_the_pooling_window() {
    for cell in CellKind::ALL {
        let recipe = Recipe::new("stream", cell).tokens(5, 2).hidden(&[2]).pooling(Pooling::Mean).steps(&[1]);
        let mut random = Random::named(cell.name());
        let case = Case::new(&recipe, &mut random);
        let stream = samples(&mut random, &case.model, 50_000);
        with_pair(&case.image, |mut pair| {
            pair.run(&stream).unwrap_or_else(|error| panic!("{cell:?}, {error}"));
        });
    }
}
