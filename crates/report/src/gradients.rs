//! Gradient norms by layer and step, as a heat map.

use maud::{Markup, html};
use plotters::prelude::*;

use crate::Gradients;
use crate::plot::{Area, Drawn, FINE, Role, TEXT, WIDTH, svg, text_style};
use crate::text::number;

/// Colours of the map; the style sheet has as many.
pub const LEVELS: u8 = 16;

/// Columns at most: more would be thinner than a phone's pixels.
const MOST_COLUMNS: usize = 120;

const ROW: i32 = 48 * FINE;
const NAME: i32 = 21 * FINE;
const FOOT: i32 = 22 * FINE;

/// The section.
pub fn section(gradients: &Gradients) -> Markup {
    let finite: Vec<f64> =
        gradients.norms.iter().flatten().copied().filter(|norm| norm.is_finite() && *norm > 0.0).collect();
    let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let high = finite.iter().copied().fold(0.0, f64::max);
    let height = gradients.norms.len() as i32 * ROW + FOOT;
    let description = format!("Gradient norm of {} layers over {} steps", gradients.norms.len(), gradients.steps);
    let (reverse, forward): (Vec<&String>, Vec<&String>) =
        gradients.layers.iter().partition(|layer| layer.contains("reverse"));
    html! {
        section #gradients {
            h2 { "Gradient by layer and step" }
            p { "How much of the loss's gradient reaches what each layer reads, at each step; sequences are aligned at their ends."
                @if !forward.is_empty() {
                    " Even colours are good; one that fades towards the first steps vanishes, one that glows there explodes."
                }
                @if !reverse.is_empty() {
                    @if !forward.is_empty() { " This is not so for " } @else { " Mind " }
                    "the reverse direction, which reads the end first."
                }
            }
            @if finite.is_empty() {
                p.note { "No norm was recorded that is finite and above 0." }
            } @else {
                figure.wide {
                    (svg(height, &description, |area| draw(area, gradients, low, high)))
                    figcaption {
                        span.key { (number(low)) span.ramp aria-hidden="true" {} (number(high)) " (logarithmic)" }
                        span.key { i.swatch.nothing {} "0, NaN or infinite" }
                    }
                }
                (table(gradients))
            }
        }
    }
}

fn draw(area: &Area, gradients: &Gradients, low: f64, high: f64) -> Drawn {
    for (row, norms) in gradients.norms.iter().enumerate() {
        let top = row as i32 * ROW;
        let name = gradients.layers.get(row).map_or_else(|| format!("layer {row}"), |name| shortened(name));
        area.draw(&Text::new(name, (0, top + 3 * FINE), text_style()))?;
        let columns = binned(norms, MOST_COLUMNS);
        let edge = |column: usize| (WIDTH as i64 * column as i64 / columns.len() as i64) as i32;
        for (column, norm) in columns.iter().enumerate() {
            let role = level(*norm, low, high).map_or(Role::Nothing, Role::Heat);
            let corners = [(edge(column), top + NAME), (edge(column + 1), top + ROW - 4 * FINE)];
            area.draw(&Rectangle::new(corners, role.color().filled()))?;
        }
    }
    let bottom = gradients.norms.len() as i32 * ROW + 2 * FINE;
    match gradients.steps {
        0 | 1 => (),
        2 => area.draw(&Text::new("1 step before the end", (0, bottom), text_style()))?,
        steps => area.draw(&Text::new(format!("{} steps before the end", steps - 1), (0, bottom), text_style()))?,
    }
    // plotters would guess the width of the text; the anchor needs no guess.
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    area.draw(&Text::new("end", (WIDTH, bottom), text_style().pos(Pos::new(HPos::Right, VPos::Top))))?;
    Ok(())
}

/// A name that fits the width.
fn shortened(name: &str) -> String {
    let most = (WIDTH / (TEXT * 6 / 10)) as usize;
    match name.chars().count() > most {
        true => name.chars().take(most - 1).chain(['…']).collect(),
        false => name.into(),
    }
}

/// At most `most` columns, each the mean of its group; NaN where one of the group is not finite.
fn binned(norms: &[f64], most: usize) -> Vec<f64> {
    // A mean that left the infinite ones out would look harmless.
    let mean = |group: &[f64]| match group.iter().all(|norm| norm.is_finite()) {
        true => group.iter().sum::<f64>() / group.len() as f64,
        false => f64::NAN,
    };
    let columns = norms.len().min(most);
    (0..columns)
        .map(|column| mean(&norms[norms.len() * column / columns..norms.len() * (column + 1) / columns]))
        .collect()
}

/// The colour of a norm, by its logarithm between the smallest and the largest.
fn level(norm: f64, low: f64, high: f64) -> Option<u8> {
    if !norm.is_finite() || norm <= 0.0 {
        return None;
    }
    let range = high.ln() - low.ln();
    let share = if range > 0.0 { (norm.ln() - low.ln()) / range } else { 0.5 };
    Some((share.clamp(0.0, 1.0) * f64::from(LEVELS - 1)).round() as u8)
}

fn table(gradients: &Gradients) -> Markup {
    let columns = gradients.norms.iter().map(Vec::len).max().unwrap_or(0).min(MOST_COLUMNS);
    html! {
        details {
            summary { "Norms" @if columns < gradients.steps { ", each the mean of some steps" } }
            div.scroll tabindex="0" {
                table.numbers {
                    thead { tr {
                        th scope="col" { "steps before the end" }
                        @for (row, _) in gradients.norms.iter().enumerate() {
                            th scope="col" { @if let Some(name) = gradients.layers.get(row) { (name) } @else { "layer " (row) } }
                        }
                    } }
                    tbody {
                        @let rows: Vec<Vec<f64>> = gradients.norms.iter().map(|norms| binned(norms, MOST_COLUMNS)).collect();
                        @for column in 0..columns {
                            tr {
                                td { (before_the_end(gradients.steps, column, columns)) }
                                @for row in &rows { td { @if let Some(norm) = row.get(column) { (number(*norm)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How far before the end the steps of a column are: "12–10", or "0" for the last step alone.
fn before_the_end(steps: usize, column: usize, columns: usize) -> String {
    let before = |place: usize| steps.saturating_sub(1 + place);
    let (first, last) = (steps * column / columns, (steps * (column + 1) / columns).saturating_sub(1));
    match last > first {
        true => format!("{}–{}", before(first), before(last)),
        false => before(first).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_from_the_end() {
        assert_eq!([0, 1, 2].map(|column| before_the_end(3, column, 3)), ["2", "1", "0"]);
        assert_eq!([0, 1, 2].map(|column| before_the_end(7, column, 3)), ["6–5", "4–3", "2–0"]);
        // Rows that do not fit the number of steps are drawn all the same.
        assert_eq!(before_the_end(0, 5, 9), "0");
    }

    #[test]
    fn what_is_said_of_the_first_steps_is_not_said_of_the_reverse_direction() {
        let text = |layers: &[&str]| {
            let layers: Vec<String> = layers.iter().map(|layer| (*layer).into()).collect();
            let norms = vec![vec![1e-3, 1.0]; layers.len()];
            section(&Gradients { layers, steps: 2, norms }).into_string()
        };
        let one = text(&["layer 1"]);
        assert!(one.contains("fades towards the first steps") && !one.contains("reverse"), "{one}");
        assert!(one.contains("1 step before the end"), "{one}");
        let both = text(&["layer 1", "layer 1, reverse"]);
        assert!(both.contains("fades towards the first steps") && both.contains("not so for the reverse"), "{both}");
        let reverse = text(&["layer 1, reverse"]);
        assert!(!reverse.contains("fades towards") && reverse.contains("reads the end first"), "{reverse}");
    }

    #[test]
    fn levels_span_the_range_and_leave_out_what_has_none() {
        assert_eq!(level(1e-6, 1e-6, 1.0), Some(0));
        assert_eq!(level(1.0, 1e-6, 1.0), Some(LEVELS - 1));
        assert_eq!(level(1e-3, 1e-6, 1.0), Some(8));
        assert_eq!(level(2.0, 2.0, 2.0), Some(8));
        assert_eq!([0.0, f64::NAN, f64::INFINITY].map(|norm| level(norm, 1.0, 2.0)), [None; 3]);
    }

    #[test]
    fn columns_are_means_of_all_steps() {
        let norms: Vec<f64> = (0..1000).map(f64::from).collect();
        let columns = binned(&norms, 100);
        assert_eq!((columns.len(), columns[0], columns[99]), (100, 4.5, 994.5));
        assert_eq!(binned(&[1.0, 2.0], 100), [1.0, 2.0]);
        assert!(binned(&[1.0, f64::INFINITY], 1)[0].is_nan());
        assert!(binned(&[], 100).is_empty());
    }
}
