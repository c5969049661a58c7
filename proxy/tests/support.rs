//! Helpers of all tests.

pub mod database;
pub mod forwarder;
pub mod receiver;
pub mod server;
pub mod world;

/// A variable of the stack's environment file.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run through `make test`"))
}
