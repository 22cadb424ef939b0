//! The reference itself: its gradients against differences of its loss.

mod common;

use common::reference::{Numbers, forward, run};
use common::{Case, Sizes};
use emberloop_cells::CellKind;
use emberloop_kernels::Output;

#[test]
fn gradients_of_the_reference_are_the_slopes_of_its_loss() {
    for cell in CellKind::ALL {
        for (reverse, output) in [(false, Output::Both), (true, Output::Last), (true, Output::Every)] {
            let sizes = Sizes { cell, inputs: 2, hidden: 3, steps: 4, batch: 3 };
            let mut case = Case::new(sizes, 11).with_lengths(5).with_initial(7);
            (case.reverse, case.output) = (reverse, output);
            let numbers = Numbers::of(&case);
            let exact = run(&case, &numbers);
            type Field = fn(&mut Numbers) -> &mut Vec<f64>;
            let fields: [(&str, Field, &[f64]); 6] = [
                ("input", |n| &mut n.input, &exact.input),
                ("recurrent", |n| &mut n.recurrent, &exact.recurrent),
                ("input bias", |n| &mut n.input_bias, &exact.input_bias),
                ("recurrent bias", |n| &mut n.recurrent_bias, &exact.recurrent_bias),
                ("values", |n| &mut n.values, &exact.values),
                ("initial", |n| &mut n.initial, &exact.initial),
            ];
            for (name, field, gradient) in fields {
                for (place, &gradient) in gradient.iter().enumerate() {
                    let loss = |by: f64| {
                        let mut moved = numbers.clone();
                        field(&mut moved)[place] += by;
                        forward(&case, &moved).2
                    };
                    let slope = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                    assert!((slope - gradient).abs() < 1e-8, "{cell:?} {name}[{place}]: {gradient}, slope {slope}");
                }
            }
        }
    }
}
