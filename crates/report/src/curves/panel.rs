//! One plot over the epochs; several stand one above the other and share that axis.

use plotters::prelude::*;

use super::scale::Scale;
use crate::plot::{Area, Drawn, FINE, Role, TEXT, text_style};

/// A curve: values by epoch.
pub struct Series {
    pub role: Role,
    pub points: Vec<(usize, f64)>,
}

/// Curves over one axis of values.
pub struct Panel {
    pub title: &'static str,
    pub series: Vec<Series>,
    pub logarithmic: bool,
    pub height: i32,
}

/// The height of the axis of epochs under the lowest panel.
pub const EPOCH_AXIS: i32 = 38 * FINE;

/// Room for the numbers of the axis of values.
const VALUE_AXIS: i32 = 58 * FINE;

/// Room above the curves: for the title, or for half a number of the axis.
const HEAD: i32 = 22 * FINE;
const HEAD_WITHOUT_TITLE: i32 = 8 * FINE;

/// Points beyond this number lie closer than a reader can see.
const MOST_POINTS: usize = 800;

/// Below this number each point is marked.
const FEW_POINTS: usize = 25;

impl Panel {
    /// Whether there is anything to draw.
    pub fn has_values(&self) -> bool {
        self.scale().is_some()
    }

    fn scale(&self) -> Option<Scale> {
        let values = self.series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        Scale::new(values, self.logarithmic)
    }
}

/// Draws panels from top to bottom; the last one carries the epochs from `first` to `last`.
pub fn draw(area: &Area, panels: &[Panel], first: usize, last: usize, kept: Option<usize>) -> Drawn {
    let mut rest = area.clone();
    for (place, panel) in panels.iter().enumerate() {
        let lowest = place + 1 == panels.len();
        let height = panel.height + if lowest { EPOCH_AXIS } else { 0 };
        let (this, below) = rest.split_vertically(height);
        rest = below;
        if let Some(scale) = panel.scale() {
            draw_panel(&this, panel, &scale, (first, last), kept, lowest)?;
        }
    }
    Ok(())
}

fn draw_panel(
    area: &Area,
    panel: &Panel,
    scale: &Scale,
    (first, last): (usize, usize),
    kept: Option<usize>,
    lowest: bool,
) -> Drawn {
    let axis = Role::Axis.color();
    area.draw(&Text::new(panel.title, (0, 0), text_style()))?;
    let epochs = if first == last { first as i64 - 1..last as i64 + 1 } else { first as i64..last as i64 };
    let mut chart = ChartBuilder::on(area)
        .margin_top(if panel.title.is_empty() { HEAD_WITHOUT_TITLE } else { HEAD })
        .margin_right(20 * FINE)
        .margin_bottom(if lowest { 0 } else { 10 * FINE })
        .y_label_area_size(VALUE_AXIS)
        .x_label_area_size(if lowest { EPOCH_AXIS } else { 0 })
        .build_cartesian_2d(epochs, scale.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(Role::Grid.color())
        .axis_style(axis)
        .label_style(text_style())
        .x_labels(5)
        .x_desc(if lowest { "epoch" } else { "" })
        .axis_desc_style(text_style())
        .x_label_formatter(&|epoch| {
            if *epoch < first as i64 || *epoch > last as i64 { String::new() } else { epoch.to_string() }
        })
        .set_all_tick_mark_size(3 * FINE)
        .draw()?;
    if let Some(kept) = kept.filter(|kept| (first..=last).contains(kept)) {
        let line = [(kept as i64, scale.low), (kept as i64, scale.high)];
        chart.draw_series([PathElement::new(line, Role::Kept.color())])?;
    }
    for series in &panel.series {
        let color = series.role.color();
        let points = thinned(&series.points, MOST_POINTS);
        for run in runs(&points, scale) {
            if run.len() == 1 || points.len() <= FEW_POINTS {
                chart.draw_series(run.iter().map(|point| Circle::new(*point, 3 * FINE, color.filled())))?;
            }
            if run.len() > 1 {
                chart.draw_series([PathElement::new(run, color)])?;
            }
        }
        // What has no place on the axis is a cross at its upper end.
        let lost = points.iter().filter(|point| scale.place(point.1).is_none());
        chart.draw_series(lost.map(|point| Cross::new((point.0 as i64, scale.high), TEXT / 4, color)))?;
    }
    Ok(())
}

/// Pieces of a curve without gaps.
fn runs(points: &[(usize, f64)], scale: &Scale) -> Vec<Vec<(i64, f64)>> {
    let places = points.iter().map(|(epoch, value)| scale.place(*value).map(|place| (*epoch as i64, place)));
    let mut runs = vec![Vec::new()];
    for place in places {
        match place {
            Some(place) => runs.last_mut().into_iter().for_each(|run| run.push(place)),
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// At most `most` points that look the same: of each group the smallest and the largest, and any that is not finite.
fn thinned(points: &[(usize, f64)], most: usize) -> Vec<(usize, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(most);
    for group in points.chunks(points.len().div_ceil(most / 2)) {
        let by_value = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
        let ends = [group.iter().min_by(by_value), group.iter().max_by(by_value)];
        let mut ends: Vec<_> = ends.into_iter().flatten().copied().collect();
        ends.sort_by_key(|point| point.0);
        ends.dedup_by_key(|point| point.0);
        kept.extend(ends);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_spikes_and_what_is_no_number() {
        let mut points: Vec<(usize, f64)> = (0..10_000).map(|epoch| (epoch, 1.0 / (epoch + 1) as f64)).collect();
        points[4321].1 = 77.0;
        points[7000].1 = f64::NAN;
        points[8000].1 = -3.0;
        let thin = thinned(&points, 800);
        assert!(thin.len() <= 800, "{}", thin.len());
        assert!(thin.is_sorted_by_key(|point| point.0));
        for epoch in [4321, 7000, 8000] {
            assert!(thin.iter().any(|point| point.0 == epoch), "{epoch}");
        }
        assert_eq!(thinned(&points[..300], 800).len(), 300);
    }

    #[test]
    fn a_gap_ends_a_curve() {
        let scale = Scale::new([1.0, 2.0].into_iter(), false).unwrap();
        let points = [(0, f64::NAN), (1, 1.0), (2, 2.0), (3, f64::INFINITY), (4, 1.5)];
        assert_eq!(runs(&points, &scale), [vec![(1, 1.0), (2, 2.0)], vec![(4, 1.5)]]);
    }
}
