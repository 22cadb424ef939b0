//! On which devices and with how many threads a command computes.

use std::num::NonZeroUsize;

use anyhow::{Result, anyhow};
use clap::Args;
use emberloop_core::Device;

/// `--threads N`
#[derive(Args, Clone, Copy, Debug)]
pub struct Threads {
    /// Threads of the CPU to compute with [default: all cores, or RAYON_NUM_THREADS]. No result depends on it.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl Threads {
    /// Runs `task` on so many threads.
    ///
    /// # Errors
    ///
    /// If the system cannot start them.
    pub fn run<R: Send>(self, task: impl FnOnce() -> R + Send) -> Result<R> {
        let Some(threads) = self.threads else { return Ok(task()) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build();
        let pool = pool.map_err(|error| {
            anyhow!("--threads: expected a number that the system can start, found {threads} ({error})")
        })?;
        Ok(pool.install(task))
    }
}

/// `--device`, `--devices` and `--threads`
#[derive(Args, Clone, Debug)]
pub struct Compute {
    /// Where to compute: cpu, cuda, cuda:1, vulkan, ...
    #[arg(long, default_value = "cpu", value_name = "DEVICE", conflicts_with = "devices")]
    device: Device,
    /// Several devices of one kind, which share each batch between them: cuda:0,cuda:1 (data-parallel training).
    #[arg(long, value_delimiter = ',', value_name = "DEVICE,...")]
    devices: Vec<Device>,
    #[command(flatten)]
    pub threads: Threads,
}

impl Compute {
    /// The devices, all of which are there.
    pub fn devices(&self) -> Result<Vec<Device>> {
        let devices = if self.devices.is_empty() { vec![self.device] } else { self.devices.clone() };
        emberloop_core::check_devices(&devices)?;
        Ok(devices)
    }

    /// What of it makes a difference, as one types it.
    pub fn arguments(&self) -> String {
        match self.devices.as_slice() {
            [] if self.device == Device::default() => String::new(),
            [] => format!(" --device {}", self.device),
            devices => format!(" --devices {}", devices.iter().map(Device::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}
