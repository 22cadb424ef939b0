//! Executes the tables of NUMERICS.md and FORMAT.md, row by row, against the code and against the reference.
//!
//! A table that nothing executes is a failure, and so is a row that its executor does not know: whoever adds either
//! must say here what it means.

use emberloop_tests::page::{Table, tables};

#[path = "specification/format.rs"]
mod format;
#[path = "specification/header.rs"]
mod header;
#[path = "specification/numerics.rs"]
mod numerics;
#[path = "specification/refusals.rs"]
mod refusals;

/// Checks all rows of a table, or panics.
type Executor = fn(&Table);

/// Runs every table of a page; `executors` name section and first column.
fn execute(name: &str, page: &str, executors: &[(&str, &str, Executor)]) {
    let mut left = executors.to_vec();
    for table in tables(page) {
        let (section, column) = table.key();
        eprintln!("{name} §{section}, table of {column:?}, {} rows", table.rows.len());
        let found = left.iter().position(|executor| (executor.0, executor.1) == (section, column));
        let (.., executor) = left.remove(found.unwrap_or_else(|| {
            panic!("{name} §{section}: nothing executes the table of {column:?}");
        }));
        assert!(!table.rows.is_empty(), "{name} §{section}: an empty table");
        executor(&table);
    }
    let missing: Vec<_> = left.iter().map(|executor| (executor.0, executor.1)).collect();
    assert!(missing.is_empty(), "{name}: tables that are executed but no longer there: {missing:?}");
}

#[test]
fn numerics() {
    let page = include_str!("../../crates/engine/NUMERICS.md");
    execute(
        "NUMERICS.md",
        page,
        &[
            ("1", "value", numerics::formats),
            ("2", "v", numerics::scale_by_gate),
            ("3.1", "a", numerics::row_scales),
            ("3.3", "a", numerics::requantization),
            ("6.1", "p", numerics::activations),
        ],
    );
}

#[test]
fn format() {
    let page = include_str!("../../crates/image/FORMAT.md");
    execute(
        "FORMAT.md",
        page,
        &[
            ("2", "offset", header::preamble),
            ("3", "field", header::header),
            ("4", "section", format::payload),
            ("4.2", "field", format::bounds),
            ("5", "part", format::memory),
            ("6", "words", format::sequences),
            ("7", "change", refusals::refusals),
        ],
    );
}
