//! Schemas that every document has.

use serde_json::{Map, Value, json};

use super::values;
use crate::problem::{ERRORS_MAX, FieldCode, ProblemKind};

/// `#/components/schemas/{name}`.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Problems, metas and the types of values.
pub(super) fn shared() -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert("Problem".into(), problem());
    schemas.insert("FieldError".into(), field_error());
    schemas.insert("ListMeta".into(), list_meta());
    schemas.insert("AffectedMeta".into(), affected_meta());
    for (name, schema) in values::shared() {
        schemas.insert(name.into(), schema);
    }
    schemas
}

fn problem() -> Value {
    json!({
        "description": "RFC 9457. detail and message are for people; type, code and errors[].code are for programs.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "traceId"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": ProblemKind::ALL.map(ProblemKind::code)},
            "errors": {"type": "array", "maxItems": ERRORS_MAX, "items": reference("FieldError")},
            "traceId": {"description": "W3C trace id.", "type": "string", "pattern": "^[0-9a-f]{32}$"},
        },
        "examples": [{
            "type": "https://api.septemcore.com/problems/not-found", "title": "Not Found", "status": 404,
            "detail": "There is no such resource.", "code": "NOT_FOUND",
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        }],
    })
}

fn field_error() -> Value {
    json!({
        "type": "object",
        "required": ["field", "code", "message"],
        "properties": {
            "field": {"description": "A field, a parameter, or a path such as filters.amount.", "type": "string"},
            "code": {"type": "string", "enum": FieldCode::ALL},
            "message": {"type": "string"},
            "row": {"description": "Which row of a bulk body, from 0.", "type": "integer", "minimum": 0},
        },
    })
}

fn list_meta() -> Value {
    json!({
        "type": "object",
        "required": ["hasMore"],
        "properties": {
            "hasMore": {"type": "boolean"},
            "nextCursor": {"description": "There exactly when hasMore is true.", "type": "string"},
            "prevCursor": {"description": "Not on the first page.", "type": "string"},
            "count": {"description": "When asked for by count.", "type": "integer", "minimum": 0},
        },
        "examples": [{"hasMore": false}],
    })
}

fn affected_meta() -> Value {
    json!({
        "type": "object",
        "required": ["affected"],
        "properties": {"affected": {"description": "How many rows.", "type": "integer", "minimum": 0}},
    })
}

/// An answer of one record, whatever its schema.
pub(super) fn one(record: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["data", "meta"],
        "properties": {"data": record, "meta": {"type": "object"}},
    })
}

/// An answer of several records.
pub(super) fn many(record: &Value, meta: &str) -> Value {
    json!({
        "type": "object",
        "required": ["data", "meta"],
        "properties": {"data": {"type": "array", "items": record}, "meta": reference(meta)},
    })
}

/// The version that an example names, as a tag.
pub(super) fn tag_example() -> Value {
    json!("\"1\"")
}
