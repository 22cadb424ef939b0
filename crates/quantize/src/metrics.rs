//! Predictions of either side, collected and scored.

use emberloop_data::metrics::{ClassMetrics, Metrics, ValueMetrics};
use emberloop_data::{Dataset, SequenceTarget, TargetPer, Targets};

/// Pairs of truth and prediction.
#[derive(Clone, Debug)]
pub(crate) struct Predictions {
    classes: Vec<(usize, usize)>,
    /// By output.
    values: Vec<Vec<(f64, f64)>>,
}

impl Predictions {
    pub(crate) fn new(outputs: usize) -> Self {
        Self { classes: Vec::new(), values: vec![Vec::new(); outputs] }
    }

    /// Adds the answers of one sequence, `[answers, outputs]`, one for each target.
    pub(crate) fn add(&mut self, target: &SequenceTarget, answers: &[f64]) {
        let outputs = self.values.len();
        match target {
            SequenceTarget::Class(class) => self.add_classes(std::slice::from_ref(class), answers),
            SequenceTarget::Classes(classes) => self.add_classes(classes, answers),
            SequenceTarget::Values(truths) | SequenceTarget::StepValues(truths) => {
                for (at, (&truth, &answer)) in truths.iter().zip(answers).enumerate() {
                    if !truth.is_nan() {
                        self.values[at % outputs].push((f64::from(truth), answer));
                    }
                }
            }
            SequenceTarget::Absent => {}
        }
    }

    fn add_classes(&mut self, truths: &[usize], answers: &[f64]) {
        let predicted = answers.chunks_exact(self.values.len()).map(argmax);
        self.classes.extend(truths.iter().copied().zip(predicted));
    }

    pub(crate) fn append(&mut self, other: Predictions) {
        self.classes.extend(other.classes);
        for (values, other) in self.values.iter_mut().zip(other.values) {
            values.extend(other);
        }
    }

    pub(crate) fn metrics(&self, targets: &Targets) -> Metrics {
        match targets {
            Targets::Classes { labels } => {
                Metrics::Classes(ClassMetrics::new(labels.len(), self.classes.iter().copied()))
            }
            Targets::Values { .. } => Metrics::Values(ValueMetrics::new(&self.values)),
        }
    }
}

/// The first of the largest, as the device decides.
pub(crate) fn argmax(logits: &[f64]) -> usize {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    best
}

/// The outputs that answer a target, out of those of all steps: the last step's, or all.
pub(crate) fn answers<'o>(dataset: &Dataset, all: &'o [f64], outputs: usize) -> &'o [f64] {
    match dataset.target_per {
        TargetPer::Sequence => &all[all.len().saturating_sub(outputs)..],
        TargetPer::Step => all,
    }
}
