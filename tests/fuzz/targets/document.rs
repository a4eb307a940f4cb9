#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meetbridge_fuzz::check("document", bytes));
