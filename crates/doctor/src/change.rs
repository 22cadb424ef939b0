//! A configuration with a fix applied.

use emberloop_core::Config;
use emberloop_findings::Fix;
use serde_json::{Map, Value};

/// The configuration with the changes of a fix; `Err` says in one line why there is none.
///
/// # Errors
/// If the result is no configuration.
pub fn apply(config: &Config, fix: &Fix) -> Result<Config, String> {
    let mut document = serde_json::to_value(config).map_err(|error| error.to_string())?;
    for key in &fix.unset {
        unset(&mut document, key);
    }
    for (key, value) in &fix.set {
        set(&mut document, key, value.clone())?;
    }
    let mut changed: Config = serde_json::from_value(document).map_err(|error| error.to_string())?;
    changed.path.clone_from(&config.path);
    changed.model_given = config.model_given;
    changed.scaler_given = config.scaler_given;
    changed.validate().map_err(|error| error.to_string())?;
    Ok(changed)
}

fn unset(document: &mut Value, key: &str) {
    let (table, last) = key.rsplit_once('.').unwrap_or(("", key));
    let pointer = if table.is_empty() { String::new() } else { format!("/{}", table.replace('.', "/")) };
    if let Some(table) = document.pointer_mut(&pointer).and_then(Value::as_object_mut) {
        table.remove(last);
    }
}

fn set(document: &mut Value, key: &str, value: Value) -> Result<(), String> {
    let mut place = document;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let table = place.as_object_mut().ok_or_else(|| format!("{key}: expected a table above {part}"))?;
        if parts.peek().is_none() {
            table.insert(part.into(), value);
            return Ok(());
        }
        place = table.entry(part).or_insert(Value::Null);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use emberloop_core::config::{ClipConfig, OptimizerConfig};
    use emberloop_data::DataConfig;

    use super::*;

    #[test]
    fn keys_that_are_there_and_keys_that_are_not() {
        let config = Config::new(DataConfig::new("a.csv"));
        let fix = Fix::set("training.optimizer.learning_rate", 0.25).and("training.clip.norm", 2.0);
        let changed = apply(&config, &fix).unwrap();
        assert!(matches!(changed.training.optimizer, OptimizerConfig::Adam { learning_rate: 0.25, .. }));
        assert_eq!(changed.training.clip, Some(ClipConfig::Norm(2.0)));
        let back = apply(&changed, &Fix::unset("training.clip")).unwrap();
        assert_eq!(back.training.clip, None);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        let config = Config::new(DataConfig::new("a.csv"));
        assert!(apply(&config, &Fix::set("model.dropout", 7.0)).is_err());
        assert!(apply(&config, &Fix::set("model.hiden", 7)).is_err());
    }
}
