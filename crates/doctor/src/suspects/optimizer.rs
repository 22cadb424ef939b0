//! Rate, clipping, batch.

use emberloop_core::config::{ClipConfig, OptimizerConfig};
use emberloop_findings::{Cause, Fix};

use super::{Scene, Suspect, decades_above};
use crate::watch::quantile;

/// The key of the learning rate.
pub const RATE: &str = "training.optimizer.learning_rate";

/// The rates that an optimizer trains small recurrent networks with (smallest, usual, largest).
fn usual_rates(optimizer: &OptimizerConfig) -> (f64, f64, f64) {
    match optimizer {
        OptimizerConfig::Adam { .. } | OptimizerConfig::Adamw { .. } => (5e-4, 2e-3, 1e-2),
        OptimizerConfig::Rmsprop { .. } => (5e-4, 2e-3, 1e-2),
        OptimizerConfig::Sgd { .. } => (3e-3, 5e-2, 0.5),
    }
}

/// Too long or too short steps.
pub fn learning_rate(scene: &Scene<'_>) -> Vec<Suspect> {
    let optimizer = &scene.config.training.optimizer;
    let rate = optimizer.learning_rate();
    let (smallest, usual, largest) = usual_rates(optimizer);
    let fix = |rate: f64| Fix::set(RATE, rate);
    let updates = &scene.reference.watch.updates;
    let update = (!updates.is_empty()).then(|| quantile(updates.iter().map(|update| update.ratio), 0.5));
    let moves = update.map(|update| format!("; one step moves the weights by {}", percent(update))).unwrap_or_default();
    let above = decades_above(rate, largest);
    let below = decades_above(smallest, rate);
    let suspect = |cause, strangeness, what: String, fixes| {
        let suspect = Suspect::new(cause, strangeness, what, fixes).with("learning_rate", rate);
        update.into_iter().fold(suspect, |suspect, update| suspect.with("update_to_weight_ratio", update))
    };
    if above > 0.0 {
        let what = format!("the learning rate is {rate}, where {smallest} to {largest} are usual{moves}");
        return vec![suspect(Cause::LearningRateHigh, 0.3 + above, what, vec![fix(usual), fix(largest / 2.0)])];
    }
    if below > 0.0 {
        let what = format!("the learning rate is {rate}, where {smallest} to {largest} are usual{moves}");
        return vec![suspect(Cause::LearningRateLow, 0.3 + below, what, vec![fix(usual), fix(largest / 2.0)])];
    }
    Vec::new()
}

/// A share in per cent, with as many digits as it takes.
pub fn percent(share: f64) -> String {
    match 100.0 * share {
        percent if percent >= 0.1 => format!("{percent:.1} %"),
        percent => format!("{percent:.1e} %"),
    }
}

/// A limit far below every gradient.
pub fn clip(scene: &Scene<'_>) -> Vec<Suspect> {
    let Some(limit) = scene.config.training.clip else { return Vec::new() };
    let norms = || scene.reference.watch.steps.iter().map(|step| step.norm);
    let median = quantile(norms(), 0.5);
    let (limit, key) = match limit {
        ClipConfig::Norm(limit) => (limit, "norm"),
        ClipConfig::Value(limit) => (limit, "value"),
    };
    let unit = if scene.reference.watch.is_logged { "epochs" } else { "steps" };
    let bites = norms().filter(|norm| *norm > limit).count() as f64 / scene.reference.watch.steps.len().max(1) as f64;
    if bites < 0.95 {
        return Vec::new();
    }
    let what = format!(
        "clipping to a {key} of {limit} bites in {} of the {unit}: the gradient's norm is {median:.2e} (median)",
        percent(bites)
    );
    let fix = Fix { unset: vec!["training.clip".into()], ..Fix::set("training.clip.norm", 1.0) };
    let suspect = Suspect::new(Cause::ClipAlways, decades_above(median, limit) / 3.0, what, vec![fix]);
    vec![suspect.with("clip", limit).with("gradient_norm", median).with("share_clipped", bites)]
}

/// Steps before a spike that it is held against, and after it in which it does harm.
const BEFORE: usize = 20;
const AFTER: usize = 5;

/// A gradient that now and then is far larger than in the steps before, does damage to the loss, and nothing against it.
pub fn explosion(scene: &Scene<'_>) -> Vec<Suspect> {
    let watch = &scene.reference.watch;
    if scene.config.training.clip.is_some() || watch.is_logged {
        return Vec::new();
    }
    let first = watch.steps.first().map_or(0.0, |step| step.loss);
    let spike = |at: usize| {
        let before = &watch.steps[at - BEFORE..at];
        let usual = quantile(before.iter().map(|step| step.norm), 0.5);
        let loss = quantile(before.iter().map(|step| step.loss), 0.5);
        let after = watch.steps[at + 1..].iter().take(AFTER).map(|step| step.loss).fold(0.0, f64::max);
        let harm = after > 2.0 * loss + 0.2 * first;
        (harm && watch.steps[at].norm > 10.0 * usual).then_some((usual, watch.steps[at].norm))
    };
    let spikes: Vec<(f64, f64)> = (BEFORE..watch.steps.len()).filter_map(spike).collect();
    let worst = spikes.iter().copied().max_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (what, growth) = match (worst, &scene.reference.failure) {
        (Some((usual, norm)), _) => (
            format!(
                "the gradient's norm jumps from {usual:.2e} to {norm:.2e} and the loss with it, {} times, and nothing clips it",
                spikes.len()
            ),
            norm / usual.max(1e-12),
        ),
        (None, Some(failure)) => (format!("{failure}; nothing clips the gradient"), 100.0),
        (None, None) => return Vec::new(),
    };
    let fix = Fix::set("training.clip.norm", 1.0);
    let suspect = Suspect::new(Cause::GradientExploding, decades_above(growth, 3.0) / 3.0, what, vec![fix]);
    vec![suspect.with("growth", growth).with("spikes", spikes.len())]
}

/// So few steps in an epoch that an epoch is next to nothing.
pub fn batch_large(scene: &Scene<'_>) -> Vec<Suspect> {
    let training = &scene.config.training;
    let (sequences, batches) = (scene.sequences, scene.batches());
    let step = scene.batch * training.accumulate;
    // A few dozen sequences are a batch by themselves.
    if batches > 6 || step <= 32 || sequences <= 40 {
        return Vec::new();
    }
    let total = batches * scene.epochs;
    let strangeness = [1.0, 0.85, 0.7, 0.55, 0.45, 0.35][batches.max(1) - 1];
    let few = decades_above(1000.0, total as f64);
    let what = format!(
        "a step of the optimizer takes {} of {sequences} sequences: an epoch is {batches} step{}, the whole training {total}",
        step.min(sequences),
        if batches == 1 { "" } else { "s" },
    );
    let size = (sequences / 20).clamp(4, 32);
    let mut fix = Fix::set("training.batch", size);
    if training.accumulate > 1 {
        fix.unset.push("training.accumulate".into());
    }
    let suspect = Suspect::new(Cause::BatchLarge, strangeness + 0.2 * few, what, vec![fix]);
    vec![suspect.with("batch", step).with("steps_per_epoch", batches).with("steps", total)]
}

/// Gradients of one or two sequences.
pub fn batch_small(scene: &Scene<'_>) -> Vec<Suspect> {
    let training = &scene.config.training;
    let step = scene.batch * training.accumulate;
    if step > 2 || scene.batches() < 20 {
        return Vec::new();
    }
    let norms = || scene.reference.watch.steps.iter().map(|step| step.norm);
    let spread = quantile(norms(), 0.9) / quantile(norms(), 0.5).max(1e-12);
    let what = format!("a step of the optimizer sees {step} sequence{}", if step == 1 { "" } else { "s" });
    let suspect = Suspect::new(Cause::BatchSmall, 0.5, what, vec![Fix::set("training.batch", 16)]);
    vec![suspect.with("batch", step).with("gradient_norm_90_to_50", spread)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{config, splits, trial};
    use crate::trial::Trial;

    fn found(
        rule: fn(&Scene<'_>) -> Vec<Suspect>,
        change: impl Fn(&mut emberloop_core::Config),
        reference: &Trial,
    ) -> Vec<Suspect> {
        let (mut config, splits) = (config(), splits(300, 30));
        change(&mut config);
        let (epochs, batch) = (config.training.epochs, config.training.batch);
        rule(&Scene { config: &config, epochs, sequences: 300, batch, splits: &splits, reference })
    }

    #[test]
    fn a_gradient_that_fades_as_the_model_converges_does_not_explode() {
        let converging = trial(1.0, (0..500).map(|step| (0.98f64.powi(step), 2.0 * 0.98f64.powi(step))));
        assert!(found(explosion, |_| (), &converging).is_empty());
    }

    #[test]
    fn a_spike_that_takes_the_loss_along_does() {
        let steps = |spike: f64, after: f64| {
            (0..100).map(move |step| if step == 60 { (0.5, spike) } else { (if step > 60 { after } else { 0.5 }, 1.0) })
        };
        assert_eq!(found(explosion, |_| (), &trial(0.2, steps(80.0, 3.0)))[0].cause, Cause::GradientExploding);
        assert!(found(explosion, |_| (), &trial(0.9, steps(80.0, 0.5))).is_empty(), "no harm was done");
        assert!(found(explosion, |_| (), &trial(0.2, steps(2.0, 3.0))).is_empty(), "no spike");
        let clipped = |config: &mut emberloop_core::Config| config.training.clip = Some(ClipConfig::Norm(1.0));
        assert!(found(explosion, clipped, &trial(0.2, steps(80.0, 3.0))).is_empty());
    }

    #[test]
    fn a_rate_is_strange_by_its_optimizer() {
        let with = |rate: f64, sgd: bool| {
            let change = move |config: &mut emberloop_core::Config| {
                config.training.optimizer = match sgd {
                    false => {
                        OptimizerConfig::Adam { learning_rate: rate, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
                    }
                    true => {
                        OptimizerConfig::Sgd { learning_rate: rate, momentum: 0.9, nesterov: false, weight_decay: 0.0 }
                    }
                };
            };
            found(learning_rate, change, &trial(0.5, [])).first().map(|suspect| suspect.cause)
        };
        assert_eq!([with(1e-3, false), with(0.1, true)], [None; 2]);
        assert_eq!(with(0.1, false), Some(Cause::LearningRateHigh));
        assert_eq!([with(1e-5, false), with(1e-4, true)], [Some(Cause::LearningRateLow); 2]);
    }

    #[test]
    fn batches_are_counted_over_all_the_data() {
        let large = |config: &mut emberloop_core::Config| config.training.batch = 300;
        let suspect = &found(batch_large, large, &trial(0.3, []))[0];
        assert!(suspect.strangeness > 0.9 && suspect.evidence["steps_per_epoch"] == 1, "{suspect:?}");
        // Of 300 sequences that are trained on there are 30,000.
        let (mut config, splits) = (config(), splits(300, 30));
        large(&mut config);
        let reference = &trial(0.3, []);
        let scene = Scene { config: &config, epochs: 60, sequences: 30_000, batch: 300, splits: &splits, reference };
        assert!(batch_large(&scene).is_empty());
    }
}
