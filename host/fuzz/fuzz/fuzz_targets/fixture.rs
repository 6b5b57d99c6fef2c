#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rusty_genius_fuzz::fixture(bytes));
