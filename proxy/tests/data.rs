//! CRUD against PostgreSQL, as the role that serves.

mod concurrency;
mod isolation;
mod lists;
mod plans;
mod records;
mod values;
mod wire;
