//! Helpers of all tests.

pub mod database;
pub mod forwarder;
pub mod receiver;
pub mod server;
pub mod world;

use std::net::{SocketAddr, TcpListener};

/// An address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A variable of the stack's environment file.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run through `make test`"))
}
