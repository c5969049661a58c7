//! JSON Schemas of what `/v1/schema` answers, for the OpenAPI document.

use serde_json::{Map, Value, json};

/// `ModelSummary` and `ModelDescription`.
pub(crate) fn schemas() -> Map<String, Value> {
    let name = json!({"type": "string"});
    let permissions = json!({"type": "array", "items": {"type": "string", "enum": ["read", "write", "delete", "sensitive"]}});
    let names = json!({"type": "array", "items": name});
    let summary = json!({
        "type": "object", "required": ["module", "model", "permissions", "analytics", "path"],
        "properties": {
            "module": name, "model": name, "permissions": permissions,
            "analytics": {"type": "boolean"}, "path": {"type": "string"},
        },
    });
    let description = json!({
        "type": "object",
        "required": [
            "module", "model", "fields", "relations", "indexes", "permissions", "analytics", "softDelete", "maxPageSize", "limits",
            "endpoints",
        ],
        "properties": {
            "module": name, "model": name, "permissions": permissions,
            "fields": {"type": "array", "items": field()},
            "relations": {"type": "array", "items": {
                "type": "object", "required": ["name", "kind", "module", "model", "field"],
                "properties": {
                    "name": {"description": "As include takes it.", "type": "string"},
                    "kind": {"type": "string", "enum": ["to-one", "to-many"]},
                    "module": name, "model": name, "field": name,
                },
            }},
            "indexes": {"type": "array", "items": {
                "type": "object", "required": ["name", "fields", "unique"],
                "properties": {"name": name, "fields": names, "unique": {"type": "boolean"}},
            }},
            "analytics": {"type": "boolean"},
            "softDelete": {"description": "Whether deleted records can be restored.", "type": "boolean"},
            "maxPageSize": {"type": "integer", "minimum": 1},
            "limits": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
            "endpoints": {"type": "array", "items": {
                "type": "object", "required": ["method", "path"],
                "properties": {"method": {"type": "string"}, "path": {"type": "string"}},
            }},
        },
    });
    let both = [("ModelSummary", summary), ("ModelDescription", description)];
    both.map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}

fn field() -> Value {
    json!({
        "type": "object", "required": ["name", "type", "required", "readOnly", "operators"],
        "properties": {
            "name": {"type": "string"},
            "type": {"type": "string"},
            "required": {"type": "boolean"},
            "readOnly": {"description": "The server keeps it.", "type": "boolean"},
            "default": {"type": "string"},
            "precision": {"type": "integer"},
            "scale": {"type": "integer"},
            "maxLength": {"type": "integer"},
            "values": {"type": "array", "items": {"type": "string"}},
            "items": {"type": "string"},
            "description": {"type": "string"},
            "operators": {"description": "Of filters.", "type": "array", "items": {"type": "string"}},
        },
    })
}
