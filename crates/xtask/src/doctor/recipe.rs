//! Healthy configurations: drawn, so that no two runs of a data set are the same training.
//!
//! Whatever a fault sets, a healthy run may have as well, at a value that does no harm: that a key is there says nothing.

use super::config::Config;
use super::random::Random;
use super::sources::Set;

/// A healthy training.
pub struct Recipe {
    pub config: Config,
    /// Whether the values were standardised beforehand, by the training side alone.
    pub is_standardised: bool,
    /// Whether the validation side is a file of its own, not a fraction of the training file.
    pub own_validation: bool,
}

/// What suits a data set; the draws go around it.
struct Base {
    rate: f64,
    /// Of Adam at most.
    highest: f64,
    epochs: f64,
    /// Sequences of the training side.
    sequences: f64,
    /// What rate x steps must come to at least: less is too little training.
    least: f64,
    batches: &'static [i64],
    hidden: &'static [i64],
    dropouts: &'static [f64],
    heads: &'static [&'static str],
    scalers: &'static [&'static str],
    cells: &'static [&'static str],
    /// Half of the steps.
    truncate: i64,
}

fn base(set: Set) -> Base {
    let common = Base {
        rate: 3e-3,
        highest: 1.5e-2,
        epochs: 40.0,
        sequences: 320.0,
        least: 1.0,
        batches: &[4, 8, 16, 32],
        hidden: &[16, 24, 32, 48, 64, 96],
        dropouts: &[0.0, 0.0, 0.1, 0.3, 0.5],
        heads: &["last", "mean"],
        scalers: &["standard", "standard", "robust", "minmax", "none"],
        cells: &["gru", "lstm"],
        truncate: 14,
    };
    match set {
        Set::JapaneseVowels => Base { cells: &["gru", "lstm", "gru", "lstm", "rnn"], ..common },
        Set::BasicMotions => Base {
            rate: 4e-3,
            highest: 8e-3,
            sequences: 40.0,
            least: 1.7,
            batches: &[4, 8],
            // Some motions are far stronger than the others: a scale from least to most leaves those next to nothing.
            scalers: &["standard", "standard", "robust", "none"],
            truncate: 50,
            ..common
        },
        Set::EcgBeats => Base {
            epochs: 30.0,
            sequences: 440.0,
            scalers: &["standard", "standard", "none"],
            batches: &[8, 16, 32],
            hidden: &[16, 24, 32, 48],
            truncate: 12,
            ..common
        },
        Set::BeijingPm25 => Base {
            epochs: 25.0,
            sequences: 880.0,
            batches: &[16, 32, 64],
            hidden: &[12, 16, 24, 32, 64],
            dropouts: &[0.0, 0.1],
            heads: &["last"],
            scalers: &["standard", "standard", "robust", "none"],
            truncate: 6,
            ..common
        },
        Set::Tokens => Base {
            epochs: 25.0,
            sequences: 1800.0,
            least: 1.5,
            heads: &["last"],
            batches: &[16, 32, 64, 128],
            hidden: &[24, 32, 48, 64, 96],
            scalers: &[],
            cells: &["gru", "lstm", "gru", "lstm", "rnn"],
            truncate: 6,
            ..common
        },
    }
}

/// Draws a healthy training of one of `part` sequences.
pub fn draw(set: Set, part: usize, random: &mut Random) -> Recipe {
    let base = base(set);
    let mut config = Config::default();
    config.set("data.train", "train.npz");
    config.set("data.test", "test.npz");
    if !set.is_classes() {
        config.set("data.task", "regression");
    }
    let scaler = (set != Set::Tokens).then(|| *random.pick(base.scalers));
    match scaler {
        Some(kind) => config.set("scaler.kind", kind),
        None => config.set("data.token", "x"),
    }
    if set == Set::BeijingPm25 {
        config.set("scaler.missing", "hold_last");
    }
    let is_standardised = scaler == Some("none");
    // A fraction of beijing_pm25 overlaps with the rest, one of ecg_beats has the same minutes; and what one standardises by
    // the training side one has divided already.
    let may_divide = !matches!(set, Set::BeijingPm25 | Set::EcgBeats) && !is_standardised;
    let own_validation = !(may_divide && random.chance(0.25));
    let cell = *random.pick(base.cells);
    model(&mut config, &base, cell, random);
    training(&mut config, set, &base, cell, part, random);
    Recipe { config, is_standardised, own_validation }
}

fn model(config: &mut Config, base: &Base, cell: &str, random: &mut Random) {
    let dropout = *random.pick(base.dropouts);
    // Half of few units is too little.
    let least = if dropout >= 0.5 { 32 } else { 0 };
    let hidden = (*random.pick(base.hidden)).max(least);
    let layers = 1 + usize::from(random.chance(0.2));
    config.set("model.cell", cell);
    config.set("model.hidden", toml_edit::Array::from_iter(vec![hidden; layers]));
    config.set("model.dropout", dropout);
    config.set("model.head", *random.pick(base.heads));
    if random.chance(0.2) {
        config.set("model.bidirectional", true);
    } else if random.chance(0.1) {
        config.set("training.truncate", base.truncate);
    }
}

fn training(config: &mut Config, set: Set, base: &Base, cell: &str, part: usize, random: &mut Random) {
    let optimizer = *random.pick(&["adam", "adam", "adam", "adam", "sgd", "adamw", "rmsprop"]);
    let batch = *random.pick(base.batches);
    // It takes more steps.
    let batch = if optimizer == "sgd" { (batch / 2).max(4) } else { batch };
    let (rate, unit) = match optimizer {
        "sgd" => (random.between(3e-2, 1e-1), 20.0),
        // Its first steps are ten times the later ones.
        "rmsprop" => (random.between(1e-3, 3e-3), 1.0),
        _ if cell == "rnn" => (random.between(1e-3, 4e-3), 1.0),
        _ => (base.rate * random.between(1.0 / 6.0, 4.0), 1.0),
    };
    let rate = rate.clamp(5e-4, if optimizer == "sgd" { 0.1 } else { base.highest });
    // Who learns slowly learns longer; where that is not enough, faster.
    let steps = base.sequences / part as f64 / batch as f64;
    // Inputs from 0 to 1 are smaller than those of deviation 1.
    let slow = if config.word("scaler.kind") == Some("minmax") { 2.0 } else { 1.0 };
    let needed = base.least * unit * slow / (rate * steps);
    let epochs = (base.epochs * random.between(0.6, 1.5)).max(needed).clamp(15.0, 60.0).round();
    let rate = rate * (needed / epochs).max(1.0);
    config.set("training.epochs", epochs as i64);
    config.set("training.batch", batch);
    config.set("training.optimizer.kind", optimizer);
    config.set("training.optimizer.learning_rate", rounded(rate));
    match optimizer {
        "sgd" => config.set("training.optimizer.momentum", 0.9),
        "adamw" => config.set("training.optimizer.weight_decay", 1e-2),
        _ if random.chance(0.2) => config.set("training.optimizer.weight_decay", 1e-4),
        _ => (),
    }
    if random.chance(0.15) {
        config.set("training.l2", 1e-5);
    }
    loss(config, set, random);
    // The highest rates need it.
    if rate > 6e-3 && optimizer != "sgd" || random.chance(0.7) {
        config.set("training.clip.norm", *random.pick(&[0.5, 1.0, 1.0, 2.0, 5.0]));
    }
    schedule(config, random);
    if random.chance(0.75) {
        config.set("training.early_stopping.patience", 12);
        if set == Set::EcgBeats {
            // Some beats are like none that was learned: being sure of those outweighs in the loss what else gets better.
            config.set("training.early_stopping.monitor", "val_balanced_accuracy");
        }
    }
    config.set("training.seed", 1 + random.below(1000) as i64);
}

fn loss(config: &mut Config, set: Set, random: &mut Random) {
    if !set.is_classes() {
        if random.chance(0.2) {
            config.set("training.loss.kind", "huber");
        }
        return;
    }
    if random.chance(0.25) {
        config.set("training.loss.kind", "cross_entropy");
        config.set("training.loss.label_smoothing", *random.pick(&[0.05, 0.1]));
    }
    if random.chance(0.2) {
        config.set("training.loss.kind", "cross_entropy");
        config.set("training.loss.class_weights", "balanced");
    }
}

fn schedule(config: &mut Config, random: &mut Random) {
    match random.below(10) {
        0..4 => {
            config.set("training.schedule.kind", "plateau");
            config.set("training.schedule.factor", 0.5);
            config.set("training.schedule.patience", 5);
        }
        4..6 => config.set("training.schedule.kind", "cosine"),
        6 => {
            config.set("training.schedule.kind", "step");
            config.set("training.schedule.factor", 0.5);
            config.set("training.schedule.every", 10);
        }
        7 => config.set("training.schedule.kind", "none"),
        _ => return,
    }
    if random.chance(0.3) {
        config.set("training.schedule.warmup_epochs", 2);
    }
}

/// To two digits, as a person writes it.
fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powf(rate.log10().floor() - 1.0);
    let digits = (rate / unit).round();
    format!("{digits}e{}", unit.log10().round()).parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_two_digits() {
        assert_eq!([rounded(0.0034567), rounded(0.00012345), rounded(0.1)], [0.0035, 0.00012, 0.1]);
    }

    #[test]
    fn healthy_trainings_have_what_faults_set_at_sane_values() {
        let mut random = Random::of(&["test"]);
        let mut text = String::new();
        for set in Set::ALL {
            for _ in 0..200 {
                let Recipe { config, is_standardised, own_validation } = draw(set, 1, &mut random);
                let within = |key: &str, low: f64, high: f64| {
                    let value = config.number(key);
                    assert!(value.is_none_or(|value| (low..=high).contains(&value)), "{key}: {value:?}");
                };
                let is_sgd = config.word("training.optimizer.kind") == Some("sgd");
                within("training.optimizer.learning_rate", 5e-4, if is_sgd { 0.2 } else { 1.5e-2 });
                within("training.epochs", 15.0, 60.0);
                within("training.batch", 4.0, 128.0);
                within("model.dropout", 0.0, 0.5);
                assert_eq!(is_standardised, config.word("scaler.kind") == Some("none"));
                assert!(own_validation || !is_standardised);
                text += &config.text();
            }
        }
        let keys = ["truncate", "bidirectional", "class_weights", "label_smoothing", "l2", "weight_decay", "clip"];
        for word in keys.into_iter().chain(["warmup_epochs", "minmax", "robust", "rnn", "sgd", "cosine", "huber"]) {
            assert!(text.contains(word), "no healthy training has {word}");
        }
    }
}
