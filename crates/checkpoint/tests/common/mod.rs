//! A tiny, complete checkpoint: few enough bytes to damage every single one.

use std::collections::BTreeMap;

use emberloop_cells::CellKind;
use emberloop_checkpoint::{Architecture, Checkpoint, FORMAT, Metadata, Pooling, Provenance, Task, Tensor};
use emberloop_data::{FeatureScale, Inputs, MissingPolicy, Scaler, ScalerKind, Schema, TargetPer, Targets};

/// An RNN with one channel, one unit and two classes. Its numbers are awkward on purpose: a subnormal, a negative zero,
/// the largest float, and an offset that a careless decimal parser reads one bit off.
pub fn tiny() -> Checkpoint {
    let architecture = Architecture {
        cell: CellKind::Rnn,
        inputs: 1,
        embedding: None,
        hidden: vec![1],
        bidirectional: false,
        pooling: Pooling::Last,
        outputs: 2,
        task: Task::Classification,
        dropout: 0.25,
    };
    let values = [0.1, -0.0, f32::MAX, f32::from_bits(1), 1.0 / 3.0, -7.25, 1e-20, 3.5];
    let mut values = values.into_iter();
    let tensors = architecture.tensors().into_iter().map(|wanted| {
        let size = wanted.shape.iter().product();
        (wanted.name, Tensor { shape: wanted.shape, values: values.by_ref().take(size).collect() })
    });
    Checkpoint {
        tensors: tensors.collect(),
        metadata: Metadata {
            format: FORMAT,
            schema: Schema {
                inputs: Inputs::Channels(vec!["µV \"left\"".into()]),
                targets: Targets::Classes { labels: vec!["rest".into(), "grip".into()] },
                target_per: TargetPer::Sequence,
            },
            scaler: Scaler {
                kind: ScalerKind::Standard,
                missing: MissingPolicy::HoldLast,
                features: vec![FeatureScale { offset: 1.0715660391421336e-5, scale: 0.1 + 0.2, fill: -1e300 }],
            },
            target_scaler: None,
            config: serde_json::json!({"training": {"seed": 7, "batch": 32}, "data": {"train": "train.csv"}}),
            metrics: BTreeMap::from([("val_accuracy".into(), 0.9658), ("val_loss".into(), 2.0 / 3.0)]),
            provenance: Provenance {
                emberloop: "0.1.0".into(),
                seed: u64::MAX,
                data_hash: "ab".repeat(32),
                epochs: 12,
                parent: None,
                versions: BTreeMap::from([("burn".into(), "0.21.0".into())]),
            },
            architecture,
        },
    }
}
