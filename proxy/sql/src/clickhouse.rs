//! ClickHouse: quoting and types. Statements are in the submodules.

pub mod aggregate;
pub mod ddl;
pub mod filter;
pub mod query;

use model::{ColumnName, FieldType, Generation, ModelName, ScalarType, TenantId};

/// The database that holds every analytics table. All of them have `tenant_id`: the row policies cover `septem_data.*`.
pub const DATABASE: &str = "septem_data";

/// The only way from a column's name into a statement's text.
pub fn quote(column: &ColumnName) -> String {
    quote_text(column.as_str())
}

/// Quotes any other name.
pub fn quote_text(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A text as a literal, for statements that take no parameters (DDL). Never for values of a request.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `{module}__{model}__g{N}`: unambiguous, since names hold no double underscore.
pub fn table_name(name: &ModelName, generation: Generation) -> String {
    format!(
        "{}__{}__g{generation}",
        name.module.as_str(),
        name.model.as_str()
    )
}

/// The table with its database, quoted.
pub fn table(name: &ModelName, generation: Generation) -> String {
    format!(
        "{}.{}",
        quote_text(DATABASE),
        quote_text(&table_name(name, generation))
    )
}

/// The role whose row policy shows one tenant, chosen per request with `role=`.
pub fn tenant_role(tenant: &TenantId) -> String {
    format!("t_{tenant}")
}

/// The type of a field's column when it is required; see [`column_type`] for the column itself.
///
/// Text-like JSON, bytes and inet are kept as the text that Debezium sends; a time of day is microseconds since
/// midnight.
pub fn value_type(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Bool => "Bool".into(),
        FieldType::Int16 => "Int16".into(),
        FieldType::Int32 => "Int32".into(),
        FieldType::Int64 | FieldType::Time => "Int64".into(),
        FieldType::Float64 => "Float64".into(),
        FieldType::Decimal { precision, scale } => format!("Decimal({precision}, {scale})"),
        FieldType::Text { .. } | FieldType::Json | FieldType::Bytes | FieldType::Inet => {
            "String".into()
        }
        FieldType::Uuid => "UUID".into(),
        FieldType::Date => "Date32".into(),
        FieldType::Timestamp => "DateTime64(6, 'UTC')".into(),
        FieldType::Enum { .. } => "LowCardinality(String)".into(),
        FieldType::Array { items } => format!("Array({})", scalar_type(*items)),
        FieldType::Vector { .. } => "Array(Float32)".into(),
    }
}

/// The type of a column: Nullable exactly when not required. A list cannot be Nullable: null becomes empty.
pub fn column_type(field_type: &FieldType, required: bool) -> String {
    let value = value_type(field_type);
    match field_type {
        _ if required => value,
        list if list.is_list() => value,
        FieldType::Enum { .. } => "LowCardinality(Nullable(String))".into(),
        _ => format!("Nullable({value})"),
    }
}

fn scalar_type(items: ScalarType) -> String {
    value_type(&items.as_field_type())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(quote_text("a`b\\"), "`a\\`b\\\\`");
        assert_eq!(literal("it's \\"), "'it\\'s \\\\'");
    }
}
