//! What a `[data]` table may not say, whatever the files hold.

use crate::config::{DataConfig, Memory, Padding, TargetColumns, Task};
use crate::error::DataError;

/// Refuses a table that contradicts itself.
pub(crate) fn check(config: &DataConfig) -> Result<(), DataError> {
    let wrong = |key: &str, problem: String| Err(DataError::Config { key: key.into(), problem });
    let fractions = [("validation_fraction", config.validation_fraction), ("test_fraction", config.test_fraction)];
    for (key, fraction) in fractions {
        if !(0.0..1.0).contains(&fraction) {
            return wrong(key, format!("expected at least 0 and below 1, found {fraction}"));
        }
    }
    let taken = if config.validation.is_none() { config.validation_fraction } else { 0.0 } + config.test_fraction;
    if taken >= 1.0 {
        return wrong("test_fraction", format!("expected to leave something for training, found {taken} taken in all"));
    }
    if config.test.is_some() && config.test_fraction > 0.0 {
        return wrong("test_fraction", "expected none beside a test file".into());
    }
    let lists = [
        ("validation_groups", &config.validation_groups, &config.validation),
        ("test_groups", &config.test_groups, &config.test),
    ];
    for (key, groups, file) in lists {
        if groups.is_some() && config.group.is_none() {
            return wrong(key, "expected `group` to name the column or array of groups, found no such key".into());
        }
        if groups.is_some() && file.is_some() {
            return wrong(key, "expected either a list of groups or a file, found both".into());
        }
    }
    if let (Some(validation), Some(test)) = (&config.validation_groups, &config.test_groups)
        && let Some(group) = validation.iter().find(|group| test.contains(group))
    {
        return wrong("test_groups", format!("expected groups that validation_groups does not name, found {group:?}"));
    }
    if config.token.is_some() && config.channels.is_some() {
        return wrong("token", "expected either a token column or channels, found both".into());
    }
    match (&config.padding, &config.token) {
        (Some(Padding::Token(text)), None) => {
            return wrong("padding", format!("expected the value of every channel, a number, found {text:?}"));
        }
        (Some(Padding::Value(value)), None) if value.is_infinite() => {
            return wrong("padding", format!("expected a finite number or nan, found {value}"));
        }
        _ => {}
    }
    if config.channels.as_ref().is_some_and(Vec::is_empty) {
        return wrong("channels", "expected at least one name, found none".into());
    }
    match (config.task, &config.target) {
        (Task::Classification, Some(TargetColumns::Many(_))) => {
            return wrong("target", "expected one column for classification, found a list".into());
        }
        (Task::Regression, Some(TargetColumns::Many(names))) if names.is_empty() => {
            return wrong("target", "expected at least one name, found none".into());
        }
        _ => {}
    }
    if let Some(labels) = &config.labels {
        if config.task == Task::Regression {
            return wrong("labels", "expected none for regression".into());
        }
        if let Some(twice) = labels.iter().enumerate().find(|(place, label)| labels[..*place].contains(label)) {
            return wrong("labels", format!("expected each label once, found {:?} twice", twice.1));
        }
    }
    if let Some(window) = config.window {
        for (key, value) in [("window.length", window.length), ("window.stride", window.stride)] {
            if value == 0 {
                return wrong(key, "expected at least 1, found 0".into());
            }
        }
        if config.group.is_some() && config.sequence.is_none() {
            let problem = "expected `sequence` beside it: one long series is split in time order, not by group";
            return wrong("group", problem.into());
        }
    }
    if config.shuffle_block == Some(0) {
        return wrong("shuffle_block", "expected at least 1, found 0".into());
    }
    if config.memory == Memory::Load && config.shuffle_block.is_some() {
        return wrong(
            "shuffle_block",
            "expected none beside memory = \"load\": what is loaded is shuffled whole".into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WindowConfig;

    fn problem(change: impl Fn(&mut DataConfig)) -> String {
        let mut config = DataConfig::new("train.csv");
        change(&mut config);
        check(&config).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_sound() {
        check(&DataConfig::new("train.csv")).unwrap();
    }

    #[test]
    fn contradictions_name_the_key() {
        let group = || Some(vec!["a".to_string()]);
        let cases: [(String, &str); 16] = [
            (problem(|c| c.validation_fraction = 1.0), "[data] validation_fraction: "),
            (problem(|c| c.test_fraction = f64::NAN), "[data] test_fraction: "),
            (problem(|c| c.test_fraction = 0.9), "[data] test_fraction: "),
            (problem(|c| (c.test, c.test_fraction) = (Some("t.csv".into()), 0.1)), "[data] test_fraction: "),
            (problem(|c| c.validation_groups = group()), "[data] validation_groups: "),
            (
                problem(|c| {
                    c.group = Some("g".into());
                    (c.test, c.test_groups) = (Some("t.csv".into()), group());
                }),
                "[data] test_groups: ",
            ),
            (
                problem(|c| {
                    c.group = Some("g".into());
                    (c.validation_groups, c.test_groups) = (group(), group());
                }),
                "[data] test_groups: ",
            ),
            (problem(|c| (c.token, c.channels) = (Some("t".into()), group())), "[data] token: "),
            (problem(|c| c.target = Some(TargetColumns::Many(vec!["a".into()]))), "[data] target: "),
            (problem(|c| (c.task, c.labels) = (Task::Regression, group())), "[data] labels: "),
            (problem(|c| c.labels = Some(vec!["a".into(), "a".into()])), "[data] labels: "),
            (problem(|c| c.window = Some(WindowConfig { length: 0, stride: 1, horizon: 0 })), "[data] window.length: "),
            (problem(|c| c.shuffle_block = Some(0)), "[data] shuffle_block: "),
            (problem(|c| c.padding = Some(Padding::Token("_".into()))), "[data] padding: "),
            (problem(|c| c.padding = Some(Padding::Value(f64::INFINITY))), "[data] padding: "),
            (problem(|c| (c.memory, c.shuffle_block) = (Memory::Load, Some(9))), "[data] shuffle_block: "),
        ];
        for (message, start) in cases {
            assert!(message.starts_with(start) && !message.contains('\n'), "{message}");
        }
    }
}
