//! What the crate promises beside its numbers: denormals, panics, instruction sets, memory.

mod common;

use common::{Case, Sizes, arrays, bits};
use emberloop_cells::CellKind;
use emberloop_kernels::{
    Gradients, Isa, IsaError, Layer, Output, Sequences, StateGradients, States, Wanted, backward, forward, infer,
    release_buffers,
};

const SIZES: Sizes = Sizes { cell: CellKind::Lstm, inputs: 2, hidden: 3, steps: 4, batch: 2 };

/// Whether this thread computes with denormals: 1e-20 squared is one.
fn has_denormals() -> bool {
    let small = std::hint::black_box(1e-20f32);
    std::hint::black_box(small * small) != 0.0
}

#[test]
fn vanishing_gradients_become_zero_and_the_thread_keeps_its_denormals() {
    assert!(has_denormals());
    for cell in CellKind::ALL {
        // Small weights and a loss on the last step: over 400 steps its gradient falls far below 1e-38.
        let mut case = Case::new(Sizes { cell, inputs: 2, hidden: 18, steps: 400, batch: 5 }, 4);
        for weights in [&mut case.input, &mut case.recurrent, &mut case.input_bias, &mut case.recurrent_bias] {
            weights.iter_mut().for_each(|weight| *weight *= 0.1);
        }
        case.output = Output::Last;
        for isa in Isa::available().into_iter().take(2) {
            let (states, gradients) = case.run(isa);
            for (name, array) in arrays(&states, &gradients) {
                assert!(!array.iter().any(|x| x.is_subnormal()), "{cell:?} {isa}: {name}");
            }
            let values = gradients.values.unwrap();
            assert!(values.contains(&0.0) && values.iter().any(|x| *x != 0.0), "{cell:?}: nothing vanished");
            assert!(has_denormals(), "{cell:?} {isa}");
        }
    }
}

#[test]
fn nan_comes_through_where_it_belongs_and_nowhere_else() {
    for cell in CellKind::ALL {
        let mut case = Case::new(Sizes { cell, inputs: 2, hidden: 20, steps: 3, batch: 5 }, 4);
        // Sequence 1, step 1.
        case.values[(5 + 1) * 2] = f32::NAN;
        let (states, _) = case.run(Isa::best());
        for (place, state) in states.hidden.chunks(20).enumerate() {
            let (step, sequence) = (place / 5, place % 5);
            let expected = sequence == 1 && step >= 1;
            assert!(state.iter().all(|x| x.is_nan() == expected), "{cell:?}: step {step} of sequence {sequence}");
        }
    }
}

#[test]
fn padding_is_neither_read_nor_anything_but_zero() {
    for cell in CellKind::ALL {
        for reverse in [false, true] {
            let mut case = Case::new(Sizes { cell, inputs: 3, hidden: 16, steps: 9, batch: 21 }, 8).with_lengths(2);
            case.reverse = reverse;
            let run = |case: &Case| {
                let (states, gradients) = case.run(Isa::best());
                (bits(&states, &gradients), states, gradients)
            };
            let (expected, states, gradients) = run(&case);
            let lengths = case.lengths.clone().unwrap();
            for place in 0..case.steps * case.batch {
                if place / case.batch >= lengths[place % case.batch] {
                    assert!(states.hidden[place * 16..][..16].iter().all(|&x| x == 0.0));
                    assert!(gradients.values.as_ref().unwrap()[place * 3..][..3].iter().all(|&x| x == 0.0));
                    case.values[place * 3..][..3].fill(f32::NAN);
                    case.hidden_gradient[place * 16..][..16].fill(f32::NAN);
                }
            }
            assert!(run(&case).0 == expected, "{cell:?}: padding was read");
        }
    }
}

#[test]
fn only_what_is_asked_for_is_given() {
    let case = Case::new(SIZES, 1);
    let run = |output, wanted| {
        let (states, tape) = forward(case.layer, &case.weights(), &case.sequences(), output);
        // No gradient at all: all is zero.
        let gradients = backward(tape, &case.weights(), &StateGradients::default(), wanted, None);
        (states, gradients)
    };
    let (states, gradients): (States, Gradients) = run(Output::Every, Wanted::default());
    assert_eq!((states.hidden.len(), states.last.len()), (4 * 2 * 3, 0));
    assert_eq!((gradients.values, gradients.initial), (None, None));
    assert!(gradients.input.iter().chain(&gradients.recurrent).all(|&x| x == 0.0));
    let (states, gradients) = run(Output::Last, Wanted { values: true, initial: true });
    assert_eq!((states.hidden.len(), states.last.len()), (0, 2 * 2 * 3));
    assert_eq!((gradients.values.unwrap().len(), gradients.initial.unwrap().len()), (4 * 2 * 2, 2 * 2 * 3));
}

#[test]
fn buffers_are_used_again_without_a_trace() {
    let case = Case::new(Sizes { cell: CellKind::GruResetBefore, inputs: 5, hidden: 40, steps: 30, batch: 20 }, 3);
    let run = |case: &Case| {
        let (states, gradients) = case.run(Isa::best());
        bits(&states, &gradients)
    };
    let expected = run(&case);
    // Other sizes leave other numbers behind, NaN among them.
    let mut other = Case::new(Sizes { cell: CellKind::Lstm, inputs: 7, hidden: 33, steps: 31, batch: 22 }, 3);
    other.values.fill(f32::NAN);
    run(&other);
    assert!(run(&case) == expected);
    release_buffers();
    assert!(run(&case) == expected);
}

#[test]
fn names_of_instruction_sets() {
    for isa in Isa::available() {
        assert_eq!(Isa::from_name(isa.name()), Ok(isa));
    }
    assert_eq!(Isa::from_name("portable"), Ok(Isa::Portable));
    let error = Isa::from_name("sse9").unwrap_err();
    assert_eq!(error.to_string(), "EMBERLOOP_ISA: expected avx512, avx2 or portable, found \"sse9\"");
    let missing = IsaError::Missing(Isa::Avx512).to_string();
    assert!(missing.starts_with("EMBERLOOP_ISA: this CPU lacks avx512; it has "), "{missing}");
    for isa in Isa::ALL {
        assert_eq!(isa.is_available(), Isa::available().contains(&isa));
        assert_eq!(isa.is_available(), Isa::from_name(isa.name()).is_ok());
    }
}

/// The message of the panic.
fn panic_of(run: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let error = std::panic::catch_unwind(run).unwrap_err();
    error.downcast_ref::<String>().cloned().unwrap_or_else(|| error.downcast_ref::<&str>().unwrap().to_string())
}

#[test]
fn wrong_sizes_are_told_in_one_line() {
    let case = Case::new(SIZES, 1);
    let told = |change: fn(&mut Case), message: &str| {
        let mut case = case.clone();
        change(&mut case);
        let found = panic_of(move || drop(infer(case.layer, &case.weights(), &case.sequences(), Output::Last)));
        assert!(found.ends_with(message), "expected {message:?}, found {found:?}");
    };
    told(|case| case.input.truncate(case.input.len() - 1), "input weight: expected [I, G*H] = 24 numbers, found 23");
    told(
        |case| case.recurrent.truncate(case.recurrent.len() - 1),
        "recurrent weight: expected [H, G*H] = 36 numbers, found 35",
    );
    told(
        |case| case.input_bias.truncate(case.input_bias.len() - 1),
        "input bias: expected [G*H] = 12 numbers, found 11",
    );
    told(
        |case| case.recurrent_bias.truncate(case.recurrent_bias.len() - 1),
        "recurrent bias: expected [G*H] = 12 numbers, found 11",
    );
    told(|case| case.values.truncate(case.values.len() - 1), "values: expected [T, B, I] = 16 numbers, found 15");
    told(|case| case.initial = Some(vec![0.0; 5]), "initial states: expected [S, B, H] = 12 numbers, found 5");
    told(|case| case.lengths = Some(vec![4]), "lengths: expected [B] = 2 of them, found 1");
    told(|case| case.lengths = Some(vec![4, 5]), "length of sequence 1: expected 1 to 4, found 5");
    told(|case| case.lengths = Some(vec![0, 4]), "length of sequence 0: expected 1 to 4, found 0");
    told(|case| case.batch = 0, "a batch has steps and sequences, found 4 and 0");
    told(|case| case.layer.hidden = 0, "a layer has inputs and units, found 2 and 0");

    let gradient_told = |hidden: Option<&'static [f32]>, last: Option<&'static [f32]>, message: &str| {
        let case = case.clone();
        let found = panic_of(move || {
            let (_, tape) = forward(case.layer, &case.weights(), &case.sequences(), Output::Last);
            drop(backward(tape, &case.weights(), &StateGradients { hidden, last }, Wanted::default(), None));
        });
        assert!(found.ends_with(message), "expected {message:?}, found {found:?}");
    };
    gradient_told(Some(&[0.0; 7]), None, "gradient of the hidden states: expected [T, B, H] = 24 numbers, found 7");
    gradient_told(None, Some(&[0.0; 6]), "gradient of the last states: expected [S, B, H] = 12 numbers, found 6");
}

#[test]
fn a_tape_is_no_larger_than_inputs_gates_and_states() {
    let layer = Layer { cell: CellKind::Lstm, inputs: 6, hidden: 32 };
    let (steps, batch) = (100, 64);
    let case = Case::new(Sizes { cell: layer.cell, inputs: 6, hidden: 32, steps, batch }, 1);
    let sequences = Sequences { ..case.sequences() };
    let (_, tape) = forward(layer, &case.weights(), &sequences, Output::Last);
    // Four gates, two states, one more state before the first step.
    let numbers = batch * (steps * (6 + 4 * 32) + (steps + 1) * 2 * 32);
    assert!(tape.bytes() >= 4 * numbers && tape.bytes() < 4 * numbers + 4096, "{} bytes", tape.bytes());
}
