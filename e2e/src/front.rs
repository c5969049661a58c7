//! The ClickHouse access front: users, roles, grants, row policies and profiles for an engine that has none.
//!
//! The local stack's engine is the ClickHouse of libchdb, which parses access DDL and then has nowhere to keep it.
//! This server stands before it and behaves as a ClickHouse server would: it keeps what the DDL says in a file,
//! authenticates, resolves `role=`, and sends a query on with the row policies as `additional_table_filters` for
//! every table, so that the engine itself enforces them. Where a real server runs, no front does.

pub mod access;
pub mod apply;
pub mod config;
pub mod ddl;
pub mod engine;
pub mod error;
pub mod filters;
pub mod inspect;
pub mod journal;
pub mod keeper;
pub mod request;
pub mod rights;
pub mod server;
pub mod session;
pub mod settings;
pub mod system;
pub mod token;
