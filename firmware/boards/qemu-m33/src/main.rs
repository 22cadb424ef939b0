//! The application on a board that QEMU emulates; `board.toml` says which.
#![no_std]
#![no_main]

use emberloop_qemu as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    emberloop_app::main()
}
