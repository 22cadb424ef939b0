//! What is set against learning by heart, and may be set against learning.

use emberloop_core::config::{ClassWeights, LossConfig, OptimizerConfig};
use emberloop_findings::{Cause, Fix};

use super::{Scene, Suspect, decades_above};

/// Dropout.
pub fn dropout(scene: &Scene<'_>) -> Vec<Suspect> {
    let dropout = scene.config.model.dropout;
    let what = format!("dropout takes away {:.0} % of the features", 100.0 * dropout);
    let fix = Fix::set("model.dropout", 0.2);
    vec![Suspect::new(Cause::DropoutStrong, (dropout - 0.4) / 0.4, what, vec![fix]).with("dropout", dropout)]
}

/// Weight decay, L1 and L2.
pub fn penalty(scene: &Scene<'_>) -> Vec<Suspect> {
    let training = &scene.config.training;
    // Strange from the first number on, unheard of two decades above.
    let (decay, from) = match training.optimizer {
        OptimizerConfig::Adamw { weight_decay, .. } => (weight_decay, 0.3),
        OptimizerConfig::Adam { weight_decay, .. }
        | OptimizerConfig::Rmsprop { weight_decay, .. }
        | OptimizerConfig::Sgd { weight_decay, .. } => (weight_decay, 3e-3),
    };
    let penalties = [
        ("training.optimizer.weight_decay", decay, from),
        ("training.l2", training.l2, 2e-3),
        ("training.l1", training.l1, 3e-4),
    ];
    let strange = penalties.into_iter().filter(|(_, value, from)| value > from);
    let worst = strange.max_by(|(_, a, from_a), (_, b, from_b)| (a / from_a).total_cmp(&(b / from_b)));
    let Some((key, value, from)) = worst else { return Vec::new() };
    let what = format!("{key} is {value}, which pulls the weights to 0");
    let suspect = Suspect::new(
        Cause::RegularizationStrong,
        0.3 + 0.5 * decades_above(value, from),
        what,
        vec![Fix::set(key, 0.0)],
    );
    vec![suspect.with(key.rsplit('.').next().unwrap_or(key), value)]
}

/// Label smoothing.
pub fn label_smoothing(scene: &Scene<'_>) -> Vec<Suspect> {
    let Some(LossConfig::CrossEntropy { label_smoothing, .. }) = scene.config.training.loss else { return Vec::new() };
    let what = format!("label_smoothing spreads {:.0} % of each label over all classes", 100.0 * label_smoothing);
    let fix = Fix::set("training.loss.label_smoothing", 0.1);
    let suspect = Suspect::new(Cause::LabelSmoothingStrong, (label_smoothing - 0.2) / 0.5, what, vec![fix]);
    vec![suspect.with("label_smoothing", label_smoothing)]
}

/// Class weights that are far from those that would balance the classes.
pub fn class_weights(scene: &Scene<'_>) -> Vec<Suspect> {
    let Some(LossConfig::CrossEntropy { class_weights: Some(ClassWeights::List(weights)), .. }) =
        &scene.config.training.loss
    else {
        return Vec::new();
    };
    let counts = scene.splits.train.class_counts();
    // How much of the loss each class is: n times weight, of the classes that are there.
    let shares: Vec<f64> =
        weights.iter().zip(&counts).filter(|(_, n)| **n > 0).map(|(weight, n)| weight * *n as f64).collect();
    let (largest, smallest) =
        (shares.iter().copied().fold(0.0, f64::max), shares.iter().copied().fold(f64::MAX, f64::min));
    // What the data's own unevenness makes of equal weights is no distortion.
    let present = || counts.iter().filter(|n| **n > 0).map(|n| *n as f64);
    let own = present().fold(0.0, f64::max) / present().fold(f64::MAX, f64::min).max(1.0);
    let ratio = largest / smallest.max(largest * 1e-9) / own.max(1.0);
    if shares.len() < 2 || ratio < 5.0 {
        return Vec::new();
    }
    let what =
        format!("the class weights make one class count {ratio:.0} times as much as another, beyond their numbers");
    let loss = "training.loss.class_weights";
    let fixes = vec![Fix::unset(loss), Fix::set(loss, "balanced")];
    vec![Suspect::new(Cause::ClassWeights, 0.3 + 0.4 * decades_above(ratio, 5.0), what, fixes).with("ratio", ratio)]
}
