//! The application on an RP2040, at the clock that its ring oscillator gives after reset (about 6 MHz).
#![no_std]
#![no_main]

// Linked for what they define: the critical section, the log over RTT, the panic handler.
use cortex_m as _;
use defmt_rtt as _;
use panic_probe as _;

/// The second-stage loader for the Pico's flash chip, and for most others: it is a W25Q080-compatible one.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

#[cortex_m_rt::entry]
fn main() -> ! {
    emberloop_app::main()
}
