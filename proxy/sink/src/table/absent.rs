//! What a column holds in rows that are older than it.

use chrono::NaiveDate;
use model::{Field, FieldType, ValueUse, parse_value};
use serde_json::{Value, value::RawValue};

/// A field's constant default as Debezium would have written it: PostgreSQL shows it in rows that were there before the
/// column, and sends no event for them. None without a default, and for one that differs from row to row: such a column
/// is filled by writes, which have events.
pub(super) fn default_of(field: &Field) -> Option<Box<RawValue>> {
    let text = field.default.as_deref()?;
    let value = parse_value(&field.field_type, text, ValueUse::Store).ok()?;
    let json = match &field.field_type {
        FieldType::Bool
        | FieldType::Int16
        | FieldType::Int32
        | FieldType::Int64
        | FieldType::Float64 => value,
        FieldType::Date => {
            let date: NaiveDate = value.parse().ok()?;
            (date - NaiveDate::default()).num_days().to_string()
        }
        FieldType::Time => microseconds(&value)?.to_string(),
        FieldType::Decimal { .. }
        | FieldType::Text { .. }
        | FieldType::Uuid
        | FieldType::Timestamp
        | FieldType::Json
        | FieldType::Bytes
        | FieldType::Enum { .. }
        | FieldType::Inet => Value::from(value).to_string(),
        FieldType::Array { .. } | FieldType::Vector { .. } => return None,
    };
    RawValue::from_string(json).ok()
}

/// Since midnight, of a canonical `HH:MM:SS.ffffff`.
fn microseconds(time: &str) -> Option<u64> {
    let (clock, fraction) = time.split_once('.')?;
    let parts = clock.split(':').map(|part| part.parse::<u64>().ok());
    let seconds = parts
        .reduce(|sum, part| Some(sum? * 60 + part?))
        .flatten()?;
    Some(seconds * 1_000_000 + fraction.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use model::Column;
    use serde_json::json;

    use super::*;
    use crate::encode::{Adjusted, encode};

    #[test]
    fn a_default_is_encoded_as_an_event_with_it_would_be() {
        let mut cases = vec![
            (json!({"type": "bool", "default": "true"}), Some("true")),
            (json!({"type": "int64", "default": "-7"}), Some("-7")),
            (json!({"type": "float64", "default": "1.5"}), Some("1.5")),
            (
                json!({"type": "decimal", "precision": 12, "scale": 2, "default": "1.50"}),
                Some("\"1.5\""),
            ),
            (
                json!({"type": "text", "default": "a\"b"}),
                Some(r#""a\"b""#),
            ),
            (json!({"type": "date", "default": "1970-01-03"}), Some("2")),
            (
                json!({"type": "time", "default": "00:01:00"}),
                Some("60000000"),
            ),
            (
                json!({"type": "timestamp", "default": "2026-01-02T03:04:05Z"}),
                Some("\"2026-01-02T03:04:05.000000Z\""),
            ),
            (
                json!({"type": "json", "default": "{\"a\":1}"}),
                Some(r#""{\"a\":1}""#),
            ),
            (
                json!({"type": "enum", "values": ["x"], "default": "x"}),
                Some("\"x\""),
            ),
            (
                json!({"type": "bytes", "default": "AP8="}),
                Some("\"AP8=\""),
            ),
        ];
        cases.extend([
            (json!({"type": "timestamp", "default": "now"}), None),
            (json!({"type": "uuid", "default": "generate"}), None),
            (json!({"type": "text"}), None),
        ]);
        for (mut document, expected) in cases {
            document["name"] = "x".into();
            let field: Field = serde_json::from_value(document).unwrap();
            let default = default_of(&field);
            assert_eq!(default.as_deref().map(RawValue::get), expected, "{field:?}");
            let mut bytes = Vec::new();
            let mut adjusted = Adjusted::default();
            encode(
                &mut bytes,
                &Column::of(&field),
                default.as_deref(),
                &mut adjusted,
            )
            .unwrap();
            assert_eq!(adjusted, Adjusted::default(), "{field:?}");
        }
    }
}
