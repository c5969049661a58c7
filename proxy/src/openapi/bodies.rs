//! Bodies of requests, by media type.

use model::{FieldType, Ident};
use serde_json::{Value, json};

use super::{
    access::Reach,
    example,
    record::{self, key},
    schemas::reference,
};
use crate::{
    analytics::{GROUP_BY_MAX, LIMIT_DEFAULT, LIMIT_MAX, METRICS_MAX},
    cache::{KEY_BYTES_MAX, TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX},
    data::limits::{OPERATIONS_MAX, ROWS_MAX},
};

/// One record or many, in any of the media types.
pub(super) fn create(reach: &Reach) -> Value {
    let one = reference(&format!("{}.create", key(&reach.model)));
    let schema = json!({"oneOf": [one, list_of(&one)]});
    content(schema, &example::record(&reach.model), true)
}

/// A change of one record.
pub(super) fn change(reach: &Reach) -> Value {
    let schema = reference(&format!("{}.change", key(&reach.model)));
    let example = example::change(&reach.model);
    with_merge_patch(content(schema, &example, false))
}

/// A change of each record by its id, or of all records of a filter. A filter is for who may read.
pub(super) fn change_many(reach: &Reach) -> Value {
    let key = key(&reach.model);
    let by_id = list_of(&reference(&format!("{key}.change-by-id")));
    let each = example::change_by_id(&reach.model);
    let mut body = content(by_id.clone(), &each, true);
    body["content"]["application/json"]["example"] = json!([each]);
    if reach.read {
        let all = reference(&format!("{key}.change-of-filter"));
        body["content"]["application/json"]["schema"] = json!({"oneOf": [all, by_id]});
    }
    with_merge_patch(body)
}

/// The same body, whose objects are merged into what JSON fields hold (RFC 7396) instead of replacing it.
fn with_merge_patch(mut body: Value) -> Value {
    let json = body["content"]["application/json"].clone();
    body["content"]["application/merge-patch+json"] = json;
    body
}

fn list_of(one: &Value) -> Value {
    json!({"type": "array", "maxItems": ROWS_MAX, "items": one})
}

/// A body in JSON, and line by line where it may be of many records.
fn content(schema: Value, example: &Value, lines: bool) -> Value {
    let mut content = json!({"application/json": {"schema": schema, "example": example}});
    if lines {
        let text = |description: &str| json!({"description": description, "type": "string"});
        content["text/csv"] = json!({
            "schema": text("The first line names fields; an unquoted NULL is null."), "example": example::csv(example),
        });
        content["application/x-ndjson"] = json!({
            "schema": text("A record a line, as in a list in JSON."), "example": example.to_string(),
        });
    }
    json!({"required": true, "content": content})
}

/// The operations of a batch over the models of a module that the caller may write or delete.
pub(super) fn batch(models: &[&&Reach], example: Value) -> Value {
    let operations = models.iter().map(|r| reference(&operation_key(r)));
    json!({"required": true, "content": {"application/json": {
        "schema": {
            "type": "object", "required": ["operations"], "additionalProperties": false,
            "properties": {"operations": {
                "type": "array", "minItems": 1, "maxItems": OPERATIONS_MAX,
                "items": {"oneOf": operations.collect::<Vec<_>>()},
            }},
        },
        "example": {"operations": example},
    }}})
}

fn operation_key(reach: &Reach) -> String {
    format!("{}.operation", key(&reach.model))
}

/// What a batch may do to one model, and the bodies that it takes.
pub(super) fn operations(reach: &Reach) -> Vec<(String, Value)> {
    let key = key(&reach.model);
    let id = || json!({"anyOf": [reference("Uuid"), reference("Ref")]});
    let version = json!({"anyOf": [reference("Int64"), reference("Ref")]});
    let version = reach.model.optimistic_locking().then_some(version);
    // With the version that is expected, where one may be.
    let of_version = |mut members: Value| {
        if let Some(version) = &version {
            members["version"] = version.clone();
        }
        members
    };
    let variant = |op: &str, required: &[&str], members: Value| {
        let mut properties = json!({
            "op": {"const": op}, "model": {"const": reach.model.name().model}, "ref": reference("RefName"),
        });
        if let (Some(all), Value::Object(members)) = (properties.as_object_mut(), members) {
            all.extend(members);
        }
        let required: Vec<&str> = ["op", "model"].iter().chain(required).copied().collect();
        json!({
            "type": "object", "required": required, "additionalProperties": false, "properties": properties,
        })
    };
    let mut variants = Vec::new();
    let mut found = Vec::new();
    if reach.write {
        let data = |kind: &str| reference(&format!("{key}.{kind}-in-batch"));
        variants.push(variant(
            "create",
            &["data"],
            json!({"id": id(), "data": data("create")}),
        ));
        let change = of_version(json!({"id": id(), "data": data("change")}));
        variants.push(variant("update", &["id", "data"], change));
        let uniques = reach.model.shown_unique().flat_map(|unique| &unique.fields);
        let names: std::collections::BTreeSet<&str> =
            uniques.map(Ident::as_str).chain(["id"]).collect();
        let key = json!({
            "description": "The fields of the key that decides; id when not sent.",
            "type": "array", "items": {"type": "string", "enum": names}, "default": ["id"],
        });
        let upsert = json!({"id": id(), "on_conflict": key, "data": data("create")});
        variants.push(variant("upsert", &["data"], upsert));
        found.extend(in_batch(reach));
    }
    if reach.delete {
        let kept = reach.model.soft_delete().then_some("restore");
        for op in ["delete"].into_iter().chain(kept) {
            variants.push(variant(op, &["id"], of_version(json!({"id": id()}))));
        }
    }
    found.push((operation_key(reach), json!({"oneOf": variants})));
    found
}

/// The bodies of a creation and a change where a value may be a reference to an earlier operation.
fn in_batch(reach: &Reach) -> [(String, Value); 2] {
    let key = key(&reach.model);
    let body = |kind: &str, mut schema: Value| {
        for (name, schema) in schema["properties"].as_object_mut().into_iter().flatten() {
            let alone = reference(&format!("{key}.{kind}/properties/{name}"));
            let field = reach.model.field(name);
            // An object in a JSON field is a value.
            let is_json = field.is_some_and(|f| f.field_type == FieldType::Json);
            *schema = match is_json {
                true => alone,
                false => json!({"anyOf": [alone, reference("Ref")]}),
            };
        }
        if let Some(words) = schema.as_object_mut() {
            words.remove("examples");
        }
        (format!("{key}.{kind}-in-batch"), schema)
    };
    let (create, change) = (record::create(&reach.model), record::change(&reach.model));
    [body("create", create), body("change", change)]
}

/// The name of an operation, and `{"$ref": "home.id"}`.
pub(super) fn local_references() -> [(String, Value); 2] {
    let name = json!({
        "description": "A name by which later operations refer to this one.",
        "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$",
    });
    let reference = json!({
        "description": "Such as home.id: stands for a field of the record of an earlier operation.",
        "type": "object", "required": ["$ref"], "additionalProperties": false,
        "properties": {"$ref": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}\\.[a-z][a-z0-9_]*$"}},
    });
    [("RefName".to_owned(), name), ("Ref".to_owned(), reference)]
}

/// An analytics query over the models of a module that the caller may read.
pub(super) fn analytics(models: &[&Ident]) -> Value {
    let text = json!({"type": "string"});
    let one_or_many = json!({"oneOf": [text, {"type": "array", "items": text}]});
    let aggregate = json!({"type": "string", "enum": ["count", "sum", "avg", "min", "max"]});
    json!({"required": true, "content": {"application/json": {
        "schema": {
            "type": "object", "required": ["model"], "additionalProperties": false,
            "anyOf": [{"required": ["aggregate"]}, {"required": ["metrics"]}],
            "properties": {
                "model": {"type": "string", "enum": models},
                "aggregate": aggregate,
                "field": {"description": "Of which field; not needed for count.", "type": "string"},
                "metrics": {
                    "description": "Several aggregates, in place of aggregate and field.",
                    "type": "array", "minItems": 1, "maxItems": METRICS_MAX,
                    "items": {
                        "type": "object", "required": ["aggregate"], "additionalProperties": false,
                        "properties": {
                            "aggregate": aggregate, "field": text,
                            "alias": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,62}$"},
                        },
                    },
                },
                "groupBy": {"oneOf": [text, {"type": "array", "maxItems": GROUP_BY_MAX, "items": text}]},
                "groupByInterval": {
                    "description": "Length of the buckets of the date or timestamp in groupBy.",
                    "type": "string", "enum": ["minute", "hour", "day", "week", "month", "year"],
                },
                "timeZone": {"description": "IANA name.", "type": "string", "default": "UTC"},
                "filters": {
                    "description": "Conditions by field, as in a list's query: {\"amount\": \"gt.5\"}.",
                    "type": "object", "additionalProperties": one_or_many,
                },
                "deleted": {"type": "string", "enum": ["exclude", "include", "only"], "default": "exclude"},
                "order": {"description": "Keys such as created_at.asc,count.desc.", "type": "string"},
                "limit": {"type": "integer", "minimum": 0, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
            },
        },
        "example": {"model": models.first(), "aggregate": "count"},
    }}})
}

/// What a key of the cache is set to.
pub(super) fn cache_value() -> Value {
    json!({"required": true, "content": {"application/json": {
        "schema": {
            "type": "object", "required": ["value"], "additionalProperties": false,
            "properties": {
                "value": {"description": "Any JSON, at most 1 MiB."},
                "ttl": {
                    "description": "Seconds.", "type": "integer", "minimum": 1, "maximum": TTL_SECONDS_MAX,
                    "default": TTL_SECONDS_DEFAULT,
                },
            },
        },
        "example": {"value": {"seen": 3}, "ttl": 60},
    }}})
}

/// Which keys of the cache are forgotten.
pub(super) fn cache_pattern() -> Value {
    json!({"required": true, "content": {"application/json": {
        "schema": {
            "type": "object", "required": ["pattern"], "additionalProperties": false,
            "properties": {"pattern": {
                "description": "* matches any run of characters.",
                "type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX,
            }},
        },
        "example": {"pattern": "contacts:*"},
    }}})
}
