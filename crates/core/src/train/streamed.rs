//! Trainings on data that stay in their file: the same bits as loaded data where the order is the same.

use std::{fs, path::Path};

use emberloop_data::{DataConfig, Memory, load};

use super::*;
use crate::{
    fixtures::{self, Kind},
    progress::Silent,
};

/// A `.npy` file by hand.
fn npy(folder: &Path, name: &str, descr: &str, shape: &str, bytes: &[u8]) {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    fs::write(folder.join(name), file).unwrap();
}

/// The sequences of a fixture as files, padded to 9 steps.
fn folder(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dataset = fixtures::dataset(Kind::StepClass, count, 1);
    let (mut x, mut y, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for sequence in &dataset.sequences {
        let mut values = sequence.values.loaded().unwrap().to_vec();
        values.resize(18, f32::NAN);
        x.extend(values.into_iter().flat_map(f32::to_le_bytes));
        let emberloop_data::SequenceTarget::Classes(classes) = &sequence.target else { panic!("classes") };
        y.extend((0..9).map(|step| *classes.get(step).unwrap_or(&0) as u8));
        lengths.push(sequence.steps as u8);
    }
    npy(folder.path(), "x.npy", "<f4", &format!("{count}, 9, 2"), &x);
    npy(folder.path(), "y.npy", "|u1", &format!("{count}, 9"), &y);
    npy(folder.path(), "n.npy", "|u1", &format!("{count},"), &lengths);
    folder
}

fn config(memory: Memory, shuffle_block: Option<usize>) -> Config {
    let mut config = fixtures::config(Kind::StepClass);
    let target_per = config.data.target_per;
    config.data = DataConfig { target_per, memory, shuffle_block, ..DataConfig::new("x.npy") };
    config.data.target = Some(emberloop_data::TargetColumns::One("y.npy".into()));
    config.data.lengths = Some("n.npy".into());
    config.data.test_fraction = 0.2;
    config.model.hidden = vec![4, 3];
    config.model.dropout = 0.3;
    config.training.batch = 4;
    config
}

fn trained(config: &Config, folder: &Path, options: &Options) -> Result<Outcome, TrainError> {
    let splits = load(&config.data, folder, config.training.seed)?;
    assert_eq!(splits.train.is_streamed(), config.data.memory == Memory::Stream);
    train(config, &splits, options, &mut Silent)
}

#[test]
fn streamed_in_the_same_order_the_result_is_the_same_to_the_bit() {
    let folder = folder(60);
    let run = |config: &Config| trained(config, folder.path(), &Options::default()).unwrap();
    for bucket_by_length in [true, false] {
        let [mut loaded, mut streamed, mut blocks] =
            [(Memory::Load, None), (Memory::Stream, Some(1000)), (Memory::Stream, Some(3))]
                .map(|(memory, block)| config(memory, block));
        for config in [&mut loaded, &mut streamed, &mut blocks] {
            config.training.bucket_by_length = bucket_by_length;
        }
        let (loaded, streamed) = (run(&loaded), run(&streamed));
        assert_eq!(loaded.checkpoint.tensors, streamed.checkpoint.tensors);
        assert_eq!(loaded.metrics, streamed.metrics);
        assert_eq!(loaded.checkpoint.metadata.scaler, streamed.checkpoint.metadata.scaler);
        assert_eq!(loaded.checkpoint.metadata.provenance, streamed.checkpoint.metadata.provenance);
        // In blocks the order is another one, and always the same.
        let blocked = run(&blocks);
        assert_ne!(loaded.checkpoint.tensors, blocked.checkpoint.tensors);
        assert_eq!(blocked.checkpoint.tensors, run(&blocks).checkpoint.tensors);
    }
}

/// Cuts the file short when the first epoch has ended.
struct Cut<'a>(&'a Path);

impl Progress for Cut<'_> {
    fn on_epoch(&mut self, _report: &EpochReport) {
        fs::OpenOptions::new().write(true).open(self.0).unwrap().set_len(1000).unwrap();
    }
}

#[test]
fn a_file_that_is_cut_short_ends_the_training_in_one_line() {
    // More blocks than are in memory at once, so that each epoch reads some again.
    let folder = folder(200);
    let config = config(Memory::Stream, Some(1));
    let splits = load(&config.data, folder.path(), 1).unwrap();
    let path = folder.path().join("x.npy");
    let error = train(&config, &splits, &Options::default(), &mut Cut(&path)).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, TrainError::Data(_)) && !message.contains('\n'), "{message}");
    assert!(message.contains("expected the file as it was when it was opened, found one of 1000 bytes"), "{message}");
}
