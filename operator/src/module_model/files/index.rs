//! The one thing that a file may do outside of a transaction.

use sqlparser::{
    ast::{ObjectNamePart, Statement},
    dialect::PostgreSqlDialect,
    parser::Parser,
};

/// The name of an index that a file builds concurrently, as PostgreSQL keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexName(String);

impl IndexName {
    /// As PostgreSQL keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads one `create [unique] index concurrently <name> …`, or says what is wrong. This only sorts files: what a
/// statement may touch is decided by the role that runs it.
pub fn concurrent_index(sql: &str) -> Result<IndexName, String> {
    let wanted = "a NO TRANSACTION file has one statement: CREATE INDEX CONCURRENTLY with a name";
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql)
        .map_err(|error| format!("{wanted}; it cannot be read: {error}"))?;
    let [Statement::CreateIndex(index)] = statements.as_slice() else {
        return Err(wanted.to_owned());
    };
    let name = index.name.as_ref().map(|name| name.0.as_slice());
    match name {
        Some([ObjectNamePart::Identifier(ident)]) if index.concurrently => {
            // Only a quoted name keeps its capitals.
            let text = match ident.quote_style {
                Some(_) => ident.value.clone(),
                None => ident.value.to_lowercase(),
            };
            Ok(IndexName(text))
        }
        _ => Err(wanted.to_owned()),
    }
}
