//! The embedding table: int8 rows that the device turns into the first layer's input by one requantization.

use emberloop_image::Requantizer;

use crate::QuantizeError;
use crate::compensation::WEIGHT_MAX;
use crate::dense::Dense;
use crate::float_network::exp2;
use crate::integer_model::IntegerTable;

/// Scales tried for each row, as shares of the one that brings its largest number to 127.
const SCALES: [f64; 8] = [1.0, 0.98, 0.96, 0.94, 0.92, 0.9, 0.87, 0.84];

/// The table and its fraction bits: as many as hold the largest number.
pub(crate) fn quantize_embedding(table: &Dense) -> Result<(u8, IntegerTable), QuantizeError> {
    let largest = table.values.iter().fold(0.0, |max: f64, value| max.max(value.abs()));
    // Rounding can reach just beyond the largest number.
    let bits = if largest > 0.0 { (1.01 * largest).log2().ceil() as i32 } else { 0 };
    let fraction = (15 - bits).min(15);
    if fraction < 0 {
        let problem = format!("a number of magnitude {largest} is beyond 16 bits");
        return Err(QuantizeError::Range { place: "tensor embedding.weight".into(), problem });
    }
    let mut matrix = IntegerTable { columns: table.columns, scales: Vec::new(), weights: Vec::new() };
    for row in table.rows() {
        let (scale, weights) = best_row(row, fraction);
        matrix.scales.push(scale);
        matrix.weights.extend(weights);
    }
    Ok((fraction as u8, matrix))
}

fn best_row(row: &[f64], fraction: i32) -> (Requantizer, Vec<i8>) {
    let largest = row.iter().fold(0.0, |max: f64, value| max.max(value.abs()));
    let candidates = SCALES.iter().filter_map(|share| {
        let scale = Requantizer::nearest(share * largest / WEIGHT_MAX * exp2(fraction))?;
        let step = scale.factor() * exp2(-fraction);
        let round = |value: &f64| if step > 0.0 { (value / step).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) } else { 0.0 };
        let error: f64 = row.iter().map(|value| (value - round(value) * step).powi(2)).sum();
        Some((error, scale, row.iter().map(|value| round(value) as i8).collect::<Vec<_>>()))
    });
    let best = candidates.min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(|| (Requantizer::ZERO, vec![0; row.len()]), |(_, scale, weights)| (scale, weights))
}
