//! Keeps sequences that share content on one side of a split.

use std::collections::{HashMap, VecDeque};

use crate::content::Content;
use crate::dataset::{Dataset, Inputs, Sequence};
use crate::error::DataError;
use crate::files::{Source, SourceInputs};
use crate::overlap::Sought;
use crate::random::Random;
use crate::split::{self, Shares};
use crate::values;

/// A group of more than this part of all sequences is cut: one long recording in overlapping windows has to be divided
/// somewhere.
const LARGE: usize = 4;

/// Into pieces of about this part of all sequences.
const PIECE: usize = 20;

/// The side of each sequence, such that those that share content are on one, as far as that can be.
pub(crate) fn sides(
    source: &mut Source,
    sequences: &[Sequence],
    strata: &[usize],
    shares: Shares,
    random: &mut Random,
) -> Result<Vec<usize>, DataError> {
    let (width, tokens) = match &source.inputs {
        SourceInputs::Channels(names) => (names.len(), false),
        SourceInputs::Tokens { .. } => (1, true),
    };
    let (links, copies) = links(sequences, width, tokens)?;
    let mut sharing: Vec<bool> = links.iter().map(|links| !links.is_empty()).collect();
    for (sequence, &first) in copies.iter().enumerate().filter(|&(sequence, &first)| first != sequence) {
        (sharing[first], sharing[sequence]) = (true, true);
    }
    for (sequence, &first) in copies.iter().enumerate() {
        sharing[sequence] |= sharing[first];
    }
    let shared = sharing.iter().filter(|sharing| **sharing).count();
    // Where nothing is shared, the split is the one that it always was.
    if shared == 0 {
        return Ok(split::by_stratum(strata, shares, random));
    }
    let (groups, count, cut) = groups(&links, &copies);
    let seams = if cut { "; the largest were cut, and what overlaps at the seams is left out" } else { "" };
    source.notes.push(format!(
        "{}: {shared} of {} sequences share content with others and stay together, in {count} groups in all{seams}",
        source.path.display(),
        sequences.len()
    ));
    let wanted = shares.sides();
    if count < wanted {
        return Err(DataError::TooLittle {
            path: source.path.clone(),
            what: "a split with overlap = \"separate\"".into(),
            expected: format!("at least {wanted} groups of sequences that share nothing"),
            found: count.to_string(),
        });
    }
    let width = strata.iter().max().map_or(0, |&most| most + 1);
    let mut counts = vec![vec![0; width]; count];
    groups.iter().zip(strata).for_each(|(&group, &stratum)| counts[group][stratum] += 1);
    let sides = split::by_group(&counts, &vec![None; count], shares, random);
    Ok(groups.iter().map(|&group| sides[group]).collect())
}

/// For each sequence, others that it shares a run with: enough of them to come from each to each that hangs together. And for
/// each sequence the first one that it is equal to; the others have no links of their own.
fn links(sequences: &[Sequence], width: usize, tokens: bool) -> Result<(Vec<Vec<u32>>, Vec<usize>), DataError> {
    let content = Content::learn(sequences, width, tokens)?;
    let mut marks: Vec<(u64, u32)> = Vec::new();
    let mut firsts: HashMap<u64, usize> = HashMap::new();
    let mut copies = Vec::with_capacity(sequences.len());
    values::each(sequences.iter().map(|sequence| &sequence.values), |place, own| {
        let own = content.marks(own);
        let first = *firsts.entry(own.whole).or_insert(place);
        copies.push(first);
        if first == place {
            marks.extend(own.runs.into_iter().map(|mark| (mark, place as u32)));
        }
        Ok::<(), DataError>(())
    })?;
    marks.sort_unstable();
    let mut links = vec![Vec::new(); sequences.len()];
    for equal in marks.chunk_by(|a, b| a.0 == b.0) {
        for pair in equal.windows(2).filter(|pair| pair[0].1 != pair[1].1) {
            links[pair[0].1 as usize].push(pair[1].1);
            links[pair[1].1 as usize].push(pair[0].1);
        }
    }
    for links in &mut links {
        links.sort_unstable();
        links.dedup();
    }
    Ok((links, copies))
}

/// The group of each sequence, how many groups there are, and whether some had to be cut. Copies are never parted.
fn groups(links: &[Vec<u32>], copies: &[usize]) -> (Vec<usize>, usize, bool) {
    const NONE: usize = usize::MAX;
    let mut sizes = vec![0; links.len()];
    copies.iter().for_each(|&first| sizes[first] += 1);
    let (large, piece) = (links.len() / LARGE, links.len().div_ceil(PIECE));
    let mut groups = vec![NONE; links.len()];
    let (mut count, mut cut) = (0, false);
    let mut reached = vec![NONE; links.len()];
    for first in 0..links.len() {
        if copies[first] != first {
            groups[first] = groups[copies[first]];
            continue;
        }
        if groups[first] != NONE {
            continue;
        }
        let order = walk(links, first, &mut reached, 2 * first);
        let size: usize = order.iter().map(|&sequence| sizes[sequence]).sum();
        if size <= large || order.len() == 1 {
            order.iter().for_each(|&sequence| groups[sequence] = count);
            count += 1;
            continue;
        }
        cut = true;
        // What is farthest from anywhere is one end of a recording, and from there its windows are reached in order of time.
        let mut filled = 0;
        for sequence in walk(links, order[order.len() - 1], &mut reached, 2 * first + 1) {
            if filled >= piece {
                (count, filled) = (count + 1, 0);
            }
            groups[sequence] = count;
            filled += sizes[sequence];
        }
        count += 1;
    }
    (groups, count, cut)
}

/// Everything that hangs together with `first`, the nearest first. `reached` holds the number of the walk that was last at a
/// sequence.
fn walk(links: &[Vec<u32>], first: usize, reached: &mut [usize], number: usize) -> Vec<usize> {
    let mut open = VecDeque::from([first]);
    let mut order = Vec::new();
    reached[first] = number;
    while let Some(sequence) = open.pop_front() {
        order.push(sequence);
        for &next in &links[sequence] {
            if reached[next as usize] != number {
                reached[next as usize] = number;
                open.push_back(next as usize);
            }
        }
    }
    order
}

/// Takes out of `other` what shares content with one of `kept`, and notes how many sequences that were.
pub(crate) fn leave_out(
    kept: &[&Dataset],
    kept_name: &str,
    other: &mut Dataset,
    name: &str,
    notes: &mut Vec<String>,
) -> Result<(), DataError> {
    let tokens = matches!(other.inputs, Inputs::Tokens { .. });
    let content = Content::learn(&kept[0].sequences, kept[0].channels(), tokens)?;
    let mut sought = Sought::default();
    other.each(|_, own| {
        sought.add(content.marks(own));
        Ok::<(), DataError>(())
    })?;
    sought.finish();
    for kept in kept {
        kept.each(|_, own| {
            let whole = content.each_run(own, |_, mark| sought.meet(mark));
            sought.meet_whole(whole);
            Ok::<(), DataError>(())
        })?;
    }
    let before = other.sequences.len();
    let mut met = sought.met.iter();
    other.sequences.retain(|_| met.next().is_some_and(|met| !met.run && !met.whole));
    let gone = before - other.sequences.len();
    if gone > 0 {
        let path = other.path.display();
        notes.push(format!("{path}: left out {gone} of {before} {name} sequences that share content with {kept_name}"));
    }
    Ok(())
}
