//! The bounds that an image certifies (NUMERICS §4, FORMAT §4.2), driven to their ends.
//!
//! Rows are made that fill the largest sum that an image may have; each is then given the inputs that its bounds speak of.
//! What is reached, and no more could be:
//!
//! - Where the weights read a hidden state (`U` always, `W` above the first layer, `V`), -2^15 is one of its values, so a row of
//!   one sign reaches `A` itself, each product comes within 1 of `P` (exactly `P` from below, unless `A·m` is a multiple of 2^16),
//!   and the sum within one unit per product of what the image states.
//! - A weight that would need +2^15 gets 32767: that costs the accumulator `|w|`. It costs a row of both signs part of its
//!   weights, and `W` of the first layer, whose inputs lie within ±32767, all of them: it reaches `A - Σ|w|`.
//!
//! The engine's overflow checks are on (`damage.rs` tests that they are), and its states and outputs are held against the
//! reference, which asserts that no partial sum leaves its bound. A saturated gate would hide the low bits of a sum, so the
//! same rows also run with a bias that takes the products back to where tanh and sigmoid are steep.

#[path = "certificates/models.rs"]
mod models;

use emberloop_image::Image;
use emberloop_tests::aligned::Aligned;
use emberloop_tests::model::{CellKind, Head, Layer, Matrix, Pooling, Row};
use emberloop_tests::random::{Random, multiplier_within};
use emberloop_tests::reference::arithmetic::{pow2, scale_row};
use emberloop_tests::reference::proof::{self, LIMIT};
use emberloop_tests::reference::trace::Stage;
use emberloop_tests::runner::with_pair;
use emberloop_tests::writer;
use models::{holder, model, small_head, with_features};
use proptest::prelude::*;
use proptest::sample::select;

/// How the signs of a row's weights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signs {
    Both,
    Plus,
    Minus,
}

/// What the bias of a row does where its products are largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bias {
    /// Goes the same way, and fills the sum up to the last unit below 2^31.
    With,
    /// Cancels the products, but for a little.
    Against,
}

/// A row of the tested layer and where it is driven.
#[derive(Clone, Copy, Debug)]
struct Target {
    signs: Signs,
    /// The sign of both accumulators at the worst input: that which its bias goes with or against.
    direction: i64,
}

impl Target {
    fn new(random: &mut Random) -> Self {
        // A hidden state of -2^15 turns the sign round.
        let (signs, direction) = match random.between(0, 3) {
            0 => (Signs::Plus, -1),
            1 => (Signs::Minus, 1),
            _ => (Signs::Both, [-1, 1][random.between(0, 1) as usize]),
        };
        Self { signs, direction }
    }

    fn weights(self, random: &mut Random, columns: usize) -> Vec<i8> {
        let least = [0, 1, 127][random.between(0, 2) as usize];
        let weight = |_| {
            let sign = match self.signs {
                Signs::Plus => 1,
                Signs::Minus => -1,
                Signs::Both => [-1, 1][random.between(0, 1) as usize],
            };
            (sign * random.between(least, 127)) as i8
        };
        (0..columns).map(weight).collect()
    }

    fn row(self, random: &mut Random, columns: usize, share: i64) -> Row {
        let weights = self.weights(random, columns);
        Row { multiplier: multiplier_within(proof::accumulator(&weights), share), weights }
    }
}

/// The hidden state with which a row's accumulator is largest in this direction.
fn worst(row: &Row, direction: i64) -> Vec<i64> {
    let value = |&weight: &i8| if direction * i64::from(weight) < 0 { -pow2(15) } else { pow2(15) - 1 };
    row.weights.iter().map(value).collect()
}

/// The weights of a row that get 32767 there, where their bound is 2^15.
fn short_of_one(row: &Row, direction: i64) -> i64 {
    row.weights.iter().map(|&weight| (direction * i64::from(weight)).max(0)).sum()
}

fn bound(row: &Row) -> i64 {
    proof::product(proof::accumulator(&row.weights), row.multiplier)
}

/// The product at the worst input.
fn largest_product(row: &Row, direction: i64) -> i64 {
    scale_row(direction * (proof::accumulator(&row.weights) - short_of_one(row, direction)), row.multiplier)
}

/// A layer whose rows are driven one by one, and where to.
struct Driven {
    layer: Layer,
    targets: Vec<Target>,
    /// Whether the reset gate of a GRU is exactly one, so that the new gate gets its recurrent product whole.
    open: bool,
}

impl Driven {
    fn new(random: &mut Random, cell: CellKind, (inputs, hidden): (usize, usize), shift: u8, bias: Bias) -> Self {
        let rows = cell.gate_count() * hidden;
        let open = random.chance(50);
        let targets: Vec<Target> = (0..rows).map(|_| Target::new(random)).collect();
        let mut layer = Layer {
            cell,
            hidden,
            cell_fraction: if cell == CellKind::Lstm { random.between(18, 24) as u8 } else { 0 },
            shift,
            input: Matrix { columns: inputs, rows: Vec::new() },
            recurrent: Matrix { columns: hidden, rows: Vec::new() },
            bias: Vec::new(),
            recurrent_bias: Vec::new(),
        };
        let most = LIMIT >> shift;
        for (number, target) in targets.iter().enumerate() {
            // Against a bias as large as both, the products may have half of the room.
            let little = pow2(17) >> shift;
            let room = if bias == Bias::With { most } else { (most - little) / 2 };
            let is_open = is_gru(cell) && open && number < hidden;
            let share = if is_open { 0 } else { random.between(0, room) };
            let input = target.row(random, inputs, share);
            let recurrent = target.row(random, hidden, if is_open { 0 } else { room - share });
            let separate = cell == CellKind::GruResetAfter && number >= 2 * hidden;
            let (b, separate_bias) = match bias {
                Bias::With => {
                    let left = most - bound(&input) - bound(&recurrent);
                    let part = if separate { random.between(0, left) } else { 0 };
                    (target.direction * (left - part), target.direction * part)
                }
                Bias::Against => {
                    let little = random.between(-little, little);
                    let (w, u) =
                        (largest_product(&input, target.direction), largest_product(&recurrent, target.direction));
                    if separate { (little - w, -u) } else { (little - w - u, 0) }
                }
            };
            layer.bias.push(if is_open { most } else { b } as i32);
            layer.recurrent_bias.extend(separate.then_some(separate_bias as i32));
            layer.input.rows.push(input);
            layer.recurrent.rows.push(recurrent);
        }
        Self { layer, targets, open }
    }

    /// Drives every row to its worst, in both directions.
    fn run(self, bias: Bias) -> Result<(), TestCaseError> {
        let Self { layer, targets, open } = self;
        let (cell, hidden) = (layer.cell, layer.hidden);
        let image = writer::image(&model(vec![holder(layer.input.columns), layer.clone()], small_head(hidden)));
        with_pair(&image, |mut pair| {
            for (number, target) in targets.iter().enumerate() {
                let (gate, unit) = (number / hidden, number % hidden);
                let (input, recurrent) = (&layer.input.rows[number], &layer.recurrent.rows[number]);
                for direction in [target.direction, -target.direction] {
                    pair.reset();
                    pair.set_hidden(0, &worst(input, direction)).map_err(TestCaseError::fail)?;
                    pair.set_hidden(1, &worst(recurrent, direction)).map_err(TestCaseError::fail)?;
                    let traced = pair.traced_step(&[0]).map_err(TestCaseError::fail)?;
                    let trace = &traced.expect("the token is there").1.layers[1].units[unit];
                    let name = cell.gates()[gate].name();
                    let of = |stage| trace.value(stage).expect("every gate has this stage");

                    // The accumulators are at the largest that can be, and A is reached where no weight is one short.
                    let largest =
                        |row: &Row| direction * (proof::accumulator(&row.weights) - short_of_one(row, direction));
                    prop_assert_eq!(of(Stage::Input(name)), largest(input));
                    if is_new(cell, gate) && cell == CellKind::GruResetBefore && !open {
                        continue;
                    }
                    prop_assert_eq!(of(Stage::Recurrent(name)), largest(recurrent));
                    for row in [input, recurrent] {
                        // Nothing short of one: within 1 of P. Otherwise, no further than those weights explain.
                        let gap = bound(row) - largest_product(row, direction).abs();
                        let short = short_of_one(row, direction) * i64::from(row.multiplier);
                        prop_assert!(
                            (0..=1 + (short as u64).div_ceil(1 << 16) as i64).contains(&gap),
                            "{gap}: {row:?}"
                        );
                        if target.signs != Signs::Both && direction == target.direction {
                            prop_assert_eq!(short, 0);
                        }
                    }
                    // The sum, where the bias goes with it, is the image's bound less those gaps.
                    // An open reset gate is no target itself; with any other, the new gate gets only part of its recurrent product.
                    let is_whole = if is_gru(cell) { [!open, true, open][gate] } else { true };
                    if bias == Bias::With && direction == target.direction && is_whole {
                        let gap = |row: &Row| bound(row) - largest_product(row, direction).abs();
                        let certified = proof::layer_row(&layer, gate, unit).sum;
                        let reached = of(Stage::PreActivation(name));
                        let left = (gap(input) + gap(recurrent)) << layer.shift;
                        prop_assert_eq!(reached, direction * (certified - left));
                        // Two units for two products, where a row of one sign reaches its accumulator's bound.
                        prop_assert!(target.signs == Signs::Both || left <= 2 << layer.shift);
                        prop_assert!(certified > LIMIT - (1 << layer.shift), "the largest sum that an image may have");
                    }
                }
            }
            Ok(())
        })
    }
}

fn is_gru(cell: CellKind) -> bool {
    matches!(cell, CellKind::GruResetAfter | CellKind::GruResetBefore)
}

fn is_new(cell: CellKind, gate: usize) -> bool {
    is_gru(cell) && gate == 2
}

fn sizes() -> impl Strategy<Value = (usize, usize)> {
    (prop_oneof![1..10usize, 10..36usize], prop_oneof![1..10usize, 10..20usize])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_row_of_a_layer_reaches_its_bounds(
        cell in select(&CellKind::ALL[..]), sizes in sizes(), shift in 0..=15u8, seed: u64,
    ) {
        Driven::new(&mut Random::new(seed), cell, sizes, shift, Bias::With).run(Bias::With)?;
    }

    #[test]
    fn every_row_of_a_layer_is_exact_at_its_worst_inputs(
        cell in select(&CellKind::ALL[..]), sizes in sizes(), shift in 0..=15u8, seed: u64,
    ) {
        Driven::new(&mut Random::new(seed), cell, sizes, shift, Bias::Against).run(Bias::Against)?;
    }

    /// The head's sums are outputs, so the engine's own are seen as they are.
    #[test]
    fn every_output_reaches_its_bounds(
        (columns, outputs) in sizes(), shift in 0..=15u8, pooling in select(&[Pooling::Last, Pooling::Mean][..]), seed: u64,
    ) {
        let random = &mut Random::new(seed);
        let most = LIMIT >> shift;
        let targets: Vec<Target> = (0..outputs).map(|_| Target::new(random)).collect();
        let mut head = Head { pooling, shift, ..small_head(columns) };
        let share = random.between(0, most);
        head.weights.rows = targets.iter().map(|target| target.row(random, columns, share)).collect();
        let biases = targets.iter().zip(&head.weights.rows).map(|(target, row)| target.direction * (most - bound(row)));
        head.bias = biases.map(|bias| bias as i32).collect();
        let image = writer::image(&model(vec![holder(columns)], head.clone()));
        let bytes = Aligned::new(&image);
        let certified = Image::parse(&bytes).expect("a valid image").head().bounds;
        prop_assert_eq!(i64::from(certified.sum), most << shift);
        with_pair(&image, |mut pair| {
            for (output, (target, row)) in targets.iter().zip(&head.weights.rows).enumerate() {
                pair.reset();
                pair.set_hidden(0, &worst(row, target.direction)).map_err(TestCaseError::fail)?;
                let outputs = pair.step(&[0]).map_err(TestCaseError::fail)?.expect("the token is there");
                let gap = bound(row) - largest_product(row, target.direction).abs();
                prop_assert_eq!(i64::from(outputs[output]), target.direction * ((most - gap) << shift));
                prop_assert!(target.signs == Signs::Both || (0..=1).contains(&gap), "{}", gap);
            }
            Ok(())
        })?;
    }

    /// Inputs end at 32767 on both sides: one short of the bound's, and so the accumulator `Σ|w|` short of `A`.
    #[test]
    fn every_row_of_features_reaches_all_that_its_inputs_allow((inputs, hidden) in sizes(), shift in 0..=15u8, seed: u64) {
        let random = &mut Random::new(seed);
        let mut layer = Driven::new(random, CellKind::Rnn, (inputs, hidden), shift, Bias::With).layer;
        layer.recurrent.rows.iter_mut().for_each(|row| row.multiplier = 0);
        let mut model = model(vec![layer.clone()], small_head(hidden));
        with_features(&mut model, inputs);
        with_pair(&writer::image(&model), |mut pair| {
            for (unit, row) in layer.input.rows.iter().enumerate() {
                for direction in [-1, 1] {
                    pair.reset();
                    let sample: Vec<i32> = row.weights.iter().map(|&w| direction * 32767 * i32::from(w).signum()).collect();
                    let traced = pair.traced_step(&sample).map_err(TestCaseError::fail)?;
                    let found = traced.expect("in range").1.layers[0].units[unit].value(Stage::Input("hidden"));
                    let total: i64 = row.weights.iter().map(|&weight| i64::from(weight).abs()).sum();
                    prop_assert_eq!(found, Some(i64::from(direction) * (proof::accumulator(&row.weights) - total)));
                }
            }
            Ok(())
        })?;
    }
}

/// `Σ|w| = 65,535` is the most that `A <= 2^31 - 1` allows: `A = 2^31 - 2^15`. Both products get such a row, the largest
/// multiplier, and a bias that fills the sum to 2^31 - 1; all of it is reached, but for the two roundings.
#[test]
fn the_longest_rows_reach_their_bounds() {
    const COLUMNS: usize = 517;
    for sign in [1i8, -1] {
        let mut weights = vec![127 * sign; COLUMNS];
        weights[COLUMNS - 1] = 3 * sign;
        let row = Row { multiplier: 32767, weights };
        let none = Row { multiplier: 0, weights: vec![0; COLUMNS] };
        assert_eq!(proof::accumulator(&row.weights), pow2(31) - pow2(15));
        // A hidden state of -2^15 turns the sign round.
        let direction = -i64::from(sign);
        let mut rows = vec![none; COLUMNS];
        rows[0] = row.clone();
        let mut bias = vec![0; COLUMNS];
        bias[0] = (direction * (LIMIT - 2 * bound(&row))) as i32;
        let matrix = Matrix { columns: COLUMNS, rows };
        let layer = Layer {
            cell: CellKind::Rnn,
            hidden: COLUMNS,
            cell_fraction: 0,
            shift: 0,
            input: matrix.clone(),
            recurrent: matrix,
            bias,
            recurrent_bias: Vec::new(),
        };
        with_pair(&writer::image(&model(vec![holder(COLUMNS), layer], small_head(COLUMNS))), |mut pair| {
            pair.set_hidden(0, &vec![-pow2(15); COLUMNS]).expect("a state");
            pair.set_hidden(1, &vec![-pow2(15); COLUMNS]).expect("a state");
            let (_, trace) = pair.traced_step(&[0]).expect("no difference").expect("the token is there");
            let unit = &trace.layers[1].units[0];
            let accumulators = [Stage::Input("hidden"), Stage::Recurrent("hidden")].map(|stage| unit.value(stage));
            assert_eq!(accumulators, [Some(direction * (pow2(31) - pow2(15))); 2]);
            // From below, the floor of each product is its bound; from above, it is one less.
            let short = if direction > 0 { 2 } else { 0 };
            assert_eq!(unit.value(Stage::PreActivation("hidden")), Some(direction * (LIMIT - short)));
        });
    }
}

/// NUMERICS §7: a window of 32,768 steps at either end of the hidden state's range fills the sums to 2^30, and the mean's
/// `2·S + n` to within 2^15 of 2^31; then both are halved, again and again.
#[test]
fn pooled_sums_reach_their_bounds() {
    let head = Head { pooling: Pooling::Mean, ..small_head(3) };
    with_pair(&writer::image(&model(vec![holder(3)], head)), |mut pair| {
        let ends = [-pow2(15), pow2(15) - 1, 0];
        pair.set_hidden(0, &ends).expect("a state");
        for step in 1..=70_000 {
            let (_, trace) = pair.traced_step(&[0]).expect("no difference").expect("the token is there");
            assert_eq!(trace.pooled, ends, "step {step}: the mean of a constant");
            if step == 1 << 15 {
                let saved = pair.network.save();
                let sums = &saved[saved.len() - 5..];
                assert_eq!(sums, [-(1 << 30), 32767 << 15, 0, 0, 1 << 15]);
            }
        }
    });
}

/// NUMERICS §8: from one end of its range to the other, a GRU's difference `H - n·2^15` is 2^15 short of 2^31 - 1, and every
/// update gate leaves the memory between the two.
#[test]
fn a_memory_goes_from_one_end_to_the_other() {
    const UNITS: usize = 64;
    for (from, to) in [(-pow2(15), pow2(15) - 1), (pow2(15) - 1, -pow2(15))] {
        for cell in [CellKind::GruResetAfter, CellKind::GruResetBefore] {
            // Update gates from 0 to 1, both included; a new value at the far end.
            let mut layer = holder(UNITS);
            layer.cell = cell;
            for unit in 0..UNITS {
                layer.bias[UNITS + unit] = (unit as i32 - 32) << 15;
                layer.bias[2 * UNITS + unit] = (to.signum() << 30) as i32;
            }
            if cell == CellKind::GruResetBefore {
                layer.recurrent_bias.clear();
            }
            with_pair(&writer::image(&model(vec![layer], small_head(UNITS))), |mut pair| {
                pair.set_hidden(0, &vec![from; UNITS]).expect("a state");
                let (_, trace) = pair.traced_step(&[0]).expect("no difference").expect("the token is there");
                let hidden: Vec<i64> = trace.layers[0].units.iter().map(|unit| unit.hidden).collect();
                assert_eq!((hidden[0], hidden[UNITS - 1]), (to, from), "a gate of 0 and one of 1");
                assert!(hidden.iter().all(|h| (from.min(to)..=from.max(to)).contains(h)));
                (0..1000).for_each(|_| drop(pair.step(&[0]).expect("no difference")));
            });
        }
    }
}
