//! Plans rendered into statements: text with placeholders, and binds. Pure.
//!
//! Identifiers come from the catalogue and are printed by one quoting function a dialect; values are binds.

pub mod clickhouse;
pub mod filter;
pub mod postgres;

/// Text and binds of one statement. `None` is SQL null; PostgreSQL reads binds in text format, ClickHouse as
/// `param_*`. The text depends on the shape of the request only, so that it can be prepared and cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text.
    pub text: String,
    /// The values of `$1`, `$2`, … in PostgreSQL, of `{p1:…}`, `{p2:…}`, … in ClickHouse.
    pub binds: Vec<Option<String>>,
}
