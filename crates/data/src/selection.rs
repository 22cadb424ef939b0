//! Order statistics of many columns without sorting or holding them: exact, in two passes over the rows.
//!
//! A radix selection: floats are ordered as integers by their bits, so a first pass counts upper halves, and a second one
//! the lower halves of those values whose upper half has a wanted rank.

use std::collections::BTreeMap;

use crate::error::DataError;
use crate::statistics::Pass;

/// One counter for each 16 bits.
const COUNTERS: usize = 1 << 16;

/// Columns that are counted at once: 32 MiB of counters.
const COLUMNS: usize = 64;

/// The values at these ranks (from 0) among the values of each column that are not missing, in the order of
/// `f32::total_cmp`.
///
/// # Panics
/// If a rank is not below the number of its column's values.
pub(crate) fn order_statistics(pass: Pass<'_>, ranks: &[Vec<u64>]) -> Result<Vec<Vec<f32>>, DataError> {
    let mut found = Vec::with_capacity(ranks.len());
    for first in (0..ranks.len()).step_by(COLUMNS) {
        let ranks_here = &ranks[first..(first + COLUMNS).min(ranks.len())];
        found.extend(of_columns(pass, ranks.len(), first, ranks_here)?);
    }
    Ok(found)
}

/// The same for the columns from `first`, of rows that are `width` wide.
fn of_columns(pass: Pass<'_>, width: usize, first: usize, ranks: &[Vec<u64>]) -> Result<Vec<Vec<f32>>, DataError> {
    let mut upper = vec![vec![0u64; COUNTERS]; ranks.len()];
    pass(&mut |rows| {
        for row in rows.chunks_exact(width) {
            for (counters, &value) in upper.iter_mut().zip(&row[first..]) {
                if !value.is_nan() {
                    counters[(key(value) >> 16) as usize] += 1;
                }
            }
        }
        Ok(())
    })?;
    // For each rank the upper half of its value, and its rank among the values that have it.
    let places: Vec<Vec<(u32, u64)>> = ranks
        .iter()
        .zip(&upper)
        .map(|(ranks, counters)| ranks.iter().map(|&rank| place(counters, rank)).collect())
        .collect();
    let mut lower: Vec<BTreeMap<u32, Vec<u64>>> =
        places.iter().map(|places| places.iter().map(|&(half, _)| (half, vec![0; COUNTERS])).collect()).collect();
    pass(&mut |rows| {
        for row in rows.chunks_exact(width) {
            for (counters, &value) in lower.iter_mut().zip(&row[first..]) {
                if !value.is_nan()
                    && let Some(counters) = counters.get_mut(&(key(value) >> 16))
                {
                    counters[(key(value) & 0xFFFF) as usize] += 1;
                }
            }
        }
        Ok(())
    })?;
    let value = |counters: &BTreeMap<u32, Vec<u64>>, &(half, rank): &(u32, u64)| {
        from_key(half << 16 | place(&counters[&half], rank).0)
    };
    Ok(places
        .iter()
        .zip(&lower)
        .map(|(places, lower)| places.iter().map(|place| value(lower, place)).collect())
        .collect())
}

/// The counter in which a rank falls, and the rank within it.
fn place(counters: &[u64], mut rank: u64) -> (u32, u64) {
    for (at, &count) in counters.iter().enumerate() {
        if rank < count {
            return (at as u32, rank);
        }
        rank -= count;
    }
    panic!("a rank beyond the number of values")
}

/// The bits of a float so that they sort as `f32::total_cmp` does.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

fn from_key(key: u32) -> f32 {
    f32::from_bits(key ^ if key >> 31 == 1 { 1 << 31 } else { u32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Each rank counts in half a mebibyte.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equal_to_sorting(
            rows in prop::collection::vec((any::<f32>(), -3i8..3), 1..60),
            pieces in 1usize..7,
        ) {
            let table: Vec<f32> = rows.iter().flat_map(|&(wild, tame)| [wild, f32::from(tame) / 3.0]).collect();
            let column = |at: usize| {
                let mut values: Vec<f32> =
                    table.iter().skip(at).step_by(2).copied().filter(|value| !value.is_nan()).collect();
                values.sort_unstable_by(f32::total_cmp);
                values
            };
            let step = 1 + rows.len() / 5;
            let ranks = [0, 1].map(|at| (0..column(at).len() as u64).step_by(step).collect::<Vec<_>>());
            let pass = |look: &mut dyn FnMut(&[f32]) -> Result<(), DataError>| {
                table.chunks(2 * pieces).try_for_each(look)
            };
            let found = order_statistics(&pass, &ranks).unwrap();
            for at in 0..2 {
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                let expected: Vec<f32> = column(at).into_iter().step_by(step).collect();
                prop_assert_eq!(bits(&found[at]), bits(&expected));
            }
        }
    }

    #[test]
    fn more_columns_than_are_counted_at_once() {
        let width = COLUMNS + 3;
        let table: Vec<f32> = (0..3 * width).map(|at| ((at * 7919) % 101) as f32).collect();
        let pass = |look: &mut dyn FnMut(&[f32]) -> Result<(), DataError>| look(&table);
        let found = order_statistics(&pass, &vec![vec![1]; width]).unwrap();
        for column in 0..width {
            let mut values: Vec<f32> = table.iter().skip(column).step_by(width).copied().collect();
            values.sort_unstable_by(f32::total_cmp);
            assert_eq!(found[column], [values[1]], "{column}");
        }
    }
}
