//! What the data of a configuration show, and how long it took to see it:
//! `cargo run --release --example examine -- CONFIG.toml FOLDER [SEED]`, the folder that its paths are relative to.

use std::path::Path;
use std::time::Instant;

use emberloop_data::{DataConfig, ScalerConfig, load};
use emberloop_findings::data::{Training, examine};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, folder, seed @ ..] = arguments.as_slice() else {
        return Err("expected CONFIG.toml FOLDER [SEED]".into());
    };
    let seed = seed.first().map_or(Ok(1), |seed| seed.parse())?;
    let table: toml::Table = std::fs::read_to_string(config)?.parse()?;
    let data: DataConfig = table["data"].clone().try_into()?;
    let scaler: ScalerConfig = match table.get("scaler") {
        Some(scaler) => scaler.clone().try_into()?,
        None => ScalerConfig::default(),
    };
    let of_training = |key: &str| table.get("training").and_then(|training| training.get(key));
    let training = Training {
        class_weights: of_training("loss").is_some_and(|loss| loss.get("class_weights").is_some()),
        early_stopping: of_training("early_stopping").is_some(),
    };
    let start = Instant::now();
    let splits = load(&data, Path::new(folder), seed)?;
    println!("loaded in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let sizes = [Some(&splits.train), Some(&splits.validation), splits.test.as_ref()];
    println!("sequences {:?}", sizes.map(|dataset| dataset.map_or(0, |dataset| dataset.sequences.len())));
    splits.notes.iter().for_each(|note| println!("note {note}"));
    let mut findings = Vec::new();
    let mut least = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        findings = examine(&data, &scaler, &splits, training)?;
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
    }
    println!("examined in {least:.1} ms, the least of five");
    for finding in findings {
        println!("{}", serde_json::to_string(&finding)?);
    }
    Ok(())
}
