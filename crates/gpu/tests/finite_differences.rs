//! The reference's gradients against finite differences of its own states.

mod reference;

use emberloop_cells::CellKind;
use reference::Problem;

fn check(name: &str, problem: &Problem) {
    let solution = problem.solve();
    type Field = fn(&mut Problem) -> &mut Vec<f64>;
    let fields: [(&str, Field, &[f64]); 6] = [
        ("values", |problem| &mut problem.values, &solution.values),
        ("input weight", |problem| &mut problem.input_weight, &solution.input_weight),
        ("recurrent weight", |problem| &mut problem.recurrent_weight, &solution.recurrent_weight),
        ("input bias", |problem| &mut problem.input_bias, &solution.input_bias),
        ("recurrent bias", |problem| &mut problem.recurrent_bias, &solution.recurrent_bias),
        ("initial", |problem| problem.initial.as_mut().expect("it has one"), &solution.initial),
    ];
    const STEP: f64 = 1e-5;
    for (of, field, gradient) in fields {
        for (index, found) in gradient.iter().enumerate() {
            let loss = |change: f64| {
                let mut changed = problem.clone();
                field(&mut changed)[index] += change;
                changed.loss(problem)
            };
            let expected = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
            assert!((found - expected).abs() < 1e-7, "{name}, {of} {index}: expected {expected}, found {found}");
        }
    }
}

#[test]
fn gradients_are_the_slopes_of_the_states() {
    for cell in CellKind::ALL {
        for reverse in [false, true] {
            for truncate in [None, Some(2)] {
                let mut problem = Problem::new(cell, [2, 3, 6, 3], 5).with_lengths().with_initial().with_last();
                (problem.reverse, problem.truncate) = (reverse, truncate);
                check(&format!("{cell:?}, reverse {reverse}, truncate {truncate:?}"), &problem);
            }
        }
    }
}
