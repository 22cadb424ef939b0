//! Splits: every sequence on exactly one side, classes in proportion, nobody on two sides, the same for the same seed.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use common::{Folder, config};
use emberloop_data::{Dataset, Splits, load};
use proptest::prelude::*;

const TABLE: &str = "train = 't.csv'\nsequence = 's'\n";

/// One step per sequence; sequence `i` has value `i`.
fn file(sequences: &[(usize, usize)]) -> String {
    let mut csv = String::from("s,a,group,label\n");
    for (i, (group, class)) in sequences.iter().enumerate() {
        writeln!(csv, "{i},{i},g{group},c{class}").unwrap();
    }
    csv
}

fn sides(splits: &Splits) -> [Option<&Dataset>; 3] {
    [Some(&splits.train), Some(&splits.validation), splits.test.as_ref()]
}

/// The sequence numbers of every side, in order.
fn members(splits: &Splits) -> Vec<Vec<usize>> {
    let numbers =
        |dataset: &Dataset| dataset.sequences.iter().map(|s| s.values.loaded().unwrap()[0] as usize).collect();
    sides(splits).into_iter().flatten().map(numbers).collect()
}

#[test]
fn classes_keep_their_shares() {
    let sequences: Vec<(usize, usize)> = (0..100).map(|i| (0, usize::from(i % 10 == 0))).collect();
    let folder = Folder::new().with("t.csv", file(&sequences));
    let splits = folder.load(&format!("{TABLE}channels = ['a']\ntest_fraction = 0.1")).unwrap();
    assert_eq!(splits.train.class_counts(), [63, 7]);
    assert_eq!(splits.validation.class_counts(), [18, 2]);
    assert_eq!(splits.test.unwrap().class_counts(), [9, 1]);
}

#[test]
fn a_seed_divides_alike_and_another_one_otherwise() {
    let folder = Folder::new().with("t.csv", file(&vec![(0, 0); 40]));
    let table = config(TABLE);
    let at = |seed| members(&load(&table, folder.path(), seed).unwrap());
    assert_eq!(at(1), at(1));
    assert_ne!(at(1), at(2));
}

#[test]
fn a_class_too_rare_for_every_side_is_noted() {
    let mut sequences = vec![(0, 0); 20];
    sequences.push((0, 1));
    let splits = Folder::new().with("t.csv", file(&sequences)).load(TABLE).unwrap();
    assert_eq!(splits.train.class_counts(), [16, 1]);
    let noted = |note: &String| note.ends_with("the validation split has nothing of class \"c1\"");
    assert!(splits.notes.iter().any(noted), "{:?}", splits.notes);
}

#[test]
fn a_validation_split_that_nothing_can_be_spared_for_is_noted() {
    let splits = Folder::new().with("t.csv", file(&[(0, 0)])).load(TABLE).unwrap();
    assert_eq!((splits.train.sequences.len(), splits.validation.sequences.len()), (1, 0));
    assert!(splits.notes.iter().any(|note| note.ends_with("the validation split is empty")), "{:?}", splits.notes);
    let asked_for_none = format!("{TABLE}validation_fraction = 0.0");
    let splits = Folder::new().with("t.csv", file(&[(0, 0)])).load(&asked_for_none).unwrap();
    assert!(!splits.notes.iter().any(|note| note.contains("validation")), "{:?}", splits.notes);
}

#[test]
fn named_groups_go_where_they_are_named_to() {
    let sequences: Vec<(usize, usize)> = (0..30).map(|i| (i % 6, i % 2)).collect();
    let folder = Folder::new().with("t.csv", file(&sequences));
    let groups = |dataset: &Dataset| -> Vec<String> {
        dataset
            .sequences
            .iter()
            .filter_map(|s| s.group.as_deref().map(String::from))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    let table = format!("{TABLE}group = 'group'\nvalidation_groups = ['g1', 'g4']\ntest_groups = ['g0']");
    let splits = folder.load(&table).unwrap();
    assert_eq!(groups(&splits.train), ["g2", "g3", "g5"]);
    assert_eq!(groups(&splits.validation), ["g1", "g4"]);
    assert_eq!(groups(splits.test.as_ref().unwrap()), ["g0"]);
    // The fraction of validation is then of the groups that are left.
    let table = format!("{TABLE}group = 'group'\nvalidation_fraction = 0.4\ntest_groups = ['g0']");
    let splits = folder.load(&table).unwrap();
    assert_eq!((groups(&splits.train).len(), groups(&splits.validation).len()), (3, 2));
    assert_eq!(groups(splits.test.as_ref().unwrap()), ["g0"]);
}

#[test]
fn a_group_in_two_files_is_noted() {
    let folder = Folder::new().with("t.csv", file(&[(1, 0), (2, 0)])).with("v.csv", file(&[(2, 0), (3, 0)]));
    let splits = folder.load(&format!("{TABLE}group = 'group'\nvalidation = 'v.csv'")).unwrap();
    let noted = |note: &String| note.ends_with("v.csv: 1 groups of the validation split are in training too: g2");
    assert!(splits.notes.iter().any(noted), "{:?}", splits.notes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_sequence_is_on_one_side(
        sequences in prop::collection::vec((0usize..8, 0usize..3), 10..80),
        validation in 0.0f64..0.5,
        test in 0.0f64..0.4,
        grouped: bool,
        seed: u64,
    ) {
        let groups: BTreeSet<usize> = sequences.iter().map(|(group, _)| *group).collect();
        prop_assume!(groups.len() >= 3);
        let folder = Folder::new().with("t.csv", file(&sequences));
        let group = if grouped { "group = 'group'" } else { "channels = ['a']" };
        let table = format!("{TABLE}validation_fraction = {validation:?}\ntest_fraction = {test:?}\n{group}");
        let splits = load(&config(&table), folder.path(), seed).unwrap();

        let mut all: Vec<usize> = members(&splits).concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..sequences.len()).collect::<Vec<_>>());

        let mut side_of: BTreeMap<&str, usize> = BTreeMap::new();
        for (side, dataset) in sides(&splits).into_iter().enumerate() {
            for group in dataset.iter().flat_map(|dataset| &dataset.sequences).filter_map(|s| s.group.as_deref()) {
                prop_assert_eq!(*side_of.entry(group).or_insert(side), side, "{} is on two sides", group);
            }
        }
        prop_assert_eq!(side_of.len(), if grouped { groups.len() } else { 0 });
    }
}
