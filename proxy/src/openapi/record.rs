//! What a document holds of one model: its record, its bodies, its fields.

use model::{Field, ModuleModel};
use serde_json::{Map, Value, json};

use super::{access::Reach, example, parameters, schemas, values};
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
        (key.clone(), record(reach)),
        (
            parameters::field_key(model),
            json!({"type": "string", "enum": names}),
        ),
    ];
    if reach.write {
        found.push((format!("{key}.create"), create(model)));
        found.push((format!("{key}.change"), change(model)));
        found.push((format!("{key}.change-by-id"), change_by_id(model)));
        if reach.read {
            found.push((format!("{key}.change-of-all"), change_of_all(model)));
        }
    }
    found
}

/// A record of an answer. Nothing in it is required: `select` leaves out what it does not name.
fn record(reach: &Reach) -> Value {
    let model = &reach.model;
    let mut properties = Map::new();
    for column in model.columns() {
        let field = model.field(column.name.as_str());
        let schema = values::answered(&column.field_type, column.required, field);
        properties.insert(column.name.as_str().to_owned(), schema);
    }
    for relation in &reach.relations {
        let other = schemas::reference(&format!(
            "{}.{}",
            relation.module.as_str(),
            relation.model.as_str()
        ));
        let schema = match relation.kind {
            Kind::ToOne => json!({"anyOf": [other, {"type": "null"}]}),
            Kind::ToMany => json!({"type": "array", "items": other}),
        };
        let name = relation.name.split('!').next().unwrap_or_default();
        properties.entry(name.to_owned()).or_insert(schema);
    }
    json!({
        "description": "All fields, or those that select names; a renamed or cast field has its new name or type. \
                        Relations are there when include names them.",
        "type": "object",
        "properties": properties,
        "examples": [example::answered(model)],
    })
}

/// A body that creates a record. Public to the tests that hold it against the parser.
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
    properties.insert(
        "version".into(),
        json!({"description": "The version that the client expects.", "$ref": "#/components/schemas/Int64"}),
    );
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
    schema["examples"][0]["id"] = json!(example::ID);
    schema
}

/// A body that changes all records of a filter.
fn change_of_all(model: &ModuleModel) -> Value {
    let mut properties = Map::new();
    fields_into(model, &mut properties);
    json!({
        "type": "object", "minProperties": 1, "additionalProperties": false, "properties": properties,
        "examples": [example::change(model)],
    })
}

fn fields_into(model: &ModuleModel, properties: &mut Map<String, Value>) {
    for field in model.fields() {
        properties.insert(field.name.as_str().to_owned(), values::written(field));
    }
}
