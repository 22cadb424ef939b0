//! The same bits with every instruction set, any number of threads, and a tape that travels.

mod common;

use common::{Case, Sizes, bits};
use emberloop_cells::CellKind;
use emberloop_kernels::{Isa, Wanted, backward_with, forward_with};

#[test]
fn instruction_sets_give_the_same_bits() {
    for cell in CellKind::ALL {
        for (inputs, hidden, steps, batch) in [(3, 5, 9, 4), (6, 33, 20, 19), (1, 16, 30, 33), (7, 70, 5, 9)] {
            let case = Case::new(Sizes { cell, inputs, hidden, steps, batch }, 21).with_lengths(2).with_initial(3);
            let results: Vec<_> = Isa::available()
                .into_iter()
                .map(|isa| {
                    let (states, gradients) = case.run(isa);
                    (isa, bits(&states, &gradients))
                })
                .collect();
            for (isa, found) in &results {
                assert!(*found == results[0].1, "{cell:?} H={hidden}: {isa} differs from {}", results[0].0);
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let pools: Vec<_> =
        [1, 2, 3].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()).into();
    for cell in CellKind::ALL {
        let case = Case::new(Sizes { cell, inputs: 6, hidden: 24, steps: 25, batch: 70 }, 5).with_lengths(6);
        let results: Vec<_> = pools
            .iter()
            .map(|pool| {
                let (states, gradients) = pool.install(|| case.run(Isa::best()));
                bits(&states, &gradients)
            })
            .collect();
        assert!(results[0] == results[1] && results[0] == results[2], "{cell:?}");
        // And without a pool of one's own.
        let (states, gradients) = case.run(Isa::best());
        assert!(bits(&states, &gradients) == results[0], "{cell:?}");
    }
}

#[test]
fn a_tape_is_used_on_another_thread_and_with_other_instructions() {
    for cell in CellKind::ALL {
        let case = Case::new(Sizes { cell, inputs: 2, hidden: 20, steps: 8, batch: 18 }, 9).with_lengths(1);
        let (expected, gradients) = case.run(Isa::best());
        let expected = bits(&expected, &gradients);
        for isa in Isa::available() {
            let (states, tape) = forward_with(Isa::best(), case.layer, &case.weights(), &case.sequences(), case.output);
            assert!(format!("{tape:?}").contains("steps: 8"));
            let case = case.clone();
            let gradients = std::thread::spawn(move || {
                let wanted = Wanted { values: true, initial: true };
                backward_with(isa, tape, &case.weights(), &case.gradients(), wanted, None)
            });
            assert!(bits(&states, &gradients.join().unwrap()) == expected, "{cell:?} {isa}");
        }
    }
}
