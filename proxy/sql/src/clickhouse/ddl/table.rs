//! Tables of change data.

use model::{Field, FieldType, Generation, ModelName, ModuleModel, ValueUse, parse_value};

use crate::clickhouse::{DATABASE, column_type, literal, quote, quote_text, table};

/// The database of every analytics table.
pub fn create_database() -> String {
    format!(
        "create database if not exists {} engine = Atomic",
        quote_text(DATABASE)
    )
}

/// Every column of a table in its order, with its type: what an INSERT names.
pub fn insert_columns(model: &ModuleModel) -> Vec<(String, String)> {
    let key = [("tenant_id", "UUID"), ("record_id", "FixedString(16)")];
    let change = [
        ("_version", "UInt128"),
        ("_deleted", "UInt8"),
        ("_synced_at", "DateTime64(3, 'UTC')"),
    ];
    let owned = |(name, kind): (&str, &str)| (quote_text(name), kind.to_owned());
    let captured = model.captured_columns();
    let captured = captured.map(|c| (quote(&c.column), column_type(&c.field_type, c.required)));
    key.into_iter()
        .map(owned)
        .chain(captured)
        .chain(change.into_iter().map(owned))
        .collect()
}

/// One row a record, the newest version winning. `record_id` is the UUID's 16 bytes in network order: the type UUID
/// compares its second half first, which makes FINAL over time-ordered ids several times slower.
pub fn create_table(model: &ModuleModel, generation: Generation) -> String {
    let columns: Vec<_> = insert_columns(model)
        .into_iter()
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    format!(
        "create table if not exists {} (\n  {}\n)\nengine = ReplacingMergeTree(_version, _deleted)\norder by (tenant_id, record_id)",
        table(model.name(), generation),
        columns.join(",\n  ")
    )
}

/// A field that came later. Rows that were there read its constant default, as they do in PostgreSQL, which sends
/// no change event for them.
pub fn add_column(name: &ModelName, generation: Generation, field: &Field) -> String {
    let kind = column_type(&field.field_type, field.required);
    let default = match default_text(field) {
        Some(text) => format!(" default cast({}, {})", literal(&text), literal(&kind)),
        None => String::new(),
    };
    format!(
        "alter table {} add column if not exists {} {kind}{default}",
        table(name, generation),
        quote(&field.column())
    )
}

/// A column whose rows all come as events, with their own values.
pub fn add_empty_column(name: &ModelName, generation: Generation, field: &Field) -> String {
    let bare = Field {
        default: None,
        ..field.clone()
    };
    add_column(name, generation, &bare)
}

/// Another type of the same column; ClickHouse rewrites it in the background. The default stays.
pub fn modify_column(name: &ModelName, generation: Generation, field: &Field) -> String {
    format!(
        "alter table {} modify column {} {}",
        table(name, generation),
        quote(&field.column()),
        column_type(&field.field_type, field.required)
    )
}

/// A column goes.
pub fn drop_column(name: &ModelName, generation: Generation, column: &str) -> String {
    format!(
        "alter table {} drop column if exists {}",
        table(name, generation),
        quote_text(column)
    )
}

/// The default as the sink would have written it; none for defaults that differ from row to row.
fn default_text(field: &Field) -> Option<String> {
    let text = field.default.as_deref()?;
    let value = parse_value(&field.field_type, text, ValueUse::Store).ok()?;
    Some(match &field.field_type {
        FieldType::Timestamp => value.trim_end_matches('Z').replace('T', " "),
        FieldType::Time => microseconds(&value)?.to_string(),
        _ => value,
    })
}

/// Microseconds since midnight of a canonical `HH:MM:SS.ffffff`.
fn microseconds(time: &str) -> Option<u64> {
    let (clock, fraction) = time.split_once('.')?;
    let mut seconds = 0;
    for part in clock.split(':') {
        seconds = seconds * 60 + part.parse::<u64>().ok()?;
    }
    Some(seconds * 1_000_000 + fraction.parse::<u64>().ok()?)
}
