//! The proxy: tenant-scoped CRUD, analytics and cache over HTTP, with no code per module.
//!
//! One road: authenticate → parse → plan → render → execute → reply → log once. See ARCHITECTURE.md.

pub mod caller;
pub mod exchange;
pub mod problem;
