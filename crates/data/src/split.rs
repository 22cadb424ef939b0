//! Which sequence goes to which side: stratified by class, or whole groups at a time.

use std::collections::BTreeMap;

use crate::random::Random;

/// Training, validation, test: the sides, and the order of every array below.
const SIDES: usize = 3;
pub(crate) const TRAIN: usize = 0;
pub(crate) const VALIDATION: usize = 1;
pub(crate) const TEST: usize = 2;

/// How many divisions of the groups are tried; the one closest to the shares in every class is taken.
const ATTEMPTS: usize = 64;

/// What share of the data each side is to have; they sum to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shares(pub(crate) [f64; SIDES]);

impl Shares {
    pub(crate) fn new(validation: f64, test: f64) -> Shares {
        Shares([1.0 - validation - test, validation, test])
    }

    /// How many sides are to have anything.
    pub(crate) fn sides(self) -> usize {
        1 + self.0[VALIDATION..].iter().filter(|share| **share > 0.0).count()
    }

    /// How many of `count` each side gets, in the order of the file: the last are the test's. Training keeps at least
    /// one; another side with a share gets at least one as long as that leaves training the larger number.
    pub(crate) fn counts(self, count: usize) -> [usize; SIDES] {
        let mut left = count;
        let mut counts = [0; SIDES];
        for side in [VALIDATION, TEST] {
            let share = self.0[side];
            if share == 0.0 {
                continue;
            }
            let wanted = (count as f64 * share).round() as usize;
            counts[side] = wanted.max(1).min(left.saturating_sub(1));
            left -= counts[side];
        }
        counts[TRAIN] = left;
        counts
    }
}

/// The side of each sequence, so that every stratum (class) has its share on each side.
pub(crate) fn by_stratum(strata: &[usize], shares: Shares, random: &mut Random) -> Vec<usize> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    strata.iter().enumerate().for_each(|(sequence, &stratum)| members.entry(stratum).or_default().push(sequence));
    let mut sides = vec![TRAIN; strata.len()];
    for sequences in members.values_mut() {
        random.shuffle(sequences);
        let [_, validation, test] = shares.counts(sequences.len());
        sequences[..validation].iter().for_each(|&sequence| sides[sequence] = VALIDATION);
        sequences[validation..validation + test].iter().for_each(|&sequence| sides[sequence] = TEST);
    }
    sides
}

/// The side of each group, so that every stratum comes as close to its share on each side as whole groups allow.
///
/// `counts[group][stratum]` says how much of each stratum a group holds; `fixed` places some groups beforehand.
/// Shares are of the groups that are not fixed. A side with a share gets at least one group where there are enough.
pub(crate) fn by_group(
    counts: &[Vec<usize>],
    fixed: &[Option<usize>],
    shares: Shares,
    random: &mut Random,
) -> Vec<usize> {
    let strata = counts.first().map_or(0, Vec::len);
    let mut free: Vec<usize> = (0..counts.len()).filter(|&group| fixed[group].is_none()).collect();
    let totals: Vec<f64> = (0..strata)
        .map(|stratum| free.iter().map(|&group| counts[group][stratum] as f64).sum::<f64>().max(1.0))
        .collect();
    let parts: Vec<Vec<f64>> = counts
        .iter()
        .map(|group| group.iter().zip(&totals).map(|(&count, total)| count as f64 / total).collect())
        .collect();

    let mut best: Option<(f64, Vec<usize>)> = None;
    for _ in 0..ATTEMPTS {
        random.shuffle(&mut free);
        let sides = greedily(&parts, &free, fixed, shares);
        let distance = distance(&parts, &free, &sides, shares);
        if best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, sides));
        }
    }
    best.map(|(_, sides)| sides).unwrap_or_default()
}

/// Places one group after the other where it brings the shares closest.
fn greedily(parts: &[Vec<f64>], order: &[usize], fixed: &[Option<usize>], shares: Shares) -> Vec<usize> {
    let strata = parts.first().map_or(0, Vec::len);
    let wanted: Vec<usize> = (0..SIDES).filter(|&side| side == TRAIN || shares.0[side] > 0.0).collect();
    let mut sums = vec![vec![0.0; strata]; SIDES];
    let mut groups = [0usize; SIDES];
    let mut sides: Vec<usize> = fixed.iter().map(|side| side.unwrap_or(TRAIN)).collect();
    for (placed, &group) in order.iter().enumerate() {
        // As many groups as there are empty sides left: each must go to one of them.
        let empty = wanted.iter().filter(|&&side| groups[side] == 0).count();
        let must_fill = order.len() - placed <= empty;
        let cost = |side: usize| -> f64 {
            let change = |(part, sum): (&f64, &f64)| part * (2.0 * (sum - shares.0[side]) + part);
            parts[group].iter().zip(&sums[side]).map(change).sum()
        };
        let side = wanted
            .iter()
            .copied()
            .filter(|&side| !must_fill || groups[side] == 0)
            .min_by(|&a, &b| cost(a).total_cmp(&cost(b)))
            .unwrap_or(TRAIN);
        sides[group] = side;
        groups[side] += 1;
        sums[side].iter_mut().zip(&parts[group]).for_each(|(sum, part)| *sum += part);
    }
    sides
}

/// How far the sides are from their shares, summed over strata.
fn distance(parts: &[Vec<f64>], groups: &[usize], sides: &[usize], shares: Shares) -> f64 {
    let strata = parts.first().map_or(0, Vec::len);
    let mut sums = vec![vec![0.0; strata]; SIDES];
    for &group in groups {
        sums[sides[group]].iter_mut().zip(&parts[group]).for_each(|(sum, part)| *sum += part);
    }
    let each = sums.iter().zip(shares.0).flat_map(|(sums, share)| sums.iter().map(move |sum| (sum - share).powi(2)));
    each.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_round_and_keep_something_for_training() {
        assert_eq!(Shares::new(0.2, 0.0).counts(270), [216, 54, 0]);
        assert_eq!(Shares::new(0.2, 0.1).counts(10), [7, 2, 1]);
        assert_eq!(Shares::new(0.2, 0.1).counts(3), [1, 1, 1]);
        assert_eq!(Shares::new(0.2, 0.1).counts(2), [1, 1, 0]);
        assert_eq!(Shares::new(0.2, 0.1).counts(1), [1, 0, 0]);
        assert_eq!(Shares::new(0.9, 0.0).counts(4), [1, 3, 0]);
        assert_eq!(Shares::new(0.0, 0.0).counts(5), [5, 0, 0]);
    }

    fn counts(sides: &[usize]) -> [usize; SIDES] {
        let mut counts = [0; SIDES];
        sides.iter().for_each(|&side| counts[side] += 1);
        counts
    }

    #[test]
    fn two_groups_and_a_small_share_still_leave_one_for_validation() {
        let sides = by_group(&[vec![5], vec![5]], &[None, None], Shares::new(0.1, 0.0), &mut Random::new(1));
        assert_eq!(counts(&sides), [1, 1, 0]);
    }

    #[test]
    fn a_rare_class_of_a_few_groups_is_divided_too() {
        // 20 groups of 100 common sequences; four of them hold 10 rare ones each.
        let groups: Vec<Vec<usize>> = (0..20).map(|group| vec![100, if group % 5 == 0 { 10 } else { 0 }]).collect();
        for seed in 0..20 {
            let sides = by_group(&groups, &[None; 20], Shares::new(0.25, 0.25), &mut Random::new(seed));
            let rare = |wanted| -> usize {
                groups.iter().zip(&sides).filter(|(_, side)| **side == wanted).map(|(group, _)| group[1]).sum()
            };
            assert_eq!([rare(TRAIN), rare(VALIDATION), rare(TEST)], [20, 10, 10], "seed {seed}");
            assert_eq!(counts(&sides), [10, 5, 5], "seed {seed}");
        }
    }

    proptest! {
        #[test]
        fn strata_keep_their_shares(
            strata in prop::collection::vec(0usize..4, 1..200),
            validation in 0.0f64..0.5,
            test in 0.0f64..0.4,
            seed: u64,
        ) {
            let shares = Shares::new(validation, test);
            let sides = by_stratum(&strata, shares, &mut Random::new(seed));
            prop_assert_eq!(&sides, &by_stratum(&strata, shares, &mut Random::new(seed)));
            for stratum in 0..4 {
                let own: Vec<usize> = (0..strata.len()).filter(|&i| strata[i] == stratum).map(|i| sides[i]).collect();
                prop_assert_eq!(counts(&own), shares.counts(own.len()));
            }
        }

        #[test]
        fn fixed_groups_stay_and_no_wanted_side_is_empty(
            groups in prop::collection::vec(prop::collection::vec(0usize..20, 3), 3..30),
            fixed_first: bool,
            seed: u64,
        ) {
            let mut fixed = vec![None; groups.len()];
            if fixed_first {
                fixed[0] = Some(TEST);
            }
            let shares = if fixed_first { Shares::new(0.2, 0.0) } else { Shares::new(0.2, 0.2) };
            let sides = by_group(&groups, &fixed, shares, &mut Random::new(seed));
            prop_assert_eq!(&sides, &by_group(&groups, &fixed, shares, &mut Random::new(seed)));
            prop_assert!(!fixed_first || sides[0] == TEST);
            prop_assert!(counts(&sides).iter().all(|&count| count > 0), "{:?}", sides);
        }
    }
}
