//! Numbers that may be NaN or infinite, through formats that have no word for those (JSON): as the strings "NaN", "inf"
//! and "-inf".

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(String),
    /// What serde_json writes for a NaN that nobody took care of.
    Nothing,
}

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        if value.is_finite() { Number::Finite(value) } else { Number::Other(value.to_string()) }
    }
}

impl Number {
    fn value<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Number::Finite(value) => Ok(value),
            Number::Nothing => Ok(f64::NAN),
            Number::Other(text) => {
                text.parse().map_err(|_| E::custom(format!("expected a number, NaN, inf or -inf, found {text:?}")))
            }
        }
    }
}

pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Number::from(*value).serialize(serializer)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Number::deserialize(deserializer)?.value()
}

pub mod map {
    use super::*;

    pub fn serialize<S: Serializer>(values: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, Number::from(*value))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let values = BTreeMap::<String, Number>::deserialize(deserializer)?;
        values.into_iter().map(|(name, value)| Ok((name, value.value()?))).collect()
    }
}

pub mod table {
    use super::*;

    pub fn serialize<S: Serializer>(rows: &[Vec<f64>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(rows.iter().map(|row| row.iter().map(|value| Number::from(*value)).collect::<Vec<_>>()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<f64>>, D::Error> {
        let rows = Vec::<Vec<Number>>::deserialize(deserializer)?;
        rows.into_iter().map(|row| row.into_iter().map(Number::value).collect()).collect()
    }
}
