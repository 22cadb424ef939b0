//! A run's configuration: the base's text with some values replaced, so that it stays what a person wrote.

use std::path::{Component, Path, PathBuf};

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

/// Sets a dotted key; its last part may be a number, which counts from 0 in a list. `defaults` is the whole configuration
/// that the document stands for: where a table is not there, as that of the optimizer, it says of which kind it is.
///
/// # Errors
///
/// What is wrong, if the base has something at that place that has no such part.
pub fn set(document: &mut DocumentMut, defaults: &serde_json::Value, key: &str, value: &Value) -> Result<(), String> {
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().expect("a key has a part");
    let mut item = document.as_item_mut();
    for (depth, part) in parts.iter().enumerate() {
        let table = item.as_table_like_mut();
        let table = table.ok_or_else(|| format!("expected a table at {}", parts[..depth].join(".")))?;
        let new = || match depth {
            0 => Item::Table(Table::new()),
            _ => {
                let kind = defaults.pointer(&format!("/{}/kind", parts[..=depth].join("/")));
                let kind = kind.and_then(serde_json::Value::as_str).map(|kind| ("kind", kind));
                Item::Value(InlineTable::from_iter(kind).into())
            }
        };
        item = table.entry(part).or_insert_with(new);
    }
    if let Some(array) = item.as_array_mut() {
        return set_element(array, last, value);
    }
    let table = item.as_table_like_mut().ok_or_else(|| format!("expected a table at {}", parts.join(".")))?;
    match table.get_mut(last) {
        Some(Item::Value(old)) => replace(old, value),
        Some(old) => *old = Item::Value(value.clone()),
        None => drop(table.insert(last, Item::Value(value.clone()))),
    }
    Ok(())
}

/// Takes a dotted key out, if it is there.
pub fn unset(document: &mut DocumentMut, key: &str) {
    let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut item = document.as_item_mut();
    for part in tables.split('.').filter(|part| !part.is_empty()) {
        match item.as_table_like_mut().and_then(|table| table.get_mut(part)) {
            Some(next) => item = next,
            None => return,
        }
    }
    match item {
        // Its blanks belong to what stood beside them.
        Item::Value(Value::InlineTable(table)) => {
            if table.remove(last).is_some() {
                table.fmt();
            }
        }
        item => {
            if let Some(table) = item.as_table_like_mut() {
                table.remove(last);
            }
        }
    }
}

fn set_element(array: &mut Array, index: &str, value: &Value) -> Result<(), String> {
    let length = array.len();
    let place = index.parse().ok().and_then(|index: usize| array.get_mut(index));
    let place =
        place.ok_or_else(|| format!("expected a place in a list of {length}, counted from 0, found {index}"))?;
    replace(place, value);
    Ok(())
}

/// With the blanks and the comment around the old one.
fn replace(old: &mut Value, value: &Value) {
    let decor = old.decor().clone();
    *old = value.clone();
    *old.decor_mut() = decor;
}

/// Has the paths of `[data]`, which are relative to `from`, start at `to` instead; both are absolute.
pub fn move_paths(document: &mut DocumentMut, from: &Path, to: &Path) {
    let Some(data) = document.get_mut("data").and_then(Item::as_table_like_mut) else { return };
    for key in ["train", "validation", "test", "target"] {
        let Some(Item::Value(value)) = data.get_mut(key) else { continue };
        let Some(path) = value.as_str() else { continue };
        // A target is a column or an array, but for an `.npy`.
        if Path::new(path).is_relative() && (key != "target" || path.ends_with(".npy")) {
            let moved = relative(&from.join(path), to);
            replace(value, &Value::from(moved.to_string_lossy().into_owned()));
        }
    }
}

/// The way from the folder `from` to `path`, both absolute; `path` itself if there is none.
fn relative(path: &Path, from: &Path) -> PathBuf {
    // `a/../b` may not be `b` where `a` is a link: only what is the same from the root on is left out.
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    let (path, from) = (plain(path), plain(from));
    let shared = path.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return path;
    }
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(path.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "# mine\n[data]\ntrain = \"a.csv\"  # of May\ntarget = \"label\"\n\n[model]\nhidden = [8, 4]\n\n\
                        [training]\noptimizer = { kind = \"adam\", learning_rate = 1e-3 }\nbatch = 8 # few\n";

    fn after(changes: &[(&str, Value)]) -> String {
        let mut document: DocumentMut = BASE.parse().unwrap();
        let defaults = serde_json::json!({ "training": { "schedule": { "kind": "none", "warmup_epochs": 0 } } });
        changes.iter().for_each(|(key, value)| set(&mut document, &defaults, key, value).unwrap());
        document.to_string()
    }

    #[test]
    fn values_are_replaced_where_they_stand() {
        let expected = BASE
            .replace("batch = 8 # few", "batch = 16 # few")
            .replace("learning_rate = 1e-3 }", "learning_rate = 0.5 }")
            .replace("[8, 4]", "[8, 12]");
        let changes = [
            ("training.batch", 16.into()),
            ("training.optimizer.learning_rate", 0.5.into()),
            ("model.hidden.1", 12.into()),
        ];
        assert_eq!(after(&changes), expected);
    }

    #[test]
    fn keys_that_are_not_there_are_added() {
        let schedule = ("training.schedule.warmup_epochs", 2.into());
        let text = after(&[("training.clip.norm", 1.0.into()), ("scaler.kind", "none".into()), schedule]);
        let document: DocumentMut = text.parse().unwrap();
        assert_eq!(document["training"]["clip"]["norm"].as_float(), Some(1.0), "{text}");
        assert_eq!(document["scaler"]["kind"].as_str(), Some("none"), "{text}");
        assert!(text.contains("schedule = { kind = \"none\", warmup_epochs = 2 }"), "{text}");
        assert!(text.contains("clip = { norm = 1.0 }") && text.contains("[scaler]\nkind = \"none\""), "{text}");
    }

    #[test]
    fn keys_are_taken_out() {
        let mut document: DocumentMut = BASE.parse().unwrap();
        for key in ["training.optimizer.learning_rate", "data.target", "training.clip", "scaler.kind"] {
            unset(&mut document, key);
        }
        let text = document.to_string();
        assert!(text.contains("optimizer = { kind = \"adam\" }") && !text.contains("target"), "{text}");
        assert!(text.contains("# of May"), "{text}");
    }

    #[test]
    fn places_that_are_not_there_are_refused() {
        let mut document: DocumentMut = BASE.parse().unwrap();
        let mut refused = |key: &str| set(&mut document, &serde_json::Value::Null, key, &1.into()).unwrap_err();
        assert_eq!(refused("model.hidden.2"), "expected a place in a list of 2, counted from 0, found 2");
        assert_eq!(refused("training.batch.size"), "expected a table at training.batch");
        assert_eq!(refused("training.batch.size.x"), "expected a table at training.batch");
    }

    #[test]
    fn paths_lead_to_the_same_files() {
        let text =
            BASE.replace("target = \"label\"", "target = \"y.npy\"\ntest = \"/data/t.csv\"\nvalidation = \"../v.csv\"");
        let mut document: DocumentMut = text.parse().unwrap();
        move_paths(&mut document, Path::new("/work/flowers"), Path::new("/work/runs/sweep/0001"));
        let data = |key: &str| document["data"][key].as_str().unwrap().to_string();
        assert_eq!(data("train"), "../../../flowers/a.csv");
        assert_eq!(data("validation"), "../../../flowers/../v.csv");
        assert_eq!((data("test"), data("target")), ("/data/t.csv".into(), "../../../flowers/y.npy".into()));
        assert!(document.to_string().contains("# of May"));
        let mut document: DocumentMut = BASE.parse().unwrap();
        move_paths(&mut document, Path::new("/work"), Path::new("/work/runs/sweep/0001"));
        assert!(document.to_string().contains("train = \"../../../a.csv\"  # of May\ntarget = \"label\""));
    }
}
