//! A model made from a fuzzer's bytes: shapes and styles are read from them, numbers in bulk follow from seeds that are.
//! Every model meets the demands of NUMERICS §4 and §5; many rows meet them with nothing left.

use arbitrary::{Result, Unstructured};
use emberloop_cells::CellKind;
use emberloop_image::{
    FeatureScaler, HeadShape, InputShape, LayerShape, MissingPolicy, Multipliers, Pooling, Requantizer, Task,
    WeightFormat, accumulator_bound, limits, product_bound,
};

use crate::random::Random;

/// The content of an image.
pub struct Model {
    pub input: Input,
    pub layers: Vec<Layer>,
    pub head: Head,
    /// Steps of each golden sequence; their outputs are 0 until the engine has computed them.
    pub golden: Vec<Golden>,
}

pub enum Input {
    Features { fraction: u8, missing: MissingPolicy, scalers: Vec<FeatureScaler> },
    Tokens { fraction: u8, dimension: usize, table: Vec<(Requantizer, Vec<i8>)> },
}

pub struct Layer {
    pub shape: LayerShape,
    /// By gate, then by unit.
    pub rows: Vec<Row>,
}

pub struct Head {
    pub shape: HeadShape,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub input: Vec<i8>,
    pub recurrent: Vec<i8>,
    pub multipliers: Multipliers,
    pub bias: i32,
    pub recurrent_bias: i32,
}

pub struct Golden {
    pub samples: Vec<Vec<i32>>,
    pub outputs: Vec<Vec<i32>>,
}

/// How the numbers of a matrix are drawn.
#[derive(Clone, Copy)]
struct Style {
    weights: u8,
    multipliers: u8,
    biases: u8,
    seed: u32,
}

impl Model {
    pub fn new(source: &mut Unstructured<'_>) -> Result<Self> {
        let input = Input::new(source)?;
        let mut width = input.width();
        let mut layers = Vec::new();
        for _ in 0..source.int_in_range(1..=3)? {
            let layer = Layer::new(source, width)?;
            width = usize::from(layer.shape.hidden);
            layers.push(layer);
        }
        let head = Head::new(source, width)?;
        let mut golden = Vec::new();
        let mut random = Random::new(source.arbitrary()?);
        for _ in 0..source.int_in_range(0..=2)? {
            let steps = source.int_in_range(0..=3)?;
            // Golden samples are never refused.
            let samples: Vec<_> = (0..steps).map(|_| input.sample(&mut random, false)).collect();
            let outputs = vec![vec![0; head.rows.len()]; steps];
            golden.push(Golden { samples, outputs });
        }
        Ok(Self { input, layers, head, golden })
    }
}

impl Input {
    fn new(source: &mut Unstructured<'_>) -> Result<Self> {
        let fraction = source.int_in_range(0..=15)?;
        let seed = source.arbitrary()?;
        let mut random = Random::new(seed);
        if source.ratio(1, 4)? {
            // Rarely as wide as rows can be without a bound being passed: 516 weights of 127.
            let dimension = match source.int_in_range(0..=15)? {
                0 => 510 + usize::from(source.int_in_range(0..=6u8)?),
                _ => source.int_in_range(1..=19)?,
            };
            let style = source.arbitrary()?;
            let tokens = source.int_in_range(1..=5)?;
            let table = (0..tokens).map(|_| token(&mut random, style, dimension)).collect();
            return Ok(Input::Tokens { fraction, dimension, table });
        }
        let missing = *source.choose(&[MissingPolicy::HoldLast, MissingPolicy::Mean, MissingPolicy::Error])?;
        let style = source.arbitrary()?;
        let features = source.int_in_range(1..=11)?;
        Ok(Input::Features { fraction, missing, scalers: (0..features).map(|_| scaler(&mut random, style)).collect() })
    }

    /// Length of the first layer's input.
    pub fn width(&self) -> usize {
        match self {
            Input::Features { scalers, .. } => scalers.len(),
            Input::Tokens { dimension, .. } => *dimension,
        }
    }

    /// Numbers per raw sample.
    pub fn raw_width(&self) -> usize {
        match self {
            Input::Features { scalers, .. } => scalers.len(),
            Input::Tokens { .. } => 1,
        }
    }

    pub fn shape(&self) -> InputShape {
        match self {
            Input::Features { fraction, missing, scalers } => {
                InputShape::Features { features: scalers.len() as u16, fraction: *fraction, missing: *missing }
            }
            Input::Tokens { fraction, dimension, table } => {
                InputShape::Tokens { vocabulary: table.len() as u32, dimension: *dimension as u16, fraction: *fraction }
            }
        }
    }

    /// A sample, mostly at or beyond the ends of its range; with `any` also one that is refused.
    pub fn sample(&self, random: &mut Random, any: bool) -> Vec<i32> {
        let (scalers, may_miss) = match self {
            Input::Tokens { table, .. } => {
                let token = random.between(0, table.len() as i64 - 1) as i32;
                return vec![if any && random.chance(10) { random.edge() } else { token }];
            }
            Input::Features { scalers, missing, .. } => (scalers, any || *missing != MissingPolicy::Error),
        };
        let value = |scaler: &FeatureScaler| match random.between(0, 9) {
            0..=1 => scaler.min,
            2..=3 => scaler.max,
            4 => match random.edge() {
                i32::MIN if !may_miss => 0,
                edge => edge,
            },
            5 if may_miss => i32::MIN,
            _ => random.between(scaler.min.into(), scaler.max.into()) as i32,
        };
        scalers.iter().map(value).collect()
    }
}

/// A row of the embedding table whose largest entry fits int16 (NUMERICS §4).
fn token(random: &mut Random, style: u8, dimension: usize) -> (Requantizer, Vec<i8>) {
    let weights = (0..dimension).map(|_| weight(random, style)).collect();
    let multiplier = if random.chance(5) { 0 } else { random.between(1 << 14, (1 << 15) - 1) as i16 };
    // 127 · 2^15 · 2^(10 - 17) < 2^15.
    let (left, right) =
        if random.chance(80) { (random.between(8, 10) as u8, 1) } else { (0, random.between(1, 30) as u8) };
    (Requantizer::new(multiplier, left, right), weights)
}

/// A scaler that reaches its bounds (NUMERICS §5), or one that takes 16-bit numbers as they are.
fn scaler(random: &mut Random, style: u8) -> FeatureScaler {
    let fill = random.between(-32_767, 32_767) as i16;
    let raw_fraction = random.between(-16, 30) as i8;
    if style.is_multiple_of(2) {
        // 2^14 · 2^(3 - 17) = 1
        let requantizer = Requantizer::new(1 << 14, 3, 1);
        return FeatureScaler { min: -32_767, max: 32_767, offset: 0, requantizer, fill, pre_shift: 0, raw_fraction };
    }
    let multiplier = if random.chance(5) { 0 } else { random.between(1 << 14, (1 << 15) - 1) };
    let (left, right) =
        if random.chance(50) { (random.between(0, 15) as u8, 1) } else { (0, random.between(1, 30) as u8) };
    let requantizer = Requantizer::new(multiplier as i16, left, right);
    // The largest |difference| that neither its left shift nor its scale takes too far; half a unit is left to rounding.
    let scaled = ((32_767i64 << (16 + right)) - (1 << (15 + right))) / multiplier.max(1);
    let reach = (i64::from(i32::MAX).min(scaled)) >> left;
    let pre_shift = random.between(0, 30) as u8;
    let offset = match random.between(0, 2) {
        0 => 0,
        1 => i64::from(random.edge()),
        _ => random.between(i32::MIN.into(), i32::MAX.into()),
    };
    let (low, high) = (i64::from(i32::MIN) + 1, i64::from(i32::MAX));
    // v·2^k within offset ± reach, and within 32 bits.
    let smallest = ((offset - reach).max(low) as f64 / f64::from(1u32 << pre_shift)).ceil() as i64;
    let largest = (offset + reach).min(high) >> pre_shift;
    if smallest > largest {
        // No multiple of 2^k lies there.
        return FeatureScaler { min: 0, max: 0, offset: 0, requantizer, fill, pre_shift, raw_fraction };
    }
    let (min, max) = if random.chance(70) {
        (smallest, largest)
    } else {
        let min = random.between(smallest, largest);
        (min, random.between(min, largest))
    };
    FeatureScaler {
        min: min as i32,
        max: max as i32,
        offset: offset as i32,
        requantizer,
        fill,
        pre_shift,
        raw_fraction,
    }
}

impl Layer {
    fn new(source: &mut Unstructured<'_>, inputs: usize) -> Result<Self> {
        let cell = *source.choose(&CellKind::ALL)?;
        let hidden = source.int_in_range(1..=18)?;
        let cell_fraction = match cell {
            CellKind::Lstm => source.int_in_range(limits::CELL_FRACTION_MIN..=limits::CELL_FRACTION_MAX)?,
            CellKind::Rnn | CellKind::GruResetAfter | CellKind::GruResetBefore => 0,
        };
        let shift = source.int_in_range(0..=limits::SHIFT_MAX)?;
        let shape = LayerShape { cell, hidden, cell_fraction, shift, weights: WeightFormat::Int8 };
        let style = Style::new(source)?;
        let mut random = Random::new(style.seed);
        let units = usize::from(hidden);
        let gates = cell.gate_count();
        let separate = |gate| cell == CellKind::GruResetAfter && gate + 1 == gates;
        let places = (0..gates).flat_map(|gate| (0..units).map(move |_| gate));
        let rows = places.map(|gate| Row::new(&mut random, style, (inputs, units), shift, separate(gate))).collect();
        Ok(Self { shape, rows })
    }
}

impl Head {
    fn new(source: &mut Unstructured<'_>, hidden: usize) -> Result<Self> {
        let outputs = source.int_in_range(1..=6)?;
        let pooling = *source.choose(&[Pooling::Last, Pooling::Mean, Pooling::Every])?;
        let task = *source.choose(&[Task::Classification, Task::Regression])?;
        let fraction = match task {
            Task::Classification => limits::PREACTIVATION_FRACTION,
            Task::Regression => source.int_in_range(0..=30)?,
        };
        let shift = source.int_in_range(0..=limits::SHIFT_MAX)?;
        let shape = HeadShape { outputs, task, pooling, fraction, shift, weights: WeightFormat::Int8 };
        let style = Style::new(source)?;
        let mut random = Random::new(style.seed);
        let rows = (0..outputs).map(|_| Row::new(&mut random, style, (hidden, 0), shift, false)).collect();
        Ok(Self { shape, rows })
    }
}

impl Style {
    fn new(source: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            weights: source.arbitrary()?,
            multipliers: source.arbitrary()?,
            biases: source.arbitrary()?,
            seed: source.arbitrary()?,
        })
    }
}

fn weight(random: &mut Random, style: u8) -> i8 {
    match style % 5 {
        0 => random.between(-127, 127) as i8,
        1 => 127,
        2 => -127,
        3 => [-127, 127][random.between(0, 1) as usize],
        _ if random.chance(60) => 0,
        _ => random.between(-127, 127) as i8,
    }
}

impl Row {
    /// A row for which the demand of NUMERICS §4 holds, by making its multipliers and biases no larger than what is left of
    /// the limit.
    fn new(random: &mut Random, style: Style, columns: (usize, usize), shift: u8, separate: bool) -> Self {
        let mut weights = |columns| (0..columns).map(|_| weight(random, style.weights)).collect::<Vec<i8>>();
        let (input, recurrent) = (weights(columns.0), weights(columns.1));
        let limit = i64::from(i32::MAX) >> shift;
        let share = match style.multipliers % 4 {
            0 => limit / 2,
            1 => limit,
            2 => 0,
            _ => random.between(0, limit),
        };
        let multiplier = |random: &mut Random, weights: &[i8], share| {
            let bound = accumulator_bound(weights.iter().copied());
            // The head has no recurrent product, and no multiplier for it.
            let largest = if weights.is_empty() { 0 } else { largest_multiplier(bound, share) };
            let chosen = if style.multipliers & 16 == 0 { largest } else { random.between(0, largest.into()) as i16 };
            (chosen, product_bound(bound, chosen.into()))
        };
        let (of_input, product) = multiplier(random, &input, share);
        let (of_recurrent, recurrent_product) = multiplier(random, &recurrent, limit - product);
        let rest = limit - product - recurrent_product;
        let mut bias = |rest| match style.biases % 4 {
            0 => 0,
            1 => rest,
            2 => -rest,
            _ => random.between(-rest, rest),
        };
        let recurrent_bias = if separate { bias(rest) / 2 } else { 0 };
        let bias = bias(rest - recurrent_bias.abs());
        let multipliers = Multipliers::new(of_input, of_recurrent);
        Self { input, recurrent, multipliers, bias: bias as i32, recurrent_bias: recurrent_bias as i32 }
    }
}

/// The largest `m` with `S(bound; m) + 1 <= share`.
fn largest_multiplier(bound: i64, share: i64) -> i16 {
    if share == 0 {
        return 0;
    }
    let fits = ((share << 16) - 1) / bound.max(1);
    fits.min(limits::MULTIPLIER_MAX.into()) as i16
}
