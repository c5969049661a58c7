//! Any query string is read or refused, never a panic; what is read renders with the client's values as binds only.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    proxy::data::fuzzing::query(text);
});
