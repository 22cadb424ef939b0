//! How open the gates stand: a small histogram for each.

use maud::{Markup, html};
use plotters::prelude::*;

use crate::GateHistogram;
use crate::plot::{Area, Drawn, FINE, Role, sized, text_style};
use crate::text::{percent, words};

const WIDTH: i32 = 160 * FINE;
const HEIGHT: i32 = 92 * FINE;
const FOOT: i32 = 18 * FINE;

/// A gate with more than this share of its values at one end is marked.
const MUCH: f64 = 0.5;

/// The section.
pub fn section(gates: &[GateHistogram]) -> Markup {
    html! {
        section #gates {
            h2 { "Gates" }
            p { "The values of each gate, from closed (0) to open (1). Values beyond 0.02 and 0.98 are saturated: there the gate "
                "hardly learns any more." }
            div.figures.small { @for gate in gates { (figure(gate)) } }
        }
    }
}

fn figure(gate: &GateHistogram) -> Markup {
    let description = format!("Histogram of the {} gate of {}", gate.gate, gate.layer);
    html! {
        figure {
            figcaption {
                strong { (gate.layer) " · " (words(&gate.gate)) }
                span.key .bad[gate.low_share > MUCH] { "below 0.02: " (percent(gate.low_share)) }
                span.key .bad[gate.high_share > MUCH] { "above 0.98: " (percent(gate.high_share)) }
            }
            @if gate.bins.iter().all(|count| *count == 0) {
                p.note { "No values." }
            } @else {
                (sized(WIDTH, HEIGHT, &description, |area| draw(area, &gate.bins)))
            }
        }
    }
}

fn draw(area: &Area, bins: &[u64]) -> Drawn {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    let highest = bins.iter().copied().max().unwrap_or(1).max(1);
    let base = HEIGHT - FOOT;
    let gap = if bins.len() > 60 { 0 } else { FINE / 2 };
    let edge = |bin: usize| (i64::from(WIDTH) * bin as i64 / bins.len() as i64) as i32;
    for (bin, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
        // Few are not none: at least a line.
        let height = ((*count as f64 / highest as f64 * f64::from(base)).round() as i32).max(FINE);
        let role = if bin == 0 || bin + 1 == bins.len() { Role::Edge } else { Role::Bar };
        area.draw(&Rectangle::new(
            [(edge(bin) + gap, base - height), (edge(bin + 1) - gap, base)],
            role.color().filled(),
        ))?;
    }
    area.draw(&PathElement::new([(0, base), (WIDTH, base)], Role::Axis.color()))?;
    for (text, x, side) in [("0", 0, HPos::Left), ("0.5", WIDTH / 2, HPos::Center), ("1", WIDTH, HPos::Right)] {
        area.draw(&Text::new(text, (x, base + 3 * FINE), text_style().pos(Pos::new(side, VPos::Top))))?;
    }
    Ok(())
}
