//! What the page of a training shows (`emberloop-report`).

use emberloop_core::EpochReport;
use emberloop_data::{Dataset, Targets};
use emberloop_findings::{Cause, Finding, Fix};
use emberloop_report as page;

use crate::examine::Examination;
use crate::probe::Probe;
use crate::review::Review;
use crate::score::Score;

/// Columns of the heat map, at most.
const COLUMNS: usize = 120;

impl Examination {
    /// Fills a page, but for its title, its state and its facts.
    pub fn page(&self, validation: &Dataset) -> page::Report {
        let mut report = common(
            &self.findings,
            &self.reference.watch.epochs,
            self.probe.as_ref(),
            &self.reference.validation,
            validation,
        );
        report.trials = self
            .tried
            .iter()
            .map(|tried| page::Trial {
                what: words(tried.cause, &tried.fix),
                metric: "validation skill".into(),
                before: self.reference.validation.skill,
                after: tried.validation.skill,
            })
            .collect();
        report.notes.clone_from(&self.notes);
        report
    }
}

impl Review {
    /// Fills a page, but for its title, its state and its facts.
    pub fn page(&self, validation: &Dataset) -> page::Report {
        common(
            &self.findings,
            &self.reference.watch.epochs,
            self.probe.as_ref(),
            &self.reference.validation,
            validation,
        )
    }
}

fn common(
    findings: &[Finding],
    epochs: &[EpochReport],
    probe: Option<&Probe>,
    score: &Score,
    validation: &Dataset,
) -> page::Report {
    let epoch = |epoch: &EpochReport| page::Epoch {
        epoch: epoch.epoch,
        metrics: epoch.metrics.clone(),
        learning_rate: epoch.learning_rate,
        gradient_norm: epoch.gradient_norm,
    };
    let labels = match &validation.targets {
        Targets::Classes { labels } => labels.clone(),
        Targets::Values { .. } => Vec::new(),
    };
    let counts: Vec<Vec<u64>> =
        score.confusion.iter().map(|row| row.iter().map(|&count| count as u64).collect()).collect();
    page::Report {
        findings: findings.to_vec(),
        looked_for: Cause::ALL.to_vec(),
        epochs: epochs.iter().map(epoch).collect(),
        kept_epoch: epochs.iter().rev().find(|epoch| epoch.best).map(|epoch| epoch.epoch),
        gradients: probe.map(gradients),
        gates: probe.map(gates).unwrap_or_default(),
        confusion: (!counts.is_empty()).then_some(page::Confusion { labels, counts }),
        ..page::Report::default()
    }
}

/// Steps are counted from the end in a probe, from the start on the page.
fn gradients(probe: &Probe) -> page::Gradients {
    let steps = probe.layers.first().map_or(0, |layer| layer.gradient.len());
    let width = steps.div_ceil(COLUMNS).max(1);
    let row = |norms: &[f64]| -> Vec<f64> {
        let forward: Vec<f64> = norms.iter().rev().copied().collect();
        forward.chunks(width).map(|group| group.iter().sum::<f64>() / group.len() as f64).collect()
    };
    page::Gradients {
        layers: probe.layers.iter().map(|layer| layer.name.clone()).collect(),
        steps,
        norms: probe.layers.iter().map(|layer| row(&layer.gradient)).collect(),
    }
}

fn gates(probe: &Probe) -> Vec<page::GateHistogram> {
    let all = probe.layers.iter().flat_map(|layer| layer.gates.iter().map(move |gate| (layer, gate)));
    let histogram = |(layer, gate): (&crate::LayerProbe, &crate::GateProbe)| page::GateHistogram {
        layer: layer.name.clone(),
        gate: gate.gate.into(),
        bins: gate.bins.clone(),
        low_share: gate.low,
        high_share: gate.high,
    };
    all.map(histogram).collect()
}

/// A change in a few words.
fn words(cause: Cause, fix: &Fix) -> String {
    let mut parts: Vec<String> = fix
        .unset
        .iter()
        .filter(|key| !fix.set.keys().any(|set| set.starts_with(key.as_str())))
        .map(|key| format!("without {key}"))
        .collect();
    parts.extend(fix.set.iter().map(|(key, value)| format!("{key} = {value}")));
    format!("{cause}: {}", parts.join(", "))
}
