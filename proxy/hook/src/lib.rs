//! Calls to modules over HTTP: signed, bounded, and only to hosts that the configuration allows.
//!
//! What a call says and what its answer means is the business of those who call: the proxy before a write, the
//! dispatcher after it.

mod breaker;
mod client;
mod hosts;
mod signature;

pub use client::{ANSWER_BYTES_MAX, Answer, CallError, Client};
pub use hosts::{AllowedHosts, HOSTS_DEFAULT, HostsError};
pub use signature::{Keys, KeysError, SIGNATURE_HEADER, WINDOW_SECONDS, verify};
