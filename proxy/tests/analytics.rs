//! Analytics against the real ClickHouse and PostgreSQL: answers, fences, failures.

// Helpers unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod answers;
mod buckets;
mod failures;
mod fences;
mod filters;
mod lab;
mod models;
