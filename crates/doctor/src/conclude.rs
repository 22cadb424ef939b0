//! From what was seen to findings.

use emberloop_core::{
    Config,
    config::{ClipConfig, LossConfig, OptimizerConfig, TrainingConfig},
};
use emberloop_data::{Splits, Targets};
use emberloop_findings::{Cause, Confidence, Finding, Fix};
use serde_json::{Map, Value, json};

use crate::examine::{ExamineError, Of, Options, Task, Tried};
use crate::explain::explanation;
use crate::probe::Probe;
use crate::study::sample;
use crate::suspects::{Scene, Suspect, round};
use crate::trial::{self, Trial};
use crate::watch::quantile;

/// Skill that a fix must gain to be believed.
const GAIN: f64 = 0.08;
/// Skill at which nothing is wrong enough to be a cause without proof.
const GOOD: f64 = 0.85;
/// A gate of which so much is shut or open is saturated.
const SATURATED: f64 = 0.5;

/// Whether a gain is more than chance: beyond one and a half standard errors. Both models are judged on the same sequences, so
/// that much of their errors is the same.
fn is_real(tried: &Tried, reference: &Trial) -> bool {
    tried.gain > GAIN.max(1.5 * tried.validation.error.max(reference.validation.error))
}

/// How much of what could be gained a fix gains.
fn recovery(tried: &Tried) -> f64 {
    let room = (0.9 - (tried.validation.skill - tried.gain)).max(0.1);
    (tried.gain / room).clamp(0.0, 1.0)
}

/// The words for what a fix did.
fn effect(tried: &Tried, reference: &Trial) -> String {
    format!(
        "with the fix, validation skill goes from {:.2} to {:.2}",
        reference.validation.skill, tried.validation.skill
    )
}

/// Findings of the data, with what their fixes did.
pub fn data(found: Vec<Finding>, tasks: &[Task], tried: &[Option<Tried>], reference: &Trial) -> Vec<Finding> {
    let mut all = found;
    for (task, tried) in tasks.iter().zip(tried) {
        let (Of::Data(place), Some(tried)) = (task.of, tried) else { continue };
        let finding = &mut all[place];
        finding.evidence.insert("skill_before".into(), json!(reference.validation.skill));
        finding.evidence.insert("skill_with_fix".into(), json!(tried.validation.skill));
        if is_real(tried, reference) {
            finding.summary += &format!("; {}", effect(tried, reference));
            finding.score = 0.5 * finding.score + 0.5 * recovery(tried);
            if finding.confidence == Confidence::Medium && finding.score >= 0.4 {
                finding.confidence = Confidence::High;
            }
        } else {
            finding.score *= 0.6;
            // Uneven classes that are all told apart, or scales that are learned all the same, are no harm. What is no
            // data (padding, cut lengths) is a fault whatever the number says.
            let harmless = matches!(finding.id, Cause::ClassImbalance | Cause::FeaturesUnscaled | Cause::Outliers);
            if harmless && reference.validation.skill > GOOD {
                finding.confidence = finding.confidence.min(Confidence::Medium);
            }
        }
    }
    all
}

/// Suspects whose fix helps, or which are so strange that they need no proof.
pub fn suspects(suspects: &[Suspect], tasks: &[Task], tried: &[Option<Tried>], reference: &Trial) -> Vec<Finding> {
    let findings = suspects.iter().enumerate().filter_map(|(place, suspect)| {
        let outcomes = Suspect::outcomes(place, tasks, tried);
        let best = outcomes.iter().max_by(|a, b| a.gain.total_cmp(&b.gain))?;
        let real = is_real(best, reference);
        let confidence = match (real, suspect.strangeness) {
            (true, 0.4..) => Confidence::High,
            (true, _) => Confidence::Medium,
            // Learned by heart is seen in the curves: it needs no other training to prove it.
            (false, 0.6..) if suspect.cause == Cause::CapacityLarge => Confidence::High,
            (false, 0.75..) if reference.validation.skill < GOOD => Confidence::Medium,
            (false, 0.4..) => Confidence::Low,
            (false, _) => return None,
        };
        let mut evidence = suspect.evidence.clone();
        evidence.insert("skill_before".into(), json!(reference.validation.skill));
        evidence.insert("skill_with_fix".into(), json!(best.validation.skill));
        let summary = match real {
            true => format!("{}; {}", suspect.what, effect(best, reference)),
            false => suspect.what.clone(),
        };
        let score = 0.5 * suspect.strangeness + if real { 0.5 * recovery(best) } else { 0.0 };
        Some(Finding {
            id: suspect.cause,
            confidence,
            summary,
            evidence,
            explanation: explanation(suspect.cause).into(),
            fix: best.fix.clone(),
            score,
        })
    });
    findings.collect()
}

fn finding(id: Cause, confidence: Confidence, score: f64, summary: String, evidence: Value, fix: Fix) -> Finding {
    let evidence = match evidence {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Finding { id, confidence, summary, evidence, explanation: explanation(id).into(), fix, score }
}

/// Nothing helps, and nothing else sees a relation either.
pub fn unrelated(
    scene: &Scene<'_>,
    tried: &[Tried],
    linear: Option<(f64, f64)>,
    findings: &[Finding],
) -> Option<Finding> {
    let scores = tried.iter().map(|tried| &tried.validation).chain([&scene.reference.validation]);
    let best = scores.max_by(|a, b| a.skill.total_cmp(&b.skill))?;
    let n = scene.sequences;
    let per_class = n / scene.classes().max(1);
    let nothing = best.skill < (2.0 * best.error).max(0.1);
    let linear_nothing = linear.is_none_or(|(skill, error)| skill < 2.0 * error);
    let explained = findings.iter().any(|finding| finding.confidence == Confidence::High && finding.score > 0.5);
    if !nothing || !linear_nothing || explained || n < 20 || per_class < 5 || !best.is_known() {
        return None;
    }
    // Few sequences, or one witness less, are no certainty.
    let confidence = match linear.is_some() && best.error < 0.15 {
        true => Confidence::High,
        false => Confidence::Medium,
    };
    let summary = format!(
        "no training reached more than {:.2} of skill on validation data ({:.2} on its training data){}",
        best.skill.max(0.0),
        scene.reference.train.skill.max(0.0),
        linear.map_or(String::new(), |(skill, _)| format!(
            ", and a linear model on simple statistics of the inputs has {:.2}",
            skill.max(0.0)
        ))
    );
    let evidence = json!({
        "best_validation_skill": best.skill, "training_skill": scene.reference.train.skill,
        "linear_skill": linear.map(|(skill, _)| skill), "trainings": tried.len() + 1,
    });
    let advice = "check how labels and inputs were put together: print a few sequences with their labels, and look for a sort or a shuffle that moved only one of them";
    Some(finding(Cause::LabelsUnrelated, confidence, 0.7, summary, evidence, Fix::advice(advice)))
}

/// What is seen where something is wrong, and may be of use to find out what.
pub fn symptoms(scene: &Scene<'_>, probe: Option<&Probe>, linear: Option<(f64, f64)>) -> Vec<Finding> {
    [baseline(scene, linear), initial_loss(scene), clip_never(scene), probe.and_then(saturated), probe.and_then(dead)]
        .into_iter()
        .flatten()
        .collect()
}

fn baseline(scene: &Scene<'_>, linear: Option<(f64, f64)>) -> Option<Finding> {
    let validation = &scene.reference.validation;
    let broken = scene.reference.failure.is_some();
    if !broken && (!validation.is_known() || validation.skill > (1.5 * validation.error).clamp(0.03, 0.2)) {
        return None;
    }
    let mut evidence = json!({ "validation_skill": validation.skill, "linear_skill": linear.map(|(skill, _)| skill) });
    let summary = match &scene.splits.train.targets {
        _ if broken => "there is no model: the training ran into numbers that are not finite".into(),
        Targets::Classes { labels } => {
            let (share, class) = validation.majority();
            let label = labels.get(class).map_or("?", String::as_str);
            let accuracy = validation.headline;
            evidence["accuracy"] = json!(accuracy);
            if validation.confusion.is_empty() {
                format!("accuracy is {accuracy:.4}, and balanced over the classes no more than a guess has")
            } else {
                evidence["majority_share"] = json!(share);
                evidence["largest_answer_share"] = json!(validation.largest_answer());
                match validation.largest_answer() > 0.99 && (accuracy - share).abs() < 0.01 {
                    true => format!(
                        "accuracy is stuck at {accuracy:.4} because {:.2} % of the labels are {label:?}: the model says {label:?} whatever it sees",
                        100.0 * share
                    ),
                    false => format!(
                        "accuracy is {accuracy:.4}, and saying {label:?} always has {share:.4}: nothing was learned about the input"
                    ),
                }
            }
        }
        Targets::Values { .. } => {
            evidence["r2"] = json!(validation.headline);
            match validation.headline < -0.1 {
                true => format!("R^2 is {:.4}: the mean of the targets is a better answer", validation.headline),
                false => format!("R^2 is {:.4}: the mean of the targets is as good an answer", validation.headline),
            }
        }
    };
    let fix = Fix::advice("mend what the other findings name; this one says only that nothing was learned");
    Some(finding(Cause::NoBetterThanBaseline, Confidence::Medium, 0.05, summary, evidence, fix))
}

fn initial_loss(scene: &Scene<'_>) -> Option<Finding> {
    let classes = scene.classes();
    let plain = match &scene.config.training.loss {
        None => true,
        Some(LossConfig::CrossEntropy { class_weights, .. }) => class_weights.is_none(),
        Some(LossConfig::Mse {} | LossConfig::Mae {} | LossConfig::Huber { .. }) => false,
    };
    // A log has the mean of an epoch, not the first loss.
    if classes < 2 || !plain || scene.reference.watch.is_logged {
        return None;
    }
    let first = scene.reference.watch.steps.first()?.loss;
    let expected = (classes as f64).ln();
    if first < 1.6 * expected + 0.3 {
        return None;
    }
    let summary = format!("the first loss is {first:.3}, and ln({classes}) is {expected:.3}");
    let fix = Fix::advice("look at the scale of the inputs");
    let evidence = json!({ "first_loss": first, "expected": expected });
    Some(finding(Cause::InitialLoss, Confidence::Low, 0.1, summary, evidence, fix))
}

/// A limit that no gradient ever reached, though some were far larger than usual.
fn clip_never(scene: &Scene<'_>) -> Option<Finding> {
    let Some(ClipConfig::Norm(limit)) = scene.config.training.clip else { return None };
    let norms = || scene.reference.watch.steps.iter().map(|step| step.norm);
    let (median, largest) = (quantile(norms(), 0.5), quantile(norms(), 1.0));
    if scene.reference.watch.is_logged || largest >= limit || largest < 20.0 * median {
        return None;
    }
    let summary = format!(
        "clipping to a norm of {limit} never bites: the largest of the gradients has {largest:.2e}, and half of them at most {median:.2e}"
    );
    let fix = Fix::set("training.clip.norm", round(5.0 * median));
    let evidence = json!({ "clip": limit, "largest_gradient_norm": largest, "gradient_norm": median });
    Some(finding(Cause::ClipNever, Confidence::Low, 0.1, summary, evidence, fix))
}

fn saturated(probe: &Probe) -> Option<Finding> {
    let (gate, share) = probe.most_saturated()?;
    if share < SATURATED {
        return None;
    }
    let summary = format!("{:.0} % of the values of the {gate} are below 0.02 or beyond 0.98", 100.0 * share);
    let fix = Fix::advice("scale the inputs, or lower the learning rate");
    let gates = probe.layers.iter().flat_map(|layer| {
        let share = |gate: &crate::probe::GateProbe| json!({ "below_0.02": gate.low, "beyond_0.98": gate.high });
        layer.gates.iter().map(move |gate| (format!("{} gate of {}", gate.gate, layer.name), share(gate)))
    });
    let evidence = json!({ "gate": gate, "share": share, "gates": gates.collect::<Map<_, _>>() });
    Some(finding(Cause::GatesSaturated, Confidence::Low, 0.2, summary, evidence, fix))
}

fn dead(probe: &Probe) -> Option<Finding> {
    let worst = probe.layers.iter().max_by(|a, b| a.dead.total_cmp(&b.dead))?;
    if worst.dead < 0.25 {
        return None;
    }
    let summary = format!("{:.0} % of the units of {} never change", 100.0 * worst.dead, worst.name);
    let fix = Fix::advice("fewer units, or less regularization");
    let evidence = json!({ "layer": worst.name, "share": worst.dead });
    Some(finding(Cause::UnitsDead, Confidence::Low, 0.15, summary, evidence, fix))
}

/// What the gradient itself shows, as evidence of a finding that it vanishes: by layer, its norm in the middle of the longest
/// sequences over that at their end.
pub fn add_gradient(finding: &mut Finding, probe: &Probe) {
    if finding.id != Cause::GradientVanishing {
        return;
    }
    for layer in &probe.layers {
        let near = layer.gradient.first().copied().unwrap_or(0.0);
        let far = layer.gradient.get(layer.gradient.len() / 2).copied().unwrap_or(0.0);
        if near > 0.0 {
            finding.evidence.insert(format!("gradient_middle_to_end, {}", layer.name), json!(far / near));
        }
    }
}

/// Whether it is worth knowing that one batch can be learned: only where nothing was, for no reason seen.
pub fn wants_overfit_test(scene: &Scene<'_>, tried: &[Tried], findings: &[Finding]) -> bool {
    let best = tried.iter().map(|tried| tried.train.skill).fold(scene.reference.train.skill, f64::max);
    best < 0.5
        && !findings
            .iter()
            .any(|finding| finding.confidence == Confidence::High && finding.id != Cause::LabelsUnrelated)
}

/// Trains on 16 sequences until they should be known by heart.
pub fn cannot_overfit(scene: &Scene<'_>, options: &Options) -> Result<Option<Finding>, ExamineError> {
    const SEQUENCES: usize = 16;
    const EPOCHS: usize = 200;
    let few = sample(&scene.splits.train, SEQUENCES);
    let validation = sample(&scene.splits.validation, 0);
    let splits = Splits { train: few, validation, test: None, notes: Vec::new() };
    let mut config: Config = scene.config.clone();
    let training = TrainingConfig {
        epochs: EPOCHS,
        batch: SEQUENCES,
        optimizer: OptimizerConfig::Adam { learning_rate: 1e-2, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 },
        clip: Some(ClipConfig::Norm(1.0)),
        seed: config.training.seed,
        ..Default::default()
    };
    config.training = training;
    config.model.dropout = 0.0;
    let trial = trial::run(&config, &splits, options.cancel.clone())?;
    let skill = trial.train.skill;
    if skill > 0.8 {
        return Ok(None);
    }
    let n = splits.train.sequences.len();
    let summary = format!("{EPOCHS} epochs on {n} sequences alone reach a skill of {skill:.2} on these very sequences");
    let advice = "look at what the model gets: print the scaled inputs and targets of these sequences";
    let evidence = json!({ "skill": skill, "sequences": n, "epochs": EPOCHS });
    Ok(Some(finding(Cause::CannotOverfit, Confidence::Medium, 0.3, summary, evidence, Fix::advice(advice))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{config, score, splits, trial};

    fn tried(gain: f64, before: f64) -> Tried {
        let fix = Fix::set("model.dropout", 0.2);
        Tried { cause: Cause::DropoutStrong, fix, train: score(0.9), validation: score(before + gain), gain }
    }

    fn suspect(strangeness: f64) -> Suspect {
        let evidence = Map::new();
        let fixes = vec![Fix::set("model.dropout", 0.2)];
        Suspect { cause: Cause::DropoutStrong, strangeness, fixes, what: "much is dropped".into(), evidence }
    }

    fn confidence(strangeness: f64, gain: f64, before: f64) -> Option<Confidence> {
        let task = Task { of: Of::Suspect(0), cause: Cause::DropoutStrong, fix: Fix::set("model.dropout", 0.2) };
        let found = suspects(&[suspect(strangeness)], &[task], &[Some(tried(gain, before))], &trial(before, []));
        found.first().map(|finding| finding.confidence)
    }

    #[test]
    fn only_what_helps_is_certain() {
        assert_eq!(confidence(0.9, 0.4, 0.3), Some(Confidence::High));
        assert_eq!(confidence(0.9, 0.0, 0.3), Some(Confidence::Medium), "very strange, and the model is bad");
        assert_eq!(confidence(0.9, 0.0, 0.95), Some(Confidence::Low), "very strange, and no harm");
        assert_eq!(confidence(0.3, 0.4, 0.3), Some(Confidence::Medium), "hardly strange");
        assert_eq!(confidence(0.3, 0.05, 0.3), None, "no more than chance");
    }

    #[test]
    fn a_model_is_stuck_only_if_it_says_one_thing() {
        let (config, splits) = (config(), splits(60, 30));
        let said = |confusion: Vec<Vec<usize>>, accuracy: f64| {
            let mut reference = trial(0.0, []);
            reference.validation.confusion = confusion;
            reference.validation.headline = accuracy;
            reference.validation.n = 100;
            let scene =
                Scene { config: &config, epochs: 60, sequences: 60, batch: 32, splits: &splits, reference: &reference };
            baseline(&scene, None).unwrap().summary
        };
        let stuck = said(vec![vec![40, 0, 0], vec![30, 0, 0], vec![30, 0, 0]], 0.4);
        assert!(stuck.starts_with("accuracy is stuck at 0.4000 because 40.00 % of the labels are \"0\""), "{stuck}");
        let guessing = said(vec![vec![20, 10, 10], vec![15, 10, 5], vec![10, 10, 10]], 0.4);
        assert!(guessing.contains("nothing was learned"), "{guessing}");
    }
}
