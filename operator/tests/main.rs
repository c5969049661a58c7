//! The operator against a real API server, PostgreSQL, ClickHouse and Kafka Connect. Each test has its own database,
//! namespace, DataPlane and operator, told from others by a label; run through `make test`.

mod killed;
mod refused;
mod road;
mod support;
mod tenants;
