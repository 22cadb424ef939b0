//! The list of conformance cases. Every runner runs all of them; to add a case, add a line to [`recipes`].

use crate::model::{CellKind, Golden, Missing, Model, Pooling};
use crate::random::{Random, Weights};
use crate::recipe::{Recipe, samples};
use crate::reference::Reference;
use crate::writer;

/// A model, and what it must compute.
pub struct Case {
    /// Names it in every runner; a valid stem of a file.
    pub name: String,
    /// What the image holds.
    pub model: Model,
    /// The image.
    pub image: Vec<u8>,
    /// Sequences with the outputs of the reference.
    pub sequences: Vec<Golden>,
}

/// So many sequences are embedded as golden vectors.
const GOLDEN: usize = 2;

impl Case {
    /// The case of a recipe: weights and samples from the random stream, expected outputs from the reference.
    pub fn new(recipe: &Recipe, random: &mut Random) -> Self {
        let mut model = recipe.model(random);
        let sequences: Vec<Golden> = recipe.steps.iter().map(|&steps| expect(random, &model, steps)).collect();
        model.golden = sequences.iter().take(GOLDEN).cloned().collect();
        Self { name: recipe.name.clone(), image: writer::image(&model), model, sequences }
    }

    /// The sequences as the bytes of a `.seq` file.
    pub fn seq_file(&self) -> Vec<u8> {
        writer::sequences(self.model.input.raw_width(), self.model.head.outputs(), &self.sequences)
    }
}

/// A sequence with what the reference says of it.
fn expect(random: &mut Random, model: &Model, steps: usize) -> Golden {
    let mut reference = Reference::new(model.clone());
    let samples = samples(random, model, steps);
    let output = |sample: &Vec<i32>| {
        let trace = reference.step(sample).unwrap_or_else(|refusal| panic!("{}: {refusal}", model.name));
        trace.outputs.iter().map(|&value| value as i32).collect()
    };
    let outputs = samples.iter().map(output).collect();
    Golden { samples, outputs }
}

/// All cases.
pub fn all() -> Vec<Case> {
    recipes().iter().map(|recipe| Case::new(recipe, &mut Random::named(&recipe.name))).collect()
}

/// The case of this name.
///
/// # Panics
/// If there is none.
pub fn named(name: &str) -> Case {
    let recipe = recipes().into_iter().find(|recipe| recipe.name == name).expect("a case of this name");
    Case::new(&recipe, &mut Random::named(name))
}

/// The list.
pub fn recipes() -> Vec<Recipe> {
    use CellKind::{GruResetAfter, GruResetBefore, Lstm, Rnn};
    use Missing::{Error, HoldLast, Mean};
    let case = Recipe::new;
    let every = |name, cell| case(name, cell).hidden(&[17]).pooling(Pooling::Every);
    let two = |name, cell| case(name, cell).features(9, HoldLast).pooling(Pooling::Mean).regression(2, 12);
    let low = |name, cell| {
        let shifts = &[0, 1, 2, 3, 4, 5, 6, 7];
        case(name, cell).tokens(5, 7).hidden(&[1, 2, 3, 4, 5, 6, 7, 8]).shifts(shifts).regression(4, 12)
    };
    let high = |name, cell| {
        let shifts = &[8, 9, 10, 11, 12, 13, 14, 15];
        case(name, cell).tokens(5, 8).hidden(&[9, 10, 11, 12, 13, 14, 15, 16]).shifts(shifts).regression(5, 12)
    };
    let worst = |name, cell| Recipe {
        weights: Weights::Worst,
        ..case(name, cell).tokens(1, 33).hidden(&[33, 18]).steps(&[1, 3, 30])
    };
    vec![
        // Every cell: one layer, features that are always there, the last step counts.
        case("rnn", Rnn),
        case("lstm", Lstm),
        case("gru", GruResetAfter),
        case("gru_before", GruResetBefore),
        // Every cell: tokens, a regression at every step.
        every("rnn_tokens", Rnn).tokens(7, 3).regression(1, 30).head_shift(4),
        every("lstm_tokens", Lstm).tokens(2, 9).regression(2, 0).head_shift(5),
        every("gru_tokens", GruResetAfter).tokens(50, 1).regression(1, 20).head_shift(6),
        every("gru_before_tokens", GruResetBefore).tokens(1, 5).regression(3, 8).head_shift(7),
        // Every cell: two layers, missing numbers held, a mean over the steps.
        two("rnn_two", Rnn).hidden(&[17, 5]).head_shift(8),
        two("lstm_two", Lstm).hidden(&[17, 5]).head_shift(9),
        two("gru_two", GruResetAfter).hidden(&[17, 5]).head_shift(10),
        two("gru_before_two", GruResetBefore).hidden(&[5, 17]).head_shift(11),
        // Every cell: three layers of odd widths.
        case("rnn_three", Rnn).tokens(11, 3).hidden(&[5, 1, 33]).pooling(Pooling::Mean),
        case("lstm_three", Lstm).features(1, Mean).hidden(&[1, 5, 1]).pooling(Pooling::Every).cell_fraction(18),
        case("gru_three", GruResetAfter).features(1, Mean).hidden(&[33, 1, 5]).pooling(Pooling::Every),
        case("gru_before_three", GruResetBefore).tokens(11, 9).hidden(&[5, 1, 33]).pooling(Pooling::Mean),
        // Every cell: weights of ±127 and scales that saturate every gate.
        case("rnn_extreme", Rnn).wide_features(9, Error).hidden(&[33]).weights(Weights::Extreme),
        case("lstm_extreme", Lstm).wide_features(9, Error).hidden(&[33]).weights(Weights::Extreme).cell_fraction(24),
        case("gru_extreme", GruResetAfter).wide_features(9, Error).hidden(&[33]).weights(Weights::Extreme),
        case("gru_before_extreme", GruResetBefore).wide_features(9, Error).hidden(&[33]).weights(Weights::Extreme),
        // Every cell: zero rows, single weights, tiny and huge scales.
        case("rnn_wild", Rnn).wide_features(3, Mean).hidden(&[5, 5]).weights(Weights::Wild),
        case("lstm_wild", Lstm).wide_features(3, HoldLast).hidden(&[5, 5]).weights(Weights::Wild).cell_fraction(18),
        case("gru_wild", GruResetAfter).wide_features(3, Mean).hidden(&[5, 5]).weights(Weights::Wild),
        case("gru_before_wild", GruResetBefore).tokens(3, 3).hidden(&[5, 5]).weights(Weights::Wild),
        // Every cell: every state at an end of its format, every accumulator at its bound.
        worst("rnn_worst", Rnn),
        worst("lstm_worst", Lstm),
        worst("gru_worst", GruResetAfter),
        worst("gru_before_worst", GruResetBefore),
        Recipe { weights: Weights::Worst, ..case("rnn_worst_longest_row", Rnn).tokens(1, 516).hidden(&[1]) },
        // The cell's whole range: 24 fraction bits leave seven for the integer, and these weights fill them.
        Recipe { weights: Weights::Extreme, steps: vec![1, 3, 150], ..case("lstm_saturating_cell", Lstm) }
            .tokens(1, 1)
            .hidden(&[9])
            .cell_fraction(24),
        // Every cell: every shift, in layers of every width up to two blocks of columns.
        low("rnn_shifts_low", Rnn).head_shift(0),
        low("lstm_shifts_low", Lstm).head_shift(1),
        low("gru_shifts_low", GruResetAfter).head_shift(2),
        low("gru_before_shifts_low", GruResetBefore).head_shift(3),
        high("rnn_shifts_high", Rnn).head_shift(12),
        high("lstm_shifts_high", Lstm).head_shift(13),
        high("gru_shifts_high", GruResetAfter).head_shift(14),
        high("gru_before_shifts_high", GruResetBefore).head_shift(15),
        // The longest row of full weights that NUMERICS §4 lets through: 516 · 127 · 2^15 is just below 2^31.
        case("rnn_longest_row", Rnn).features(516, Error).hidden(&[1]).weights(Weights::Extreme),
        // One class, one unit, one token.
        case("gru_smallest", GruResetAfter).tokens(1, 1).hidden(&[1]).regression(1, 16),
        // All cells in one stack.
        Recipe { layers: vec![(Rnn, 3), (Lstm, 4), (GruResetAfter, 5), (GruResetBefore, 6)], ..case("stack", Rnn) },
        // As deep as the format goes.
        case("gru_eight", GruResetAfter).hidden(&[2; 8]).pooling(Pooling::Mean),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Task;
    use crate::random::end;
    use crate::recipe::InputRecipe;
    use crate::reference::trace::Stage;
    use crate::reference::{proof, reader};

    #[test]
    fn every_cell_meets_every_option() {
        let recipes = recipes();
        let single = |cell| recipes.iter().filter(move |recipe| recipe.layers.iter().all(|layer| layer.0 == cell));
        for cell in CellKind::ALL {
            let has = |wanted: &dyn Fn(&Recipe) -> bool| single(cell).any(wanted);
            for layers in 1..=3 {
                assert!(has(&|recipe| recipe.layers.len() == layers), "{cell:?} with {layers} layers");
            }
            for pooling in [Pooling::Last, Pooling::Mean, Pooling::Every] {
                assert!(has(&|recipe| recipe.pooling == pooling), "{cell:?} with {pooling:?}");
            }
            for task in [Task::Classification, Task::Regression] {
                assert!(has(&|recipe| recipe.task == task), "{cell:?} with {task:?}");
            }
            for weights in [Weights::Plain, Weights::Extreme, Weights::Wild, Weights::Worst] {
                assert!(has(&|recipe| recipe.weights == weights), "{cell:?} with {weights:?}");
            }
            assert!(has(&|recipe| matches!(recipe.input, InputRecipe::Tokens { .. })), "{cell:?} with tokens");
            assert!(has(&|recipe| matches!(recipe.input, InputRecipe::Features { .. })), "{cell:?} with features");
        }
        for shift in 0..=15 {
            let models = || recipes.iter().map(|recipe| recipe.model(&mut Random::named(&recipe.name)));
            assert!(models().any(|model| model.head.shift == shift), "a head with shift {shift}");
            for cell in CellKind::ALL {
                let has = |model: &Model| model.layers.iter().any(|layer| layer.cell == cell && layer.shift == shift);
                assert!(models().any(|model| has(&model)), "{cell:?} with shift {shift}");
            }
        }
        for fraction in [18, 21, 24] {
            assert!(single(CellKind::Lstm).any(|recipe| recipe.cell_fraction == fraction), "cell_fraction {fraction}");
        }
    }

    /// The bounds of NUMERICS §4 are met, and some rows go to the last unit that their shift leaves room for.
    #[test]
    fn rows_come_close_to_their_bounds() {
        let mut nearest = [i64::MAX; 16];
        for model in recipes().iter().map(|recipe| recipe.model(&mut Random::named(&recipe.name))) {
            proof::check(&model).unwrap_or_else(|error| panic!("{}: {error}", model.name));
            let layers = model.layers.iter().map(|layer| (layer.shift, proof::layer(layer).sum));
            for (shift, sum) in layers.chain([(model.head.shift, proof::head(&model.head).sum)]) {
                let left = &mut nearest[usize::from(shift)];
                *left = (*left).min((proof::LIMIT - sum) >> shift);
            }
        }
        assert!(nearest.iter().filter(|&&left| left == 0).count() > 4, "units left below 2^31, by shift: {nearest:?}");
    }

    /// What [`Weights::Worst`] is for: in the end, each input and state is at an end of its format, and so every accumulator is at
    /// its bound but for the weights that get 32767 in place of 2^15; some are at the bound itself.
    #[test]
    fn the_worst_cases_reach_their_bounds() {
        for recipe in recipes().iter().filter(|recipe| recipe.weights == Weights::Worst) {
            let case = named(&recipe.name);
            let mut reference = Reference::new(case.model.clone());
            let longest = case.sequences.last().expect("a sequence");
            let last = longest.samples.iter().map(|sample| reference.step(sample).expect("a valid sample")).last();
            let last = last.expect("a step");
            let mut below = last.input.clone();
            for (layer, trace) in case.model.layers.iter().zip(&last.layers) {
                let hidden: Vec<i64> = trace.units.iter().map(|unit| unit.hidden).collect();
                for (index, unit) in trace.units.iter().enumerate() {
                    assert_eq!(unit.hidden, if end(index) < 0 { -32768 } else { 32767 }, "{}: unit {index}", case.name);
                    for (gate, is) in layer.cell.gates().iter().enumerate() {
                        let row = gate * layer.hidden + index;
                        let at = |stage| unit.value(stage).expect("every gate has both");
                        let reached = |weights: &[i8], values: &[i64]| -> i64 {
                            weights.iter().zip(values).map(|(&w, v)| i64::from(w).abs() * v.abs()).sum()
                        };
                        let input = reached(&layer.input.rows[row].weights, &below);
                        let recurrent = reached(&layer.recurrent.rows[row].weights, &hidden);
                        assert_eq!(at(Stage::Input(is.name())).abs(), input, "{}: unit {index}", case.name);
                        assert_eq!(at(Stage::Recurrent(is.name())).abs(), recurrent, "{}: unit {index}", case.name);
                    }
                }
                below = hidden;
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = recipes().into_iter().map(|recipe| recipe.name).collect();
        names.sort();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn the_reader_reads_what_the_writer_writes() {
        for case in all() {
            assert_eq!(reader::read(&case.image).expect("a valid image"), case.model, "{}", case.name);
            let (width, outputs, sequences) = reader::read_sequences(&case.seq_file()).expect("valid sequences");
            assert_eq!((width, outputs), (case.model.input.raw_width(), case.model.head.outputs()));
            assert_eq!(sequences, case.sequences, "{}", case.name);
        }
    }
}
