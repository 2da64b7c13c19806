#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| steprill_fuzz::workflow_file::run(data));
