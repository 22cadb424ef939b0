//! Texts that stand for numbers: labels, tokens, groups, and the names of columns and arrays.

use std::collections::HashMap;

/// Distinct texts numbered in the order of their first appearance, each with the place of that appearance.
#[derive(Debug, Default)]
pub(crate) struct Names {
    texts: Vec<String>,
    places: Vec<String>,
    ids: HashMap<String, usize>,
}

impl Names {
    /// The number of `text`; `place` is asked for only if it is new.
    pub(crate) fn id(&mut self, text: &str, place: impl FnOnce() -> String) -> usize {
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        let id = self.texts.len();
        self.texts.push(text.to_owned());
        self.places.push(place());
        self.ids.insert(text.to_owned(), id);
        id
    }

    pub(crate) fn text(&self, id: usize) -> &str {
        &self.texts[id]
    }

    /// Where the text was first seen.
    pub(crate) fn place(&self, id: usize) -> &str {
        &self.places[id]
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }
}

/// By number where all are numbers (so that 10 follows 9), otherwise by text.
pub(crate) fn sort(texts: &mut [String]) {
    let numbers: Option<Vec<f64>> =
        texts.iter().map(|text| text.parse().ok().filter(|n: &f64| n.is_finite())).collect();
    match numbers {
        None => texts.sort_unstable(),
        Some(_) => texts.sort_by(|a, b| {
            let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
            number(a).total_cmp(&number(b)).then_with(|| a.cmp(b))
        }),
    }
}

/// The known name that `name` is most likely a misspelling of.
pub(crate) fn nearest(name: &str, known: &[String]) -> Option<String> {
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        // Beyond a third of the letters a suggestion is a guess.
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().min(lower.chars().count()) / 3)
        .map(|(_, candidate)| candidate.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn numbers_sort_as_numbers_and_texts_as_texts() {
        let mut numbers = strings(&["10", "9", "1"]);
        sort(&mut numbers);
        assert_eq!(numbers, strings(&["1", "9", "10"]));
        let mut texts = strings(&["b", "10", "9"]);
        sort(&mut texts);
        assert_eq!(texts, strings(&["10", "9", "b"]));
    }

    #[test]
    fn suggests_a_misspelling_but_not_a_guess() {
        let known = strings(&["sequence", "step", "label"]);
        assert_eq!(nearest("sequense", &known).as_deref(), Some("sequence"));
        assert_eq!(nearest("Label", &known).as_deref(), Some("label"));
        assert_eq!(nearest("temperature", &known), None);
        assert_eq!(nearest("x", &strings(&["y"])), None);
    }
}
