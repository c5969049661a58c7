//! JSON Schemas of values: as a body may hold them, and as an answer does.
//!
//! What a body may hold is what [`crate::data`]'s body parser takes, for every type; where JSON Schema cannot say it
//! the schema takes more, never less, and the test of the two names it.

use model::{Field, FieldType, ScalarType};
use serde_json::{Value, json};

/// The schema of a field in a body.
pub(super) fn written(field: &Field) -> Value {
    let mut schema = written_type(&field.field_type);
    if field.field_type == FieldType::Json && field.required {
        // Null is SQL's null here, not JSON's.
        schema = json!({"type": ["object", "array", "string", "number", "boolean"]});
    } else if !field.required {
        schema = nullable(schema);
    }
    annotate(&mut schema, field);
    schema
}

/// The schema of a value that is not null in a body.
pub(super) fn written_type(field_type: &FieldType) -> Value {
    match field_type {
        FieldType::Bool => json!({"type": "boolean"}),
        FieldType::Int16 => integer(i16::MIN.into(), i16::MAX.into()),
        FieldType::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
        FieldType::Int64 => reference("Int64"),
        FieldType::Float64 => json!({"type": "number"}),
        FieldType::Decimal { precision, scale } => decimal(*precision, *scale),
        FieldType::Text { max_length: None } => reference("Text"),
        FieldType::Text {
            max_length: Some(max),
        } => {
            json!({"type": "string", "maxLength": max, "pattern": NO_NUL})
        }
        FieldType::Uuid => reference("Uuid"),
        FieldType::Date => reference("Date"),
        FieldType::Timestamp => reference("Timestamp"),
        FieldType::Time => reference("Time"),
        FieldType::Json => json!({}),
        FieldType::Bytes => reference("Bytes"),
        FieldType::Enum { values } => json!({"type": "string", "enum": values}),
        FieldType::Inet => reference("Inet"),
        FieldType::Array { items } => array(*items, written_type),
        FieldType::Vector { dimension } => {
            let element =
                json!({"type": "number", "minimum": -SINGLE_BOUND, "maximum": SINGLE_BOUND});
            vector(*dimension, element)
        }
    }
}

/// The schema of a field or system column in an answer.
pub(super) fn answered(field_type: &FieldType, required: bool, field: Option<&Field>) -> Value {
    let mut schema = answered_type(field_type);
    if !required {
        schema = nullable(schema);
    }
    if let Some(description) = field.and_then(|f| f.description.as_deref()) {
        schema["description"] = json!(description);
    }
    schema
}

fn answered_type(field_type: &FieldType) -> Value {
    match field_type {
        FieldType::Bool => json!({"type": "boolean"}),
        FieldType::Int16 | FieldType::Int32 => json!({"type": "integer", "format": "int32"}),
        // A string when the request prefers numbers=string.
        FieldType::Int64 => json!({"type": ["integer", "string"]}),
        FieldType::Decimal { .. } => json!({"type": ["number", "string"]}),
        FieldType::Float64 => json!({"type": "number", "format": "double"}),
        FieldType::Text { .. } | FieldType::Enum { .. } | FieldType::Time | FieldType::Inet => {
            json!({"type": "string"})
        }
        FieldType::Uuid => json!({"type": "string", "format": "uuid"}),
        FieldType::Date => json!({"type": "string", "format": "date"}),
        FieldType::Timestamp => json!({"type": "string", "format": "date-time"}),
        FieldType::Json => json!({}),
        FieldType::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        FieldType::Array { items } => array(*items, answered_type),
        FieldType::Vector { dimension } => {
            vector(*dimension, json!({"type": "number", "format": "float"}))
        }
    }
}

/// The shared schemas that [`written_type`] refers to.
pub(super) fn shared() -> Vec<(&'static str, Value)> {
    vec![
        ("Text", json!({"type": "string", "pattern": NO_NUL})),
        (
            "Int64",
            json!({
                "description": "A number, or a string where the language's numbers are not exact beyond 2^53.",
                "anyOf": [
                    {"type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX},
                    {"type": "string", "pattern": "^-?(?:0|[1-9][0-9]{0,18})$"},
                ],
            }),
        ),
        (
            "Uuid",
            json!({"type": "string", "format": "uuid", "pattern": format!("^{UUID}$")}),
        ),
        (
            "Date",
            json!({"type": "string", "format": "date", "pattern": "^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
        ),
        (
            "Timestamp",
            json!({
                "description": "RFC 3339 to the microsecond; without an offset it is UTC. Answers are in UTC.",
                "type": "string",
                "pattern": format!("^{DAY}[Tt ]{CLOCK}(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?$"),
            }),
        ),
        (
            "Time",
            json!({
                "description": "A time of day to the microsecond, without a zone.",
                "type": "string", "pattern": format!("^{CLOCK}$"),
            }),
        ),
        (
            "Bytes",
            json!({
                "description": "Base64 with padding (RFC 4648, section 4).",
                "type": "string", "contentEncoding": "base64",
                "pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
            }),
        ),
        (
            "Inet",
            json!({
                "description": "An IP address, or a network such as 10.0.0.0/8.",
                "type": "string",
                "anyOf": [
                    {"format": "ipv4", "pattern": format!("^{IPV4}$")},
                    {"pattern": format!("^{IPV4}/(?:[0-9]|[12][0-9]|3[0-2])$")},
                    {"format": "ipv6", "pattern": "^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$"},
                    {"pattern": "^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])$"},
                ],
            }),
        ),
    ]
}

/// A UUID as the canonical form writes it, in either case of letters.
pub(super) const UUID: &str =
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
/// PostgreSQL's text cannot hold U+0000.
const NO_NUL: &str = "^[^\\x00]*$";
/// Half a step past the greatest single: what is less is rounded to it.
const SINGLE_BOUND: f64 = 3.402_823_567_797_336_6e38;
const DAY: &str = "(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])";
/// A seventh digit may be there if it is zero.
const CLOCK: &str = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6}0*)?";
const IPV4: &str = "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn integer(minimum: i64, maximum: i64) -> Value {
    json!({"type": "integer", "minimum": minimum, "maximum": maximum})
}

/// Numbers are bounded in size only: whether a double is a multiple of 0.01 has no exact answer. Strings are bounded
/// to the digit, unless they have an exponent.
fn decimal(precision: u8, scale: u8) -> Value {
    let whole_digits = precision.saturating_sub(scale);
    let whole = match whole_digits {
        0 => "0".to_owned(),
        1 => "[0-9]".to_owned(),
        n => format!("(?:0|[1-9][0-9]{{0,{}}})", n - 1),
    };
    let fraction = match scale {
        0 => "(?:\\.0+)?".to_owned(),
        n => format!("(?:\\.[0-9]{{1,{n}}}0*)?"),
    };
    let bound = 10f64.powi(whole_digits.into());
    json!({"anyOf": [
        {"type": "number", "minimum": -bound, "maximum": bound},
        {
            "type": "string",
            "pattern": format!("^-?(?:{whole}{fraction}|(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?[eE][+-]?[0-9]{{1,4}})$"),
        },
    ]})
}

fn vector(dimension: u16, element: Value) -> Value {
    json!({"type": "array", "items": element, "minItems": dimension, "maxItems": dimension})
}

fn array(items: ScalarType, schema_of: fn(&FieldType) -> Value) -> Value {
    json!({"type": "array", "items": schema_of(&items.as_field_type())})
}

/// The same schema, which null passes too. A schema without any word takes null as it is.
fn nullable(schema: Value) -> Value {
    let Value::Object(mut words) = schema else {
        return schema;
    };
    if words.is_empty() {
        return words.into();
    }
    if let Some(Value::Array(values)) = words.get_mut("enum") {
        values.push(Value::Null);
    }
    if words.contains_key("$ref") {
        return json!({"anyOf": [words, {"type": "null"}]});
    }
    match words.get_mut("type") {
        Some(Value::Array(types)) => types.push(json!("null")),
        Some(name) => *name = json!([name.take(), "null"]),
        None => {
            if let Some(Value::Array(alternatives)) = words.get_mut("anyOf") {
                alternatives.push(json!({"type": "null"}));
            }
        }
    }
    words.into()
}

fn annotate(schema: &mut Value, field: &Field) {
    if let Some(description) = &field.description {
        schema["description"] = json!(description);
    }
    if let Some(default) = &field.default {
        let value = match (&field.field_type, default.as_str()) {
            (FieldType::Timestamp, "now") | (FieldType::Uuid, "generate") => return,
            (
                FieldType::Bool
                | FieldType::Int16
                | FieldType::Int32
                | FieldType::Float64
                | FieldType::Json,
                text,
            ) => serde_json::from_str(text).unwrap_or(Value::Null),
            (_, text) => json!(text),
        };
        schema["default"] = value;
    }
}
