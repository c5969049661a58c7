//! PostgreSQL: quoting and types. Statements are in the submodules.

pub mod batch;
mod binds;
pub mod ddl;
pub mod delete;
pub mod erase;
mod filtered;
pub mod idempotency;
pub mod insert;
pub mod select;
mod size;
pub mod update;

#[cfg(test)]
mod statement_tests;

pub use binds::array_literal;
pub use filtered::Filtered;
pub use size::RECORD_BYTES_MAX;

use model::{ColumnName, FieldType, Ident, ModelName, ScalarType};

/// Longest name that PostgreSQL keeps, in bytes (NAMEDATALEN − 1).
pub const NAME_BYTES_MAX: usize = 63;

/// The only way from a column's name into a statement's text. A field's own name never gets there: the column that it
/// is served from may be called otherwise.
pub fn quote(column: &ColumnName) -> String {
    quote_text(column.as_str())
}

/// A module's schema.
pub fn schema(module: &Ident) -> String {
    quote_text(module.as_str())
}

/// A model's table without its schema, as its columns are qualified by in a statement.
fn unqualified(name: &ModelName) -> String {
    quote_text(name.model.as_str())
}

/// Quotes any other name: roles, publications, names we derive.
pub fn quote_text(name: &str) -> String {
    // Of every column of every statement, so it is written at once.
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for (i, part) in name.split('"').enumerate() {
        if i > 0 {
            quoted.push_str("\"\"");
        }
        quoted.push_str(part);
    }
    quoted.push('"');
    quoted
}

/// A text as a literal, for statements that take no binds (DDL). Never for values of a request.
///
/// `standard_conforming_strings` decides what a backslash means, so a literal with one is written in E form.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// `"module"."model"`.
pub fn table(name: &ModelName) -> String {
    format!("{}.{}", schema(&name.module), unqualified(name))
}

/// The type of a field's column.
pub fn column_type(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Bool => "boolean".into(),
        FieldType::Int16 => "smallint".into(),
        FieldType::Int32 => "integer".into(),
        FieldType::Int64 => "bigint".into(),
        FieldType::Float64 => "double precision".into(),
        FieldType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        FieldType::Text { .. } | FieldType::Enum { .. } => "text".into(),
        FieldType::Uuid => "uuid".into(),
        FieldType::Date => "date".into(),
        FieldType::Timestamp => "timestamp with time zone".into(),
        FieldType::Time => "time without time zone".into(),
        FieldType::Json => "jsonb".into(),
        FieldType::Bytes => "bytea".into(),
        FieldType::Inet => "inet".into(),
        FieldType::Array { items } => format!("{}[]", scalar_type(*items)),
        // Every server has it, which is not so of an extension's type.
        FieldType::Vector { .. } => "real[]".into(),
    }
}

fn scalar_type(items: ScalarType) -> String {
    column_type(&items.as_field_type())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(quote_text("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
        assert_eq!(literal("a\nb"), "'a\nb'");
    }
}
