//! Padded batches: a sequence is the same alone and beside longer ones, and masks say where it ends.

mod common;

use common::Folder;
use emberloop_data::{BatchTargets, MissingPolicy, Prepared, Scaler, ScalerKind, TargetScaler, batches, load_inputs};
use proptest::prelude::*;

const CSV: &str = "s,a,b,label,v\n1,1,2,x,0.5\n1,3,4,x,NA\n2,5,6,y,1.5\n3,7,8,x,1\n3,9,10,x,2\n3,11,12,y,3\n";

fn prepared(table: &str, scaled: bool) -> Prepared {
    let table = format!("train='t.csv'\nsequence='s'\nchannels=['a','b']\nvalidation_fraction=0.0\n{table}");
    let train = Folder::new().with("t.csv", CSV).load(&table).unwrap().train;
    let scaler = Scaler::fit(&train, ScalerKind::None, MissingPolicy::Error).unwrap();
    let targets = TargetScaler::fit(&train, scaled).unwrap();
    Prepared::new(&train, &scaler, targets.as_ref()).unwrap()
}

#[test]
fn sequences_are_padded_to_the_longest_of_their_batch() {
    let prepared = prepared("target_per='step'", false);
    let all: Vec<_> = batches(&prepared, &[1, 0, 2], 2).collect::<Result<_, _>>().unwrap();
    assert_eq!(all.len(), 2);
    let first = &all[0];
    assert_eq!((first.batch, first.steps, first.channels, first.outputs), (2, 2, 2, 2));
    assert_eq!((first.indices.as_slice(), first.lengths.as_slice()), ([1, 0].as_slice(), [1, 2].as_slice()));
    // Both first steps, then both second ones.
    assert_eq!(first.inputs, [5.0, 6.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
    assert_eq!(first.target_mask, [1.0, 1.0, 0.0, 1.0]);
    assert_eq!(first.targets, BatchTargets::StepClasses(vec![1, 0, 0, 0]));
    assert_eq!((all[1].batch, all[1].steps), (1, 3));
    assert_eq!(all[1].targets, BatchTargets::StepClasses(vec![0, 0, 1]));
}

#[test]
fn missing_values_per_step_are_masked() {
    let prepared = prepared("target_per='step'\ntask='regression'\ntarget=['v','a']", false);
    let batch = prepared.batch(&[0, 1]).unwrap();
    assert_eq!(batch.targets, BatchTargets::StepValues(vec![0.5, 1.0, 1.5, 5.0, 0.0, 3.0, 0.0, 0.0]));
    assert_eq!(batch.target_mask, [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn targets_per_sequence() {
    let csv = "s,a,b,label,v\n1,1,1,x,10\n2,1,1,y,20\n2,1,1,y,20\n";
    let table = "train='t.csv'\nsequence='s'\nchannels=['a']\nvalidation_fraction=0.0\n";
    let folder = Folder::new().with("t.csv", csv);
    let prepare = |more: &str| {
        let train = folder.load(&format!("{table}{more}")).unwrap().train;
        let scaler = Scaler::fit(&train, ScalerKind::Standard, MissingPolicy::Error).unwrap();
        Prepared::new(&train, &scaler, TargetScaler::fit(&train, true).unwrap().as_ref()).unwrap()
    };
    let batch = prepare("").batch(&[1, 0]).unwrap();
    assert_eq!((batch.targets, batch.target_mask), (BatchTargets::Classes(vec![1, 0]), vec![1.0, 1.0]));
    // 10 and 20 standardised.
    let batch = prepare("task='regression'\ntarget='v'").batch(&[1, 0]).unwrap();
    assert_eq!((batch.targets, batch.outputs), (BatchTargets::Values(vec![1.0, -1.0]), 1));
}

#[test]
fn inference_has_no_targets() {
    let table = "train='t.csv'\nsequence='s'\nchannels=['a','b']\ntarget_per='step'";
    let folder = Folder::new().with("t.csv", CSV);
    let schema = folder.load(table).unwrap().train.schema();
    let data = load_inputs(&common::config(table), &folder.path().join("t.csv"), &schema).unwrap();
    let scaler = Scaler::fit(&data, ScalerKind::None, MissingPolicy::Error).unwrap();
    let batch = Prepared::new(&data, &scaler, None).unwrap().batch(&[0, 1, 2]).unwrap();
    assert_eq!((batch.targets, batch.target_mask), (BatchTargets::Absent, vec![0.0; 3]));
}

#[test]
fn every_sequence_comes_once_in_the_order_asked_for() {
    let prepared = prepared("target_per='step'", false);
    for size in 1..5 {
        let order = [2, 0, 1];
        let found: Vec<usize> = batches(&prepared, &order, size).flat_map(|batch| batch.unwrap().indices).collect();
        assert_eq!(found, order);
        assert_eq!(batches(&prepared, &order, size).len(), 3usize.div_ceil(size));
    }
}

proptest! {
    /// What a batch holds of a sequence does not depend on what it stands beside.
    #[test]
    fn padding_changes_nothing(lengths in prop::collection::vec(1usize..7, 1..9), seed in 0u32..1000) {
        let mut csv = String::from("s,a,b,t\n");
        for (s, &length) in lengths.iter().enumerate() {
            for step in 0..length {
                let value = (s * 31 + step * 7 + seed as usize) % 101;
                csv += &format!("{s},{value},{},{}\n", value * 3 + 1, value * 2 + 1);
            }
        }
        let table = "train='t.csv'\nsequence='s'\nchannels=['a','b']\ntarget='t'\ntask='regression'\n\
                     target_per='step'\nvalidation_fraction=0.0";
        let train = Folder::new().with("t.csv", csv).load(table).unwrap().train;
        let scaler = Scaler::fit(&train, ScalerKind::Standard, MissingPolicy::Error).unwrap();
        let targets = TargetScaler::fit(&train, true).unwrap();
        let prepared = Prepared::new(&train, &scaler, targets.as_ref()).unwrap();
        let order: Vec<usize> = (0..lengths.len()).collect();
        let batch = prepared.batch(&order).unwrap();
        let BatchTargets::StepValues(together) = &batch.targets else { panic!() };
        for &sequence in &order {
            let alone = prepared.batch(&[sequence]).unwrap();
            let BatchTargets::StepValues(target) = &alone.targets else { panic!() };
            let steps = lengths[sequence];
            prop_assert_eq!(alone.steps, steps);
            prop_assert_eq!(&alone.inputs, &scaler.apply(&train.sequences[sequence]).unwrap());
            for step in 0..batch.steps {
                let place = step * batch.batch + sequence;
                let inside = step < steps;
                prop_assert_eq!(batch.target_mask[place], if inside { 1.0 } else { 0.0 });
                let expected = if inside { &alone.inputs[step * 2..][..2] } else { &[0.0, 0.0] };
                prop_assert_eq!(&batch.inputs[place * 2..][..2], expected);
                prop_assert_eq!(together[place], if inside { target[step] } else { 0.0 });
            }
        }
    }
}
