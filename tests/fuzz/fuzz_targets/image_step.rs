//! A model made from the input's bytes, mostly valid, and what a board may do with it; never a panic, and where the image is
//! whole every output and state is the reference's.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| emberloop_fuzz::step(data));
