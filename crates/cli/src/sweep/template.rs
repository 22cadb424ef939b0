//! `--runner`: a command line of the user's with places for what differs from run to run.

use anyhow::{Result, bail};

/// The places by name, with what they stand for.
pub const PLACES: [&str; 6] = ["command", "config", "out", "index", "name", "folder"];

/// A command line with places.
#[derive(Clone, Debug)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Place(&'static str),
}

impl Template {
    /// `{name}` is a place; `{{` and `}}` are braces, and so is every brace that has anything but letters behind it, and
    /// the shell's `${...}`.
    ///
    /// # Errors
    ///
    /// A name that is none of [`PLACES`], or none of `{command}`, `{config}` and `{index}`, without which all runs were
    /// the same.
    pub fn parse(text: &str) -> Result<Self> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            let doubled = (c == '{' || c == '}') && after.starts_with(c);
            let name = after.split_once('}').map(|(name, _)| name);
            let name = name.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()));
            match name {
                _ if doubled => {
                    plain.push(c);
                    rest = &after[1..];
                }
                Some(name) if c == '{' && !plain.ends_with('$') => {
                    let Some(place) = PLACES.into_iter().find(|place| *place == name) else {
                        let known = PLACES.map(|place| format!("{{{place}}}")).join(", ");
                        bail!("--runner: expected {known}, or {{{{ for a brace; found {{{name}}}");
                    };
                    parts.extend([Part::Text(std::mem::take(&mut plain)), Part::Place(place)]);
                    rest = &after[name.len() + 1..];
                }
                _ => {
                    plain.push(c);
                    rest = after;
                }
            }
        }
        parts.push(Part::Text(plain));
        let tells = |part: &Part| matches!(part, Part::Place("command" | "config" | "index"));
        if !parts.iter().any(tells) {
            bail!("--runner: expected {{command}}, or {{config}} or {{index}}, found none of them in {text:?}");
        }
        Ok(Self(parts))
    }

    /// The command line, with what `value` says at each place.
    pub fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Place(name) => value(name),
        };
        self.0.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::quote;

    #[test]
    fn places_are_filled_and_other_braces_stay() {
        let fill = |text: &str| Template::parse(text).unwrap().fill(|name| format!("<{name}>"));
        assert_eq!(fill("ssh node{index} 'cd {folder} && {command}'"), "ssh node<index> 'cd <folder> && <command>'");
        assert_eq!(fill("{config} ${HOME} ${name} {a,b} {} {{out}} {"), "<config> ${HOME} ${name} {a,b} {} {out} {");
        let refused = |text: &str| Template::parse(text).unwrap_err().to_string();
        assert!(refused("{comand}").ends_with("or {{ for a brace; found {comand}"));
        assert!(refused("train it").contains("found none of them in \"train it\""));
    }

    #[test]
    fn words_are_quoted_where_the_shell_would_read_more() {
        assert_eq!(
            ["a/b-1.toml", "", "a b", "it's", "$x"].map(quote),
            ["a/b-1.toml", "''", "'a b'", r"'it'\''s'", "'$x'"]
        );
    }
}
