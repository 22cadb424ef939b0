//! The committed worked example: its files belong together, and it is as good as its model card says.

use std::path::{Path, PathBuf};

use emberloop_checkpoint::Checkpoint;
use emberloop_data::metrics::Metrics;
use emberloop_data::{DataConfig, Dataset};
use emberloop_engine::self_test;
use emberloop_image::{Image, Sequences};
use emberloop_quantize::{AlignedBytes, Comparison, Options, compare, quantize, read_quantized};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/japanese-vowels").join(name)
}

fn bytes(name: &str) -> AlignedBytes {
    AlignedBytes::new(&std::fs::read(file(name)).unwrap())
}

fn dataset(checkpoint: &Checkpoint, name: &str) -> Dataset {
    let config: DataConfig = serde_json::from_value(checkpoint.metadata.config["data"].clone()).unwrap();
    emberloop_data::load_one(&config, &file(name), &checkpoint.metadata.schema).unwrap()
}

/// The bars of the project: 96 % in float, at most 0.3 % of the predictions different, a logit error of at most 0.03.
fn assert_good(comparison: &Comparison) {
    let (Metrics::Classes(float), Metrics::Classes(fixed)) = (&comparison.float, &comparison.fixed) else {
        panic!("a classification: {comparison:?}");
    };
    assert_eq!(comparison.sequences, 370);
    assert!(float.accuracy >= 0.96 && fixed.accuracy >= 0.96, "{} {}", float.accuracy, fixed.accuracy);
    assert!(comparison.disagreement.unwrap() <= 0.003, "{:?}", comparison.disagreement);
    assert!(comparison.logit_error <= 0.03, "{}", comparison.logit_error);
}

#[test]
fn the_committed_files_belong_together_and_meet_the_bars() {
    let checkpoint = Checkpoint::read(file("checkpoint.safetensors")).unwrap();
    let image_bytes = bytes("model.ember");
    let image = Image::parse(&image_bytes).unwrap();
    assert!(self_test(&image, vec![0; image.memory().words()]).unwrap() > 0);
    assert_eq!(image.header().checkpoint, checkpoint.hash().unwrap());
    assert_eq!(*read_quantized(file("model.q.safetensors")).unwrap().image().unwrap(), *image_bytes);

    let sequences = bytes("model.seq");
    let sequences = Sequences::parse(&sequences).unwrap();
    assert_eq!((sequences.width(), sequences.len()), (12, 3));

    let test = dataset(&checkpoint, "test.npz");
    assert_good(&compare(&checkpoint, &image_bytes, &test, Default::default()).unwrap());
}

/// The bytes may differ from machine to machine in the last bit of an `exp`; what counts may not.
#[test]
fn quantizing_the_committed_checkpoint_again_meets_the_bars() {
    let checkpoint = Checkpoint::read(file("checkpoint.safetensors")).unwrap();
    let again = quantize(&checkpoint, &dataset(&checkpoint, "train.npz"), &Options::default()).unwrap();
    let test = dataset(&checkpoint, "test.npz");
    assert_good(&compare(&checkpoint, &again.image, &test, Default::default()).unwrap());
}

#[test]
fn the_model_card_states_what_the_files_are() {
    let card = std::fs::read_to_string(file("README.md")).unwrap();
    let checkpoint = Checkpoint::read(file("checkpoint.safetensors")).unwrap();
    let image_bytes = bytes("model.ember");
    let comparison = compare(&checkpoint, &image_bytes, &dataset(&checkpoint, "test.npz"), Default::default()).unwrap();
    let percent = |metrics: &Metrics| format!("{:.2} % of the 370", 100.0 * metrics.headline());
    for claim in [
        percent(&comparison.float),
        format!("image {:.1} kB", comparison.image_bytes as f64 / 1000.0),
        format!("{} bytes of RAM", comparison.ram_bytes),
        format!("{} parameters", thousands(checkpoint.metadata.architecture.parameters())),
        format!("error of the logits {:.4}", comparison.logit_error),
    ] {
        assert!(card.contains(&claim), "the card does not say {claim:?}");
    }
}

fn thousands(count: usize) -> String {
    format!("{},{:03}", count / 1000, count % 1000)
}
