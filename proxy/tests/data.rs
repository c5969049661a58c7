//! CRUD against PostgreSQL, as the role that serves.

mod batch;
mod bulk;
mod concurrency;
mod crowds;
mod filters;
mod formats;
mod hooked;
mod hooks;
mod idempotency;
mod included;
mod isolation;
mod lists;
mod login;
mod noise;
mod paging;
mod plans;
mod records;
mod relations;
mod restores;
mod several;
mod shapes;
mod streams;
mod tls;
mod transactions;
mod values;
mod wire;
