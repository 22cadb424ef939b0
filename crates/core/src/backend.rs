//! The one place that names concrete backends. Everything else is generic over `RecurrentBackend` or `TrainBackend`;
//! a move to another burn, or another device, starts and ends here.

#[cfg(feature = "cuda")]
mod cuda;

use std::{fmt, mem, str::FromStr};

use burn::backend::{Autodiff, NdArray};
use serde::{Deserialize, Serialize};

use crate::recurrence::TrainBackend;

/// Where training and evaluation run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// burn-ndarray, with the recurrent layers in `emberloop-kernels`: results are equal bit by bit from run to run, for
    /// any number of threads.
    #[default]
    Cpu,
    /// burn-cuda on the NVIDIA GPU of this number, counted from 0.
    Cuda(usize),
    /// burn-wgpu over Vulkan on the GPU of this number, counted from 0.
    Vulkan(usize),
}

impl Device {
    /// The name without the number.
    pub fn kind(self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
            Device::Vulkan(_) => "vulkan",
        }
    }

    /// Its number among those of its kind, counted from 0.
    pub fn index(self) -> usize {
        match self {
            Device::Cpu => 0,
            Device::Cuda(index) | Device::Vulkan(index) => index,
        }
    }
}

impl fmt::Display for Device {
    /// The name on the command line: `cpu`, `cuda`, `cuda:1`, `vulkan`, ...
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if self.index() == 0 { Ok(()) } else { write!(f, ":{}", self.index()) }
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { found: text.to_string() };
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (name, index) {
            ("cpu", None) => Ok(Device::Cpu),
            ("cuda", index) => Ok(Device::Cuda(index.unwrap_or(0))),
            ("vulkan", index) => Ok(Device::Vulkan(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.to_string()
    }
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No such name.
    #[error("device: expected cpu, cuda, vulkan, or one of several as in cuda:1, found {found:?}")]
    Unknown {
        /// What was asked for.
        found: String,
    },
    /// Not even one.
    #[error("devices: expected at least one, as in cpu, found none")]
    None,
    /// Devices that cannot share a training.
    #[error("devices: expected all of one kind, as in cuda,cuda:1, found {first} and {other}")]
    Mixed {
        /// The first.
        first: Device,
        /// The first of another kind.
        other: Device,
    },
    /// The environment asks for vector instructions that the CPU lacks.
    #[error("{0}")]
    Instructions(emberloop_kernels::IsaError),
    /// Compiled without it.
    #[error(
        "device {device}: this program was built without it; build it with --features {feature}, or use --device cpu"
    )]
    NotCompiled {
        /// What was asked for.
        device: Device,
        /// Cargo's feature that brings it.
        feature: &'static str,
    },
    /// No driver on this machine.
    #[error("device {device}: no driver found ({reason}); install the driver, or use --device cpu")]
    NoDriver {
        /// What was asked for.
        device: Device,
        /// What the system's loader says.
        reason: String,
    },
    /// A driver without a GPU, or without that many.
    #[error("device {device}: {reason}; use --device cpu")]
    NoGpu {
        /// What was asked for.
        device: Device,
        /// What the driver says.
        reason: String,
    },
}

/// Something to run on whatever backend a device stands for.
pub(crate) trait Task {
    /// What comes out of it.
    type Output;

    /// Runs on a backend and some of its devices, at least one.
    fn run<B: TrainBackend>(self, devices: &[B::Device]) -> Self::Output;
}

/// Runs `task` on the backend of `device`.
pub(crate) fn dispatch<T: Task>(device: Device, task: T) -> Result<T::Output, DeviceError> {
    dispatch_all(&[device], task)
}

/// Runs `task` on the backend of `devices`, which must be of one kind.
pub(crate) fn dispatch_all<T: Task>(devices: &[Device], task: T) -> Result<T::Output, DeviceError> {
    check_devices(devices)?;
    match devices[0] {
        Device::Cpu => Ok(task.run::<Autodiff<NdArray>>(&vec![Default::default(); devices.len()])),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => {
            let gpus: Vec<_> =
                devices.iter().map(|device| burn::backend::cuda::CudaDevice::new(device.index())).collect();
            Ok(task.run::<Autodiff<burn::backend::Cuda>>(&gpus))
        }
        #[cfg(feature = "vulkan")]
        Device::Vulkan(_) => {
            let gpus: Result<Vec<_>, _> = devices.iter().map(|&device| vulkan(device)).collect();
            Ok(task.run::<Autodiff<burn::backend::Vulkan>>(&gpus?))
        }
        #[allow(unreachable_patterns, reason = "which devices are left depends on the features")]
        Device::Cuda(_) | Device::Vulkan(_) => unreachable!("check_device has refused it"),
    }
}

/// Whether devices can be used together, before anything is loaded for them.
pub fn check_devices(devices: &[Device]) -> Result<(), DeviceError> {
    let Some(&first) = devices.first() else { return Err(DeviceError::None) };
    if let Some(&other) = devices.iter().find(|device| mem::discriminant(*device) != mem::discriminant(&first)) {
        return Err(DeviceError::Mixed { first, other });
    }
    devices.iter().try_for_each(|&device| check_device(device))
}

/// Whether a device can be used, before anything is loaded for it.
pub fn check_device(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => emberloop_kernels::Isa::chosen().map(|_| ()).map_err(DeviceError::Instructions),
        #[cfg(feature = "cuda")]
        Device::Cuda(index) => cuda::probe(index),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => Err(DeviceError::NotCompiled { device, feature: "cuda" }),
        #[cfg(feature = "vulkan")]
        Device::Vulkan(_) => vulkan(device).map(|_| ()),
        #[cfg(not(feature = "vulkan"))]
        Device::Vulkan(_) => Err(DeviceError::NotCompiled { device, feature: "vulkan" }),
    }
}

/// The Vulkan device that is meant; burn would panic if there were none.
#[cfg(feature = "vulkan")]
fn vulkan(device: Device) -> Result<burn::backend::wgpu::WgpuDevice, DeviceError> {
    emberloop_gpu::vulkan::device(device.index())
        .map_err(|error| DeviceError::NoGpu { device, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_parse_by_name() {
        let devices = [Device::Cpu, Device::Cuda(0), Device::Cuda(3), Device::Vulkan(0), Device::Vulkan(1)];
        assert_eq!(devices.map(|device| device.to_string()), ["cpu", "cuda", "cuda:3", "vulkan", "vulkan:1"]);
        for device in devices {
            assert_eq!(device.to_string().parse(), Ok(device));
            assert_eq!(serde_json::from_value::<Device>(serde_json::to_value(device).unwrap()).unwrap(), device);
        }
        assert_eq!("cuda:0".parse(), Ok(Device::Cuda(0)));
        for wrong in ["gpu", "cpu:1", "cuda:", "cuda:x", "cuda:-1", ""] {
            let error = wrong.parse::<Device>().unwrap_err().to_string();
            let expected = "device: expected cpu, cuda, vulkan, or one of several as in cuda:1, found ";
            assert_eq!(error, format!("{expected}{wrong:?}"));
        }
    }

    #[cfg(feature = "vulkan")]
    #[test]
    fn a_vulkan_device_that_is_not_there_is_one_clear_line() {
        let error = check_device(Device::Vulkan(1000)).unwrap_err().to_string();
        assert!(error.starts_with("device vulkan:1000: ") && error.contains("Vulkan device"), "{error}");
        assert!(error.ends_with("; use --device cpu") && !error.contains('\n'), "{error}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_is_one_clear_line() {
        let error = check_device(Device::Cuda(1)).unwrap_err().to_string();
        assert!(error.contains("cuda:1") && error.contains("--features cuda") && !error.contains('\n'), "{error}");
    }
}
