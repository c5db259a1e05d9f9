//! See `fuzzing::keys`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::keys::check(input));
