//! Parameters of requests: those that all models share, and those that name a model's fields.
//!
//! Examples of what may be left out stand in schemas: a page that lets its reader try a request fills in the examples of
//! parameters themselves, and nobody means fifty filters and one key at once.

use model::{Column, FieldType, ModuleModel};
use serde_json::{Map, Value, json};

use super::{access::Reach, example, prefer, schemas, values::UUID};
use crate::{
    data::limits::{BREADTH_MAX, LIMIT_DEFAULT, OFFSET_MAX, SELECT_MAX},
    query::{FILTERS_MAX, GROUP_DEPTH_MAX, operators::every_type, order::ORDER_KEYS_MAX},
    schema::{operator_names, relations::Kind},
};

/// `#/components/parameters/{name}`.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// The parameters that every document has.
pub(super) fn shared() -> Map<String, Value> {
    let group = |name: &str| {
        json!({
            "name": name, "in": "query",
            "description": format!(
                "A group of conditions, nested at most {GROUP_DEPTH_MAX} deep: (a.eq.1,or(b.gt.2,c.is.null))."
            ),
            "schema": {
                "type": "string", "pattern": "^\\([\\s\\S]*\\)$",
                "examples": [format!("(version.gt.1,created_at.gte.{})", example::INSTANT)],
            },
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
            "schema": {"type": "string", "examples": [schemas::tag_example()]},
        },
        "IfMatch": {
            "name": "If-Match", "in": "header",
            "description": "Tags of the versions that may be written to, else 412; * is any.",
            "schema": {"type": "string", "examples": [schemas::tag_example()]},
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "description": "Sent again within 24 h with the same request, it gets the first answer and writes nothing.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        },
    });
    let Value::Object(mut all) = all else {
        return Map::new();
    };
    all.extend(prefer::parameters());
    all
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

/// The parameters of one model, by the last part of their key below `{module}.{model}`.
pub(super) fn of_model(reach: &Reach) -> Vec<(String, Value)> {
    let model = &reach.model;
    let mut found = vec![
        ("limit".to_owned(), limit(model)),
        ("select".to_owned(), select(model)),
        ("order".to_owned(), order(reach)),
        ("distinct".to_owned(), distinct(model)),
    ];
    if reach.write {
        found.push(("columns".to_owned(), columns(model)));
        found.push(("on_conflict".to_owned(), on_conflict(model)));
    }
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
    let columns = model.columns().iter();
    let some: Vec<&str> = columns.take(2).map(|c| c.name.as_str()).collect();
    json!({
        "name": "select", "in": "query", "style": "form", "explode": false,
        "description": "What is answered: fields, * for all, total:amount to rename, amount::text to cast, \
                        extra->crew->>captain for a part of JSON.",
        "schema": {"type": "array", "items": {"anyOf": [
            schemas::reference(&field_key(model)),
            {"type": "string", "pattern": "^(?:\\*|[a-z][a-z0-9_]*(?::|->)[\\s\\S]+|[a-z][a-z0-9_]*::[a-z0-9]+)$"},
        ]}, "maxItems": SELECT_MAX, "examples": [some]},
    })
}

fn order(reach: &Reach) -> Value {
    let mut names: Vec<String> = ordered(&reach.model).map(str::to_owned).collect();
    let to_one = reach.relations.iter().filter(|r| r.kind == Kind::ToOne);
    names.extend(to_one.map(|r| format!("{}\\([a-z][a-z0-9_]*\\)", r.name)));
    let mut columns = reach.model.columns().iter();
    if columns.any(|c| c.field_type == FieldType::Json) {
        names.push("[a-z][a-z0-9_]*(?:->>?[^,>]+)+".to_owned());
    }
    let pattern = format!(
        "^(?:{})(?:\\.(?:asc|desc))?(?:\\.(?:nullsfirst|nullslast))?$",
        names.join("|")
    );
    json!({
        "name": "order", "in": "query", "style": "form", "explode": false,
        "description": "Keys, each with asc or desc and nullsfirst or nullslast; relation(field) of a to-one relation.",
        "schema": {
            "type": "array", "items": {"type": "string", "pattern": pattern}, "maxItems": ORDER_KEYS_MAX,
            "examples": [["created_at.desc", "id"]],
        },
    })
}

/// The columns that have an order.
fn ordered(model: &ModuleModel) -> impl Iterator<Item = &str> {
    let columns = model.columns().iter();
    let columns = columns.filter(|c| c.field_type.has_order());
    columns.map(|c| c.name.as_str())
}

fn distinct(model: &ModuleModel) -> Value {
    let names: Vec<&str> = ordered(model).collect();
    json!({
        "name": "distinct", "in": "query", "style": "form", "explode": false,
        "description": "Answers the distinct combinations of these fields, and nothing else of a record.",
        "schema": {
            "type": "array", "items": {"type": "string", "enum": names}, "uniqueItems": true,
            "minItems": 1, "maxItems": ORDER_KEYS_MAX,
        },
    })
}

fn columns(model: &ModuleModel) -> Value {
    let names = std::iter::once("id").chain(model.fields().iter().map(|f| f.name.as_str()));
    json!({
        "name": "columns", "in": "query", "style": "form", "explode": false,
        "description": "Which members of the body count; others are passed over.",
        "schema": {"type": "array", "items": {"type": "string", "enum": names.collect::<Vec<_>>()}, "minItems": 1},
    })
}

/// As the text that it is: a list of names would allow those of one key with those of another.
fn on_conflict(model: &ModuleModel) -> Value {
    let uniques = model.shown_unique().map(|unique| {
        let fields: Vec<&str> = unique.fields.iter().map(model::Ident::as_str).collect();
        fields.join(",")
    });
    let keys: Vec<String> = std::iter::once("id".to_owned()).chain(uniques).collect();
    json!({
        "name": "on_conflict", "in": "query",
        "description": "The fields of the key that decides whether a record is there already, in any order; with \
                        Prefer: resolution.",
        "schema": {"type": "string", "enum": keys},
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
        ]}, "maxItems": BREADTH_MAX, "examples": [names.first().as_slice()]},
    })
}

fn filter(column: &Column) -> Value {
    let operators = operator_names(&column.field_type);
    let mut schema = schemas::reference(&format!("Filter.{}", column.field_type.name()));
    let example = example::filter(&column.field_type, &operators);
    schema["examples"] = json!([[example]]);
    json!({
        "name": column.name, "in": "query", "description": format!("A filter such as {example}"), "schema": schema,
    })
}

/// The key of the schema that lists a model's fields.
pub(super) fn field_key(model: &ModuleModel) -> String {
    format!("{}.field", super::record::key(model))
}
