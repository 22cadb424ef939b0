//! The document: defaults, errors with place and suggestion, ranges, there and back through JSON.

use super::*;

const MINIMAL: &str = "[data]\ntrain = \"train.csv\"\nsequence = \"s\"\n";

fn load(rest: &str) -> Result<Config, ConfigError> {
    Config::parse(&format!("{MINIMAL}{rest}"), "folder/train.toml")
}

#[track_caller]
fn assert_error(rest: &str, parts: &[&str]) {
    let error = load(rest).expect_err(rest).to_string();
    assert!(error.starts_with("folder/train.toml") && !error.contains('\n'), "{error}");
    for part in parts {
        assert!(error.contains(part), "expected {part:?} in: {error}");
    }
}

#[test]
fn the_documented_example_loads() {
    let config = load(
        r#"
[scaler]
kind = "standard"
[model]
cell = "gru"
hidden = [32]
dropout = 0.2
[training]
epochs = 60
batch = 32
optimizer = { kind = "adam", learning_rate = 2e-3 }
clip = { norm = 1.0 }
schedule = { kind = "plateau", monitor = "val_loss", factor = 0.2, patience = 5, min_learning_rate = 1e-5 }
seed = 1
"#,
    )
    .unwrap();
    assert_eq!(config.folder(), Path::new("folder"));
    assert_eq!(config.training.clip, Some(ClipConfig::Norm(1.0)));
    assert_eq!(config.training.optimizer.learning_rate(), 2e-3);
    assert!(config.model_given);
}

#[test]
fn everything_but_the_data_has_a_default() {
    let config = load("").unwrap();
    assert_eq!(config.model, ModelConfig::default());
    assert_eq!(config.training, TrainingConfig::default());
    assert!(!config.model_given);
    assert_eq!(config.scaler_given, ScalerGiven::default());
    let given = load("[scaler]\nmissing = \"mean\"\n").unwrap().scaler_given;
    assert_eq!(given, ScalerGiven { missing: true, ..ScalerGiven::default() });
}

#[test]
fn unknown_keys_name_line_and_nearest_key() {
    assert_error("[training]\nepoch = 3\n", &["line 5", "unknown key \"epoch\"", "did you mean \"epochs\"?"]);
    assert_error("[trainning]\n", &["line 4", "unknown key \"trainning\"", "did you mean \"training\"?"]);
    assert_error("validation_fracton = 0.1\n", &["line 4", "did you mean \"validation_fraction\"?"]);
    let nested = "[training]\nseed = 1\noptimizer = { kind = \"adam\", learn_rate = 1e-3 }\n";
    assert_error(nested, &["line 6", "unknown key \"learn_rate\"", "did you mean \"learning_rate\"?"]);
    let other_kind = "[training]\nschedule = { kind = \"cosine\", patience = 3 }\n";
    assert_error(other_kind, &["line 5", "unknown key \"patience\"", "min_learning_rate, warmup_epochs"]);
    assert_error("[training.schedule]\nkind = \"none\"\nfactor = 0.5\n", &["line 6", "unknown key \"factor\""]);
    assert_error("[training]\nclip = { nrom = 1.0 }\n", &["line 5", "\"nrom\"", "did you mean \"norm\"?"]);
}

#[test]
fn unknown_names_are_named_with_the_nearest() {
    assert_error("[model]\ncell = \"lstmm\"\n", &["line 5", "unknown value \"lstmm\"", "did you mean \"lstm\"?"]);
    assert_error("[training]\noptimizer = { kind = \"adma\" }\n", &["line 5", "did you mean \"adam\"?"]);
    let monitor = "[training]\nearly_stopping = { monitor = \"val_acuracy\" }\n";
    assert_error(monitor, &["line 5", "unknown monitor \"val_acuracy\"", "did you mean \"val_accuracy\"?"]);
}

#[test]
fn what_is_no_toml_names_its_line() {
    assert_error("[model]\nhidden = [3\n", &["line"]);
    assert_error("[model]\nhidden = \"many\"\n", &["line 5", "invalid type"]);
    let error = Config::parse("[model]\n", "a.toml").unwrap_err().to_string();
    assert!(error.contains("missing field `data`"), "{error}");
    let error = Config::load("no/such/file.toml").unwrap_err().to_string();
    assert!(error.starts_with("no/such/file.toml: cannot be read"), "{error}");
}

#[test]
fn values_out_of_range_say_the_range() {
    let cases = [
        ("[model]\nhidden = []\n", "model.hidden: expected at least one layer"),
        ("[model]\nhidden = [0]\n", "model.hidden: expected 1 to 4096"),
        ("[model]\ndropout = 1.0\n", "model.dropout: expected at least 0 and below 1, found 1"),
        ("[model]\ncell = \"lstm\"\nreset_after = false\n", "model.reset_after"),
        ("[model]\nhead = \"every\"\n", "model.head: expected \"last\" or \"mean\""),
        ("[training]\nepochs = 0\n", "training.epochs: expected at least 1, found 0"),
        ("[training]\nbatch = 0\n", "training.batch"),
        ("[training]\nl2 = -1.0\n", "training.l2"),
        ("[training]\noptimizer = { kind = \"sgd\", learning_rate = 0.0 }\n", "training.optimizer.learning_rate"),
        ("[training]\noptimizer = { kind = \"adam\", betas = [0.9, 1.0] }\n", "training.optimizer.betas"),
        ("[training]\noptimizer = { kind = \"rmsprop\", alpha = 1.5 }\n", "training.optimizer.alpha"),
        ("[training]\noptimizer = { kind = \"sgd\", momentum = 0.0, nesterov = true }\n", "nesterov"),
        ("[training]\nloss = { kind = \"mse\" }\n", "training.loss.kind: expected \"cross_entropy\""),
        ("[training]\nloss = { kind = \"cross_entropy\", label_smoothing = 1.0 }\n", "label_smoothing"),
        ("[training]\nloss = { kind = \"cross_entropy\", class_weights = [0.0, 0.0] }\n", "class_weights"),
        ("[training]\nclip = { norm = 0.0 }\n", "training.clip.norm: expected a number above 0"),
        ("[training]\nclip = { value = -1.0 }\n", "training.clip.value"),
        ("[training]\nschedule = { kind = \"plateau\", factor = 1.0 }\n", "training.schedule.factor"),
        ("[training]\nschedule = { kind = \"step\", every = 0 }\n", "training.schedule.every"),
        ("[training]\nschedule = { kind = \"cosine\", warmup_epochs = 60 }\n", "warmup_epochs: expected less than"),
        ("[training]\nschedule = { kind = \"plateau\", monitor = \"val_rmse\" }\n", "one of val_loss, val_accuracy"),
        ("[training]\nearly_stopping = { patience = 0 }\n", "training.early_stopping.patience"),
    ];
    for (rest, expected) in cases {
        assert_error(rest, &[expected]);
    }
}

#[test]
fn class_weights_are_a_name_or_a_list() {
    let weights = |text: &str| {
        let rest = format!("[training]\nloss = {{ kind = \"cross_entropy\", class_weights = {text} }}\n");
        load(&rest).map(|config| config.training.loss)
    };
    let of =
        |class_weights| Some(LossConfig::CrossEntropy { class_weights: Some(class_weights), label_smoothing: 0.0 });
    assert_eq!(weights("\"balanced\"").unwrap(), of(ClassWeights::Named(Balanced::Balanced)));
    assert_eq!(weights("[1, 2.5]").unwrap(), of(ClassWeights::List(vec![1.0, 2.5])));
    let error = weights("\"even\"").unwrap_err().to_string();
    assert!(error.contains("line 5") && error.contains("\"balanced\" or a list"), "{error}");
}

#[test]
fn a_configuration_survives_json_as_the_checkpoint_keeps_it() {
    let config = load(
        "[training]\noptimizer = { kind = \"rmsprop\" }\nearly_stopping = { patience = 3 }\nclip = { value = 0.5 }\n\
         schedule = { kind = \"plateau\", monitor = \"val_accuracy\" }\n",
    )
    .unwrap();
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(json["training"]["optimizer"]["eps"], 1e-8);
    let mut back: Config = serde_json::from_value(json).unwrap();
    back.path = config.path.clone();
    back.model_given = config.model_given;
    back.scaler_given = config.scaler_given;
    assert_eq!(back, config);
}
