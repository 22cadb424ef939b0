//! What a run of `cargo test` said, counted.

use std::fmt;

/// Counts over every test program, and the names that a reader wants to see again at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    passed: usize,
    failed: usize,
    skipped: usize,
    failures: Vec<String>,
    skips: Vec<String>,
}

impl Summary {
    /// Takes one line of the output.
    pub fn line(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.skipped += count(counts, "ignored");
        } else if let Some(test) = line.strip_prefix("test ") {
            if let Some((name, reason)) = test.split_once(" ... ignored") {
                // libtest puts the reason behind, libtest-mimic's kind stands before the name.
                let reason = reason.strip_prefix(", ").map_or(String::new(), |reason| format!(": {reason}"));
                self.skips.push(format!("{}{reason}", name.trim()));
            } else if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failures.push(name.trim().into());
            }
        }
    }

    /// Counts something that is not a test of its own: a test program that does not compile, a setup that fails.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.failures.push(what.into());
    }

    /// Whether nothing failed.
    pub fn is_success(&self) -> bool {
        self.failed == 0
    }

    /// Number of failed tests.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// The skipped and the failed tests, a line each.
    pub fn details(&self) -> String {
        let skips = self.skips.iter().map(|skip| format!("skipped: {skip}\n"));
        skips.chain(self.failures.iter().map(|failure| format!("FAILED: {failure}\n"))).collect()
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; 1 ignored; ...`.
fn count(counts: &str, word: &str) -> usize {
    let part = counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(word));
    part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// The closing line.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(lines: &str) -> Summary {
        let mut summary = Summary::default();
        lines.lines().for_each(|line| summary.line(line));
        summary
    }

    #[test]
    fn counts_add_up_over_programs() {
        let summary = summary(
            "running 3 tests\n\
             test a ... ok\n\
             test b ... ignored, needs a board\n\
             test [no QEMU] qemu-m4::gru ... ignored\n\
             test c ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.07s\n\
             test result: ok. 14 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.25s\n",
        );
        assert_eq!(summary.to_string(), "15 passed, 1 failed, 2 skipped");
        assert_eq!(summary.details(), "skipped: b: needs a board\nskipped: [no QEMU] qemu-m4::gru\nFAILED: c\n");
        assert!(!summary.is_success());
    }

    #[test]
    fn what_is_no_test_counts_when_it_fails() {
        let mut summary = summary("test result: ok. 1 passed; 0 failed; 0 ignored");
        assert!(summary.is_success());
        summary.fail("setup: no network");
        assert_eq!(summary.to_string(), "1 passed, 1 failed, 0 skipped");
    }
}
