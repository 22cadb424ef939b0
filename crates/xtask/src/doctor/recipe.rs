//! Healthy configurations: drawn, so that no two runs of a data set are the same training.

use super::config::Config;
use super::random::Random;
use super::sources::Set;

/// What suits a data set; the draws go around it.
struct Base {
    rate: f64,
    epochs: usize,
    batches: &'static [i64],
    hidden: &'static [i64],
    dropouts: &'static [f64],
    heads: &'static [&'static str],
    scalers: &'static [&'static str],
}

fn base(set: Set) -> Base {
    let common = Base {
        rate: 3e-3,
        epochs: 40,
        batches: &[8, 16, 32],
        hidden: &[24, 32, 48],
        dropouts: &[0.0, 0.1, 0.3],
        heads: &["last", "mean"],
        scalers: &["standard", "standard", "robust"],
    };
    match set {
        Set::JapaneseVowels => Base { ..common },
        Set::BasicMotions => Base { rate: 4e-3, epochs: 60, batches: &[4, 8], heads: &["mean", "last"], ..common },
        Set::EcgBeats => {
            Base { epochs: 30, scalers: &["standard"], batches: &[16, 32], hidden: &[16, 24, 32], ..common }
        }
        Set::BeijingPm25 => Base {
            epochs: 25,
            batches: &[32, 64],
            hidden: &[16, 24, 32],
            dropouts: &[0.0, 0.1],
            heads: &["last"],
            ..common
        },
        Set::Tokens => {
            Base { epochs: 25, heads: &["last"], batches: &[32, 64], hidden: &[24, 32, 48], scalers: &[], ..common }
        }
    }
}

/// Draws a healthy configuration.
pub fn draw(set: Set, random: &mut Random) -> Config {
    let base = base(set);
    let mut config = Config::default();
    for side in ["train", "validation", "test"] {
        config.set(&format!("data.{side}"), format!("{side}.npz"));
    }
    if !set.is_classes() {
        config.set("data.task", "regression");
    }
    if set == Set::Tokens {
        config.set("data.token", "x");
    } else {
        config.set("scaler.kind", *random.pick(base.scalers));
    }
    if set == Set::BeijingPm25 {
        config.set("scaler.missing", "hold_last");
    }
    config.set("model.cell", *random.pick(&["gru", "lstm"]));
    config.set("model.hidden", toml_edit::Array::from_iter([*random.pick(base.hidden)]));
    config.set("model.dropout", *random.pick(base.dropouts));
    config.set("model.head", *random.pick(base.heads));
    config.set("training.epochs", base.epochs as i64);
    config.set("training.batch", *random.pick(base.batches));
    config.set("training.optimizer.kind", "adam");
    config.set("training.optimizer.learning_rate", rounded(base.rate * random.between(0.5, 2.0)));
    if random.chance(0.7) {
        config.set("training.clip.norm", 1.0);
    }
    if random.chance(0.6) {
        config.set("training.schedule.kind", "plateau");
        config.set("training.schedule.factor", 0.5);
        config.set("training.schedule.patience", 5);
    }
    config.set("training.early_stopping.patience", 12);
    if set == Set::EcgBeats {
        // Some beats are like none that was learned: being sure of those outweighs in the loss what else gets better.
        config.set("training.early_stopping.monitor", "val_balanced_accuracy");
    }
    config.set("training.seed", 1 + random.below(1000) as i64);
    config
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
}
