//! Examples: valid for the model that they stand at.

use model::{Field, FieldType, ModuleModel};
use serde_json::{Map, Value, json};

/// An id of no record.
pub(super) const ID: &str = "0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";
/// An instant.
pub(super) const INSTANT: &str = "2026-01-02T03:04:05.000000Z";

/// A value of a type.
pub(super) fn value(field_type: &FieldType) -> Value {
    match field_type {
        FieldType::Bool => json!(true),
        FieldType::Int16 | FieldType::Int32 | FieldType::Int64 => json!(1),
        FieldType::Float64 => json!(1.5),
        FieldType::Decimal { scale: 0, .. } => json!(1),
        FieldType::Decimal { precision, scale } if precision == scale => json!(0.5),
        FieldType::Decimal { .. } => json!(1.5),
        FieldType::Text { max_length } => {
            json!(
                "text"
                    .chars()
                    .take(max_length.map_or(4, |n| n as usize))
                    .collect::<String>()
            )
        }
        FieldType::Uuid => json!(ID),
        FieldType::Date => json!("2026-01-02"),
        FieldType::Timestamp => json!(INSTANT),
        FieldType::Time => json!("03:04:05.000000"),
        FieldType::Json => json!({"key": "value"}),
        FieldType::Bytes => json!("YQ=="),
        FieldType::Enum { values } => json!(values.first()),
        FieldType::Inet => json!("10.0.0.1"),
        FieldType::Array { items } => json!([value(&items.as_field_type())]),
        FieldType::Vector { dimension } => json!(vec![0; usize::from(*dimension)]),
    }
}

/// A body that creates a record. References are left out where they may be: the example's row is not there.
pub(super) fn record(model: &ModuleModel) -> Value {
    let shown = |f: &&Field| f.required || f.references.is_none();
    let fields = model.fields().iter().filter(shown);
    fields
        .map(|f| (f.name.as_str().to_owned(), value(&f.field_type)))
        .collect::<Map<_, _>>()
        .into()
}

/// A record as CSV: a line of names and a line of values.
pub(super) fn csv(record: &Value) -> String {
    let members = record.as_object().into_iter().flatten();
    let cell = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        (name.clone(), format!("\"{}\"", text.replace('"', "\"\"")))
    };
    let (names, values): (Vec<_>, Vec<_>) = members.map(cell).unzip();
    format!("{}\n{}\n", names.join(","), values.join(","))
}

/// A body that changes one field: one that may be changed without knowing other rows, where there is such.
pub(super) fn change(model: &ModuleModel) -> Value {
    let mut fields = model.fields().iter();
    let free = fields.find(|f| f.references.is_none());
    let field = free.or_else(|| model.fields().first());
    let changed = field.map(|field| {
        let is_cleared = field.references.is_some() && !field.required;
        let value = match is_cleared {
            true => Value::Null,
            false => value(&field.field_type),
        };
        (field.name.as_str().to_owned(), value)
    });
    changed.into_iter().collect::<Map<_, _>>().into()
}

/// The same, of the record that it names.
pub(super) fn change_by_id(model: &ModuleModel) -> Value {
    let mut change = change(model);
    change["id"] = json!(ID);
    change
}

/// A record as an answer shows it.
pub(super) fn answered(model: &ModuleModel) -> Value {
    let mut shown = Map::new();
    for column in model.record_columns() {
        let example = match column.name.as_str() {
            "created_by" | "updated_by" => json!("ada"),
            _ => value(&column.field_type),
        };
        shown.insert(column.name.as_str().to_owned(), example);
    }
    shown.into()
}

/// A filter, with an operator that the type takes.
pub(super) fn filter(field_type: &FieldType, operators: &[&str]) -> String {
    if !operators.contains(&"eq") {
        return "not.is.null".to_owned();
    }
    match value(field_type) {
        Value::String(text) => format!("eq.{text}"),
        Value::Array(_) | Value::Object(_) => "not.is.null".to_owned(),
        other => format!("eq.{other}"),
    }
}
