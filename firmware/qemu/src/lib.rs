//! What the QEMU boards share: defmt's frames go out through semihosting, and a panic or a fault ends the run with a
//! status of its own. On a machine without these handlers a fault looks like a hang.
//!
//! A board links it by `use emberloop_qemu as _;`.
#![no_std]
#![cfg(target_os = "none")]

// Named so that they are linked: the logger, and the critical section that the logger needs.
#[cfg(target_arch = "arm")]
use cortex_m as _;
use defmt_semihosting as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;

/// Exit status of a run that panicked.
pub const PANICKED: i32 = 101;
/// Exit status of a run that ended in a fault (Arm) or an exception (RISC-V).
pub const FAULTED: i32 = 102;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    // A panic inside the logger would come back here through the line below; the second time nothing is logged.
    static PANICKING: core::sync::atomic::AtomicBool = core::sync::atomic::AtomicBool::new(false);
    use core::sync::atomic::Ordering::Relaxed;
    if !PANICKING.load(Relaxed) {
        PANICKING.store(true, Relaxed);
        defmt::error!("panic: {}", defmt::Display2Format(info));
    }
    semihosting::process::exit(PANICKED)
}

#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    defmt::error!("hard fault at pc={=u32:#010x} lr={=u32:#010x}", frame.pc(), frame.lr());
    semihosting::process::exit(FAULTED)
}

#[cfg(target_arch = "riscv32")]
#[unsafe(export_name = "ExceptionHandler")]
extern "C" fn exception(_: &riscv_rt::TrapFrame) -> ! {
    let (cause, at) = (riscv::register::mcause::read().bits(), riscv::register::mepc::read());
    defmt::error!("exception mcause={=usize} at pc={=usize:#010x}", cause, at);
    semihosting::process::exit(FAULTED)
}
