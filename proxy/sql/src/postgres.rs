//! PostgreSQL: quoting and types. Statements are in the submodules.

pub mod batch;
mod binds;
pub mod ddl;
pub mod delete;
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

use model::{FieldType, Ident, ModelName, ScalarType};

/// Longest name that PostgreSQL keeps, in bytes (NAMEDATALEN − 1).
pub const NAME_BYTES_MAX: usize = 63;

/// The only way from an [`Ident`] into a statement's text.
pub fn quote(ident: &Ident) -> String {
    quote_text(ident.as_str())
}

/// Quotes a name that is not an [`Ident`]: roles, publications, names we derive.
pub fn quote_text(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
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
    format!("{}.{}", quote(&name.module), quote(&name.model))
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
