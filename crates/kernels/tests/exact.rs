//! Every cell, instruction set and option against the f64 reference.
//!
//! Errors are relative to the largest element of each array.

mod common;

use std::num::NonZeroUsize;

use common::reference::{Numbers, Results, run};
use common::{Case, Sizes, arrays};
use emberloop_cells::CellKind;
use emberloop_kernels::{Isa, Output, infer_with};
use proptest::prelude::*;

fn check(case: &Case, isa: Isa) {
    check_against(case, isa, &run(case, &Numbers::of(case)));
}

fn check_against(case: &Case, isa: Isa, exact: &Results) {
    let what = || {
        format!(
            "{isa}, {:?}, T={} B={} lengths={:?} reverse={} initial={} {:?} truncate={:?}",
            case.layer,
            case.steps,
            case.batch,
            case.lengths,
            case.reverse,
            case.initial.is_some(),
            case.output,
            case.truncate
        )
    };
    let (states, gradients) = case.run(isa);
    assert_eq!(
        states,
        infer_with(isa, case.layer, &case.weights(), &case.sequences(), case.output),
        "infer: {}",
        what()
    );
    let exact: [&[f64]; 8] = [
        if case.output == Output::Last { &[] } else { &exact.hidden },
        if case.output == Output::Every { &[] } else { &exact.last },
        &exact.input,
        &exact.recurrent,
        &exact.input_bias,
        &exact.recurrent_bias,
        &exact.values,
        &exact.initial,
    ];
    for ((name, found), exact) in arrays(&states, &gradients).into_iter().zip(exact) {
        assert_eq!(found.len(), exact.len(), "{name}: {}", what());
        let largest = exact.iter().fold(0f64, |largest, x| largest.max(x.abs()));
        let error = found.iter().zip(exact).fold(0f64, |error, (&found, exact)| {
            let difference = (f64::from(found) - exact).abs();
            if difference.is_nan() { f64::INFINITY } else { error.max(difference) }
        });
        assert!(error <= 1e-5 * largest, "{name}: relative error {:e}, {}", error / largest, what());
    }
}

/// The portable code is slow on x86-64: it gets the smaller cases.
fn isas(sizes: Sizes) -> Vec<Isa> {
    let work = sizes.steps * sizes.batch * sizes.hidden * (sizes.hidden + sizes.inputs);
    let mut isas = Isa::available();
    isas.retain(|&isa| isa != Isa::Portable || work < 50_000 || !cfg!(target_arch = "x86_64"));
    isas
}

fn options(sizes: Sizes, seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for variant in 0..8u64 {
        let mut case = Case::new(sizes, seed + variant);
        if variant & 1 != 0 {
            case = case.with_lengths(seed + variant);
        }
        if variant & 2 != 0 {
            case = case.with_initial(seed + variant);
        }
        case.reverse = variant & 4 != 0;
        for output in [Output::Every, Output::Last, Output::Both] {
            for truncate in [None, Some(1), Some(5)] {
                case.output = output;
                case.truncate = truncate.and_then(NonZeroUsize::new);
                cases.push(case.clone());
            }
        }
    }
    cases
}

#[test]
fn every_option_of_every_cell() {
    for cell in CellKind::ALL {
        for sizes in [
            Sizes { cell, inputs: 6, hidden: 5, steps: 7, batch: 3 },
            Sizes { cell, inputs: 1, hidden: 17, steps: 12, batch: 19 },
        ] {
            for case in options(sizes, 1) {
                let exact = run(&case, &Numbers::of(&case));
                for isa in isas(sizes) {
                    check_against(&case, isa, &exact);
                }
            }
        }
    }
}

#[test]
fn odd_sizes() {
    for cell in CellKind::ALL {
        for (seed, (hidden, batch)) in [(1, 1), (5, 64), (16, 7), (17, 1), (33, 3), (100, 7)].into_iter().enumerate() {
            for (inputs, steps) in [(1, 1), (6, 37), (40, 2)] {
                let sizes = Sizes { cell, inputs, hidden, steps, batch };
                let case = Case::new(sizes, seed as u64).with_lengths(3).with_initial(4);
                let exact = run(&case, &Numbers::of(&case));
                for isa in isas(sizes) {
                    check_against(&case, isa, &exact);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_shape(
        cell in prop::sample::select(CellKind::ALL.to_vec()),
        (inputs, hidden, steps, batch) in (1usize..24, 1usize..70, 1usize..14, 1usize..40),
        (lengths, initial, reverse) in any::<(bool, bool, bool)>(),
        output in prop::sample::select(vec![Output::Every, Output::Last, Output::Both]),
        truncate in 0usize..6,
        seed in any::<u64>(),
    ) {
        let mut case = Case::new(Sizes { cell, inputs, hidden, steps, batch }, seed);
        if lengths {
            case = case.with_lengths(seed);
        }
        if initial {
            case = case.with_initial(seed);
        }
        (case.reverse, case.output, case.truncate) = (reverse, output, NonZeroUsize::new(truncate));
        for isa in Isa::available().into_iter().take(2) {
            check(&case, isa);
        }
    }
}
