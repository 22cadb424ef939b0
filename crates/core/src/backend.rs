//! The one file that names concrete backends. Everything else is generic over `RecurrentBackend` or `TrainBackend`;
//! a move to another burn, or another device, starts and ends here.

use std::{fmt, str::FromStr};

use burn::backend::{Autodiff, NdArray};
use serde::{Deserialize, Serialize};

use crate::recurrence::{RecurrentBackend, TrainBackend};

impl RecurrentBackend for NdArray {}
#[cfg(feature = "cuda")]
impl RecurrentBackend for burn::backend::Cuda {}

/// Where training and evaluation run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// burn-ndarray on one core: results are equal bit by bit from run to run.
    #[default]
    Cpu,
    /// burn-cuda on the first NVIDIA GPU.
    Cuda,
}

impl Device {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Cuda => "cuda",
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        [Device::Cpu, Device::Cuda]
            .into_iter()
            .find(|device| device.name() == name)
            .ok_or_else(|| DeviceError::Unknown { found: name.to_string() })
    }
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No such name.
    #[error("device: expected cpu or cuda, found {found:?}")]
    Unknown {
        /// What was asked for.
        found: String,
    },
    /// Compiled without CUDA.
    #[error("device cuda: this program was built without it; build it with --features cuda, or use --device cpu")]
    NotCompiled,
    /// No driver on this machine.
    #[error("device cuda: no NVIDIA driver found ({reason}); install the driver, or use --device cpu")]
    NoDriver {
        /// What the system's loader says.
        reason: String,
    },
    /// A driver without a GPU.
    #[error("device cuda: the NVIDIA driver reports no usable GPU (cuInit gave {code}); use --device cpu")]
    NoGpu {
        /// The driver's error code.
        code: i32,
    },
}

/// Something to run on whatever backend a device stands for.
pub(crate) trait Task {
    /// What comes out of it.
    type Output;

    /// Runs on a backend and its default device.
    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output;
}

/// Runs `task` on the backend of `device`.
pub(crate) fn dispatch<T: Task>(device: Device, task: T) -> Result<T::Output, DeviceError> {
    match device {
        Device::Cpu => Ok(task.run::<Autodiff<NdArray>>(Default::default())),
        #[cfg(feature = "cuda")]
        Device::Cuda => {
            probe_cuda()?;
            Ok(task.run::<Autodiff<burn::backend::Cuda>>(Default::default()))
        }
        #[cfg(not(feature = "cuda"))]
        Device::Cuda => Err(DeviceError::NotCompiled),
    }
}

/// Whether a device can be used, before anything is loaded for it.
pub fn check_device(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => Ok(()),
        #[cfg(feature = "cuda")]
        Device::Cuda => probe_cuda(),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda => Err(DeviceError::NotCompiled),
    }
}

/// Without this, a machine without a GPU shows a panic in one of cubecl's threads.
#[cfg(feature = "cuda")]
fn probe_cuda() -> Result<(), DeviceError> {
    let names = if cfg!(windows) { ["nvcuda.dll"].as_slice() } else { &["libcuda.so.1", "libcuda.so"] };
    let mut reason = String::new();
    for name in names {
        // SAFETY: the driver's library has no initializer beyond its own, and burn would load the same file next.
        match unsafe { libloading::Library::new(name) } {
            Ok(library) => return initialize_cuda(&library),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(DeviceError::NoDriver { reason })
}

#[cfg(feature = "cuda")]
fn initialize_cuda(library: &libloading::Library) -> Result<(), DeviceError> {
    type Init = unsafe extern "C" fn(std::ffi::c_uint) -> std::ffi::c_int;
    // SAFETY: `CUresult cuInit(unsigned int)` is the signature in cuda.h since CUDA 2; it may be called repeatedly, and
    // flags must be 0.
    let code = unsafe {
        let init: libloading::Symbol<'_, Init> =
            library.get(b"cuInit\0").map_err(|error| DeviceError::NoDriver { reason: error.to_string() })?;
        init(0)
    };
    if code == 0 { Ok(()) } else { Err(DeviceError::NoGpu { code }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_parse_by_name() {
        assert_eq!("cpu".parse::<Device>().unwrap(), Device::Cpu);
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda);
        let error = "gpu".parse::<Device>().unwrap_err().to_string();
        assert_eq!(error, "device: expected cpu or cuda, found \"gpu\"");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_is_one_clear_line() {
        let error = check_device(Device::Cuda).unwrap_err().to_string();
        assert!(error.contains("--features cuda") && !error.contains('\n'), "{error}");
    }
}
