//! What a document holds of one model: its record, its bodies, its fields.

use model::{Field, ModuleModel};
use serde_json::{Map, Value, json};

use super::{access::Reach, bodies, example, parameters, schemas, values};
use crate::schema::relations::Kind;

/// `{module}.{model}`: the key of a model's record. No shared schema has a point after a lower-case letter.
pub(super) fn key(model: &ModuleModel) -> String {
    let name = model.name();
    format!("{}.{}", name.module.as_str(), name.model.as_str())
}

/// The schemas of one model.
pub(super) fn schemas(reach: &Reach) -> Vec<(String, Value)> {
    let model = &reach.model;
    let key = key(model);
    let names: Vec<&str> = model.columns().iter().map(|c| c.name.as_str()).collect();
    let mut found = vec![
        (key.clone(), whole(reach)),
        (part_key(model), part(reach)),
        (
            parameters::field_key(model),
            json!({"type": "string", "enum": names}),
        ),
    ];
    found.extend(bodies(reach));
    found
}

/// The bodies of writes.
pub(super) fn bodies(reach: &Reach) -> Vec<(String, Value)> {
    let model = &reach.model;
    let key = key(model);
    let mut found = Vec::new();
    if reach.write {
        found.push((format!("{key}.create"), create(model)));
        found.push((format!("{key}.change"), change(model)));
        found.push((format!("{key}.change-by-id"), change_by_id(model)));
        if reach.read {
            found.push((format!("{key}.change-of-filter"), change_of_filter(model)));
        }
    }
    if reach.write || reach.delete {
        found.extend(bodies::operations(reach));
    }
    found
}

/// The key of what `select` leaves of a record.
pub(super) fn part_key(model: &ModuleModel) -> String {
    format!("{}.part", key(model))
}

/// A record as it is answered unless `select`, `distinct` or `deleted` asks for another form.
fn whole(reach: &Reach) -> Value {
    let columns = reach.model.record_columns();
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    json!({
        "description": "A whole record.",
        "allOf": [schemas::reference(&part_key(&reach.model))],
        "required": names,
        "examples": [example::answered(&reach.model)],
    })
}

/// What an answer holds of a record. Nothing in it is required: `select` and `distinct` leave out what they do not name.
fn part(reach: &Reach) -> Value {
    let model = &reach.model;
    let mut properties = Map::new();
    for column in model.columns() {
        let field = model.field(column.name.as_str());
        let schema = values::answered(&column.field_type, column.required, field);
        properties.insert(column.name.as_str().to_owned(), schema);
    }
    for relation in &reach.relations {
        let other = format!(
            "{}.{}.part",
            relation.module.as_str(),
            relation.model.as_str()
        );
        let other = schemas::reference(&other);
        let schema = match relation.kind {
            Kind::ToOne => json!({"anyOf": [other, {"type": "null"}]}),
            Kind::ToMany => json!({"type": "array", "items": other}),
        };
        let name = relation.name.split('!').next().unwrap_or_default();
        properties.entry(name.to_owned()).or_insert(schema);
    }
    json!({
        "description": "A record: all of it unless select names its fields; one that is renamed or cast has its new \
                        name or type. Relations are there when include names them.",
        "type": "object",
        "properties": properties,
    })
}

/// A body that creates a record.
pub(super) fn create(model: &ModuleModel) -> Value {
    let mut properties = Map::new();
    properties.insert("id".into(), schemas::reference("Uuid"));
    fields_into(model, &mut properties);
    let needed = |f: &&Field| f.required && f.default.is_none();
    let required: Vec<&str> = model
        .fields()
        .iter()
        .filter(needed)
        .map(|f| f.name.as_str())
        .collect();
    let mut schema = json!({
        "type": "object", "additionalProperties": false, "properties": properties,
        "examples": [example::record(model)],
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A body that changes one record.
pub(super) fn change(model: &ModuleModel) -> Value {
    let mut properties = Map::new();
    if model.optimistic_locking() {
        properties.insert(
            "version".into(),
            json!({"description": "The version that the client expects.", "$ref": "#/components/schemas/Int64"}),
        );
    }
    fields_into(model, &mut properties);
    json!({
        "type": "object", "additionalProperties": false, "properties": properties,
        "examples": [example::change(model)],
    })
}

/// One entry of a body that changes many records.
fn change_by_id(model: &ModuleModel) -> Value {
    let mut schema = change(model);
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.insert("id".into(), schemas::reference("Uuid"));
    }
    schema["required"] = json!(["id"]);
    schema["examples"] = json!([example::change_by_id(model)]);
    schema
}

/// A body that changes all records of a filter in one way.
fn change_of_filter(model: &ModuleModel) -> Value {
    let mut schema = change(model);
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove("version");
    }
    schema["minProperties"] = json!(1);
    schema
}

fn fields_into(model: &ModuleModel, properties: &mut Map<String, Value>) {
    for field in model.fields() {
        properties.insert(field.name.as_str().to_owned(), values::written(field));
    }
}
