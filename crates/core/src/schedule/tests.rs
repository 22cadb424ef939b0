//! Keras's own learning rates (`tests/data/plateau.json`), and the other schedules by hand.

use super::*;
use serde_json::Value;

#[test]
fn plateau_gives_kerass_rates() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/plateau.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 5, "a golden file with cases");
    for (number, case) in cases.iter().enumerate() {
        let float = |key: &str| case[key].as_f64().unwrap();
        let whole = |key: &str| case[key].as_u64().unwrap() as usize;
        let monitor = if case["mode"] == "max" { "val_accuracy" } else { "val_loss" };
        let config = ScheduleConfig::Plateau {
            monitor: Some(monitor.parse().unwrap()),
            factor: float("factor"),
            patience: whole("patience"),
            min_delta: float("min_delta"),
            cooldown: whole("cooldown"),
            min_learning_rate: float("min_lr"),
            warmup_epochs: 0,
        };
        let metrics = case["metrics"].as_array().unwrap();
        let mut schedule = Schedule::new(&config, float("initial_learning_rate"), metrics.len(), true);
        for (epoch, (metric, expected)) in metrics.iter().zip(case["learning_rates"].as_array().unwrap()).enumerate() {
            schedule.epoch_ended(epoch, metric.as_f64().unwrap());
            let (found, expected) = (schedule.learning_rate(epoch + 1, 0, 1), expected.as_f64().unwrap());
            let close = (found - expected).abs() <= 1e-9 * expected;
            assert!(close, "case {number}, epoch {epoch}: expected {expected}, found {found}");
        }
    }
}

fn rates(config: ScheduleConfig, epochs: usize, batches: usize) -> Vec<f64> {
    let schedule = Schedule::new(&config, 0.1, epochs, true);
    (0..epochs)
        .flat_map(|epoch| (0..batches).map(move |batch| (epoch, batch)))
        .map(|(epoch, batch)| schedule.learning_rate(epoch, batch, batches))
        .collect()
}

#[track_caller]
fn assert_rates(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
}

#[test]
fn step_multiplies_every_few_epochs_down_to_the_minimum() {
    let config = ScheduleConfig::Step { factor: 0.5, every: 2, min_learning_rate: 0.03, warmup_epochs: 0 };
    assert_rates(&rates(config, 7, 1), &[0.1, 0.1, 0.05, 0.05, 0.03, 0.03, 0.03]);
}

#[test]
fn cosine_ends_at_the_minimum() {
    let config = ScheduleConfig::Cosine { min_learning_rate: 0.02, warmup_epochs: 0 };
    assert_rates(&rates(config, 5, 1), &[0.1, 0.06 + 0.04 * 0.5f64.sqrt(), 0.06, 0.06 - 0.04 * 0.5f64.sqrt(), 0.02]);
}

#[test]
fn warm_up_rises_batch_by_batch_and_then_hands_over() {
    let config = ScheduleConfig::Step { factor: 0.5, every: 1, min_learning_rate: 0.0, warmup_epochs: 2 };
    assert_rates(&rates(config, 4, 2), &[0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.05, 0.05]);
}

#[test]
fn a_plateau_counts_nothing_while_warming_up() {
    let config = ScheduleConfig::Plateau {
        monitor: None,
        factor: 0.5,
        patience: 1,
        min_delta: 0.0,
        cooldown: 0,
        min_learning_rate: 0.0,
        warmup_epochs: 2,
    };
    let mut schedule = Schedule::new(&config, 0.1, 9, true);
    for epoch in 0..3 {
        schedule.epoch_ended(epoch, 1.0);
    }
    assert_eq!(schedule.learning_rate(3, 0, 1), 0.1);
    schedule.epoch_ended(3, 1.0);
    assert_eq!(schedule.learning_rate(4, 0, 1), 0.05);
}
