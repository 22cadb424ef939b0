//! Each fault is made from small data that are sound without it.

use std::io::Write;
use std::path::Path;

use emberloop_data::{DataConfig, ScalerConfig, load};
use npyz::WriterBuilder;

use super::*;

mod targets;

/// A generator for tests: SplitMix64, and nearly normal numbers from sums of it.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    fn even(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Mean 0, deviation 1.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.even()).sum::<f32>() - 6.0
    }
}

/// `[sequences, STEPS, CHANNELS]` and a class for each of them.
#[derive(Clone)]
struct Made {
    x: Vec<f32>,
    y: Vec<i64>,
    lengths: Option<Vec<i64>>,
}

const STEPS: usize = 20;
const CHANNELS: usize = 3;
const ROW: usize = STEPS * CHANNELS;

/// Sound data: random walks of 120 sequences around a mean that depends on one of three classes.
fn sound() -> Made {
    let mut noise = Noise(7);
    let y: Vec<i64> = (0..120).map(|sequence| sequence % 3).collect();
    let mut x = Vec::new();
    for &class in &y {
        let mut row = [0.0f32; CHANNELS];
        for _ in 0..STEPS {
            row.iter_mut().for_each(|value| *value = 0.8 * *value + 0.5 * noise.normal());
            x.extend(row.iter().map(|value| value + class as f32 - 1.0));
        }
    }
    Made { x, y, lengths: None }
}

fn npy<T: npyz::AutoSerialize + Clone>(shape: &[u64], items: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(items.iter().cloned()).unwrap();
    writer.finish().unwrap();
    bytes
}

impl Made {
    fn findings(&self, table: &str, scaler: &str) -> Vec<Finding> {
        let folder = tempfile::tempdir().unwrap();
        self.write(&folder.path().join("d.npz"));
        examined(&format!("train='d.npz'\n{table}"), scaler, folder.path(), Training::default())
    }

    fn write(&self, file: &Path) {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let count = self.y.len() as u64;
        let steps = self.x.len() as u64 / count / CHANNELS as u64;
        let mut members = vec![("x", npy(&[count, steps, CHANNELS as u64], &self.x)), ("y", npy(&[count], &self.y))];
        members.extend(self.lengths.iter().map(|lengths| ("lengths", npy(&[count], lengths))));
        for (name, bytes) in members {
            archive.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(&bytes).unwrap();
        }
        std::fs::write(file, archive.finish().unwrap().into_inner()).unwrap();
    }

    /// The one finding of more than low confidence.
    fn finding(&self, table: &str, scaler: &str) -> Finding {
        let mut found = self.findings(table, scaler);
        found.retain(|finding| finding.confidence > Confidence::Low);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }
}

fn examined(table: &str, scaler: &str, folder: &Path, training: Training) -> Vec<Finding> {
    let data: DataConfig = toml::from_str(table).unwrap();
    let scaler: ScalerConfig = toml::from_str(scaler).unwrap();
    let splits = load(&data, folder, 1).unwrap();
    let findings = examine(&data, &scaler, &splits, training).unwrap();
    for finding in &findings {
        assert!(!finding.summary.contains('\n') && !finding.summary.contains("NaN"), "{}", finding.summary);
        assert!((0.0..=1.0).contains(&finding.score), "{finding:?}");
        assert!(finding.fix.changes_configuration() || !finding.fix.advice.is_empty(), "{finding:?}");
    }
    findings
}

/// The findings on a file that is removed once it is loaded.
fn examined_without_file(file: &Path, table: &str, scaler: &str) -> Vec<Finding> {
    let data: DataConfig = toml::from_str(&format!("train='{}'\n{table}", file.display())).unwrap();
    let splits = load(&data, Path::new(""), 1).unwrap();
    std::fs::remove_file(file).unwrap();
    examine(&data, &toml::from_str(scaler).unwrap(), &splits, Training::default()).unwrap()
}

fn csv(text: &str, table: &str, training: Training) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d.csv"), text).unwrap();
    examined(&format!("train='d.csv'\n{table}"), "", folder.path(), training)
}

#[test]
fn nothing_is_wrong_with_sound_data() {
    for scaler in ["", "kind='minmax'", "kind='robust'", "kind='none'"] {
        assert_eq!(sound().findings("", scaler), [], "{scaler}");
    }
}

#[test]
fn channels_without_a_scaler() {
    let mut made = sound();
    made.x.iter_mut().step_by(CHANNELS).for_each(|value| *value = 1000.0 * *value + 300.0);
    let found = made.finding("", "kind='none'");
    assert_eq!((found.id, found.confidence), (Cause::FeaturesUnscaled, Confidence::High));
    assert_eq!(found.fix.set["scaler.kind"], "standard");
    assert_eq!(made.findings("", ""), []);
}

#[test]
fn few_extreme_values() {
    let mut made = sound();
    made.x.iter_mut().skip(1).step_by(301).for_each(|value| *value = 1e5);
    for scaler in ["kind='standard'", "kind='minmax'"] {
        let found = made.finding("", scaler);
        assert_eq!((found.id, found.confidence), (Cause::Outliers, Confidence::High), "{scaler}");
        assert_eq!(found.fix.set["scaler.kind"], "robust");
    }
    assert_eq!(made.findings("", "kind='robust'"), []);
    // One and the same value is named, and different ones are not.
    made.x.iter_mut().filter(|value| **value == 1e5).for_each(|value| *value = -9999.0);
    let found = made.finding("", "");
    assert!(found.summary.contains("are -9999, "), "{}", found.summary);
    assert!(found.fix.advice.contains("data.missing_values") && found.fix.advice.contains("scaler.missing"));
    let far = made.x.iter_mut().filter(|value| **value == -9999.0);
    far.enumerate().for_each(|(at, value)| *value += at as f32);
    let found = made.finding("", "");
    assert!(found.summary.contains("lie up to "), "{}", found.summary);
}

#[test]
fn a_single_channel_is_named_once() {
    let mut noise = Noise(59);
    let rows: String = (0..600)
        .map(|at| format!("{},{},{}\n", at / 10, 500.0 + 40.0 * noise.normal(), ["p", "q"][at / 10 % 2]))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d.csv"), format!("s,far,label\n{rows}")).unwrap();
    let found = examined("train='d.csv'\nsequence='s'", "kind='none'", folder.path(), Training::default());
    let found = found.iter().find(|found| found.id == Cause::FeaturesUnscaled).unwrap();
    assert_eq!(found.summary.matches("\"far\"").count(), 1, "{}", found.summary);
}

#[test]
fn heavy_tails_and_rare_events_are_no_outliers() {
    let mut noise = Noise(9);
    let mut made = sound();
    for row in made.x.chunks_exact_mut(CHANNELS) {
        row[0] = (1.2 * row[0]).exp();
        row[1] = if noise.even() < 0.03 { 10.0 * noise.even() } else { 0.0 };
    }
    let found = made.findings("", "");
    assert!(found.iter().all(|finding| finding.confidence < Confidence::High), "{found:#?}");
}

/// Scales each channel by the mean and deviation of all of it, or by those of every sequence.
fn standardised(made: &mut Made, length: usize) {
    for piece in made.x.chunks_exact_mut(length) {
        for channel in 0..CHANNELS {
            let own = || (channel..length).step_by(CHANNELS);
            let count = own().count() as f64;
            let mean = own().map(|at| f64::from(piece[at])).sum::<f64>() / count;
            let variance = own().map(|at| (f64::from(piece[at]) - mean).powi(2)).sum::<f64>() / count;
            own().for_each(|at| piece[at] = ((f64::from(piece[at]) - mean) / variance.sqrt()) as f32);
        }
    }
}

#[test]
fn scaled_with_validation() {
    let mut made = sound();
    let length = made.x.len();
    standardised(&mut made, length);
    let found = made.finding("", "kind='none'");
    assert_eq!((found.id, found.confidence), (Cause::ScalerLeak, Confidence::High));
    assert_eq!(found.fix.set["scaler.kind"], "standard");
    // A scaler that is fitted anew undoes it.
    assert!(made.findings("", "").iter().all(|finding| finding.confidence == Confidence::Low));
    // Each sequence by itself is no leak.
    let mut made = sound();
    standardised(&mut made, ROW);
    assert_eq!(made.findings("", "kind='none'"), []);
}

#[test]
fn the_same_sequences_on_both_sides() {
    let mut made = sound();
    made.x.extend_from_within(..60 * ROW);
    made.y.extend_from_within(..60);
    let found = made.finding("", "");
    assert_eq!((found.id, found.confidence), (Cause::SplitLeak, Confidence::High));
    assert_eq!(found.fix.set["data.overlap"], "separate");
    assert_eq!(made.findings("overlap='separate'", ""), []);
    // Both sides are named, and the title names none.
    let found = made.finding("test_fraction=0.2", "");
    for side in ["validation sequences", "test sequences"] {
        assert!(found.summary.contains(side), "{}", found.summary);
    }
    assert!(!found.id.title().contains("validation"));
}

#[test]
fn overlapping_windows_on_both_sides() {
    let mut noise = Noise(11);
    let mut walk = vec![0.0f32; 3000 * CHANNELS];
    for at in CHANNELS..walk.len() {
        walk[at] = 0.9 * walk[at - CHANNELS] + noise.normal();
    }
    let starts = (0..2900).step_by(5);
    let x: Vec<f32> = starts.clone().flat_map(|start| walk[start * CHANNELS..][..ROW].to_vec()).collect();
    let made = Made { x, y: starts.map(|start| (start / 5) as i64 % 3).collect(), lengths: None };
    let found = made.finding("", "");
    assert_eq!((found.id, found.confidence), (Cause::SplitLeak, Confidence::High));
    assert_eq!(made.findings("overlap='separate'", ""), []);
}

/// Words of a small alphabet: `copies` of 80 are there a second time, in a validation file or in the file itself.
fn words(copies: u64, apart: bool) -> Vec<Finding> {
    let rows = |first: u64, words: std::ops::Range<u64>| {
        let mut rows = String::new();
        for (at, word) in words.enumerate() {
            let mut noise = Noise(word * 1000);
            for _ in 0..3 + noise.next() % 5 {
                let letter = char::from(b'a' + (noise.next() % 12) as u8);
                rows += &format!("{},{letter},{}\n", first + at as u64, ["p", "q"][word as usize % 2]);
            }
        }
        rows
    };
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), format!("s,t,label\n{text}")).unwrap();
    let table = match apart {
        true => {
            write("a.csv", &rows(0, 0..80));
            write("b.csv", &(rows(0, 0..copies) + &rows(100, 100..140 - copies)));
            "train='a.csv'\nvalidation='b.csv'"
        }
        false => {
            write("a.csv", &(rows(0, 0..80) + &rows(80, 0..copies)));
            "train='a.csv'"
        }
    };
    examined(&format!("{table}\nsequence='s'\ntoken='t'"), "", folder.path(), Training::default())
}

#[test]
fn words_that_are_there_twice() {
    let of =
        |found: Vec<Finding>| found.iter().find(|found| found.id == Cause::SplitLeak).map(|found| found.confidence);
    assert_eq!(of(words(0, true)), None);
    assert_eq!(of(words(30, true)), Some(Confidence::High));
    // A list with some words twice is what lists are like.
    assert!(of(words(10, false)) < Some(Confidence::Medium));
}

#[test]
fn coarse_signals_are_equal_here_and_there_by_nature() {
    let mut made = sound();
    // Eight steps of a converter, and nothing else in the other channels.
    for row in made.x.chunks_exact_mut(CHANNELS) {
        row.fill(row[0].clamp(-2.0, 2.0).round());
    }
    let found = made.findings("", "");
    assert!(found.iter().all(|finding| finding.id != Cause::SplitLeak), "{found:#?}");
}

#[test]
fn uneven_classes() {
    let mut made = sound();
    let mut at = 0;
    made.y.iter_mut().for_each(|y| {
        at += 1;
        *y = if at % 20 == 0 { 1 } else { 0 };
    });
    let found = made.findings("", "");
    assert_eq!((found[0].id, found[0].confidence), (Cause::ClassImbalance, Confidence::High));
    assert_eq!(found[0].fix.set["training.loss.class_weights"], "balanced");
    // With class weights there is nothing to say.
    let rows: String = (0..200).map(|at| format!("{at},0.{at},{}\n", if at % 20 == 0 { "a" } else { "b" })).collect();
    let imbalance = |table: &str, training: Training| {
        let found = csv(&format!("s,x,c\n{rows}"), &format!("sequence='s'\ntarget='c'\n{table}"), training);
        found.into_iter().find(|found| found.id == Cause::ClassImbalance)
    };
    assert_eq!(imbalance("", Training { class_weights: true, ..Training::default() }), None);
    // A metric is watched where there was one before, and something to watch it on.
    let watched = |table: &str, early_stopping: bool| {
        let found = imbalance(table, Training { early_stopping, ..Training::default() }).unwrap();
        found.fix.set.get("training.early_stopping.monitor").cloned()
    };
    assert_eq!(watched("", true).unwrap(), "val_macro_f1");
    assert_eq!(watched("", false), None);
    assert_eq!(watched("validation_fraction=0", true), None);
}

#[test]
fn a_single_class() {
    let mut made = sound();
    made.y.fill(1);
    let found = made.finding("", "");
    assert_eq!((found.id, found.confidence), (Cause::ClassImbalance, Confidence::High));
    assert!(found.summary.contains("nothing to tell apart"), "{}", found.summary);
    assert!(!found.fix.changes_configuration());
}

#[test]
fn too_few() {
    let mut made = sound();
    made.x.truncate(9 * ROW);
    made.y.truncate(9);
    let found = made.finding("", "");
    assert_eq!((found.id, found.confidence), (Cause::NotEnoughData, Confidence::High));
}

/// A table of two measured channels and two that say nothing.
#[test]
fn constant_and_duplicate_columns() {
    let mut noise = Noise(13);
    let mut rows = String::from("s,a,b,fixed,copy,label\n");
    for sequence in 0..60 {
        for _ in 0..10 {
            let (a, b) = (noise.normal(), noise.normal());
            rows += &format!("{sequence},{a},{b},3,{},{}\n", 1000.0 * a + 40.0, ["p", "q"][sequence % 2]);
        }
    }
    let found = csv(&rows, "sequence='s'", Training::default());
    let of = |id| found.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("{id}: {found:#?}"));
    // Each takes out all of them: neither brings back what the other takes out.
    for id in [Cause::FeatureConstant, Cause::FeatureDuplicate] {
        assert_eq!(of(id).fix.set["data.channels"], serde_json::json!(["a", "b"]));
    }
    assert_eq!(found.len(), 2, "{found:#?}");
    let mended = csv(&rows, "sequence='s'\nchannels=['a','b']", Training::default());
    assert_eq!(mended, []);
}

#[test]
fn what_float32_does_not_hold_is_not_taken_out() {
    let mut noise = Noise(29);
    let mut rows = String::from("s,pressure,a,fixed,label\n");
    for at in 0..600 {
        let pressure = 101_325.0 + 1e-3 * f64::from(noise.even());
        rows += &format!("{},{pressure:.6},{},3,{}\n", at / 10, noise.normal(), ["p", "q"][at / 10 % 2]);
    }
    let constant = |channels: &str| {
        let found = csv(&rows, &format!("sequence='s'\nchannels={channels}"), Training::default());
        found.into_iter().find(|found| found.id == Cause::FeatureConstant).unwrap()
    };
    let alone = constant("['pressure','a']");
    assert!(!alone.fix.changes_configuration() && alone.fix.advice.contains("offset"), "{alone:#?}");
    assert!(alone.summary.contains("as far as float32 can tell"), "{}", alone.summary);
    let both = constant("['pressure','a','fixed']");
    assert_eq!(both.fix.set["data.channels"], serde_json::json!(["pressure", "a"]));
    assert!(both.fix.advice.contains("offset"), "{both:#?}");
}

#[test]
fn missing_values() {
    let mut noise = Noise(17);
    let mut made = sound();
    made.x.iter_mut().filter(|_| noise.even() < 0.4).for_each(|value| *value = f32::NAN);
    let found = made.finding("", "missing='mean'");
    assert_eq!((found.id, found.confidence), (Cause::ValuesMissing, Confidence::High));
    assert_eq!(found.fix.set["scaler.missing"], "hold_last");
}

#[test]
fn padding_that_counts_as_data() {
    let mut made = sound();
    for (at, sequence) in made.x.chunks_exact_mut(ROW).enumerate() {
        sequence[(5 + at % 12) * CHANNELS..].fill(0.0);
    }
    let found = made.finding("", "");
    assert_eq!((found.id, found.confidence), (Cause::Padding, Confidence::High));
    assert_eq!(found.fix.set["data.padding"], 0.0);
    assert_eq!(made.findings("padding=0", ""), []);
    // The true lengths leave nothing to say, whatever stands behind them.
    made.lengths = Some((0..120).map(|at| 5 + at % 12).collect());
    assert_eq!(made.findings("", ""), []);
}

#[test]
fn of_equally_common_endings_it_is_always_the_same() {
    let mut made = sound();
    for (at, sequence) in made.x.chunks_exact_mut(ROW).enumerate() {
        // The first numbers are equal, the others decide.
        for row in sequence[10 * CHANNELS..].chunks_exact_mut(CHANNELS) {
            row.copy_from_slice(&[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]][at % 2]);
        }
    }
    made.x.truncate(100 * ROW);
    made.y.truncate(100);
    let found = made.findings("validation_fraction=0", "");
    let padding = found.iter().find(|finding| finding.id == Cause::Padding).unwrap();
    assert_eq!(padding.fix.set["data.padding"], 0.0);
    for _ in 0..20 {
        assert_eq!(made.findings("validation_fraction=0", ""), found);
    }
}

#[test]
fn what_is_read_again_may_be_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = sound();
    made.lengths = Some(vec![4; 120]);
    let file = folder.path().join("d.npz");
    made.write(&file);
    let found = examined_without_file(&file, "", "");
    assert!(found.iter().all(|finding| finding.id != Cause::LengthsWrong), "{found:#?}");
    // Windows of a nearly scaled table.
    let mut noise = Noise(23);
    let rows: String = (0..400).map(|_| format!("{},{}\n", noise.normal(), noise.normal())).collect();
    let file = folder.path().join("d.csv");
    std::fs::write(&file, format!("a,b\n{rows}")).unwrap();
    let table = "task='regression'\ntarget='b'\nchannels=['a','b']\nwindow={length=20,stride=1}";
    assert_eq!(examined_without_file(&file, table, "kind='none'"), []);
}

#[test]
fn padding_of_tokens() {
    let mut noise = Noise(19);
    let mut rows = String::from("s,t,label\n");
    for sequence in 0..80u64 {
        let length = 4 + noise.next() % 8;
        for step in 0..14 {
            let letter = if step < length { char::from(b'a' + (noise.next() % 20) as u8) } else { '_' };
            rows += &format!("{sequence},{letter},{}\n", ["p", "q"][sequence as usize % 2]);
        }
    }
    let found = csv(&rows, "sequence='s'\ntoken='t'", Training::default());
    assert_eq!((found[0].id, found[0].confidence), (Cause::Padding, Confidence::High));
    assert_eq!(found[0].fix.set["data.padding"], "_");
    assert_eq!(csv(&rows, "sequence='s'\ntoken='t'\npadding='_'", Training::default()), []);
}

#[test]
fn lengths_that_cut_off_data() {
    let mut made = sound();
    made.lengths = Some(vec![4; 120]);
    let found = made.finding("", "");
    assert_eq!((found.id, found.confidence), (Cause::LengthsWrong, Confidence::High));
    assert_eq!(found.fix.set["data.lengths"], "none");
    assert_eq!(made.findings("lengths='none'", ""), []);
    // A stray value in the padding is no data.
    for (at, sequence) in made.x.chunks_exact_mut(ROW).enumerate() {
        sequence[4 * CHANNELS..].fill(0.0);
        sequence[5 * CHANNELS + at % 9] = 17.0;
    }
    assert_eq!(made.findings("", ""), []);
}

#[test]
fn numbers_in_sentences() {
    for (value, text) in [
        (0.0, "0"),
        (8.0, "8"),
        (0.78914, "0.7891"),
        (1234.5678, "1235"),
        (-0.02, "-0.02"),
        (1e9, "1.00e9"),
        (40.0, "40"),
    ] {
        assert_eq!(short(value), text);
    }
}
