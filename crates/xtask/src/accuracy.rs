//! `cargo xtask bench-accuracy`: the worked examples trained, quantized and compared, as a table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::{Value, json};

use crate::{Result, process};

#[derive(Args)]
pub struct Options {
    /// A folder that holds `basic_motions`, `ecg_beats` and `beijing_pm25` (models/README.md says what is in them); without
    /// it, the example whose data are in the repository
    #[arg(long)]
    data: Option<PathBuf>,
    /// Train this example alone
    #[arg(long)]
    model: Option<String>,
    /// Print one JSON object a line and no table
    #[arg(long)]
    json: bool,
}

/// Examples whose data are not in the repository: folder of the configuration, folder of the data.
const ELSEWHERE: [(&str, &str); 3] =
    [("basic-motions", "basic_motions"), ("ecg-beats", "ecg_beats"), ("beijing-pm25", "beijing_pm25")];

/// Runs the command.
pub fn run(options: &Options) -> Result {
    process::run(process::cargo().args(["build", "--release", "--package", "emberloop"]))?;
    let binary = process::target_folder()?.join("release/emberloop");
    let work = tempfile::tempdir()?;
    let wanted = |name: &str| options.model.as_deref().is_none_or(|model| model == name);
    let mut rows = Vec::new();

    if wanted("japanese-vowels") {
        let report = emberloop(&binary, work.path(), &["--json"])?;
        let by_seed = report["test_accuracy_by_seed"].clone();
        rows.push(json!({
            "model": "japanese-vowels", "float_by_seed": by_seed,
            "float_median": report["median_test_accuracy"], "comparison": report["comparison"],
        }));
    }
    for (name, folder) in ELSEWHERE.into_iter().filter(|(name, _)| wanted(name)) {
        let Some(data) = &options.data else {
            eprintln!("SKIPPED {name}: its data are not in the repository; give --data FOLDER");
            continue;
        };
        rows.push(example(&binary, work.path(), name, &data.join(folder).canonicalize()?)?);
    }
    if options.json {
        rows.iter().for_each(|row| println!("{row}"));
    } else {
        print!("{}", table(&rows));
    }
    Ok(())
}

/// Trains, quantizes and compares one example in a folder of its own.
fn example(binary: &Path, work: &Path, name: &str, data: &Path) -> Result<Value> {
    let folder = work.join("models").join(name);
    fs::create_dir_all(&folder)?;
    fs::copy(process::root().join("models").join(name).join("train.toml"), folder.join("train.toml"))?;
    std::os::unix::fs::symlink(data, folder.join("data"))?;
    let config = format!("models/{name}/train.toml");
    let run = format!("runs/{name}");
    let (checkpoint, image) = (format!("{run}/checkpoint.safetensors"), format!("{run}/model.ember"));
    let with_config = ["--config", config.as_str(), "--json"];
    emberloop(binary, work, &["train", &config, "--json"])?;
    emberloop(binary, work, &[&["quantize", checkpoint.as_str()], with_config.as_slice()].concat())?;
    let comparison = emberloop(binary, work, &[&["compare", &checkpoint, &image], with_config.as_slice()].concat())?;
    let evaluation = emberloop(binary, work, &[&["evaluate", checkpoint.as_str()], with_config.as_slice()].concat())?;
    Ok(json!({
        "model": name, "comparison": comparison, "persistence": evaluation.get("persistence"), "classes": evaluation["names"],
    }))
}

fn emberloop(binary: &Path, work: &Path, arguments: &[&str]) -> Result<Value> {
    eprintln!("$ emberloop {}", arguments.join(" "));
    let output = process::output(Command::new(binary).current_dir(work).args(arguments))?;
    Ok(serde_json::from_str(output.trim())?)
}

fn table(rows: &[Value]) -> String {
    let mut text = String::from(
        "| model | test | float | fixed | disagreement | logit error | image bytes | RAM bytes |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut notes = String::new();
    for row in rows {
        let comparison = &row["comparison"];
        let score = |side: &str| match comparison[side]["accuracy"].as_f64() {
            Some(accuracy) => format!("{:.2} %", 100.0 * accuracy),
            None => format!("RMSE {:.3}", comparison[side]["rmse"].as_f64().unwrap_or(f64::NAN)),
        };
        let disagreement = match comparison["disagreement"].as_f64() {
            Some(share) => format!("{:.2} %", 100.0 * share),
            None => "-".into(),
        };
        let name = row["model"].as_str().unwrap_or_default();
        text += &format!(
            "| {name} | {} | {} | {} | {disagreement} | {:.4} | {} | {} |\n",
            comparison["sequences"],
            score("float"),
            score("fixed"),
            comparison["logit_error"].as_f64().unwrap_or(f64::NAN),
            comparison["image_bytes"],
            comparison["ram_bytes"],
        );
        if let Some(median) = row["float_median"].as_f64() {
            notes += &format!("\n{name}: float, median of 3 seeds: {:.2} % {}\n", 100.0 * median, row["float_by_seed"]);
        }
        if let Some(rmse) = row["persistence"]["rmse"].as_f64() {
            notes += &format!("\n{name}: persistence (the last value seen): RMSE {rmse:.3}\n");
        }
        if let (Some(classes), Some(_)) = (row["classes"].as_array(), comparison["float"]["f1"].as_array()) {
            notes += &format!("\n{name}, F1 by class (float / fixed):\n");
            for (class, label) in classes.iter().enumerate() {
                let f1 = |side: &str| comparison[side]["f1"][class].as_f64().unwrap_or(f64::NAN);
                let label = label.as_str().unwrap_or_default();
                notes += &format!("  {label}: {:.4} / {:.4}\n", f1("float"), f1("fixed"));
            }
        }
    }
    text + &notes
}
