#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| riot_http_fuzz::connection(bytes));
