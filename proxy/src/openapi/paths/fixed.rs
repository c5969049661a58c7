//! Operations that are not of a module.

use serde_json::{Map, Value, json};

use super::super::{
    access::Access,
    bodies,
    parameters::reference as parameter,
    responses::{self, Deed},
    schemas,
};
use crate::cache::KEY_BYTES_MAX;

/// This document and `/v1/schema`.
pub(in super::super) fn describing(paths: &mut Map<String, Value>) {
    let described = |id: &str, summary: &str, parameters: Vec<Value>, data: Value| {
        let mut parameters = parameters;
        parameters.push(parameter("IfNoneMatch"));
        let schema = json!({
            "type": "object", "required": ["data", "meta"],
            "properties": {
                "data": data,
                "meta": {
                    "type": "object", "required": ["revision"],
                    "properties": {"revision": {"description": "Of the catalogue.", "type": "integer"}},
                },
            },
        });
        let good = vec![
            (
                "200",
                responses::json("The description.", schema, &["ETag!"]),
            ),
            responses::not_modified(),
        ];
        json!({"get": {
            "operationId": id, "tags": ["schema"], "summary": summary, "parameters": parameters,
            "responses": responses::of(Deed::Plain, good),
        }})
    };
    let name = |name: &str| {
        json!({
            "name": name, "in": "path", "required": true,
            "schema": {"type": "string", "pattern": "^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$", "maxLength": 48},
        })
    };
    let list = || json!({"type": "array", "items": schemas::reference("ModelSummary")});
    paths.insert(
        "/v1/schema".into(),
        described(
            "schema.list",
            "The models that the caller may read",
            Vec::new(),
            list(),
        ),
    );
    paths.insert(
        "/v1/schema/{module}".into(),
        described(
            "schema.module",
            "Those of one module",
            vec![name("module")],
            list(),
        ),
    );
    paths.insert(
        "/v1/schema/{module}/{model}".into(),
        described(
            "schema.model",
            "One model: fields, operators, relations, indexes, limits",
            vec![name("module"), name("model")],
            schemas::reference("ModelDescription"),
        ),
    );
    let good = vec![
        (
            "200",
            responses::json(
                "OpenAPI 3.1.",
                json!({"type": "object", "required": ["openapi"]}),
                &["ETag!"],
            ),
        ),
        responses::not_modified(),
    ];
    paths.insert(
        "/v1/openapi.json".into(),
        json!({"get": {
            "operationId": "schema.openapi", "tags": ["schema"], "summary": "This document",
            "parameters": [parameter("IfNoneMatch")], "responses": responses::of(Deed::Plain, good),
        }}),
    );
}

/// `/v1/cache`, as far as the caller may use it.
pub(in super::super) fn cache(access: &Access, paths: &mut Map<String, Value>) {
    let key = json!({
        "name": "key", "in": "path", "required": true,
        "description": format!("1 to {KEY_BYTES_MAX} bytes, percent-encoded; a slash is %2F."),
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX},
        "example": "contacts:42",
    });
    let operation = |id: &str, summary: &str, responses: Value| {
        json!({
            "operationId": id, "tags": ["cache"], "summary": summary, "responses": responses,
        })
    };
    let mut on_key = Map::new();
    if access.cache_read {
        let schema = json!({
            "type": "object", "required": ["data", "meta"],
            "properties": {
                "data": {},
                "meta": {
                    "type": "object", "required": ["ttl"],
                    "properties": {"ttl": {"description": "Seconds left.", "type": "integer", "minimum": 0}},
                },
            },
        });
        let good = vec![("200", responses::json("The value.", schema, &[]))];
        on_key.insert(
            "get".into(),
            operation(
                "cache.get",
                "The value of a key",
                responses::of(Deed::Plain, good),
            ),
        );
    }
    if access.cache_write {
        let gone = || vec![("204", responses::empty("Done.", &[]))];
        let mut put = operation("cache.set", "Sets a key", responses::of(Deed::Put, gone()));
        put["requestBody"] = bodies::cache_value();
        on_key.insert("put".into(), put);
        on_key.insert(
            "delete".into(),
            operation(
                "cache.delete",
                "Forgets a key",
                responses::of(Deed::Plain, gone()),
            ),
        );
        let schema = json!({
            "type": "object", "required": ["data"],
            "properties": {"data": {
                "type": "object", "required": ["invalidated"],
                "properties": {"invalidated": {"type": "integer", "minimum": 0}},
            }},
        });
        let good = vec![(
            "200",
            responses::json("How many keys were forgotten.", schema, &[]),
        )];
        let mut invalidate = operation(
            "cache.invalidate",
            "Forgets the keys of a pattern",
            responses::of(Deed::Put, good),
        );
        invalidate["requestBody"] = bodies::cache_pattern();
        paths.insert("/v1/cache/invalidate".into(), json!({"post": invalidate}));
    }
    if !on_key.is_empty() {
        on_key.insert("parameters".into(), json!([key]));
        paths.insert("/v1/cache/{key}".into(), on_key.into());
    }
}
