//! How long, and at which rate when.

use emberloop_core::config::ScheduleConfig;
use emberloop_findings::{Cause, Fix};

use super::model::has_schedule;
use super::{Scene, Suspect};

/// A schedule that is at its end when the training is at its beginning.
pub fn decay(scene: &Scene<'_>) -> Vec<Suspect> {
    let training = &scene.config.training;
    // A cosine ends where the training ends, whatever it is.
    if !has_schedule(&training.schedule) || matches!(training.schedule, ScheduleConfig::Cosine { .. }) {
        return Vec::new();
    }
    let base = training.optimizer.learning_rate();
    let epochs = &scene.reference.watch.epochs;
    let warmup = training.schedule.warmup_epochs();
    let low = epochs.iter().skip(warmup).position(|epoch| epoch.learning_rate < 0.15 * base);
    let Some(low) = low.map(|place| place + warmup) else { return Vec::new() };
    // In epochs of the user's own training, and in steps: a rate may fall when enough was learned.
    let steps = low * scene.batches();
    let share = low as f64 / training.epochs as f64;
    let last = epochs.last().map_or(base, |epoch| epoch.learning_rate);
    let what = format!(
        "the schedule has lowered the learning rate from {base} to less than a sixth after {low} of {} epochs, and to {last:.1e} in the end",
        training.epochs
    );
    let patience = (training.epochs / 8).clamp(4, 10);
    let calm = Fix { unset: vec!["training.schedule".into()], ..Fix::set("training.schedule.kind", "plateau") }
        .and("training.schedule.factor", 0.5)
        .and("training.schedule.patience", patience);
    let early = (1.15 - 2.2 * share).min(1.2 - steps as f64 / 3000.0);
    let suspect = Suspect::new(Cause::ScheduleEarly, early, what, vec![Fix::unset("training.schedule"), calm]);
    vec![suspect.with("epoch", low).with("epochs", training.epochs).with("last_learning_rate", last)]
}

/// Training that ends while the loss still falls.
pub fn epochs(scene: &Scene<'_>) -> Vec<Suspect> {
    let epochs = scene.epochs;
    let total = epochs * scene.batches();
    if epochs >= 15 {
        return still_falling(scene).into_iter().collect();
    }
    let what = format!("training ends after {epochs} epoch{}, {total} steps", if epochs == 1 { "" } else { "s" });
    let strangeness = [1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.4, 0.4, 0.35, 0.3, 0.3, 0.3, 0.3][epochs]
        * (1.2 - total as f64 / 4000.0).clamp(0.3, 1.0);
    let fix = Fix::set("training.epochs", 40);
    vec![Suspect::new(Cause::EpochsFew, strangeness, what, vec![fix]).with("epochs", epochs).with("steps", total)]
}

/// Epochs, the last of which is the best by far.
fn still_falling(scene: &Scene<'_>) -> Option<Suspect> {
    let epochs = &scene.reference.watch.epochs;
    let loss = |epoch: &emberloop_core::EpochReport| {
        epoch.metrics.get("val_loss").or_else(|| epoch.metrics.get("loss")).copied().unwrap_or(f64::NAN)
    };
    // Of a part of the epochs the last is no end.
    if !scene.is_whole() || epochs.len() < scene.epochs || scene.reference.validation.skill > 0.97 {
        return None;
    }
    let least = |part: &[emberloop_core::EpochReport]| part.iter().map(loss).fold(f64::INFINITY, f64::min);
    let (early, late) = epochs.split_at(epochs.len() - epochs.len() / 5);
    let (before, last) = (least(early), least(late));
    let fall = if before > 0.0 { 1.0 - last / before } else { 0.0 };
    if fall.is_nan() || fall < 0.05 {
        return None;
    }
    let what = format!(
        "the loss still falls when training ends after {} epochs: by {:.0} % in the last fifth",
        epochs.len(),
        100.0 * fall
    );
    let fix = Fix::set("training.epochs", 3 * scene.epochs);
    Some(Suspect::new(Cause::EpochsFew, 0.4 + fall, what, vec![fix]).with("epochs", epochs.len()).with("fall", fall))
}

/// Back-propagation through a small part of the sequence.
pub fn truncation(scene: &Scene<'_>) -> Vec<Suspect> {
    let Some(truncate) = scene.config.training.truncate else { return Vec::new() };
    let steps = scene.steps();
    let share = truncate as f64 / steps.max(1) as f64;
    let what = format!("gradients pass {truncate} of up to {steps} steps (truncate)");
    let suspect = Suspect::new(Cause::TruncateShort, 1.0 - 2.0 * share, what, vec![Fix::unset("training.truncate")]);
    vec![suspect.with("truncate", truncate).with("steps", steps)]
}
