//! Plots as inline SVG: plotters draws, style sheets colour.
//!
//! plotters knows colours, not classes. So each role a line or a text can have is drawn in a colour of its own that means
//! nothing, and becomes a class of that name afterwards: the page decides what it looks like by day and by night.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;

/// plotters counts in whole pixels: so many to one of the style sheet's, so that nothing looks jagged.
pub const FINE: i32 = 4;

/// The width of a plot, before the page scales it; wide enough for a phone, where its text stays readable.
pub const WIDTH: i32 = 400 * FINE;

/// The size of all text in plots.
pub const TEXT: i32 = 13 * FINE;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn = Result<(), Box<dyn std::error::Error>>;

/// What a line, a surface or a text stands for; its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Text,
    Axis,
    Grid,
    Train,
    Validation,
    Rate,
    Kept,
    Bar,
    Edge,
    /// A colour of the heat map, by number.
    Heat(u8),
    /// A cell of the heat map without a value.
    Nothing,
}

impl Role {
    const NAMED: [(Role, &'static str); 10] = [
        (Role::Text, "text"),
        (Role::Axis, "axis"),
        (Role::Grid, "grid"),
        (Role::Train, "train"),
        (Role::Validation, "validation"),
        (Role::Rate, "rate"),
        (Role::Kept, "kept"),
        (Role::Bar, "bar"),
        (Role::Edge, "edge"),
        (Role::Nothing, "nothing"),
    ];

    /// The name of the class.
    pub fn class(self) -> String {
        match self {
            Role::Heat(level) => format!("h{level}"),
            role => Role::NAMED.iter().find(|named| named.0 == role).map_or("", |named| named.1).into(),
        }
    }

    /// The colour that stands for it until it becomes a class.
    pub fn color(self) -> RGBColor {
        match self {
            Role::Heat(level) => RGBColor(2, 0, level),
            role => RGBColor(1, 0, Role::NAMED.iter().position(|named| named.0 == role).unwrap_or(0) as u8),
        }
    }

    fn of_color(hex: &str) -> Option<Role> {
        let number = u8::from_str_radix(hex.get(4..6)?, 16).ok()?;
        match hex.get(..4)? {
            "0100" => Role::NAMED.get(usize::from(number)).map(|named| named.0),
            "0200" => Some(Role::Heat(number)),
            _ => None,
        }
    }
}

/// All text of a plot.
pub fn text_style() -> TextStyle<'static> {
    ("sans-serif", TEXT).into_font().color(&Role::Text.color())
}

/// A plot of [`WIDTH`] and this height, described in words for those who cannot see it.
pub fn svg(height: i32, description: &str, draw: impl FnOnce(&Area) -> Drawn) -> Markup {
    sized(WIDTH, height, description, draw)
}

/// A plot of this size.
pub fn sized(width: i32, height: i32, description: &str, draw: impl FnOnce(&Area) -> Drawn) -> Markup {
    let mut text = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut text, (width as u32, height as u32)).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?))
    };
    if let Err(error) = drawn {
        // Nothing is written to but memory; should a plot fail all the same, the page still has the numbers.
        return html! { p.note { "This plot cannot be drawn: " (error) } };
    }
    let body = text.split_once('>').map_or("", |(_, body)| body);
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(description) {
            title { (description) }
            (PreEscaped(with_classes(body.trim_end().strip_suffix("</svg>").unwrap_or(body))))
        }
    }
}

/// Colours become classes; what the style sheet says for all goes.
fn with_classes(svg: &str) -> String {
    let mut result = String::with_capacity(svg.len());
    for line in svg.lines().filter(|line| !line.is_empty()) {
        if !line.starts_with('<') {
            result.push_str(line);
            continue;
        }
        let (tag, rest) = line.trim_start_matches('<').split_once(' ').unwrap_or((line.trim_start_matches('<'), ""));
        result.push('<');
        result.push_str(tag);
        let mut rest = rest;
        while let Some((name, (value, after))) =
            rest.split_once("=\"").and_then(|(name, after)| Some((name.trim(), after.split_once('"')?)))
        {
            rest = after;
            match (name, value) {
                ("opacity", "1") | ("font-family", _) | ("stroke-width", _) | ("stroke" | "fill", "none") => {}
                ("font-size", _) => {}
                ("stroke" | "fill", color) => {
                    let role = color.strip_prefix('#').and_then(Role::of_color).unwrap_or(Role::Text);
                    let how = if name == "stroke" { "l" } else { "f" };
                    result.push_str(&format!(" class=\"{how} {}\"", role.class()));
                }
                _ => result.push_str(&format!(" {name}=\"{}\"", value.trim_end())),
            }
        }
        result.push_str(rest);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes_and_text_is_escaped() {
        let markup = sized(100, 50, "a < b & \"c\"", |area| {
            area.draw(&Rectangle::new([(0, 0), (10, 10)], Role::Heat(7).color().filled()))?;
            area.draw(&PathElement::new(vec![(0, 0), (9, 9)], Role::Validation.color()))?;
            area.draw(&Text::new("<script>&", (5, 5), text_style()))?;
            Ok(())
        })
        .into_string();
        assert!(markup.contains("aria-label=\"a &lt; b &amp; &quot;c&quot;\""), "{markup}");
        assert!(markup.contains("class=\"f h7\""), "{markup}");
        assert!(markup.contains("class=\"l validation\" points=\"0,0 9,9\""), "{markup}");
        assert!(markup.contains("class=\"f text\">&lt;script&gt;&amp;</text>"), "{markup}");
        assert!(!markup.contains('#') && !markup.contains("http"), "{markup}");
        assert_eq!(markup.matches("</svg>").count(), 1);
    }
}
