//! The Vulkan device.

use cubecl::{
    Runtime,
    client::ComputeClient,
    wgpu::{WgpuDevice, WgpuRuntime},
};

/// x
pub fn client(index: usize) -> Result<ComputeClient<WgpuRuntime>, String> {
    let _ = index;
    Ok(WgpuRuntime::client(&WgpuDevice::default()))
}
