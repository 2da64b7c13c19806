#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| steprill_fuzz::step_output::run(data));
