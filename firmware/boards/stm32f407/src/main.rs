//! The application on an STM32F407, at the 16 MHz that its internal oscillator gives after reset.
#![no_std]
#![no_main]

// Linked for what they define: the critical section, the log over RTT, the panic handler.
use cortex_m as _;
use defmt_rtt as _;
use panic_probe as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    emberloop_app::main()
}
