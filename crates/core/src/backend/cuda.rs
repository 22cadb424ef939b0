//! Whether there is an NVIDIA GPU, asked before burn does: without this, a machine without one shows a panic in one of
//! cubecl's threads.

use std::ffi::{c_int, c_uint};

use super::{Device, DeviceError};

/// Whether GPU `index` can be used.
pub(super) fn probe(index: usize) -> Result<(), DeviceError> {
    let device = Device::Cuda(index);
    let names = if cfg!(windows) { ["nvcuda.dll"].as_slice() } else { &["libcuda.so.1", "libcuda.so"] };
    let mut reason = String::new();
    for name in names {
        // SAFETY: the driver's library has no initializer beyond its own, and burn would load the same file next.
        match unsafe { libloading::Library::new(name) } {
            Ok(library) => return check(device, index, count(&library)),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(DeviceError::NoDriver { device, reason })
}

/// How many GPUs the driver has, or what it says instead.
fn count(library: &libloading::Library) -> Result<usize, String> {
    type Init = unsafe extern "C" fn(c_uint) -> c_int;
    type Count = unsafe extern "C" fn(*mut c_int) -> c_int;
    let missing = |error: libloading::Error| error.to_string();
    let mut count = 0;
    // SAFETY: `CUresult cuInit(unsigned int)` and `CUresult cuDeviceGetCount(int *)` are the signatures in cuda.h since
    // CUDA 2; cuInit may be called repeatedly, flags must be 0, and the count is written to a live integer.
    let (initialized, counted) = unsafe {
        let init: libloading::Symbol<'_, Init> = library.get(b"cuInit\0").map_err(missing)?;
        let get_count: libloading::Symbol<'_, Count> = library.get(b"cuDeviceGetCount\0").map_err(missing)?;
        (init(0), get_count(&mut count))
    };
    match (initialized, counted) {
        (0, 0) => Ok(count as usize),
        (0, code) => Err(format!("cuDeviceGetCount gave {code}")),
        (code, _) => Err(format!("cuInit gave {code}")),
    }
}

fn check(device: Device, index: usize, count: Result<usize, String>) -> Result<(), DeviceError> {
    let reason = match count {
        Ok(count) if index < count => return Ok(()),
        Ok(0) => "the NVIDIA driver reports no GPU".into(),
        Ok(count) => format!("the NVIDIA driver reports {count} GPU{}", if count == 1 { ", number 0" } else { "s" }),
        Err(reason) => format!("the NVIDIA driver reports no usable GPU ({reason})"),
    };
    Err(DeviceError::NoGpu { device, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_not_there_is_named() {
        assert_eq!(check(Device::Cuda(1), 1, Ok(2)), Ok(()));
        let said = |index, count| check(Device::Cuda(index), index, count).unwrap_err().to_string();
        let end = "; use --device cpu";
        assert_eq!(said(0, Ok(0)), format!("device cuda: the NVIDIA driver reports no GPU{end}"));
        assert_eq!(said(1, Ok(1)), format!("device cuda:1: the NVIDIA driver reports 1 GPU, number 0{end}"));
        let broken = said(0, Err("cuInit gave 999".into()));
        assert_eq!(broken, format!("device cuda: the NVIDIA driver reports no usable GPU (cuInit gave 999){end}"));
    }
}
