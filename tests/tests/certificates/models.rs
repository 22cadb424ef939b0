//! Small models around the rows that are driven to their bounds.

use emberloop_tests::model::{
    CellKind, Embedding, Head, Input, Layer, Matrix, Missing, Model, Pooling, Row, Scale, Scaler, Task, Token,
};

/// A layer that keeps whatever hidden state is put into it: its update gate is exactly one.
pub fn holder(units: usize) -> Layer {
    let matrix = |columns| Matrix { columns, rows: vec![Row { multiplier: 0, weights: vec![0; columns] }; 3 * units] };
    let mut bias = vec![0; 3 * units];
    bias[units..2 * units].fill(1 << 30);
    Layer {
        cell: CellKind::GruResetAfter,
        hidden: units,
        cell_fraction: 0,
        shift: 0,
        input: matrix(1),
        recurrent: matrix(units),
        bias,
        recurrent_bias: vec![0; units],
    }
}

/// One output that does not matter.
pub fn small_head(columns: usize) -> Head {
    let weights = Matrix { columns, rows: vec![Row { multiplier: 1, weights: vec![1; columns] }] };
    Head { task: Task::Regression, pooling: Pooling::Last, fraction: 0, shift: 0, weights, bias: vec![0] }
}

/// One token, which the first layer does not see.
pub fn model(layers: Vec<Layer>, head: Head) -> Model {
    let scale = Scale { multiplier: 0, left: 0, right: 1 };
    let embedding = Embedding { columns: 1, rows: vec![Token { scale, weights: vec![0] }] };
    let labels = (0..head.outputs()).map(|output| output.to_string()).collect();
    Model {
        name: "certified".to_owned(),
        checkpoint: String::new(),
        input: Input::Tokens { fraction: 15, embedding },
        layers,
        head,
        channels: vec!["token".to_owned()],
        labels,
        golden: Vec::new(),
    }
}

/// Features whose raw numbers are the scaled inputs.
pub fn with_features(model: &mut Model, features: usize) {
    let scale = Scale { multiplier: 1 << 14, left: 3, right: 1 };
    let (min, max) = (-32767, 32767);
    let scaler = Scaler { min, max, offset: 0, scale, fill: 0, pre_shift: 0, raw_fraction: 0 };
    model.input = Input::Features { fraction: 15, missing: Missing::Error, scalers: vec![scaler; features] };
    model.channels = (0..features).map(|feature| feature.to_string()).collect();
}
