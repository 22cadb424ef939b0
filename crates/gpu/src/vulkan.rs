//! Devices with a Vulkan driver.

use std::fmt;

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
/// Nothing is opened.
pub fn devices() -> Vec<WgpuDevice> {
    let kinds = [WgpuDevice::DiscreteGpu(0), WgpuDevice::IntegratedGpu(0), WgpuDevice::VirtualGpu(0), WgpuDevice::Cpu];
    let of_kind = |kind: WgpuDevice| WgpuRuntime::enumerate_devices(kind.to_id().type_id, &Vulkan::backend());
    let mut devices: Vec<_> = kinds.into_iter().flat_map(of_kind).map(WgpuDevice::from_id).collect();
    // Several CPU devices have one name here.
    devices.dedup();
    devices
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
