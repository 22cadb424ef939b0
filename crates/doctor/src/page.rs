//! What the page of a training shows (`emberloop-report`).

use emberloop_core::EpochReport;
use emberloop_data::{Dataset, Targets};
use emberloop_findings::{Cause, Finding, Kind};
use emberloop_report as page;

use crate::examine::Examination;
use crate::mend::Mended;
use crate::probe::Probe;
use crate::review::Review;
use crate::score::Score;

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
                what: tried.fix.lines().join("; "),
                suspected: Some(tried.cause),
                metric: "validation skill".into(),
                before: self.reference.validation.skill,
                after: tried.validation.skill,
            })
            .collect();
        // Without a model there are no gates and no units to look at.
        let unseen = |cause: &Cause| self.probe.is_none() && matches!(cause, Cause::GatesSaturated | Cause::UnitsDead);
        report.looked_for = Cause::ALL.iter().copied().filter(|cause| !unseen(cause)).collect();
        report.limits.clone_from(&self.notes);
        report
    }
}

impl Review {
    /// Fills a page, but for its title, its state and its facts.
    pub fn page(&self, validation: &Dataset) -> page::Report {
        let mut report = common(
            &self.findings,
            &self.reference.watch.epochs,
            self.probe.as_ref(),
            &self.reference.validation,
            validation,
        );
        let has_log = !self.reference.watch.epochs.is_empty();
        let looked_for = Cause::ALL.iter().copied().filter(|cause| can_be_read(*cause, has_log, self.probe.is_some()));
        report.looked_for = looked_for.collect();
        report.only_read = true;
        report
    }
}

impl Mended {
    /// What the page says of it.
    pub fn page(&self) -> page::Mended {
        page::Mended {
            what: self.fix.lines(),
            metric: "validation skill".into(),
            before: self.before.skill,
            after: self.after.skill,
        }
    }
}

/// Whether a review sees a cause if it is there, with a log, and with a model.
fn can_be_read(cause: Cause, has_log: bool, has_model: bool) -> bool {
    match cause {
        // Only trainings show these, and a log does not have the very first loss.
        Cause::LabelsUnrelated | Cause::CannotOverfit | Cause::InitialLoss => false,
        Cause::GatesSaturated | Cause::UnitsDead => has_log && has_model,
        cause => has_log || cause.kind() == Kind::Data,
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
        epochs: epochs.iter().map(epoch).collect(),
        kept_epoch: epochs.iter().rev().find(|epoch| epoch.best).map(|epoch| epoch.epoch),
        gradients: probe.map(gradients),
        gates: probe.map(gates).unwrap_or_default(),
        confusion: (!counts.is_empty()).then_some(page::Confusion { labels, counts }),
        ..page::Report::default()
    }
}

/// Steps are counted from the end in a probe; on the page the end comes last.
fn gradients(probe: &Probe) -> page::Gradients {
    page::Gradients {
        layers: probe.layers.iter().map(|layer| layer.name.clone()).collect(),
        steps: probe.layers.first().map_or(0, |layer| layer.gradient.len()),
        norms: probe.layers.iter().map(|layer| layer.gradient.iter().rev().copied().collect()).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_claims_no_more_than_it_sees() {
        let seen = |has_log, has_model| {
            let seen = Cause::ALL.iter().copied().filter(move |cause| can_be_read(*cause, has_log, has_model));
            seen.collect::<Vec<_>>()
        };
        let data = seen(false, false);
        assert!(data.contains(&Cause::SplitLeak) && data.iter().all(|cause| cause.kind() == Kind::Data));
        let log = seen(true, false);
        assert!(log.contains(&Cause::LearningRateHigh) && !log.contains(&Cause::GatesSaturated));
        let model = seen(true, true);
        assert!(model.contains(&Cause::GatesSaturated) && !model.contains(&Cause::CannotOverfit));
        assert!(!model.contains(&Cause::LabelsUnrelated));
    }
}
