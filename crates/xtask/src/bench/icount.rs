//! The QEMU plugin that counts instructions between two markers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use emberloop_boards::Firmware;

use super::stages::STAGES;
use crate::Result;
use crate::process::{output, which};

/// Instructions of a step, over all steps of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// Of the step that took the most: its stages, which add up to it.
    pub stages: [u64; STAGES.len()],
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    total: u64,
    stages: [u64; STAGES.len()],
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
    divide(&regions(&text)?, steps)
}

fn divide(regions: &[Region], steps: &[usize]) -> Result<Vec<Counts>> {
    let total: usize = steps.iter().sum();
    if regions.len() != total {
        return Err(format!("the plugin counted {} steps, but the firmware ran {total}", regions.len()).into());
    }
    let mut rest = regions;
    let mut models = Vec::new();
    for &steps in steps {
        let (model, behind) = rest.split_at(steps);
        models.push(summarize(model).ok_or("a model without test sequences has nothing to count")?);
        rest = behind;
    }
    Ok(models)
}

/// Of each line `icount: region K: TOTAL STAGE0 STAGE1 ...`.
fn regions(text: &str) -> Result<Vec<Region>> {
    if let Some(stray) = text.lines().find(|line| line.starts_with("icount: stray marker")) {
        return Err(format!("the plugin wrote `{stray}`: what it counted is worth nothing").into());
    }
    text.lines().filter_map(|line| line.strip_prefix("icount: region ")).map(region).collect()
}

fn region(line: &str) -> Result<Region> {
    let wrong = || format!("the plugin wrote `{line}`, expected a number for the region and its stages, which add up");
    let (_, numbers) = line.split_once(": ").ok_or_else(wrong)?;
    let numbers: Vec<u64> = numbers.split(' ').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let (&total, found) = numbers.split_first().ok_or_else(wrong)?;
    let mut stages = [0; STAGES.len()];
    // The last stages may be in no program that is so small.
    stages.get_mut(..found.len()).ok_or_else(wrong)?.copy_from_slice(found);
    if stages.iter().sum::<u64>() == total { Ok(Region { total, stages }) } else { Err(wrong().into()) }
}

fn summarize(regions: &[Region]) -> Option<Counts> {
    let least = regions.iter().map(|region| region.total).min()?;
    let most = regions.iter().max_by_key(|region| region.total)?;
    Some(Counts { least, most: most.total, stages: most.stages })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_and_summarized() {
        let text = "icount: region 0: 100 60 40\nicount: region 1: 120 70 50\nicount: region 2: 110 110\nicount: total: 99999\n";
        let found = regions(text).unwrap();
        assert_eq!(
            divide(&found, &[3]).unwrap(),
            [Counts { least: 100, most: 120, stages: [70, 50, 0, 0, 0, 0, 0, 0] }]
        );
        let [first, second] = divide(&found, &[2, 1]).unwrap()[..] else { panic!("two models") };
        assert_eq!((first.least, first.most, second.most), (100, 120, 110));
        assert!(divide(&found, &[4]).is_err());
        assert!(divide(&found, &[3, 0]).is_err());
    }

    #[test]
    fn stages_that_do_not_add_up_are_an_error() {
        assert!(regions("icount: region 0: 100 60 39").unwrap_err().to_string().contains("100 60 39"));
        assert!(regions("icount: region 0: 100 x").is_err());
    }

    #[test]
    fn a_marker_that_is_none_is_an_error() {
        let text = "icount: region 0: 100\nicount: stray marker: an end without a beginning\n";
        assert!(regions(text).unwrap_err().to_string().contains("an end without a beginning"));
    }
}
