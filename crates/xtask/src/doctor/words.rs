//! Words of five languages, from Debian's word lists: letters are the tokens, the language is the class.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::random::Random;
use super::series::Sequence;
use crate::Result;
use crate::process::{output, run};

/// The packages, and the list in each.
const LISTS: [(&str, &str); 5] = [
    ("wamerican", "american-english"),
    ("wngerman", "ngerman"),
    ("wfrench", "french"),
    ("witalian", "italian"),
    ("wspanish", "spanish"),
];

/// The words of one language; a class is its place in the list.
pub type Words = Vec<String>;

/// Reads the lists; downloads and unpacks (never installs) what is not on this machine.
pub fn read(cache: &Path) -> Result<Vec<Words>> {
    let mut languages = Vec::new();
    for (package, name) in LISTS {
        let installed = Path::new("/usr/share/dict").join(name);
        let unpacked = cache.join("usr/share/dict").join(name);
        if !installed.is_file() && !unpacked.is_file() {
            fetch(package, cache)
                .map_err(|error| format!("{package}: {error}; install it, or leave tokens out of --sets"))?;
        }
        let path = if installed.is_file() { installed } else { unpacked };
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        languages.push(text.lines().filter_map(plain).collect::<Vec<String>>());
    }
    Ok(only_in_one(languages))
}

fn fetch(package: &str, cache: &Path) -> Result {
    fs::create_dir_all(cache)?;
    let folder = tempfile::tempdir_in(cache)?;
    let download = || {
        let mut command = Command::new("apt-get");
        // apt would drop its privileges to a user that may not write here.
        command.args(["-qq", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(folder.path());
        output(&mut command)
    };
    if download().is_err() {
        // A new machine knows no packages yet.
        run(Command::new("apt-get").args(["-qq", "update"]))?;
        download()?;
    }
    let file = fs::read_dir(folder.path())?.flatten().next().ok_or("apt-get downloaded nothing")?;
    run(Command::new("dpkg-deb").arg("-x").arg(file.path()).arg(cache))
}

/// The word in lower case, if it is of 4 to 12 letters; names and genitives are left out.
///
/// Letters with accents stay: they are part of how a language looks, and rare enough to decide little alone.
fn plain(line: &str) -> Option<String> {
    let word = line.trim().to_lowercase();
    let letters = word.chars().count();
    let is_word = (4..=12).contains(&letters) && word.chars().all(char::is_alphabetic);
    is_word.then_some(word)
}

/// Takes out what more than one language has, and what one has twice.
fn only_in_one(languages: Vec<Words>) -> Vec<Words> {
    let mut owners: HashMap<String, Option<usize>> = HashMap::new();
    for (language, words) in languages.iter().enumerate() {
        for word in words {
            owners
                .entry(word.clone())
                .and_modify(|owner| {
                    if *owner != Some(language) {
                        *owner = None;
                    }
                })
                .or_insert(Some(language));
        }
    }
    let mut result = vec![Vec::new(); languages.len()];
    for (word, owner) in owners {
        if let Some(language) = owner {
            result[language].push(word);
        }
    }
    // A map has no order of its own.
    result.iter_mut().for_each(|words| words.sort_unstable());
    result
}

/// So many words of each language as sequences of letters' codes; 0 is nobody's.
pub fn draw(languages: &[Words], count: usize, random: &mut Random) -> Vec<Sequence> {
    let mut pool = Vec::new();
    for (language, words) in languages.iter().enumerate() {
        let mut places: Vec<usize> = (0..words.len()).collect();
        random.shuffle(&mut places);
        for &place in places.iter().take(count) {
            pool.push(Sequence::new(words[place].chars().map(code).collect(), language as f32));
        }
    }
    pool
}

/// The letters of the five languages; what is left is rare.
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyzàáâäçèéêëìíîïñòóôöùúûüßœ";

/// A letter's place in the alphabet, from 1.
fn code(letter: char) -> f32 {
    let place = ALPHABET.chars().position(|own| own == letter).unwrap_or(ALPHABET.chars().count());
    (place + 1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_two_languages_belong_to_none() {
        let lists = vec![vec!["hotel".into(), "house".into(), "house".into()], vec!["hotel".into(), "haus".into()]];
        assert_eq!(only_in_one(lists), [vec!["house".to_owned()], vec!["haus".to_owned()]]);
    }

    #[test]
    fn only_words_are_taken() {
        assert_eq!(plain("Haus"), Some("haus".into()));
        assert_eq!(plain("dog's"), None);
        assert_eq!(plain("ab"), None);
        assert_eq!([code('a'), code('z'), code('à'), code('ø')], [1.0, 26.0, 27.0, 51.0]);
    }
}
