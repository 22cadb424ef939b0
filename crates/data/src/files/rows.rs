//! From the rows of a table to sequences: whole ones (long form), or windows of a long series.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::table::{MISSING, Table};
use super::{Request, Source, SourceTargets, padding};
use crate::config::{Padding, WindowConfig};
use crate::dataset::{Sequence, SequenceTarget, TargetPer};
use crate::error::DataError;

/// Rows of the table that belong together, in the order of their steps.
pub(crate) struct Track {
    /// The cell of the sequence column; none for one long series.
    name: Option<String>,
    group: Option<Arc<str>>,
    pub(crate) rows: Vec<usize>,
}

impl Track {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The windows of a stretch of a track.
#[derive(Default)]
pub(crate) struct Windows {
    pub(crate) sequences: Vec<Sequence>,
    /// How many were dropped because their target is missing.
    pub(crate) dropped: usize,
}

impl Table {
    /// Groups the rows by the sequence column (without one, all rows are one track), orders them by step and cuts off what is
    /// padding at the end of each.
    pub(crate) fn tracks(&self, padding: Option<&Padding>) -> Result<Vec<Track>, DataError> {
        let mut tracks: Vec<Track> = match &self.sequence {
            None => vec![Track { name: None, group: None, rows: (0..self.rows()).collect() }],
            Some(column) => {
                let track = |name: &String| Track { name: Some(name.clone()), group: None, rows: Vec::new() };
                let mut tracks: Vec<Track> = column.names.texts().iter().map(track).collect();
                column.rows.iter().enumerate().for_each(|(row, &track)| tracks[track].rows.push(row));
                tracks
            }
        };
        for track in &mut tracks {
            self.order_by_step(track)?;
            self.find_group(track)?;
        }
        if let Some(padding) = padding {
            padding::cut_tracks(self, &mut tracks, padding);
        }
        Ok(tracks)
    }

    fn order_by_step(&self, track: &mut Track) -> Result<(), DataError> {
        let Some(steps) = &self.step else { return Ok(()) };
        let number = |row: usize| steps[row].parse::<f64>().ok().filter(|step| step.is_finite());
        let numeric = track.rows.iter().all(|&row| number(row).is_some());
        // Texts in order: time stamps of ISO 8601 sort as times.
        let compare = |a: usize, b: usize| match (numeric, number(a), number(b)) {
            (true, Some(a), Some(b)) => a.total_cmp(&b),
            _ => steps[a].cmp(&steps[b]),
        };
        track.rows.sort_by(|&a, &b| compare(a, b));
        match track.rows.windows(2).find(|pair| compare(pair[0], pair[1]) == Ordering::Equal) {
            None => Ok(()),
            Some(pair) => Err(DataError::Content {
                path: self.path.clone(),
                place: format!("line {}, step column", self.lines[pair[1]]),
                expected: format!("each step once{}", track.within()),
                found: format!("{:?} again (first on line {})", steps[pair[1]], self.lines[pair[0]]),
            }),
        }
    }

    fn find_group(&self, track: &mut Track) -> Result<(), DataError> {
        let Some(group) = &self.group else { return Ok(()) };
        let first = track.rows[0];
        if let Some(&other) = track.rows.iter().find(|&&row| group.rows[row] != group.rows[first]) {
            return Err(DataError::Content {
                path: self.path.clone(),
                place: format!("line {}, group column", self.lines[other]),
                expected: format!(
                    "one group{}, {:?} as on line {}",
                    track.within(),
                    group.names.text(group.rows[first]),
                    self.lines[first]
                ),
                found: format!("{:?}", group.names.text(group.rows[other])),
            });
        }
        track.group = Some(group.names.text(group.rows[first]).into());
        Ok(())
    }

    /// Each track as one sequence.
    pub(crate) fn whole_sequences(&self, tracks: &[Track], per: TargetPer) -> Result<Vec<Sequence>, DataError> {
        let whole = |track: &Track| {
            Ok(Sequence {
                name: track.name.clone().unwrap_or_else(|| "of every row".into()),
                steps: track.rows.len(),
                values: self.gather(&self.values, self.width(), &track.rows).into(),
                target: self.whole_target(track, per)?,
                group: track.group.clone(),
            })
        };
        tracks.iter().map(whole).collect()
    }

    fn whole_target(&self, track: &Track, per: TargetPer) -> Result<SequenceTarget, DataError> {
        let wrong = |row: usize, expected: String, found: String| DataError::Content {
            path: self.path.clone(),
            place: format!("line {}, target column", self.lines[row]),
            expected,
            found,
        };
        let first = track.rows[0];
        match &self.targets {
            SourceTargets::Absent => Ok(SequenceTarget::Absent),
            SourceTargets::Labels(names) => {
                let label = |row: usize| self.labels[row];
                if let Some(&row) = track.rows.iter().find(|&&row| label(row) == MISSING) {
                    return Err(wrong(row, "a label".into(), "no value".into()));
                }
                if per == TargetPer::Step {
                    return Ok(SequenceTarget::Classes(track.rows.iter().map(|&row| label(row)).collect()));
                }
                match track.rows.iter().find(|&&row| label(row) != label(first)) {
                    None => Ok(SequenceTarget::Class(label(first))),
                    Some(&row) => Err(wrong(
                        row,
                        format!(
                            "one label{}, {:?} as on line {} (or target_per = \"step\")",
                            track.within(),
                            names.text(label(first)),
                            self.lines[first]
                        ),
                        format!("{:?}", names.text(label(row))),
                    )),
                }
            }
            SourceTargets::Values(names) => {
                if per == TargetPer::Step {
                    return Ok(SequenceTarget::StepValues(self.gather(&self.target_values, names.len(), &track.rows)));
                }
                let values = |row: usize| &self.target_values[row * names.len()..][..names.len()];
                if let Some(&row) = track.rows.iter().find(|&&row| values(row).iter().any(|value| value.is_nan())) {
                    return Err(wrong(row, "a number".into(), "no value".into()));
                }
                match track.rows.iter().find(|&&row| values(row) != values(first)) {
                    None => Ok(SequenceTarget::Values(values(first).to_vec())),
                    Some(&row) => Err(wrong(
                        row,
                        format!(
                            "one target{}, {:?} as on line {} (or target_per = \"step\")",
                            track.within(),
                            values(first),
                            self.lines[first]
                        ),
                        format!("{:?}", values(row)),
                    )),
                }
            }
        }
    }

    /// The windows that lie, targets included, within `stretch` of the track.
    pub(crate) fn windows(
        &self,
        track: &Track,
        stretch: Range<usize>,
        window: WindowConfig,
        per: TargetPer,
    ) -> Windows {
        let horizon = match self.targets {
            SourceTargets::Absent => 0,
            SourceTargets::Labels(_) | SourceTargets::Values(_) => window.horizon,
        };
        let mut windows = Windows::default();
        let mut start = stretch.start;
        while start + window.length + horizon <= stretch.end {
            let rows = &track.rows[start..start + window.length];
            let target_rows = match per {
                TargetPer::Sequence => start + window.length - 1 + horizon..start + window.length + horizon,
                TargetPer::Step => start + horizon..start + window.length + horizon,
            };
            start += window.stride;
            let Some(target) = self.window_target(&track.rows[target_rows], per) else {
                windows.dropped += 1;
                continue;
            };
            let lines = format!("lines {}-{}", self.lines[rows[0]], self.lines[rows[rows.len() - 1]]);
            windows.sequences.push(Sequence {
                name: track.name.as_ref().map_or_else(|| lines.clone(), |name| format!("{name}, {lines}")),
                steps: rows.len(),
                values: self.gather(&self.values, self.width(), rows).into(),
                target,
                // Windows of one recording overlap: they belong on one side of a split.
                group: track.group.clone().or_else(|| track.name.as_deref().map(Arc::from)),
            });
        }
        windows
    }

    /// `None` where the target, or every step's target, is missing.
    fn window_target(&self, rows: &[usize], per: TargetPer) -> Option<SequenceTarget> {
        match (&self.targets, per) {
            (SourceTargets::Absent, _) => Some(SequenceTarget::Absent),
            (SourceTargets::Labels(_), _) => {
                let labels: Vec<usize> = rows.iter().map(|&row| self.labels[row]).collect();
                if labels.contains(&MISSING) {
                    return None;
                }
                Some(match per {
                    TargetPer::Sequence => SequenceTarget::Class(labels[0]),
                    TargetPer::Step => SequenceTarget::Classes(labels),
                })
            }
            (SourceTargets::Values(names), TargetPer::Sequence) => {
                let values = self.gather(&self.target_values, names.len(), rows);
                (!values.iter().any(|value| value.is_nan())).then_some(SequenceTarget::Values(values))
            }
            (SourceTargets::Values(names), TargetPer::Step) => {
                let values = self.gather(&self.target_values, names.len(), rows);
                (!values.iter().all(|value| value.is_nan())).then_some(SequenceTarget::StepValues(values))
            }
        }
    }

    fn gather(&self, column: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
        let mut values = Vec::with_capacity(rows.len() * width);
        rows.iter().for_each(|&row| values.extend_from_slice(&column[row * width..][..width]));
        values
    }

    /// The table's terms with sequences made from it.
    pub(crate) fn into_source(self, sequences: Vec<Sequence>, per: TargetPer, notes: Vec<String>) -> Source {
        Source {
            path: self.path,
            hash: self.hash,
            inputs: self.inputs,
            targets: self.targets,
            target_per: per,
            sequences,
            notes,
        }
    }

    /// Long form, or windows inside each sequence: everything but one long series that is still to be divided.
    pub(crate) fn sequences(self, request: Request<'_>) -> Result<Source, DataError> {
        let per = request.target_per();
        let tracks = self.tracks(request.config.padding.as_ref())?;
        let mut notes = Vec::new();
        let sequences = match request.config.window {
            None => self.whole_sequences(&tracks, per)?,
            Some(window) => {
                let mut all = Windows::default();
                let mut short = 0;
                for track in &tracks {
                    let windows = self.windows(track, 0..track.len(), window, per);
                    short += usize::from(windows.sequences.is_empty() && windows.dropped == 0);
                    all.dropped += windows.dropped;
                    all.sequences.extend(windows.sequences);
                }
                if short > 0 {
                    notes.push(format!(
                        "{}: {short} of {} sequences are too short for a window of {} rows (horizon {})",
                        self.path.display(),
                        tracks.len(),
                        window.length,
                        window.horizon
                    ));
                }
                notes.extend(all.note(&self));
                if all.sequences.is_empty() {
                    return Err(self.no_windows(window, "the file", self.rows()));
                }
                all.sequences
            }
        };
        Ok(self.into_source(sequences, per, notes))
    }

    pub(crate) fn no_windows(&self, window: WindowConfig, part: &str, rows: usize) -> DataError {
        DataError::TooLittle {
            path: self.path.clone(),
            what: format!("windows of {part}"),
            expected: format!(
                "at least one of {} rows whose target, {} rows after its last, is not missing",
                window.length, window.horizon
            ),
            found: format!("none in {rows} rows"),
        }
    }
}

impl Windows {
    /// What was dropped, if anything.
    pub(crate) fn note(&self, table: &Table) -> Option<String> {
        (self.dropped > 0)
            .then(|| format!("{}: dropped {} windows whose target is missing", table.path.display(), self.dropped))
    }
}

impl Track {
    fn within(&self) -> String {
        self.name.as_ref().map(|name| format!(" in sequence {name:?}")).unwrap_or_default()
    }
}
