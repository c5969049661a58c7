//! Operations over several models of one module.

use model::Ident;
use serde_json::{Value, json};

use super::super::{
    access::Reach,
    bodies, example,
    parameters::reference as parameter,
    record::key,
    responses::{self, Deed},
    schemas,
};

/// `POST /v1/data/{module}/batch`, if the caller may write or delete anything of the module.
pub(in super::super) fn batch(module: &Ident, models: &[&Reach]) -> Option<Value> {
    let changed: Vec<&&Reach> = models.iter().filter(|r| r.write || r.delete).collect();
    let first = changed.first()?;
    let name = &first.model.name().model;
    let example = if first.write {
        json!([{"op": "create", "model": name, "ref": "first", "data": example::record(&first.model)}])
    } else {
        json!([{"op": "delete", "model": name, "id": example::ID}])
    };
    let records = changed
        .iter()
        .filter(|r| r.read)
        .map(|r| schemas::reference(&key(&r.model)));
    let mut entry: Vec<Value> = records.collect();
    entry.push(json!({"type": "null"}));
    let schema = json!({
        "type": "object", "required": ["data", "meta"],
        "properties": {
            "data": {
                "description": "One entry an operation, in order: the record, or null where it is not shown.",
                "type": "array", "items": {"anyOf": entry},
            },
            "meta": {"type": "object"},
        },
    });
    let headers = ["Preference-Applied", "Idempotency-Replayed"];
    let good = vec![
        (
            "200",
            responses::json("What was written.", schema, &headers),
        ),
        (
            "204",
            responses::empty("Written, with return=minimal or headers-only.", &headers),
        ),
    ];
    Some(json!({
        "operationId": format!("{}.batch", module.as_str()), "tags": [module],
        "summary": "Writes to several models as one: all of it or nothing",
        "parameters": [parameter("PreferWrite"), parameter("IdempotencyKey")],
        "requestBody": bodies::batch(&changed, example),
        "responses": responses::of(Deed::Create, good),
    }))
}

/// `POST /v1/data/{module}/analytics`, if the caller may read a captured model of the module.
pub(in super::super) fn analytics(module: &Ident, models: &[&Reach]) -> Option<Value> {
    let read = models.iter().filter(|r| r.read && r.model.analytics());
    let names: Vec<&Ident> = read.map(|r| &r.model.name().model).collect();
    if names.is_empty() {
        return None;
    }
    let schema = json!({
        "type": "object", "required": ["data", "meta"],
        "properties": {
            "data": {"description": "One entry a group.", "type": "array", "items": {"type": "object"}},
            "meta": {
                "type": "object", "required": ["lastSyncAt", "rowsScanned", "durationMs"],
                "properties": {
                    "lastSyncAt": {
                        "description": "Everything acknowledged until then is counted.",
                        "type": ["string", "null"], "format": "date-time",
                    },
                    "rowsScanned": {"description": "A measure of cost.", "type": "integer", "minimum": 0},
                    "durationMs": {"type": "integer", "minimum": 0},
                    "truncated": {"description": "There when limit cut groups off.", "type": "boolean"},
                },
            },
        },
    });
    Some(json!({
        "operationId": format!("{}.analytics", module.as_str()), "tags": [module],
        "summary": "Aggregates over one model, grouped",
        "parameters": [parameter("PreferRead")],
        "requestBody": bodies::analytics(&names),
        "responses": responses::of(Deed::Analytics, vec![("200", responses::json("The groups.", schema, &[]))]),
    }))
}
