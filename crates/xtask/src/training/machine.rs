//! Where and when it was measured.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::{Result, process};

/// Cores that this process may use.
pub fn cores() -> usize {
    available_parallelism().map_or(1, |cores| cores.get())
}

/// Processes that want to compute, over the last minute.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The date, the processor, the compiler.
pub fn describe() -> Result<String> {
    let date = process::output(Command::new("date").args(["-u", "+%F"]))?;
    let compiler = process::output(Command::new("rustc").arg("--version"))?;
    let cores = cores();
    let plural = if cores == 1 { "" } else { "s" };
    Ok(format!("{}, {cores} core{plural}, {}, {}", processor(), compiler.trim(), date.trim()))
}

fn processor() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    model(&cpus).unwrap_or_else(|| std::env::consts::ARCH.into())
}

/// The name, with family and model, as virtual machines hide the rest of the name.
fn model(cpus: &str) -> Option<String> {
    let field = |name: &str| {
        let (_, value) = cpus.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
        Some(value.trim().to_owned())
    };
    let name = field("model name")?;
    Some(match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use super::model;

    #[test]
    fn a_processor_is_named_with_its_model() {
        let cpus =
            "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 167\nmodel name\t: Some(R) Processor\n\nprocessor\t: 1\n";
        assert_eq!(model(cpus).unwrap(), "Some(R) Processor (family 6, model 167)");
        assert_eq!(model("Hardware : board\n"), None);
    }
}
