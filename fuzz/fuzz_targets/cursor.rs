//! Any text is refused as a cursor that was not given out, and what is given out opens as it was sealed.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| proxy::data::fuzzing::cursor(text));
