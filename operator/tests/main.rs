//! The operator against a real API server, PostgreSQL, ClickHouse and Kafka Connect. Each test has its own database,
//! namespace, DataPlane and operator, told from others by a label; run through `make test`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

mod approval;
mod bench;
mod deletion;
mod drift;
mod erasure;
mod failpoints;
mod files;
mod humble;
mod indexes;
mod injection;
mod instances;
mod killed;
mod lease;
mod planes;
mod refused;
mod road;
mod schema;
mod scripted;
mod support;
mod tenants;
mod terminating;
mod traces;
