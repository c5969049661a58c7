//! The proxy: tenant-scoped CRUD, analytics and cache over HTTP, with no code per module.
//!
//! One road: authenticate → parse → plan → render → execute → reply → log once. See ARCHITECTURE.md.

pub mod admin;
pub mod analytics;
pub mod auth;
pub mod cache;
pub mod caller;
pub mod catalog;
pub mod chain;
pub mod config;
pub mod data;
pub mod exchange;
pub mod hooks;
mod json;
pub mod openapi;
mod per_runtime;
pub mod platform;
pub mod postgres;
pub mod problem;
pub mod query;
pub mod rbac;
pub mod schema;
pub mod server;
pub mod telemetry;
pub mod valkey;
