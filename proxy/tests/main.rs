//! Against the real servers; run through `make test`.

// A failed expectation is what a test is for; clippy allows it in tests, but not in their helpers.
#![allow(clippy::unwrap_used)]

mod analytics;
mod conformance;
mod data;
mod edge;
mod support;
