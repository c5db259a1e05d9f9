//! See `fuzzing::reflector`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::reflector::check(input));
