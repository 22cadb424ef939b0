//! Initial weights, computed on the host from the seed alone: the same on every device.

use std::collections::BTreeMap;

use emberloop_cells::{CellKind, Gate, RecurrentTensor, TensorName};
use emberloop_checkpoint::{Architecture, Tensor};

use crate::rng::{Purpose, Rng, fnv1a};

/// Every tensor of a fresh model in PyTorch's layout, by name.
///
/// Input weights and head Xavier-uniform (Glorot and Bengio 2010), recurrent weights orthogonal gate by gate (Saxe et al.
/// 2014), embedding standard normal, biases 0 but the LSTM's forget gate 1 (Jozefowicz et al. 2015): the cell remembers
/// until it learns to forget. Each tensor has its own stream of random numbers, so that a new head does not depend on
/// what lies below it.
pub fn initial_tensors(architecture: &Architecture, seed: u64) -> BTreeMap<String, Tensor> {
    let mut tensors = BTreeMap::new();
    let stream = |name: &str| Rng::keyed(&[Purpose::Initialize as u64, seed, fnv1a(name.bytes())]);
    for (layer, &units) in architecture.hidden.iter().enumerate() {
        for &direction in architecture.directions() {
            for tensor in RecurrentTensor::ALL {
                let name = TensorName { layer, direction, tensor }.to_string();
                let values =
                    recurrent(architecture.cell, tensor, architecture.layer_inputs(layer), units, &mut stream(&name));
                tensors.insert(name, values);
            }
        }
    }
    for wanted in architecture.tensors() {
        tensors.entry(wanted.name.clone()).or_insert_with(|| {
            let rng = &mut stream(&wanted.name);
            let size = wanted.shape.iter().product();
            let values = match (wanted.name.as_str(), wanted.shape.as_slice()) {
                (Architecture::EMBEDDING_WEIGHT, _) => (0..size).map(|_| rng.normal() as f32).collect(),
                (Architecture::HEAD_WEIGHT, &[outputs, inputs]) => xavier(outputs, inputs, rng),
                _ => vec![0.0; size],
            };
            Tensor { shape: wanted.shape, values }
        });
    }
    tensors
}

fn recurrent(cell: CellKind, tensor: RecurrentTensor, inputs: usize, units: usize, rng: &mut Rng) -> Tensor {
    let (rows, columns) = tensor.shape(cell, inputs, units);
    let values = match tensor {
        RecurrentTensor::InputWeight => cell.gates().iter().flat_map(|_| xavier(units, inputs, rng)).collect(),
        RecurrentTensor::RecurrentWeight => cell.gates().iter().flat_map(|_| orthogonal(units, rng)).collect(),
        RecurrentTensor::InputBias => {
            cell.gates().iter().flat_map(|&gate| vec![if gate == Gate::Forget { 1.0 } else { 0.0 }; units]).collect()
        }
        RecurrentTensor::RecurrentBias => vec![0.0; rows],
    };
    Tensor { shape: [rows].into_iter().chain(columns).collect(), values }
}

/// `[rows, columns]`, uniform with the variance that keeps signal and gradient of the same size.
fn xavier(rows: usize, columns: usize, rng: &mut Rng) -> Vec<f32> {
    let bound = (6.0 / (rows + columns) as f64).sqrt();
    (0..rows * columns).map(|_| ((2.0 * rng.uniform() - 1.0) * bound) as f32).collect()
}

/// A random orthogonal matrix, uniform over all of them: modified Gram-Schmidt on a Gaussian one, in f64.
fn orthogonal(size: usize, rng: &mut Rng) -> Vec<f32> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(size);
    while rows.len() < size {
        let mut row: Vec<f64> = (0..size).map(|_| rng.normal()).collect();
        // Twice is enough to be orthogonal to rounding (Giraud et al. 2005).
        for _ in 0..2 {
            for other in &rows {
                let along = dot(&row, other);
                row.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
            }
        }
        let norm = dot(&row, &row).sqrt();
        // A row that lies in the span of the others, which happens with probability 0, is drawn again.
        if norm > 1e-6 {
            rows.push(row.into_iter().map(|value| value / norm).collect());
        }
    }
    rows.into_iter().flatten().map(|value| value as f32).collect()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_rows_are_orthonormal() {
        let size = 17;
        let matrix = orthogonal(size, &mut Rng::keyed(&[1]));
        for (left, right) in (0..size).flat_map(|left| (0..size).map(move |right| (left, right))) {
            let product: f32 = (0..size).map(|k| matrix[left * size + k] * matrix[right * size + k]).sum();
            let expected = f32::from(u8::from(left == right));
            assert!((product - expected).abs() < 1e-5, "rows {left} and {right}: {product}");
        }
    }

    #[test]
    fn only_the_forget_gate_starts_open() {
        let rng = &mut Rng::keyed(&[1]);
        let bias = recurrent(CellKind::Lstm, RecurrentTensor::InputBias, 3, 2, rng);
        assert_eq!(bias.values, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
