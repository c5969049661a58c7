//! Bodies of requests, by media type.

use model::Ident;
use serde_json::{Value, json};

use super::{access::Reach, example, record::key, schemas::reference};
use crate::{
    analytics::{GROUP_BY_MAX, LIMIT_DEFAULT, LIMIT_MAX, METRICS_MAX},
    cache::{KEY_BYTES_MAX, TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX},
};

/// Most records of one bulk body (API.md, "Defaults and ceilings").
const BULK_ROWS_MAX: usize = 1_000;
/// Most operations of one batch (API.md, "Defaults and ceilings").
const OPERATIONS_MAX: usize = 100;

/// One record or many, in any of the media types.
pub(super) fn create(reach: &Reach) -> Value {
    let one = reference(&format!("{}.create", key(&reach.model)));
    let example = example::record(&reach.model);
    json!({"required": true, "content": {
        "application/json": {"schema": one_or_many(&one), "example": example},
        "text/csv": {"schema": {
            "description": "The first line names fields; an unquoted NULL is null.", "type": "string",
        }},
        "application/x-ndjson": {"schema": {"description": "A record a line.", "type": "string"}},
    }})
}

/// A change of one record.
pub(super) fn change(reach: &Reach) -> Value {
    let schema = reference(&format!("{}.change", key(&reach.model)));
    let example = example::change(&reach.model);
    json!({"required": true, "content": {
        "application/json": {"schema": schema, "example": example},
        "application/merge-patch+json": {"schema": schema, "example": example},
    }})
}

/// A change of all rows of a filter, or of each row by its id. A filter is for who may read.
pub(super) fn change_many(reach: &Reach) -> Value {
    let key = key(&reach.model);
    let by_id = json!({
        "type": "array", "maxItems": BULK_ROWS_MAX, "items": reference(&format!("{key}.change-by-id")),
    });
    let mut json = json!({"schema": by_id});
    if reach.read {
        json = json!({
            "schema": {"oneOf": [reference(&format!("{key}.change-of-all")), by_id]},
            "example": example::change(&reach.model),
        });
    }
    json!({"required": true, "content": {
        "application/json": json,
        "application/merge-patch+json": json,
        "text/csv": {"schema": {
            "description": "The first line names fields, id among them; an unquoted NULL is null.", "type": "string",
        }},
        "application/x-ndjson": {"schema": {"description": "A record a line, each with its id.", "type": "string"}},
    }})
}

fn one_or_many(one: &Value) -> Value {
    json!({"oneOf": [one, {"type": "array", "maxItems": BULK_ROWS_MAX, "items": one}]})
}

/// The operations of a batch over the models of a module that the caller may write or delete.
pub(super) fn batch(models: &[&Ident], writes: bool, deletes: bool, example: Value) -> Value {
    let mut ops = Vec::new();
    if writes {
        ops.extend(["create", "update", "upsert"]);
    }
    if deletes {
        ops.extend(["delete", "restore"]);
    }
    json!({"required": true, "content": {"application/json": {
        "schema": {
            "type": "object", "required": ["operations"], "additionalProperties": false,
            "properties": {"operations": {
                "type": "array", "minItems": 1, "maxItems": OPERATIONS_MAX,
                "items": {
                    "type": "object", "required": ["op", "model"], "additionalProperties": false,
                    "properties": {
                        "op": {"type": "string", "enum": ops},
                        "model": {"type": "string", "enum": models},
                        "ref": {
                            "description": "A name by which later operations refer to this one.",
                            "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$",
                        },
                        "id": {"anyOf": [reference("Uuid"), reference("Ref")]},
                        "version": reference("Int64"),
                        "on_conflict": {
                            "description": "Of an upsert: the fields of its key, id unless given.",
                            "type": "array", "items": {"type": "string"},
                        },
                        "data": {
                            "description": "As the body of a create or a change; in place of a field's value \
                                            {\"$ref\": \"home.id\"} stands for a field of an earlier operation.",
                            "type": "object",
                        },
                    },
                },
            }},
        },
        "example": {"operations": example},
    }}})
}

/// `{"$ref": "home.id"}`.
pub(super) fn local_reference() -> Value {
    json!({
        "type": "object", "required": ["$ref"], "additionalProperties": false,
        "properties": {"$ref": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}\\.[a-z][a-z0-9_]*$"}},
    })
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
