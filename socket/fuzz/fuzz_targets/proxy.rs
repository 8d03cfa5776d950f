#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| riot_socket_fuzz::proxy(bytes));
