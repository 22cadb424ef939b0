//! Any bytes, as an image and as a `.seq` file: refused or read, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| emberloop_fuzz::parse(data));
