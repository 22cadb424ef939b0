//! What is taken over, what stays, what is refused.

use emberloop_data::MissingPolicy;

use super::*;
use crate::{
    fixtures::{self, Kind},
    progress::Silent,
    train::train,
};

fn parent(kind: Kind) -> Checkpoint {
    let config = fixtures::config(kind);
    train(&config, &fixtures::splits(kind), &Options::default(), &mut Silent).unwrap().checkpoint
}

fn config(kind: Kind) -> Config {
    let mut config = fixtures::config(kind);
    config.training.seed = 9;
    config.training.keep = crate::config::Keep::Last;
    config
}

fn tuned(kind: Kind, parent: &Checkpoint, splits: &Splits, finetune: FinetuneOptions) -> Checkpoint {
    let options = Options::default();
    super::finetune(&config(kind), splits, parent, &finetune, &options, &mut Silent).unwrap().checkpoint
}

fn freezing(parts: &[&str]) -> FinetuneOptions {
    FinetuneOptions { freeze: parts.iter().map(|part| part.to_string()).collect(), ..Default::default() }
}

#[test]
fn frozen_parts_keep_every_bit_and_the_others_learn() {
    let parent = parent(Kind::Token);
    let child = tuned(Kind::Token, &parent, &fixtures::splits(Kind::Token), freezing(&["embedding", "rnn.l0"]));
    for (name, tensor) in &parent.tensors {
        let same = child.tensors[name] == *tensor;
        assert_eq!(same, !name.starts_with("head."), "{name}");
    }
    assert_eq!(child.metadata.provenance.parent, Some(parent.hash().unwrap()));
}

#[test]
fn a_part_that_is_not_there_is_refused_with_the_names_that_are() {
    let parent = parent(Kind::Class);
    let splits = fixtures::splits(Kind::Class);
    let refused = |parts: &[&str]| {
        let config = config(Kind::Class);
        super::finetune(&config, &splits, &parent, &freezing(parts), &Options::default(), &mut Silent)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused(&["rnn.l1"]), "freeze: expected one of head, rnn, rnn.l0, found \"rnn.l1\"");
    assert!(refused(&["rnn", "head"]).contains("something left to train"));
}

#[test]
fn other_classes_get_a_new_head_and_the_same_ones_keep_theirs() {
    let parent = parent(Kind::Class);
    let mut splits = fixtures::splits(Kind::Class);
    let all = FinetuneOptions { freeze: vec!["rnn".into(), "head".into()], ..Default::default() };
    let frozen = frozen(&all.freeze, &parent.metadata.architecture);
    assert!(frozen.is_err(), "nothing would be left to train");

    let labels = |labels: &[&str]| Targets::Classes { labels: labels.iter().map(|label| label.to_string()).collect() };
    splits.train.targets = labels(&["maybe", "no", "yes"]);
    splits.validation.targets = labels(&["maybe", "no", "yes"]);
    let child = tuned(Kind::Class, &parent, &splits, freezing(&["rnn"]));
    assert_eq!(child.tensors["head.weight"].shape, [3, 5]);
    assert_eq!(child.metadata.schema.targets, labels(&["maybe", "no", "yes"]));
    assert_eq!(child.tensors["rnn.weight_hh_l0"], parent.tensors["rnn.weight_hh_l0"]);
}

/// The same classes in another order: their numbers are translated, so a frozen head still says the right ones.
#[test]
fn classes_in_another_order_are_translated() {
    let parent = parent(Kind::Class);
    let plain = fixtures::splits(Kind::Class);
    let mut swapped = plain.clone();
    for dataset in [&mut swapped.train, &mut swapped.validation] {
        dataset.targets = Targets::Classes { labels: vec!["yes".into(), "no".into()] };
        for sequence in &mut dataset.sequences {
            let SequenceTarget::Class(class) = &mut sequence.target else { panic!("a class") };
            *class = 1 - *class;
        }
    }
    let one = tuned(Kind::Class, &parent, &plain, freezing(&["head"]));
    let other = tuned(Kind::Class, &parent, &swapped, freezing(&["head"]));
    assert_eq!(one.tensors, other.tensors);
    assert_eq!(other.metadata.schema, parent.metadata.schema);
}

#[test]
fn tokens_are_translated_to_the_parents_vocabulary() {
    let parent = parent(Kind::Token);
    let plain = fixtures::splits(Kind::Token);
    let mut other = plain.clone();
    for dataset in [&mut other.train, &mut other.validation] {
        // "a" and "c" have changed places; "d" is new to the parent.
        let vocabulary = [UNKNOWN_TOKEN, "c", "b", "a", "d"].map(String::from).into();
        dataset.inputs = Inputs::Tokens { column: "char".into(), vocabulary };
        for value in dataset.sequences.iter_mut().flat_map(|sequence| sequence.values.to_mut().unwrap()) {
            *value = [4.0, 3.0, 2.0, 1.0][*value as usize];
        }
    }
    let (one, two) =
        (tuned(Kind::Token, &parent, &plain, freezing(&[])), tuned(Kind::Token, &parent, &other, freezing(&[])));
    assert_eq!(one.tensors, two.tensors);
}

#[test]
fn the_scaler_is_kept_unless_it_is_refitted() {
    let parent = parent(Kind::Value);
    let mut splits = fixtures::splits(Kind::Value);
    for value in splits.train.sequences.iter_mut().flat_map(|sequence| sequence.values.to_mut().unwrap()) {
        *value = 3.0 * *value + 1.0;
    }
    let kept = tuned(Kind::Value, &parent, &splits, FinetuneOptions::default());
    assert_eq!(kept.metadata.scaler, parent.metadata.scaler);
    assert_eq!(kept.metadata.target_scaler, parent.metadata.target_scaler);
    let refitted = tuned(Kind::Value, &parent, &splits, FinetuneOptions { refit_scaler: true, ..Default::default() });
    let ratio = refitted.metadata.scaler.features[0].scale / parent.metadata.scaler.features[0].scale;
    assert!((ratio - 3.0).abs() < 1e-5, "{ratio}");
}

#[test]
fn a_kept_scaler_takes_what_the_configuration_says_of_missing_values() {
    let parent = parent(Kind::Class);
    let mut splits = fixtures::splits(Kind::Class);
    splits.train.sequences[0].values.to_mut().unwrap()[0] = f32::NAN;
    let policy = |config: &Config| {
        let options = (FinetuneOptions::default(), Options::default());
        let tuned = super::finetune(config, &splits, &parent, &options.0, &options.1, &mut Silent);
        tuned.map(|outcome| outcome.checkpoint.metadata.scaler)
    };
    let mut config = config(Kind::Class);
    config.scaler.missing = MissingPolicy::HoldLast;
    let hold_last = Scaler { missing: MissingPolicy::HoldLast, ..parent.metadata.scaler.clone() };
    assert_eq!(policy(&config).unwrap(), hold_last);
    // A default that nobody wrote does not count: the parent refuses missing values, and so does its child.
    config.scaler_given = Default::default();
    let error = policy(&config).unwrap_err();
    assert!(matches!(error, TrainError::Data(emberloop_data::DataError::Missing { .. })), "{error}");
}

#[test]
fn a_kept_scaler_is_of_its_own_kind() {
    let parent = parent(Kind::Value);
    let splits = fixtures::splits(Kind::Value);
    let with = |config: &Config, refit_scaler| {
        let finetune = FinetuneOptions { refit_scaler, ..Default::default() };
        super::finetune(config, &splits, &parent, &finetune, &Options::default(), &mut Silent)
            .map(|outcome| outcome.checkpoint.metadata.scaler.kind)
            .map_err(|error| error.to_string())
    };
    let mut other = config(Kind::Value);
    other.scaler.kind = ScalerKind::Minmax;
    assert_eq!(
        with(&other, false).unwrap_err(),
        "scaler.kind: expected standard as in the parent's scaler, which is kept (--scaler refit fits a new one), \
         found minmax"
    );
    assert_eq!(with(&other, true), Ok(ScalerKind::Minmax));
    other.scaler_given.kind = false;
    assert_eq!(with(&other, false), Ok(ScalerKind::Standard));

    let mut other = config(Kind::Value);
    other.scaler.target = false;
    let error = with(&other, false).unwrap_err();
    assert!(error.starts_with("scaler.target: expected true as in the parent's scaler"), "{error}");
    assert!(with(&other, true).is_ok());
}

#[test]
fn a_new_head_can_be_asked_for() {
    let parent = parent(Kind::Class);
    let splits = fixtures::splits(Kind::Class);
    let with = |new_head| {
        let options = FinetuneOptions { new_head, ..freezing(&["rnn"]) };
        tuned(Kind::Class, &parent, &splits, options).tensors["head.weight"].values.clone()
    };
    let distance = |head: &[f32]| {
        let parent = &parent.tensors["head.weight"].values;
        head.iter().zip(parent).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
    };
    // Nine steps of Adam at 1e-3 move no weight by more than about 1e-2.
    assert!(distance(&with(false)) < 0.02 && distance(&with(true)) > 0.1);
}

#[test]
fn another_network_or_other_channels_are_refused() {
    let parent = parent(Kind::Class);
    let mut splits = fixtures::splits(Kind::Class);
    let refused = |config: &Config, splits: &Splits| {
        super::finetune(config, splits, &parent, &FinetuneOptions::default(), &Options::default(), &mut Silent)
            .unwrap_err()
            .to_string()
    };
    let mut other = config(Kind::Class);
    other.model.hidden = vec![6];
    assert!(refused(&other, &splits).starts_with("model.hidden: expected [5] as in the parent model"));
    splits.train.inputs = Inputs::Channels(vec!["left".into(), "up".into()]);
    let error = refused(&config(Kind::Class), &splits);
    assert!(error.contains("the model's channels left, right, found left, up"), "{error}");
}
