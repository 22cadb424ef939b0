//! Cell and size.

use emberloop_core::config::{CellName, Keep, ScheduleConfig};
use emberloop_findings::{Cause, Fix};

use super::{Scene, Suspect};

/// Too few units.
pub fn capacity_small(scene: &Scene<'_>) -> Vec<Suspect> {
    let hidden = &scene.config.model.hidden;
    let narrowest = hidden.iter().copied().min().unwrap_or(0);
    let what = format!("the narrowest layer has {narrowest} unit{}", if narrowest == 1 { "" } else { "s" });
    // The network must be able to hold as many directions as there are classes to tell apart.
    let few = scene.classes().clamp(4, 16);
    let strangeness = if narrowest >= 2 * few { 0.0 } else { 1.0 - (narrowest as f64 - 1.0) / (1.5 * few as f64) };
    let fix = Fix::set("model.hidden", hidden.iter().map(|&units| units.max(32)).collect::<Vec<_>>());
    let reference = scene.reference;
    let suspect = Suspect::new(Cause::CapacitySmall, strangeness, what, vec![fix]).with("units", narrowest);
    vec![suspect.with("training_skill", reference.train.skill).with("validation_skill", reference.validation.skill)]
}

/// Learned by heart.
pub fn overfitting(scene: &Scene<'_>) -> Vec<Suspect> {
    let reference = scene.reference;
    let (training, model) = (&scene.config.training, &scene.config.model);
    // A part of the data is learned by heart sooner than the whole.
    let Some(checkpoint) = reference.checkpoint.as_ref().filter(|_| scene.is_whole()) else { return Vec::new() };
    if scene.splits.validation.sequences.is_empty() {
        return Vec::new();
    }
    let gap = reference.train.skill - reference.validation.skill;
    let losses: Vec<f64> =
        reference.watch.epochs.iter().filter_map(|epoch| epoch.metrics.get("val_loss").copied()).collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let last = losses.last().copied().unwrap_or(least);
    let rise = if least > 0.0 { last / least - 1.0 } else { 0.0 };
    let numbers = checkpoint.metadata.architecture.parameters();
    let unguarded = [
        model.dropout < 0.1,
        training.early_stopping.is_none(),
        training.keep == Keep::Last,
        numbers > 30 * scene.sequences,
    ];
    let guards = unguarded.iter().filter(|unguarded| **unguarded).count() as f64 / unguarded.len() as f64;
    // A loss that rises while every answer stays right is a matter of confidence alone.
    if gap < 0.1 && (rise < 0.3 || reference.validation.skill > 0.97 || gap < 0.02) {
        return Vec::new();
    }
    let what = format!(
        "training goes better than validation by {:.2} of skill{}; {numbers} weights learn from {} sequences",
        gap.max(0.0),
        if rise >= 0.05 {
            format!(", and the validation loss ends {:.0} % above its least", 100.0 * rise)
        } else {
            String::new()
        },
        scene.sequences
    );
    let units: Vec<usize> = model.hidden.iter().map(|&units| units.min(32)).collect();
    let fix = Fix::set("model.hidden", units)
        .and("model.dropout", model.dropout.max(0.3))
        .and("training.keep", "best")
        .and("training.early_stopping.patience", (training.epochs / 4).clamp(5, 15));
    let strangeness = guards * (0.5 * gap.max(0.0) + 0.5 * rise.clamp(0.0, 1.0)) * 1.5;
    let suspect = Suspect::new(Cause::CapacityLarge, strangeness, what, vec![fix]);
    vec![suspect.with("skill_gap", gap).with("validation_loss_rise", rise).with("weights", numbers)]
}

/// A plain RNN over many steps.
pub fn vanishing(scene: &Scene<'_>) -> Vec<Suspect> {
    let steps = scene.steps();
    if scene.config.model.cell != CellName::Rnn || steps < 20 {
        return Vec::new();
    }
    let what = format!("a plain RNN reads up to {steps} steps, over which its gradient vanishes (Bengio et al. 1994)");
    let mut fixes = vec![Fix::set("model.cell", "gru"), Fix::set("model.cell", "lstm")];
    if scene.can_take_the_mean() {
        fixes.push(Fix::set("model.cell", "gru").and("model.head", "mean"));
    }
    let long = (steps as f64 / 20.0).log10();
    vec![Suspect::new(Cause::GradientVanishing, 0.4 + 0.5 * long, what, fixes).with("steps", steps)]
}

/// Whether the rate is lowered by a schedule at all.
pub fn has_schedule(schedule: &ScheduleConfig) -> bool {
    !matches!(schedule, ScheduleConfig::None { .. })
}
