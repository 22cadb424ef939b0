//! Small data sets that can be learned in a second, made anew for each test.

use std::fmt::Write as _;
use std::io::Write as _;

use npyz::WriterBuilder;

/// Pseudo-random numbers, the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in -1..1.
    pub fn signed(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }
}

/// One labelled sequence of two channels.
#[derive(Clone, Debug)]
pub struct Labelled {
    pub name: String,
    pub steps: Vec<[f64; 2]>,
    pub label: &'static str,
}

/// The classes of [`slopes`].
pub const SLOPES: [&str; 3] = ["fall", "flat", "rise"];

/// Sequences of 4 to 9 steps whose first channel falls, stays or rises; the second is noise. Numbers have three digits,
/// so that a text of them is exact.
pub fn slopes(count: usize, seed: u64) -> Vec<Labelled> {
    let mut random = Random::new(seed);
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let sequence = |index: usize| {
        let class = index % SLOPES.len();
        let slope = class as f64 - 1.0;
        let steps = 4 + random.below(6);
        let step = |t: usize| [round(20.0 + slope * t as f64 + 0.3 * random.signed()), round(random.signed())];
        Labelled { name: format!("s{index}"), steps: (0..steps).map(step).collect(), label: SLOPES[class] }
    };
    (0..count).map(sequence).collect()
}

/// Long form: `sequence,step,level,noise,label`.
pub fn long_csv(sequences: &[Labelled]) -> String {
    let mut csv = String::from("sequence,step,level,noise,label\n");
    for sequence in sequences {
        for (step, [level, noise]) in sequence.steps.iter().enumerate() {
            writeln!(csv, "{},{step},{level},{noise},{}", sequence.name, sequence.label).unwrap();
        }
    }
    csv
}

/// The configuration for [`long_csv`]: `train.csv`, and a test split out of it.
pub const LONG_TOML: &str = r#"
[data]
train = "train.csv"
sequence = "sequence"
step = "step"
channels = ["level", "noise"]
target = "label"
validation_fraction = 0.2
test_fraction = 0.2

[model]
hidden = [8]

[training]
epochs = 25
batch = 8
optimizer = { kind = "adam", learning_rate = 2e-2 }
"#;

/// One long series `time,load,temperature`: the load follows the temperature of the row before.
pub fn series_csv(rows: usize) -> String {
    let mut random = Random::new(5);
    let mut csv = String::from("time,load,temperature\n");
    let mut before = 0.0;
    for row in 0..rows {
        let temperature = (row as f64 / 4.0).sin() * 8.0 + random.signed();
        let load = 100.0 + 5.0 * before + random.signed();
        writeln!(csv, "{row},{load:.3},{temperature:.3}").unwrap();
        before = temperature;
    }
    csv
}

/// The configuration for [`series_csv`]: the next row's load.
pub const SERIES_TOML: &str = r#"
[data]
train = "series.csv"
task = "regression"
channels = ["load", "temperature"]
target = "load"
validation_fraction = 0.2
test_fraction = 0.2

[data.window]
length = 8
horizon = 1

[model]
cell = "lstm"
hidden = [8]

[training]
epochs = 12
batch = 16
optimizer = { kind = "adam", learning_rate = 1e-2 }
"#;

/// Words, one letter a row, `word,letter,kind`: a word is "odd" where it begins with a vowel.
pub fn words_csv(count: usize, seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut csv = String::from("word,letter,kind\n");
    for word in 0..count {
        let first = if word % 2 == 0 { ["a", "e"][random.below(2)] } else { ["b", "c"][random.below(2)] };
        let kind = if word % 2 == 0 { "odd" } else { "even" };
        writeln!(csv, "w{word},{first},{kind}").unwrap();
        for _ in 0..2 + random.below(3) {
            writeln!(csv, "w{word},{},{kind}", ["a", "b", "c", "e", " "][random.below(5)]).unwrap();
        }
    }
    csv
}

/// The configuration for [`words_csv`].
pub const WORDS_TOML: &str = r#"
[data]
train = "words.csv"
sequence = "word"
token = "letter"
target = "kind"
validation_fraction = 0.2
test_fraction = 0.2

[model]
hidden = [8]
embedding = { dimension = 4 }

[training]
epochs = 25
batch = 8
optimizer = { kind = "adam", learning_rate = 2e-2 }
"#;

/// `x [n, steps, channels]`, `y [n]`, `lengths [n]` of slopes, padded with zeros.
pub fn slopes_npz(sequences: &[Labelled]) -> Vec<u8> {
    let longest = sequences.iter().map(|sequence| sequence.steps.len()).max().unwrap();
    let mut x = Vec::new();
    for sequence in sequences {
        let padded = sequence.steps.iter().copied().chain(std::iter::repeat([0.0; 2]));
        x.extend(padded.take(longest).flatten().map(|value| value as f32));
    }
    let class = |sequence: &Labelled| SLOPES.iter().position(|label| *label == sequence.label).unwrap() as i64;
    let y: Vec<i64> = sequences.iter().map(class).collect();
    let lengths: Vec<i64> = sequences.iter().map(|sequence| sequence.steps.len() as i64).collect();
    let n = sequences.len() as u64;
    Npz::new().with("x", &[n, longest as u64, 2], &x).with("y", &[n], &y).with("lengths", &[n], &lengths).bytes()
}

/// The configuration for [`slopes_npz`].
pub const NPZ_TOML: &str = r#"
[data]
train = "train.npz"
validation_fraction = 0.2
test = "test.npz"
lengths = "lengths"
channels = ["level", "noise"]
labels = ["fall", "flat", "rise"]

[model]
hidden = [8]

[training]
epochs = 25
batch = 8
optimizer = { kind = "adam", learning_rate = 2e-2 }
"#;

/// An NPZ under construction.
pub struct Npz(zip::ZipWriter<std::io::Cursor<Vec<u8>>>);

impl Npz {
    pub fn new() -> Self {
        Self(zip::ZipWriter::new(std::io::Cursor::new(Vec::new())))
    }

    pub fn with<T: npyz::AutoSerialize + Clone>(mut self, name: &str, shape: &[u64], items: &[T]) -> Self {
        let mut array = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape);
        let mut writer = options.writer(&mut array).begin_nd().unwrap();
        writer.extend(items.iter().cloned()).unwrap();
        writer.finish().unwrap();
        self.0.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        self.0.write_all(&array).unwrap();
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.finish().unwrap().into_inner()
    }
}
