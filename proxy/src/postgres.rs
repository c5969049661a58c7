//! PostgreSQL as the proxy speaks to it: one round trip a request, over an own wire loop.
//!
//! A request is a chunk `[Bind set_config, Execute, Bind q, Execute, …, Sync]`, queued and written as one unit, so
//! that two requests never interleave. Everything up to one Sync is one implicit transaction: the tenant's setting
//! lives exactly that long, and an error in it stops what follows. A chunk is never cancelled by CancelRequest: whoever
//! gave up, its answer is read and thrown away.
//!
//! Two lanes. The *shared* lane sends chunks of many requests over few connections, each under a short
//! `statement_timeout`, and never a BEGIN; the *exclusive* lane has one chunk at a time on a connection, writes first of
//! all. There a transaction may also be held open ([`Transaction`]) or undone at its end: its connection is free again
//! when the server has said so, whichever way it ended. Beside them, a [`RowStream`] has a connection of its own.

mod config;
mod database;
mod error;
mod fence;
mod frame;
mod lane;
mod queue;
mod rows;
mod session;
mod slow;
mod startup;
mod statements;
mod stream;
mod transaction;

pub use config::{ConfigError, DatabaseConfig, LaneConfig, StreamConfig, TlsMode};
pub use database::{Answer, Database, Lane, Scope};
pub use error::{ConnectError, DatabaseError};
pub use fence::FenceError;
pub use frame::Row;
pub use rows::RowStream;
pub use transaction::Transaction;
