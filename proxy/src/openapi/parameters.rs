//! Parameters of requests: those that all models share, and those that name a model's fields.

use model::{Column, FieldType, ModuleModel};
use serde_json::{Map, Value, json};

use super::{access::Reach, example, schemas, values::UUID};
use crate::{
    query::FILTERS_MAX,
    schema::{operator_names, relations::Kind},
};

/// Rows of a page unless `limit` says otherwise (API.md, "Reading").
const LIMIT_DEFAULT: u32 = 50;
/// Highest `offset` (API.md, "Reading").
const OFFSET_MAX: u32 = 100_000;

/// `#/components/parameters/{name}`.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// The parameters that every document has.
pub(super) fn shared() -> Map<String, Value> {
    let group = |name: &str| {
        json!({
            "name": name, "in": "query",
            "description": "A group of conditions, nested at most 5 deep: (a.eq.1,or(b.gt.2,c.is.null)).",
            "schema": {"type": "string", "pattern": "^\\([\\s\\S]*\\)$"},
            "example": format!("(version.gt.1,created_at.gte.{})", example::INSTANT),
        })
    };
    let all = json!({
        "Id": {
            "name": "id", "in": "path", "required": true,
            "schema": {"type": "string", "format": "uuid", "pattern": format!("^{UUID}$")},
            "example": example::ID,
        },
        "Cursor": {
            "name": "cursor", "in": "query",
            "description": "meta.nextCursor or meta.prevCursor of a page of the same filter and order.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
        },
        "Offset": {
            "name": "offset", "in": "query",
            "description": "Rows to pass over; a cursor is quicker and misses nothing.",
            "schema": {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX, "default": 0},
        },
        "Count": {
            "name": "count", "in": "query",
            "description": "Adds meta.count: counted, the planner's guess, or counted unless the guess is high.",
            "schema": {"type": "string", "enum": ["exact", "planned", "estimated"]},
        },
        "Deleted": {
            "name": "deleted", "in": "query",
            "description": "Which rows as to soft deletion.",
            "schema": {"type": "string", "enum": ["exclude", "include", "only"], "default": "exclude"},
        },
        "or": group("or"), "and": group("and"), "not.or": group("not.or"), "not.and": group("not.and"),
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header",
            "description": "Tags that are known already: 304 when one of them is current.",
            "schema": {"type": "string"}, "example": schemas::tag_example(),
        },
        "IfMatch": {
            "name": "If-Match", "in": "header",
            "description": "Tags of the versions that may be written to, else 412; * is any.",
            "schema": {"type": "string"}, "example": schemas::tag_example(),
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "description": "Sent again within 24 h with the same request, it gets the first answer and writes nothing.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            "example": "9f1b6c1e-order-17",
        },
        "PreferRead": prefer(
            &["numbers=number", "numbers=string", "count=exact", "count=planned", "count=estimated"],
            &[],
        ),
        "PreferWrite": prefer(
            &[
                "return=representation", "return=minimal", "return=headers-only", "numbers=number",
                "numbers=string", "tx=commit", "tx=rollback",
            ],
            &["^max-affected=[0-9]+$"],
        ),
        "PreferCreate": prefer(
            &[
                "return=representation", "return=minimal", "return=headers-only", "numbers=number",
                "numbers=string", "tx=commit", "tx=rollback", "missing=default", "missing=null",
                "resolution=merge-duplicates", "resolution=ignore-duplicates",
            ],
            &[],
        ),
    });
    match all {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn prefer(words: &[&str], patterns: &[&str]) -> Value {
    let mut words = words.to_vec();
    words.extend(["handling=strict", "handling=lenient"]);
    let words = json!({"type": "string", "enum": words});
    let mut alternatives = vec![words.clone()];
    alternatives.extend(
        patterns
            .iter()
            .map(|p| json!({"type": "string", "pattern": p})),
    );
    let items = match alternatives.as_slice() {
        [_] => words,
        _ => json!({"anyOf": alternatives}),
    };
    json!({
        "name": "Prefer", "in": "header",
        "description": "RFC 7240. What is not known is ignored unless handling=strict is asked for.",
        "schema": {"type": "array", "items": items},
        "example": ["numbers=string"],
    })
}

/// Schemas of filters, one a type: an operator that the type takes, and a value.
pub(super) fn filter_schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    for field_type in every_type() {
        let operators = operator_names(&field_type).join("|");
        let pattern = format!("^(?:not\\.)?(?:{operators})(?:\\([a-z_]+\\))?\\.[\\s\\S]*$");
        let schema = json!({
            "type": "array", "maxItems": FILTERS_MAX,
            "items": {"type": "string", "pattern": pattern},
        });
        schemas.insert(format!("Filter.{}", field_type.name()), schema);
    }
    schemas
}

/// Every type, with the smallest of its parameters.
fn every_type() -> Vec<FieldType> {
    use FieldType::*;
    vec![
        Bool,
        Int16,
        Int32,
        Int64,
        Float64,
        Decimal {
            precision: 1,
            scale: 0,
        },
        Text { max_length: None },
        Uuid,
        Date,
        Timestamp,
        Time,
        Json,
        Bytes,
        Enum { values: Vec::new() },
        Inet,
        Array {
            items: model::ScalarType::Text,
        },
    ]
}

/// The parameters of one model, by the last part of their key below `{module}.{model}`.
pub(super) fn of_model(reach: &Reach) -> Vec<(String, Value)> {
    let model = &reach.model;
    let mut found = vec![
        ("limit".to_owned(), limit(model)),
        ("select".to_owned(), select(model)),
        ("order".to_owned(), order(reach)),
        (
            "distinct".to_owned(),
            fields(
                model,
                "distinct",
                "Answers the distinct combinations of these fields.",
            ),
        ),
        (
            "columns".to_owned(),
            fields(
                model,
                "columns",
                "Which members of the body count; others are passed over.",
            ),
        ),
        (
            "on_conflict".to_owned(),
            fields(
                model,
                "on_conflict",
                "The fields of a key, for Prefer: resolution.",
            ),
        ),
    ];
    if !reach.relations.is_empty() {
        found.push(("include".to_owned(), include(reach)));
    }
    let filters = model.columns().iter().map(|column| {
        let name = column.name.as_str();
        (format!("where.{name}"), filter(column))
    });
    found.extend(filters);
    found
}

fn limit(model: &ModuleModel) -> Value {
    let most = model.max_page_size();
    json!({
        "name": "limit", "in": "query",
        "description": "Rows of the page. Without it, CSV and NDJSON answer all rows.",
        "schema": {"type": "integer", "minimum": 0, "maximum": most, "default": LIMIT_DEFAULT.min(most)},
    })
}

fn select(model: &ModuleModel) -> Value {
    let some: Vec<&str> = model
        .columns()
        .iter()
        .take(2)
        .map(|c| c.name.as_str())
        .collect();
    json!({
        "name": "select", "in": "query", "style": "form", "explode": false,
        "description": "What is answered: fields, * for all, total:amount to rename, amount::text to cast, \
                        extra->crew->>captain for a part of JSON.",
        "schema": {"type": "array", "items": {"anyOf": [
            schemas::reference(&field_key(model)),
            {"type": "string", "pattern": "^(?:\\*|[a-z][a-z0-9_]*(?::|->)[\\s\\S]+|[a-z][a-z0-9_]*::[a-z0-9]+)$"},
        ]}},
        "example": some,
    })
}

fn order(reach: &Reach) -> Value {
    let ordered = |c: &&Column| !matches!(c.field_type, FieldType::Json | FieldType::Array { .. });
    let columns = reach.model.columns().iter().filter(ordered);
    let mut names: Vec<String> = columns.map(|c| c.name.as_str().to_owned()).collect();
    let to_one = reach.relations.iter().filter(|r| r.kind == Kind::ToOne);
    names.extend(to_one.map(|r| format!("{}\\([a-z][a-z0-9_]*\\)", r.name)));
    if reach
        .model
        .columns()
        .iter()
        .any(|c| c.field_type == FieldType::Json)
    {
        names.push("[a-z][a-z0-9_]*(?:->>?[^,>]+)+".to_owned());
    }
    let pattern = format!(
        "^(?:{})(?:\\.(?:asc|desc))?(?:\\.(?:nullsfirst|nullslast))?$",
        names.join("|")
    );
    json!({
        "name": "order", "in": "query", "style": "form", "explode": false,
        "description": "Keys, each with asc or desc and nullsfirst or nullslast; relation(field) of a to-one relation.",
        "schema": {"type": "array", "items": {"type": "string", "pattern": pattern}},
        "example": ["created_at.desc", "id"],
    })
}

fn fields(model: &ModuleModel, name: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "query", "style": "form", "explode": false, "description": description,
        "schema": {"type": "array", "items": schemas::reference(&field_key(model))},
    })
}

fn include(reach: &Reach) -> Value {
    let names: Vec<&str> = reach.relations.iter().map(|r| r.name.as_str()).collect();
    json!({
        "name": "include", "in": "query", "style": "form", "explode": false,
        "description": "Related records, in one statement: company,late:flights!origin_id(select=id;delay=gt.30;\
                        order=delay.desc;limit=5). !inner keeps rows that have a match, !none those without.",
        "schema": {"type": "array", "items": {"anyOf": [
            {"type": "string", "enum": names},
            {"type": "string", "pattern": "^[a-z][a-z0-9_]*(?::[a-z][a-z0-9_]*)?(?:![a-z][a-z0-9_]*)*(?:\\([\\s\\S]*\\))?$"},
        ]}},
        "example": names.first().map_or_else(Vec::new, |first| vec![*first]),
    })
}

fn filter(column: &Column) -> Value {
    let operators = operator_names(&column.field_type);
    json!({
        "name": column.name, "in": "query",
        "schema": schemas::reference(&format!("Filter.{}", column.field_type.name())),
        "example": [example::filter(&column.field_type, &operators)],
    })
}

/// The key of the schema that lists a model's fields.
pub(super) fn field_key(model: &ModuleModel) -> String {
    format!("{}.field", super::record::key(model))
}
