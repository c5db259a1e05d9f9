//! See `fuzzing::tlv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::tlv::check(input));
