//! Inputs that stay in their file: the same to the bit as loaded ones, and one line where a file is no longer what it was.

mod common;

use common::{Folder, Npz, fortran_npy, npy};
use emberloop_data::{
    Batch, DataError, Dataset, MissingPolicy, Prepared, Scaler, ScalerKind, Splits, TargetScaler, batches,
};

const KINDS: [ScalerKind; 4] = [ScalerKind::Standard, ScalerKind::Minmax, ScalerKind::Robust, ScalerKind::None];

/// 60 sequences of 1 to 9 steps of three channels, some values missing, and padding that is no number at all.
fn ragged(stored: bool) -> Npz {
    let lengths: Vec<i64> = (0..60).map(|sequence| 1 + sequence * 5 % 9).collect();
    let value = |at: usize| {
        let (sequence, step, channel) = (at / 27, at / 3 % 9, at % 3);
        match step < lengths[sequence] as usize {
            false => f32::INFINITY,
            true if at % 37 == 0 => f32::NAN,
            true => ((at * 7919) % 1009) as f32 * [0.01, 1.0, 300.0][channel] - 5.0,
        }
    };
    let x: Vec<f32> = (0..60 * 27).map(value).collect();
    let y: Vec<f32> = (0..60).map(|sequence| sequence as f32 * 0.5).collect();
    // A name of odd length: nothing in the archive is aligned.
    let archive = Npz::new().stored("odd", &[3], &[1u8, 2, 3]);
    let archive = match stored {
        true => archive.stored("x", &[60, 9, 3], &x),
        false => archive.with("x", &[60, 9, 3], &x),
    };
    archive.with("y", &[60], &y).with("lengths", &[60], &lengths)
}

const RAGGED: &str = "train='t.npz'\ntask='regression'\nvalidation_fraction=0.3\n";

fn both(folder: &Folder, table: &str, more: &str) -> [Splits; 2] {
    let load = |memory: &str| folder.load(&format!("{table}\nmemory='{memory}'\n{more}")).unwrap();
    let [loaded, streamed] = [folder.load(&format!("{table}\nmemory='load'")).unwrap(), load("stream")];
    assert!(!loaded.train.is_streamed() && streamed.train.is_streamed());
    [loaded, streamed]
}

fn prepared(dataset: &Dataset, kind: ScalerKind) -> (Scaler, Prepared) {
    let scaler = Scaler::fit(dataset, kind, MissingPolicy::HoldLast).unwrap();
    let targets = TargetScaler::fit(dataset, true).unwrap();
    let prepared = Prepared::new(dataset, &scaler, targets.as_ref()).unwrap();
    (scaler, prepared)
}

fn all_batches(prepared: &Prepared, order: &[usize]) -> Vec<Batch> {
    batches(prepared, order, 7).collect::<Result<_, _>>().unwrap()
}

#[test]
fn scalers_and_batches_are_the_same_to_the_bit() {
    let folder = Folder::new().with("t.npz", ragged(true).bytes());
    for block in [1, 4, 17, 1000] {
        let [loaded, streamed] = both(&folder, RAGGED, &format!("shuffle_block={block}"));
        assert_eq!(loaded.train.hash, streamed.train.hash);
        for (loaded, streamed) in [(&loaded.train, &streamed.train), (&loaded.validation, &streamed.validation)] {
            for kind in KINDS {
                let ((scaler, loaded), (same, streamed)) = (prepared(loaded, kind), prepared(streamed, kind));
                assert_eq!(scaler, same, "{kind:?}");
                assert_eq!(
                    (loaded.locality(), streamed.locality().map(|locality| locality.block)),
                    (None, Some(block))
                );
                // Backwards and forwards, each sequence three times.
                let order: Vec<usize> = (0..3 * loaded.len()).map(|at| (at * 11 + at / 3) % loaded.len()).collect();
                let expected = all_batches(&loaded, &order);
                assert_eq!(all_batches(&streamed, &order), expected, "{kind:?}");
            }
        }
    }
}

#[test]
fn every_kind_of_number_streams_as_it_loads() {
    let count = |at: usize| (at * 37 + 5) % 120;
    let x: Vec<usize> = (0..4 * 6).map(count).collect();
    let folder = Folder::new()
        .with("i1.npy", npy(&[4, 3, 2], &x.iter().map(|&n| n as i8 - 60).collect::<Vec<_>>()))
        .with("i2.npy", npy(&[4, 3, 2], &x.iter().map(|&n| n as i16 * 200 - 9000).collect::<Vec<_>>()))
        .with("i4.npy", npy(&[4, 3, 2], &x.iter().map(|&n| n as i32 * 16_777_259).collect::<Vec<_>>()))
        .with("i8.npy", npy(&[4, 3, 2], &x.iter().map(|&n| n as i64 * 1_000_000_007_001).collect::<Vec<_>>()))
        .with("u8.npy", npy(&[4, 3, 2], &x.iter().map(|&n| n as u64 * 1_000_000_007_001).collect::<Vec<_>>()))
        .with("f4.npy", npy(&[4, 3, 2], &x.iter().map(|&n| n as f32 * 0.37).collect::<Vec<_>>()))
        .with("f8.npy", npy(&[4, 3, 2], &x.iter().map(|&n| n as f64 * 0.37).collect::<Vec<_>>()))
        .with("flat.npy", npy(&[4, 6], &x.iter().map(|&n| n as u8).collect::<Vec<_>>()))
        .with("b.npy", npy(&[4, 3, 2], &x.iter().map(|&n| n % 2 == 0).collect::<Vec<_>>()))
        .with("y.npy", npy(&[4], &[0i64, 1, 1, 0]));
    for kind in ["i1", "i2", "i4", "i8", "u8", "f4", "f8", "flat", "b"] {
        let table = format!("train='{kind}.npy'\ntarget='y.npy'\nvalidation_fraction=0.0");
        let [loaded, streamed] = ["load", "stream"].map(|memory| folder.load(&format!("{table}\nmemory='{memory}'")));
        let [loaded, streamed] = [loaded.unwrap().train, streamed.unwrap().train];
        assert_eq!((&loaded.hash, &loaded.inputs), (&streamed.hash, &streamed.inputs));
        for (loaded, streamed) in loaded.sequences.iter().zip(&streamed.sequences) {
            assert_eq!(loaded.values.loaded().unwrap(), &*streamed.values.read().unwrap(), "{kind}");
        }
    }
}

#[test]
fn what_cannot_be_streamed_is_refused_with_advice_or_loaded() {
    let x: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let y = [0i64, 1, 1, 0];
    let fortran = Npz::new().with_bytes("x", &fortran_npy(&[4, 3, 2], &x), zip::CompressionMethod::Stored);
    let texts = Npz::new().stored("x", &[4, 2], &[1i64, 2, 3, 4, 5, 6, 7, 8]).with("y", &[4], &y);
    let folder = Folder::new()
        .with("compressed.npz", Npz::new().with("x", &[4, 3, 2], &x).with("y", &[4], &y).bytes())
        .with("fortran.npz", fortran.with("y", &[4], &y).bytes())
        .with("tokens.npz", texts.bytes())
        .with("t.csv", "s,a,label\n1,1,x\n2,1,y\n");
    let cases = [
        (
            "train='compressed.npz'",
            "found those of compressed.npz: they are compressed: save them with numpy.savez, or as .npy",
        ),
        (
            "train='fortran.npz'",
            "found those of fortran.npz: they are in Fortran order: save numpy.ascontiguousarray of them",
        ),
        ("train='tokens.npz'\ntoken='x'", "found those of tokens.npz: tokens are always read whole"),
        ("train='t.csv'\nsequence='s'", "found a CSV, which is always read whole"),
    ];
    for (table, problem) in cases {
        let error = folder.error(&format!("{table}\nmemory='stream'"));
        assert!(error.starts_with("[data] memory: expected ") && error.ends_with(problem), "{error}");
        for memory in ["auto", "load"] {
            let splits = folder.load(&format!("{table}\nmemory='{memory}'")).unwrap();
            assert!(!splits.train.is_streamed());
        }
    }
}

#[test]
fn values_that_cannot_be_are_refused_as_if_loaded() {
    let mut x: Vec<f32> = (0..24).map(|value| value as f32).collect();
    x[13] = f32::INFINITY;
    let bytes = |x: &[f32]| Npz::new().stored("x", &[4, 3, 2], x).with("y", &[4], &[0i64, 1, 1, 0]).bytes();
    let folder = Folder::new().with("t.npz", bytes(&x));
    let error = folder.error("train='t.npz'\nmemory='stream'");
    assert_eq!(error, "t.npz: array \"x\", sequence 2, step 0, channel x_1: expected a finite number, found inf");

    x[13] = f32::NAN;
    let folder = Folder::new().with("t.npz", bytes(&x));
    let [loaded, streamed] = both(&folder, "train='t.npz'\nvalidation_fraction=0.0", "");
    let error = |dataset: &Dataset| {
        let scaler = Scaler::fit(dataset, ScalerKind::Standard, MissingPolicy::Error).unwrap();
        folder.shorten(&Prepared::new(dataset, &scaler, None).unwrap_err())
    };
    assert!(error(&loaded.train).starts_with("t.npz: sequence 2, step 0, channel x_1: expected a number"));
    assert_eq!(error(&streamed.train), error(&loaded.train));
}

#[test]
fn a_damaged_array_does_not_pass_for_another() {
    let x: Vec<f32> = (0..3000).map(|value| value as f32).collect();
    let mut bytes = Npz::new().stored("x", &[10, 300], &x).with("y", &[10], &[0i64; 10]).bytes();
    bytes[6000] ^= 1;
    let error = Folder::new().with("t.npz", bytes).error("train='t.npz'\nmemory='stream'");
    assert!(
        error.starts_with("t.npz: array \"x\": expected a complete .npy array, found") && error.contains("checksum")
    );
    let whole = npy(&[10, 300], &x);
    for length in [0, 5, 40, 1000, whole.len() - 1] {
        let folder = Folder::new().with("x.npy", &whole[..length]).with("y.npy", npy(&[10], &[0i64; 10]));
        let error = folder.error("train='x.npy'\ntarget='y.npy'\nmemory='stream'");
        assert!(error.starts_with("x.npy: array \"array\": expected a complete .npy array"), "{length}: {error}");
    }
}

fn reading(folder: &Folder, change: impl FnOnce(&std::path::Path)) -> Result<Vec<Batch>, DataError> {
    let table = "train='x.npy'\ntarget='y.npy'\nmemory='stream'\nvalidation_fraction=0.0\nshuffle_block=10";
    let train = folder.load(table).unwrap().train;
    let scaler = Scaler::fit(&train, ScalerKind::Standard, MissingPolicy::Error).unwrap();
    let prepared = Prepared::new(&train, &scaler, None).unwrap();
    prepared.batch(&[0, 1]).unwrap();
    change(&folder.path().join("x.npy"));
    let order: Vec<usize> = (0..prepared.len()).collect();
    batches(&prepared, &order, 32).collect()
}

fn hundred() -> Folder {
    let x: Vec<i16> = (0..10_000).map(|value| (value * 7 % 300) as i16).collect();
    Folder::new().with("x.npy", npy(&[100, 100], &x)).with("y.npy", npy(&[100], &[0i64; 100]))
}

#[test]
fn a_file_that_changes_between_opening_and_reading() {
    let folder = hundred();
    let whole = std::fs::metadata(folder.path().join("x.npy")).unwrap().len();
    let error = reading(&folder, |path| {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap();
    });
    assert_eq!(
        folder.shorten(&error.unwrap_err()),
        format!(
            "x.npy: array \"array\": expected the file as it was when it was opened, found one of 5000 bytes, where there \
             were {whole}"
        )
    );

    let folder = hundred();
    let error = reading(&folder, |path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    });
    let error = folder.shorten(&error.unwrap_err());
    assert!(error.ends_with("found one that has been written to since"), "{error}");
}

/// What is open stays there for who has it open (on Windows it cannot be removed or replaced at all).
#[cfg(unix)]
#[test]
fn a_file_that_is_removed_or_replaced_is_read_on() {
    let expected = reading(&hundred(), |_| ()).unwrap();
    let removed = reading(&hundred(), |path| std::fs::remove_file(path).unwrap());
    assert_eq!(removed.unwrap(), expected);
    let replaced = reading(&hundred(), |path| {
        std::fs::write(path.with_extension("new"), "no array").unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    });
    assert_eq!(replaced.unwrap(), expected);
    let folder = hundred();
    std::fs::remove_file(folder.path().join("x.npy")).unwrap();
    let error = folder.error("train='x.npy'\ntarget='y.npy'\nmemory='stream'");
    assert!(error.starts_with("x.npy: cannot read it: "), "{error}");
}

#[test]
fn changed_values_are_in_memory_and_a_sample_too() {
    let folder = Folder::new().with("t.npz", ragged(true).bytes());
    let [loaded, mut streamed] = both(&folder, RAGGED, "");
    let sample = streamed.train.sample(100).unwrap();
    assert!(!sample.is_streamed() && sample.sequences.len() < streamed.train.sequences.len());
    assert!(sample.sequences.iter().map(|sequence| sequence.values.len()).sum::<usize>() <= 200);
    assert_eq!(sample.schema(), streamed.train.schema());
    assert!(std::ptr::eq(&*loaded.train.sample(100).unwrap(), &loaded.train));

    // Some in memory and some in the file.
    streamed.train.sequences[3].values.to_mut().unwrap()[0] = 99.0;
    let mut expected = loaded.train.clone();
    expected.sequences[3].values.to_mut().unwrap()[0] = 99.0;
    let ((scaler, one), (same, other)) = (prepared(&expected, KINDS[0]), prepared(&streamed.train, KINDS[0]));
    assert_eq!(scaler, same);
    let order: Vec<usize> = (0..one.len()).collect();
    assert_eq!(all_batches(&one, &order), all_batches(&other, &order));
}
