//! Numbers and words as people read them.

use serde_json::Value;

/// Four significant digits; NaN and the infinities have signs of their own.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "∞".into() } else { "−∞".into() }
    } else if value == 0.0 {
        "0".into()
    } else if !(1e-4..1e7).contains(&size) {
        exponential(value)
    } else {
        let before_the_point = size.log10().floor() as i32 + 1;
        let decimals = (4 - before_the_point).clamp(0, 7) as usize;
        trimmed(&format!("{value:.decimals$}"))
    }
}

/// An axis's number: as short as it can be.
pub fn tick(value: f64) -> String {
    // What is left of sums like 0.1 + 0.2.
    let rounded: f64 = format!("{value:.6e}").parse().unwrap_or(value);
    if rounded != 0.0 && !(1e-3..1e5).contains(&rounded.abs()) {
        let text = format!("{rounded:e}");
        return text.replace('-', "−");
    }
    trimmed(&format!("{rounded:.6}")).replace('-', "−")
}

/// A share from 0 to 1 in percent.
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        return number(share);
    }
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        return "< 0.1 %".into();
    }
    // Nearly all is not all.
    if percent > 99.9 && percent < 100.0 {
        return "> 99.9 %".into();
    }
    format!("{} %", trimmed(&format!("{percent:.1}")))
}

/// A value of any kind: numbers in short, lists and maps on one line.
pub fn value(value: &Value) -> String {
    const MOST: usize = 40;
    let more = |count: usize| if count > MOST { format!(", … ({count} in all)") } else { String::new() };
    match value {
        Value::Null => "—".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(n) if n.is_f64() => n.as_f64().map_or_else(|| n.to_string(), number),
        Value::Number(n) => n.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let shown: Vec<String> = values.iter().take(MOST).map(self::value).collect();
            shown.join(", ") + &more(values.len())
        }
        Value::Object(values) => {
            let shown = values.iter().take(MOST).map(|(name, value)| format!("{name}: {}", self::value(value)));
            shown.collect::<Vec<_>>().join(", ") + &more(values.len())
        }
    }
}

/// `val_macro_f1` as words: "val macro F1".
pub fn words(name: &str) -> String {
    const KNOWN: [(&str, &str); 4] = [("f1", "F1"), ("rmse", "RMSE"), ("mae", "MAE"), ("r2", "R²")];
    let word = |word| KNOWN.iter().find(|known| known.0 == word).map_or(word, |known| known.1);
    name.split('_').map(word).collect::<Vec<_>>().join(" ")
}

/// With a capital letter.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn exponential(value: f64) -> String {
    let text = format!("{value:.3e}");
    match text.split_once('e') {
        Some((digits, exponent)) => format!("{}e{exponent}", trimmed(digits)),
        None => text,
    }
}

/// Without the zeros behind the point.
fn trimmed(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_short_and_none_is_lost() {
        let cases = [
            (0.0, "0"),
            (0.93, "0.93"),
            (0.123456, "0.1235"),
            (12345.678, "12346"),
            (1e-9, "1e-9"),
            (0.00025, "0.00025"),
            (-1.5e300, "-1.5e300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "−∞"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(tick(0.1 + 0.2), "0.3");
        assert_eq!(tick(1e-4), "1e−4");
        assert_eq!(percent(0.2155), "21.6 %");
        assert_eq!(percent(0.0001), "< 0.1 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.99999), "> 99.9 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(words("val_macro_f1"), "val macro F1");
    }

    #[test]
    fn evidence_of_any_shape_is_one_line() {
        assert_eq!(value(&json!([0.25, 3, null, true])), "0.25, 3, —, yes");
        assert_eq!(value(&json!({"class 3": 0.2155, "rest": [1, 2]})), "class 3: 0.2155, rest: 1, 2");
        assert!(value(&json!(vec![1; 500])).ends_with("1, … (500 in all)"));
    }
}
