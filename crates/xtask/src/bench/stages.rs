//! What each instruction of a firmware is for: a table of addresses that `tools/icount.c` counts by.
//!
//! Rust code is told apart by its debug information, the functions that were inlined at an address included. In the
//! hand-written code of `crates/engine/src/arch` there are, for functions of their own, labels in the symbol table,
//! `emberloop_stage_NAME`, each of which reaches to the next; for what is inlined, a section `.emberloop_stages` that is
//! not loaded: words of START, END and the number of a stage. So nothing is put into the code that is measured.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use addr2line::Loader;
use object::read::elf::ElfFile32;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::Result;

/// The stages of a step, as the plugin numbers them.
pub const STAGES: [&str; 8] =
    ["rest", "scaling", "input_product", "recurrent_product", "requantization", "activations", "elementwise", "head"];

/// What code counts for; the number is the index of the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The stage.
    Own(u8),
    /// The stage, with all that it calls: the head has the products that the cells have too.
    Whole(u8),
    /// The stage, unless a whole one calls it.
    Called(u8),
    /// Whichever stage was executed last.
    Shared,
}

impl Kind {
    fn stage(self) -> Option<usize> {
        match self {
            Self::Own(stage) | Self::Whole(stage) | Self::Called(stage) => Some(usize::from(stage)),
            Self::Shared => None,
        }
    }
}

const REST: Kind = Kind::Own(0);
const HEAD: Kind = Kind::Whole(7);

/// The first of these that a function's path holds says what it counts for. `None` is for helpers: they count for the
/// function that they were inlined into.
const FUNCTIONS: [(&str, Option<Kind>); 18] = [
    ("emberloop_engine::head::", Some(HEAD)),
    ("emberloop_engine::activation::", Some(Kind::Own(5))),
    ("emberloop_engine::input::", Some(Kind::Own(1))),
    ("emberloop_engine::cells::", Some(Kind::Own(6))),
    ("emberloop_engine::update::", Some(Kind::Own(6))),
    ("_update::", Some(Kind::Own(6))),
    ("::input_product", Some(Kind::Called(2))),
    ("::recurrent_product", Some(Kind::Called(3))),
    ("emberloop_engine::kernel::accumulat", None),
    // Sums of activations, which belong to the products; nearly all of them are of hidden values.
    ("::total", Some(Kind::Called(3))),
    ("emberloop_engine::kernel::Vector", Some(Kind::Called(3))),
    ("::interpolate", Some(Kind::Own(5))),
    ("emberloop_engine::kernel::", Some(Kind::Called(4))),
    ("emberloop_engine::arch::scale::", Some(Kind::Own(1))),
    ("emberloop_engine::arch::", Some(Kind::Called(4))),
    ("emberloop_engine::arithmetic::", None),
    ("emberloop_engine::", Some(REST)),
    ("emberloop_app::", Some(REST)),
];

/// Labels of the hand-written kernels, without `emberloop_stage_`; what follows an underscore behind is free.
const LABELS: [(&str, Option<Kind>); 5] = [
    ("input", Some(Kind::Called(2))),
    ("recurrent", Some(Kind::Called(3))),
    ("scale", Some(Kind::Called(4))),
    ("shared", Some(Kind::Shared)),
    // The debug information counts again.
    ("end", None),
];

/// Bytes from `start` to `end`, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
    kind: Kind,
}

/// Writes the table for an ELF file.
pub fn write_table(elf: &Path, table: &Path) -> Result {
    let wrong = |error: String| format!("{}: {error}", elf.display());
    let bytes = fs::read(elf).map_err(|error| wrong(error.to_string()))?;
    let file = ElfFile32::<Endianness>::parse(&*bytes).map_err(|error| wrong(error.to_string()))?;
    let debug = Loader::new(elf).map_err(|error| wrong(error.to_string()))?;
    let labels = labels(file.symbols().filter_map(|symbol| Some((symbol.name().ok()?, symbol.address()))))?;
    let marks = match file.section_by_name(".emberloop_stages") {
        Some(section) => marks(section.data().map_err(|error| wrong(error.to_string()))?)?,
        None => Vec::new(),
    };

    let mut ranges = Vec::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        for address in (section.address()..section.address() + section.size()).step_by(2) {
            let mark = marks.iter().find(|mark| (mark.start..mark.end).contains(&address)).map(|mark| mark.kind);
            let kind = match mark.or(label_at(&labels, address)) {
                Some(kind) => kind,
                None => kind_of(&frames(&debug, address).map_err(|error| wrong(error.to_string()))?),
            };
            push(&mut ranges, address, kind);
        }
    }
    // Or what was renamed in the engine would silently count for something else.
    for (index, stage) in STAGES.iter().enumerate() {
        if !ranges.iter().any(|range| range.kind.stage() == Some(index)) {
            eprintln!("no code of the stage {stage} in {}; {} says what belongs to it", elf.display(), file!());
        }
    }
    ranges.sort_by_key(|range| range.start);
    Ok(fs::write(table, text(&ranges))?)
}

/// The functions that an address belongs to, the innermost first.
fn frames(debug: &Loader, address: u64) -> std::result::Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut found = debug.find_frames(address)?;
    let mut names = Vec::new();
    while let Some(frame) = found.next()? {
        if let Some(function) = frame.function {
            names.push(function.demangle()?.into_owned());
        }
    }
    Ok(names)
}

/// What code counts for that was inlined through these functions, the innermost first.
fn kind_of(frames: &[String]) -> Kind {
    let mut kinds = frames.iter().filter_map(|name| kind_of_function(name).flatten()).peekable();
    let innermost = kinds.peek().copied();
    // The head's products are not the cells'.
    if kinds.any(|kind| kind == HEAD) {
        return HEAD;
    }
    innermost.unwrap_or(Kind::Shared)
}

fn kind_of_function(name: &str) -> Option<Option<Kind>> {
    FUNCTIONS.iter().find(|(path, _)| name.contains(path)).map(|&(_, kind)| kind)
}

/// The kernels' labels, sorted.
fn labels<'s>(symbols: impl Iterator<Item = (&'s str, u64)>) -> Result<Vec<(u64, Option<Kind>)>> {
    let mut labels = Vec::new();
    for (name, address) in symbols {
        let Some(label) = name.strip_prefix("emberloop_stage_") else { continue };
        let stage = label.split('_').next().unwrap_or_default();
        let Some(&(_, kind)) = LABELS.iter().find(|(known, _)| *known == stage) else {
            return Err(format!("label {name}: expected one of {LABELS:?}").into());
        };
        // Thumb code's lowest bit may be set.
        labels.push((address & !1, kind));
    }
    labels.sort_by_key(|&(address, _)| address);
    Ok(labels)
}

/// What the label before an address says of it.
fn label_at(labels: &[(u64, Option<Kind>)], address: u64) -> Option<Kind> {
    let behind = labels.partition_point(|&(label, _)| label <= address);
    labels.get(behind.checked_sub(1)?)?.1
}

/// The ranges of inlined hand-written code.
fn marks(section: &[u8]) -> Result<Vec<Range>> {
    let (words, rest) = section.as_chunks::<4>();
    let (marks, more) = words.as_chunks::<3>();
    if !rest.is_empty() || !more.is_empty() {
        return Err(
            format!("section .emberloop_stages: expected marks of 12 bytes, found {} bytes", section.len()).into()
        );
    }
    let mark = |words: &[[u8; 4]; 3]| {
        let [start, end, stage] = words.map(u32::from_le_bytes);
        match u8::try_from(stage) {
            Ok(stage) if usize::from(stage) < STAGES.len() => {
                Ok(Range { start: u64::from(start & !1), end: u64::from(end & !1), kind: Kind::Own(stage) })
            }
            _ => Err(format!("section .emberloop_stages: stage {stage} of {}", STAGES.len()).into()),
        }
    };
    marks.iter().map(mark).collect()
}

/// Lengthens the last range by an instruction of two bytes, or begins a new one.
fn push(ranges: &mut Vec<Range>, address: u64, kind: Kind) {
    match ranges.last_mut() {
        Some(last) if last.end == address && last.kind == kind => last.end += 2,
        _ => ranges.push(Range { start: address, end: address + 2, kind }),
    }
}

/// As `tools/icount.c` reads it.
fn text(ranges: &[Range]) -> String {
    let mut text = String::new();
    for Range { start, end, kind } in ranges {
        let kind = match kind {
            Kind::Own(stage) => format!("{stage}"),
            Kind::Whole(stage) => format!("{stage}!"),
            Kind::Called(stage) => format!("{stage}?"),
            Kind::Shared => "shared".into(),
        };
        writeln!(text, "{start:x} {end:x} {kind}").expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(frames: &[&str]) -> &'static str {
        let frames: Vec<String> = frames.iter().map(ToString::to_string).collect();
        kind_of(&frames).stage().map_or("shared", |stage| STAGES[stage])
    }

    #[test]
    fn the_innermost_function_with_a_stage_decides() {
        let step = "emberloop_engine::network::Network<M>::step";
        let lstm = "emberloop_engine::cells::lstm::step";
        assert_eq!(
            kind(&["emberloop_engine::arithmetic::round_shift", "emberloop_engine::activation::tanh", lstm]),
            "activations"
        );
        assert_eq!(kind(&["emberloop_engine::arithmetic::scale_by_gate", lstm, step]), "elementwise");
        assert_eq!(
            kind(&[
                "core::iter::zip",
                "emberloop_engine::kernel::accumulators",
                "emberloop_engine::kernel::recurrent_product",
                "emberloop_engine::kernel::PortableSums::next",
                lstm
            ]),
            "recurrent_product"
        );
        assert_eq!(
            kind(&[
                "emberloop_engine::arithmetic::multiply_shift_16",
                "emberloop_engine::kernel::PortableSums::next",
                lstm,
                step
            ]),
            "requantization"
        );
        assert_eq!(kind(&["emberloop_engine::kernel::input_product", "emberloop_engine::head::dense", step]), "head");
        assert_eq!(kind(&["emberloop_image::image::Image::layers", step]), "rest");
        assert_eq!(kind(&["compiler_builtins::mem::memcpy"]), "shared");
        assert_eq!(kind(&[]), "shared");
    }

    #[test]
    fn a_label_reaches_to_the_next() {
        let symbols = [
            ("emberloop_stage_end", 0x40),
            ("main", 0x10),
            ("emberloop_stage_scale_2", 0x31),
            ("emberloop_stage_input", 0x20),
        ];
        let labels = labels(symbols.into_iter()).unwrap();
        let at = |address| label_at(&labels, address);
        assert_eq!([at(0x1e), at(0x20), at(0x2e)], [None, Some(Kind::Called(2)), Some(Kind::Called(2))]);
        assert_eq!([at(0x30), at(0x3e), at(0x40)], [Some(Kind::Called(4)), Some(Kind::Called(4)), None]);
        assert!(super::labels([("emberloop_stage_typo", 0)].into_iter()).is_err());
    }

    #[test]
    fn inlined_code_is_marked_in_a_section() {
        let words = [0x101u32, 0x110, 5, 0x120, 0x130, 6];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let expected = [(0x100, 0x110, 5), (0x120, 0x130, 6)];
        let expected = expected.map(|(start, end, stage)| Range { start, end, kind: Kind::Own(stage) });
        assert_eq!(marks(&bytes).unwrap(), expected);
        assert!(marks(&bytes[1..]).is_err());
        assert!(marks(&[1; 12]).is_err());
    }

    #[test]
    fn neighbours_of_a_kind_are_one_line() {
        let mut ranges = Vec::new();
        for (address, kind) in
            [(0x10, REST), (0x12, REST), (0x14, HEAD), (0x18, HEAD), (0x1a, Kind::Called(3)), (0x1c, Kind::Shared)]
        {
            push(&mut ranges, address, kind);
        }
        assert_eq!(text(&ranges), "10 14 0\n14 16 7!\n18 1a 7!\n1a 1c 3?\n1c 1e shared\n");
    }
}
