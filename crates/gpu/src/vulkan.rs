//! Devices with a Vulkan driver.

use std::{fmt, sync::OnceLock};

use cubecl::{
    Runtime,
    client::ComputeClient,
    device::Device,
    wgpu::{GraphicsApi, Vulkan, WgpuDevice, WgpuRuntime},
};

/// Why there is no such device: one line that says what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDevice {
    /// How many devices there are.
    pub found: usize,
}

impl fmt::Display for NoDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found {
            0 => f.write_str("no Vulkan driver or no device with one"),
            1 => f.write_str("there is 1 Vulkan device, number 0"),
            count => write!(f, "there are {count} Vulkan devices, numbers 0 to {}", count - 1),
        }
    }
}

impl std::error::Error for NoDevice {}

/// All devices: discrete GPUs first, then integrated ones, virtual ones, and last a CPU device such as Mesa's lavapipe.
/// Nothing is opened. They are looked for once.
pub fn devices() -> &'static [WgpuDevice] {
    static DEVICES: OnceLock<Vec<WgpuDevice>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let all = WgpuRuntime::enumerate_all_devices(&Vulkan::backend());
        // Numbered within each kind, as cubecl opens them; several CPU devices have one name.
        let count = |kind: WgpuDevice| all.iter().filter(|found| found.type_id == kind.to_id().type_id).count();
        let discrete = (0..count(WgpuDevice::DiscreteGpu(0))).map(WgpuDevice::DiscreteGpu);
        let integrated = (0..count(WgpuDevice::IntegratedGpu(0))).map(WgpuDevice::IntegratedGpu);
        let simulated = (0..count(WgpuDevice::VirtualGpu(0))).map(WgpuDevice::VirtualGpu);
        let cpu = (0..count(WgpuDevice::Cpu).min(1)).map(|_| WgpuDevice::Cpu);
        discrete.chain(integrated).chain(simulated).chain(cpu).collect()
    })
}

/// Device number `index` of [`devices`].
///
/// # Errors
/// If there are not so many.
pub fn device(index: usize) -> Result<WgpuDevice, NoDevice> {
    let devices = devices();
    devices.get(index).cloned().ok_or(NoDevice { found: devices.len() })
}

/// A client of device number `index`.
///
/// # Errors
/// As [`device`].
pub fn client(index: usize) -> Result<ComputeClient<WgpuRuntime>, NoDevice> {
    device(index).map(|device| WgpuRuntime::client(&device))
}
