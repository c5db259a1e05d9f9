//! See `fuzzing::frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::frame::check(input));
