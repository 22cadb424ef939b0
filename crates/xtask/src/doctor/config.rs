//! Configurations as text: written once, and changed key by key as a doctor's fix is.

use toml_edit::{DocumentMut, Item, TableLike, Value};

/// A configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    document: DocumentMut,
}

impl Config {
    /// Sets a dotted key; tables on the way are made.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for name in tables.split('.').filter(|name| !name.is_empty()) {
            let top = name == tables;
            let entry = table.entry(name).or_insert_with(|| {
                if top {
                    Item::Table(toml_edit::Table::new())
                } else {
                    Item::Value(toml_edit::InlineTable::new().into())
                }
            });
            if entry.as_table_like().is_none() {
                *entry = Item::Value(toml_edit::InlineTable::new().into());
            }
            table = entry.as_table_like_mut().expect("made a table above");
        }
        table.insert(last, Item::Value(value.into()));
    }

    /// Takes a dotted key out, if it is there.
    pub fn unset(&mut self, key: &str) {
        let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for name in tables.split('.').filter(|name| !name.is_empty()) {
            match table.get_mut(name).and_then(Item::as_table_like_mut) {
                Some(inner) => table = inner,
                None => return,
            }
        }
        table.remove(last);
    }

    /// A number by its dotted key.
    pub fn number(&self, key: &str) -> Option<f64> {
        let value = key.split('.').try_fold(self.document.as_item(), |item, name| item.get(name))?.as_value()?;
        value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
    }

    /// A word by its dotted key.
    pub fn word(&self, key: &str) -> Option<&str> {
        key.split('.').try_fold(self.document.as_item(), |item, name| item.get(name))?.as_str()
    }

    /// As it stands in a file.
    pub fn text(&self) -> String {
        self.document.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_and_taken_out_in_tables_of_both_kinds() {
        let text = "[training]\noptimizer = { kind = \"adam\", learning_rate = 0.01 }\nclip = { norm = 1.0 }\n";
        let mut config = Config { document: text.parse().unwrap() };
        config.set("training.optimizer.learning_rate", 0.5);
        config.set("scaler.kind", "none");
        config.set("training.schedule.kind", "cosine");
        config.unset("training.clip");
        config.unset("training.nothing.here");
        assert_eq!(config.number("training.optimizer.learning_rate"), Some(0.5));
        assert_eq!([config.word("scaler.kind"), config.word("scaler.missing")], [Some("none"), None]);
        let text = config.text();
        let read: toml_edit::DocumentMut = text.parse().unwrap();
        assert_eq!(read["scaler"]["kind"].as_str(), Some("none"), "{text}");
        assert_eq!(read["training"]["schedule"]["kind"].as_str(), Some("cosine"), "{text}");
        assert_eq!(read["training"]["optimizer"]["kind"].as_str(), Some("adam"));
        assert!(read["training"].get("clip").is_none());
    }
}
