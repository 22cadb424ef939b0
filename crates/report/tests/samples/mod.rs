//! Reports of every kind: usual, empty, hostile, large.

use std::collections::BTreeMap;

use emberloop_findings::{Cause, Confidence, Finding, Fix};
use emberloop_report::{Confusion, Epoch, GateHistogram, Gradients, Mended, Report, Trial};
use serde_json::json;

/// All of them by name.
pub fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("usual", usual()),
        ("regression", regression()),
        ("nothing found", nothing_found()),
        ("only read", only_read()),
        ("mended", mended()),
        ("empty", Report::default()),
        ("one epoch", one_epoch()),
        ("diverged", diverged()),
        ("hostile", hostile()),
        ("large", large()),
        ("odd", odd()),
    ]
}

/// A classification with two findings.
pub fn usual() -> Report {
    let findings = vec![
        Finding {
            id: Cause::LearningRateHigh,
            confidence: Confidence::High,
            summary: "The loss jumps up in 14 of 40 epochs, by up to 3.1 times; with a tenth of the rate it falls from 1.9 to 0.3."
                .into(),
            evidence: json!({"rises": 14, "epochs": 40, "largest_jump": 3.1, "update_to_weight_ratio": 0.12, "loss_after_trial": 0.31})
                .as_object()
                .cloned()
                .unwrap(),
            explanation: "Each update overshoots: it goes past the place where the loss is lowest and climbs the other side. \
                          Shorter steps get there."
                .into(),
            fix: Fix::set("training.optimizer.learning_rate", 0.003).and("training.clip_norm", 1.0),
            score: 0.9,
        },
        Finding {
            id: Cause::ClassImbalance,
            confidence: Confidence::Medium,
            summary: "Class 3 is 21.6 % of the labels, and the accuracy is stuck at 0.2155.".into(),
            evidence: json!({"shares": {"rest": 0.05, "shake": 0.2155, "circle": 0.7345}}).as_object().cloned().unwrap(),
            explanation: "To name the largest class is right so often that nothing better is learned.".into(),
            fix: Fix::set("training.class_weights", "balanced").with_advice("record more of the rare classes"),
            score: 0.5,
        },
        Finding {
            id: Cause::BatchLarge,
            confidence: Confidence::Low,
            summary: "An epoch has 3 updates.".into(),
            evidence: json!({"updates": 3}).as_object().cloned().unwrap(),
            explanation: String::new(),
            fix: Fix { unset: vec!["training.accumulate".into()], ..Fix::default() },
            score: 0.1,
        },
    ];
    Report {
        title: "japanese-vowels".into(),
        state: "finished".into(),
        facts: facts(),
        findings,
        looked_for: Cause::ALL.to_vec(),
        only_read: false,
        limits: vec!["examined on 15 % of the training sequences and 3 of 60 epochs, to be done in time".into()],
        mended: None,
        epochs: epochs(40, &["loss", "accuracy", "balanced_accuracy", "macro_f1"]),
        kept_epoch: Some(31),
        gradients: Some(gradients(&["rnn.l0", "rnn.l1"], 29)),
        gates: gates(2, &["input", "forget", "output"]),
        confusion: Some(confusion(9)),
        trials: vec![
            Trial {
                what: "under [training], in optimizer: learning_rate = 0.003".into(),
                suspected: Some(Cause::LearningRateHigh),
                metric: "validation skill".into(),
                before: 0.2155,
                after: 0.93,
            },
            Trial {
                what: "under [training]: take out accumulate".into(),
                suspected: None,
                metric: "validation skill".into(),
                before: 0.2155,
                after: f64::NAN,
            },
        ],
        notes: vec!["The test split was not looked at.".into()],
    }
}

fn regression() -> Report {
    Report {
        title: "beijing-pm25".into(),
        state: "running".into(),
        epochs: epochs(7, &["loss", "rmse", "mae", "r2"]),
        looked_for: vec![Cause::FeaturesUnscaled, Cause::SplitLeak],
        gates: gates(1, &["reset", "update"]),
        gradients: Some(gradients(&["rnn.l0"], 24)),
        ..Report::default()
    }
}

/// A healthy training that was examined.
pub fn nothing_found() -> Report {
    Report { findings: Vec::new(), ..usual() }
}

/// A run that was only read, of two directions.
pub fn only_read() -> Report {
    Report {
        findings: Vec::new(),
        looked_for: Cause::ALL[..20].to_vec(),
        only_read: true,
        limits: Vec::new(),
        trials: Vec::new(),
        gradients: Some(gradients(&["layer 1", "layer 1, reverse"], 29)),
        ..usual()
    }
}

/// What was found is mended.
pub fn mended() -> Report {
    let mended = Mended {
        what: vec!["under [training], in optimizer: learning_rate = 0.003".into()],
        metric: "val_accuracy".into(),
        before: 0.2155,
        after: 0.93,
    };
    Report { mended: Some(mended), ..usual() }
}

fn one_epoch() -> Report {
    Report {
        epochs: epochs(1, &["loss", "accuracy"]),
        confusion: Some(confusion(1)),
        gradients: Some(gradients(&["rnn.l0"], 1)),
        kept_epoch: Some(1),
        ..usual()
    }
}

fn diverged() -> Report {
    let mut report = usual();
    for epoch in report.epochs.iter_mut().skip(12) {
        epoch.metrics.insert("loss".into(), 10f64.powi(epoch.epoch as i32));
        epoch.gradient_norm = f64::INFINITY;
    }
    for epoch in report.epochs.iter_mut().skip(20) {
        epoch.metrics.insert("loss".into(), f64::NAN);
        epoch.metrics.insert("val_loss".into(), f64::INFINITY);
        epoch.learning_rate = 0.0;
    }
    report.gradients = Some(Gradients {
        layers: vec!["rnn.l0".into(), "rnn.l1".into()],
        steps: 3,
        norms: vec![vec![f64::INFINITY, 1e30, 1.0], vec![f64::NAN, 0.0, 1e-30]],
    });
    report.gates[0].bins = vec![0; 20];
    report.gates[0].low_share = f64::NAN;
    report
}

/// Names that would break a page that trusts them.
pub fn hostile() -> Report {
    let long = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen".repeat(5);
    let script = "<script>document.title='broken'</script>\"'&amp;<img src=x onerror=alert(1)>";
    let mut report = usual();
    report.title = format!("{script} {long}");
    report.state = "läuft <b>".into();
    report.facts.push((script.into(), long.clone()));
    report.facts.push(("數據".into(), "数据/训练集.csv, данные.csv, بيانات.csv, ข้อมูล.csv".into()));
    report.findings[0].summary = format!("{script} {long} ]]> --> </style>");
    report.findings[0].evidence.insert(script.into(), json!({"列": [script, long, 1e-300, null]}));
    report.findings[0].fix =
        Fix::set("data.train", format!("{long}/{script}")).and("data.null", serde_json::Value::Null);
    let labels = [script, &long, "", "走る", "بيانات", "a\nb", "\u{202e}reversed", "🙂", "&lt;"];
    report.confusion = Some(Confusion { labels: labels.map(String::from).into(), ..confusion(9) });
    for layer in &mut report.gradients.as_mut().unwrap().layers {
        *layer = format!("{script}{long}");
    }
    for gate in &mut report.gates {
        gate.layer = long.clone();
        gate.gate = script.into();
    }
    for epoch in &mut report.epochs {
        epoch.metrics.insert(format!("val_{script}"), 1.0);
        epoch.metrics.insert(long.clone(), -1.0);
    }
    report.limits.push(format!("{script} {long}"));
    report.mended =
        Some(Mended { what: vec![script.into(), long.clone()], metric: script.into(), before: 1.0, after: f64::NAN });
    report.trials[0].what = long.clone();
    report.trials[0].metric = script.into();
    report.notes.push(format!("{script} {long}"));
    report
}

/// As much as a page must hold: 1000 epochs, 60 classes, four layers over 500 steps.
pub fn large() -> Report {
    let layers: Vec<String> =
        (0..4).flat_map(|layer| [format!("rnn.l{layer}"), format!("rnn.l{layer}.reverse")]).collect();
    let names: Vec<&str> = layers.iter().map(String::as_str).collect();
    Report {
        epochs: epochs(1000, &["loss", "accuracy", "balanced_accuracy", "macro_f1"]),
        kept_epoch: Some(777),
        gradients: Some(gradients(&names, 500)),
        gates: gates(8, &["input", "forget", "output"]),
        confusion: Some(confusion(60)),
        ..usual()
    }
}

/// Lists that do not fit each other, and more classes than anybody reads.
fn odd() -> Report {
    let mut report = usual();
    report.epochs.reverse();
    report.epochs[3].metrics.clear();
    report.epochs[5].metrics.insert("val_loss".into(), -2.0);
    report.kept_epoch = Some(500);
    report.gradients = Some(Gradients {
        layers: vec!["only one".into()],
        steps: 0,
        norms: vec![vec![1.0], Vec::new(), vec![0.0; 700]],
    });
    report.gates[0].bins = vec![3];
    report.gates[1].bins = (0..500).collect();
    report.gates[2].bins = Vec::new();
    report.confusion = Some(Confusion { labels: vec!["first".into()], ..confusion(300) });
    report.confusion.as_mut().unwrap().counts.truncate(290);
    report
}

fn facts() -> Vec<(String, String)> {
    let facts = [
        ("Cell", "LSTM, 2 layers of 32 units"),
        ("Parameters", "15,369"),
        ("Data", "japanese_vowels.csv: 270 sequences, 12 channels"),
        ("Device", "CPU, 2 threads"),
        ("Time", "4.8 s"),
        ("val_accuracy", "0.2155"),
    ];
    facts.map(|(name, value)| (name.into(), value.into())).into()
}

/// Curves that fall or rise and jitter, the same every time.
fn epochs(count: usize, metrics: &[&str]) -> Vec<Epoch> {
    let jitter = |epoch: usize, scale: f64| 1.0 + scale * ((epoch * 7919 + 13) % 101) as f64 / 101.0;
    let course = |epoch: usize| (-(epoch as f64) / (count as f64 / 4.0)).exp();
    let epoch = |epoch: usize| {
        let mut values = BTreeMap::new();
        for (place, name) in metrics.iter().enumerate() {
            let falls = matches!(*name, "loss" | "rmse" | "mae");
            for (prefix, worse) in [("", 0.0), ("val_", 0.15)] {
                let value = if falls { 0.1 + worse + 2.0 * course(epoch) } else { 0.95 - worse - 0.7 * course(epoch) };
                // Training's accuracies are not always recorded.
                if !prefix.is_empty() || place < 2 {
                    values.insert(format!("{prefix}{name}"), value * jitter(epoch + place, 0.04));
                }
            }
        }
        let learning_rate = 0.03 * 0.5f64.powi((epoch * 5 / count) as i32);
        Epoch { epoch, metrics: values, learning_rate, gradient_norm: 3.0 * course(epoch) * jitter(epoch, 1.0) + 0.02 }
    };
    (1..=count).map(epoch).collect()
}

fn gradients(layers: &[&str], steps: usize) -> Gradients {
    let norm = |layer: usize, step: usize| 0.8f64.powi(((steps - step) * 60 / steps) as i32) / (layer + 1) as f64;
    let norms = (0..layers.len()).map(|layer| (0..steps).map(|step| norm(layer, step)).collect()).collect();
    Gradients { layers: layers.iter().map(|name| (*name).into()).collect(), steps, norms }
}

fn gates(layers: usize, names: &[&str]) -> Vec<GateHistogram> {
    let histogram = |layer: usize, gate: usize| {
        let bins: Vec<u64> =
            (0..20).map(|bin: u64| 10 + bin.abs_diff(7 + 6 * gate as u64).pow(2) * (layer as u64 + 1)).collect();
        let (low, high) = (0.1 * gate as f64, 0.55 - 0.25 * gate as f64);
        GateHistogram {
            layer: format!("rnn.l{layer}"),
            gate: names[gate].into(),
            bins,
            low_share: low,
            high_share: high.max(0.0),
        }
    };
    (0..layers).flat_map(|layer| (0..names.len()).map(move |gate| histogram(layer, gate))).collect()
}

fn confusion(classes: usize) -> Confusion {
    let count = |truth: usize, predicted: usize| match truth.abs_diff(predicted) {
        0 => 30 + truth as u64 % 7,
        1 => truth as u64 % 5,
        7 => 1,
        _ => 0,
    };
    Confusion {
        labels: (0..classes).map(|class| format!("speaker {}", class + 1)).collect(),
        counts: (0..classes).map(|truth| (0..classes).map(|predicted| count(truth, predicted)).collect()).collect(),
    }
}
