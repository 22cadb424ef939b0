//! Classes learned as numbers, and numbers learned as classes.

use super::*;

#[test]
fn codes_of_classes_in_a_regression() {
    // Codes that the inputs do not follow in order.
    let mut made = sound();
    made.y.iter_mut().for_each(|y| *y = [0, 2, 1][*y as usize]);
    let found = made.finding("task='regression'", "");
    assert_eq!((found.id, found.confidence), (Cause::LabelsAsValues, Confidence::High));
    assert!(found.explanation.contains("confuse 0 with 2"), "{}", found.explanation);
    for key in ["training.loss", "training.early_stopping.monitor", "training.schedule.monitor"] {
        assert!(found.fix.unset.contains(&key.to_string()), "{key}");
    }
    assert_eq!(found.fix.set["data.task"], "classification");
    assert_eq!(found.evidence["distinct"], 3);
}

/// Random inputs around a mean that depends on `levels` values of a target from `low` on, evenly used.
fn levels(low: i64, levels: usize, mean: impl Fn(usize) -> f32) -> Option<Confidence> {
    let mut noise = Noise(31);
    let y: Vec<usize> = (0..40 * levels).map(|_| noise.next() as usize % levels).collect();
    let x = y.iter().flat_map(|&level| [mean(level); ROW]).map(|mean| mean + noise.normal()).collect();
    let made = Made { x, y: y.into_iter().map(|level| low + level as i64).collect(), lengths: None };
    let found = made.findings("task='regression'", "");
    found.iter().find(|found| found.id == Cause::LabelsAsValues).map(|found| found.confidence)
}

#[test]
fn what_the_inputs_follow_in_order_is_an_amount() {
    for (low, count) in [(0, 3), (0, 7), (0, 13), (1, 5), (1, 10)] {
        let found = levels(low, count, |level| 0.5 * level as f32);
        assert!(found < Some(Confidence::High), "{low} {count}");
        // Nor need it be a line.
        assert!(levels(low, count, |level| (level as f32).sqrt()) < Some(Confidence::High), "{low} {count}");
    }
    let mixed = [3.0, 0.0, 5.0, 1.0, 4.0, 2.0, 6.0, 1.5];
    for count in [4, 5, 8] {
        assert_eq!(levels(0, count, |level| mixed[level]), Some(Confidence::High), "{count}");
    }
    // Inputs that say nothing say nothing of an order, either.
    assert!(levels(0, 6, |_| 0.0) < Some(Confidence::High));
    assert_eq!(levels(0, 2, |level| level as f32), Some(Confidence::High));
}

#[test]
fn a_count_of_events_is_an_amount() {
    for (seed, most) in [(37, 3), (41, 6), (43, 6), (47, 8), (53, 12)] {
        let mut noise = Noise(seed);
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for _ in 0..60 * most {
            let count = (noise.next() % (most + 1)) as usize;
            let mut own: Vec<f32> = (0..ROW).map(|_| 0.2 * noise.normal()).collect();
            // Each event is one step of the first channel and a slow answer of the second; the third has none of it.
            let mut steps: Vec<usize> = (0..STEPS).collect();
            for event in 0..count {
                steps.swap(event, event + noise.next() as usize % (STEPS - event));
                own[steps[event] * CHANNELS] += 1.0;
                (steps[event]..STEPS).for_each(|step| own[step * CHANNELS + 1] += 0.3);
            }
            x.extend(own);
            y.push(count as i64);
        }
        let found = Made { x, y, lengths: None }.findings("task='regression'", "");
        let found = found.iter().find(|found| found.id == Cause::LabelsAsValues);
        assert!(found.is_none_or(|found| found.confidence < Confidence::High), "{most} {found:#?}");
    }
}

#[test]
fn counts_and_readings_are_no_codes() {
    let mut noise = Noise(3);
    // Counts of rare events, from 0, falling: neither sure nor likely.
    let mut made = sound();
    made.y.iter_mut().for_each(|y| *y = (-3.0 * (1.0 - noise.even()).ln()) as i64);
    let found = made.findings("task='regression'\ntarget='y'", "");
    assert!(found.iter().all(|finding| finding.confidence < Confidence::High || finding.id != Cause::LabelsAsValues));
    // Degrees with gaps.
    made.y.iter_mut().for_each(|y| *y = 15 + (8.0 * noise.even() * noise.even()) as i64 * 7);
    let found = made.findings("task='regression'", "");
    assert!(found.iter().all(|finding| finding.confidence < Confidence::High), "{found:#?}");
}

#[test]
fn a_quantity_in_a_classification() {
    let mut noise = Noise(5);
    let mut made = sound();
    made.y.iter_mut().for_each(|y| *y = (200.0 + 60.0 * noise.normal()) as i64);
    let found = &made.findings("", "")[0];
    assert_eq!((found.id, found.confidence), (Cause::ValuesAsLabels, Confidence::High));
    assert_eq!(found.fix.set["data.task"], "regression");
    assert!(found.fix.unset.contains(&"training.loss".to_string()));
}

#[test]
fn a_quantity_that_cannot_be_loaded_as_classes() {
    let folder = tempfile::tempdir().unwrap();
    let mut noise = Noise(5);
    let rows =
        |noise: &mut Noise| (0..80).map(|at| format!("{at},{},{}\n", noise.even(), noise.normal())).collect::<String>();
    for file in ["a.csv", "b.csv"] {
        std::fs::write(folder.path().join(file), format!("s,x,v\n{}", rows(&mut noise))).unwrap();
    }
    let config: DataConfig = toml::from_str("train='a.csv'\nvalidation='b.csv'\nsequence='s'\ntarget='v'").unwrap();
    load(&config, folder.path(), 1).expect_err("the labels of b.csv are unknown");
    let found = values_as_labels(&config, folder.path()).unwrap();
    assert_eq!((found.id, found.confidence), (Cause::ValuesAsLabels, Confidence::High));
    // Names are no quantity.
    let names: String = (0..80).map(|at| format!("{at},0.5,n{at}\n")).collect();
    std::fs::write(folder.path().join("a.csv"), format!("s,x,v\n{names}")).unwrap();
    assert_eq!(values_as_labels(&config, folder.path()), None);
}
