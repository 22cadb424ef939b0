//! The QEMU plugin that counts instructions between two markers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use emberloop_boards::Firmware;

use crate::Result;
use crate::process::{output, which};

/// Instructions of a step, over all steps of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The least.
    pub least: u64,
    /// The median.
    pub median: u64,
    /// The most.
    pub most: u64,
}

/// Compiles the plugin with the system's C compiler.
pub fn build(firmware: &Firmware, work: &Path) -> Result<PathBuf> {
    if which("cc").is_none() {
        return Err("`cc` is not installed; the plugin that counts instructions is a small C file".into());
    }
    let plugin = work.join("icount.so");
    let source = firmware.folder().join("tools/icount.c");
    // QEMU itself brings the functions that the plugin calls; a Mac's linker has to be told.
    let undefined: &[&str] = if cfg!(target_os = "macos") { &["-undefined", "dynamic_lookup"] } else { &[] };
    output(Command::new("cc").args(["-O2", "-shared", "-fPIC"]).args(undefined).arg("-o").arg(&plugin).arg(source))?;
    Ok(plugin)
}

/// Reads what the plugin wrote and divides it among models that ran this many steps, one model after the other.
pub fn read(path: &Path, steps: &[usize]) -> Result<Vec<Counts>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    divide(&regions(&text), steps)
}

fn divide(counts: &[u64], steps: &[usize]) -> Result<Vec<Counts>> {
    let total: usize = steps.iter().sum();
    if counts.len() != total {
        return Err(format!("the plugin counted {} steps, but the firmware ran {total}", counts.len()).into());
    }
    let mut rest = counts;
    let mut models = Vec::new();
    for &steps in steps {
        let (model, behind) = rest.split_at(steps);
        models.push(summarize(model.to_vec()).ok_or("a model without test sequences has nothing to count")?);
        rest = behind;
    }
    Ok(models)
}

/// The count of each `icount: region K: COUNT` line.
fn regions(text: &str) -> Vec<u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("icount: region "));
    lines.filter_map(|line| line.split_once(": ")?.1.trim().parse().ok()).collect()
}

fn summarize(mut counts: Vec<u64>) -> Option<Counts> {
    counts.sort_unstable();
    Some(Counts { least: *counts.first()?, median: counts[counts.len() / 2], most: *counts.last()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_and_summarized() {
        let text = "icount: region 0: 120\nicount: region 1: 100\nicount: region 2: 110\nicount: total: 99999\n";
        assert_eq!(divide(&regions(text), &[3]).unwrap(), [Counts { least: 100, median: 110, most: 120 }]);
        let [first, second] = divide(&regions(text), &[2, 1]).unwrap()[..] else { panic!("two models") };
        assert_eq!((first.least, first.most, second.median), (100, 120, 110));
        assert!(divide(&regions(text), &[4]).is_err());
        assert!(divide(&regions(text), &[3, 0]).is_err());
    }
}
