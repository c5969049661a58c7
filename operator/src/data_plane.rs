//! The Reconciler of the DataPlane: fetch → validate → bootstrap → ensure the connector → watch → status.
//!
//! It comes back every few seconds: the replication slot holds back WAL, and somebody has to look.

mod access;
mod analytics;
mod capture;
mod connector;
mod fetch;
mod look;
mod reconcile;
mod status;

pub use fetch::Endpoints;
pub use look::Memory;
pub use reconcile::{on_error, reconcile};
