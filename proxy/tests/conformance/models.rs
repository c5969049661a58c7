//! The models that the language is judged on.

use model::ModuleModel;
use serde_json::{Value, json};

use crate::support::world::with_other_columns;

/// Nearly every field has a column of another name. Regions have airports, airports have flights by two keys, a flight may follow another; samples have every type.
pub fn models() -> Vec<ModuleModel> {
    let reference = |model: &str| json!({"module": "crm", "model": model});
    let items = [
        "bool",
        "int16",
        "int32",
        "int64",
        "float64",
        "text",
        "uuid",
        "date",
        "timestamp",
    ];
    let mut sample_fields = vec![
        json!({"name": "label", "type": "text", "required": true}),
        json!({"name": "a_bool", "type": "bool"}),
        json!({"name": "a_int16", "type": "int16"}),
        json!({"name": "a_int32", "type": "int32"}),
        json!({"name": "a_int64", "type": "int64"}),
        json!({"name": "a_float64", "type": "float64"}),
        json!({"name": "a_decimal", "type": "decimal", "precision": 38, "scale": 6}),
        json!({"name": "a_text", "type": "text"}),
        json!({"name": "a_uuid", "type": "uuid"}),
        json!({"name": "a_date", "type": "date"}),
        json!({"name": "a_timestamp", "type": "timestamp"}),
        json!({"name": "a_time", "type": "time"}),
        json!({"name": "a_json", "type": "json"}),
        json!({"name": "a_bytes", "type": "bytes"}),
        json!({"name": "a_enum", "type": "enum", "values": ["x", "y", "Ünder, way"]}),
        json!({"name": "a_inet", "type": "inet"}),
        json!({"name": "a_vector", "type": "vector", "dimension": 3}),
    ];
    // Both ways of an include meet every type.
    sample_fields
        .push(json!({"name": "twin_id", "type": "uuid", "references": reference("samples")}));
    sample_fields.extend(
        items.map(|item| json!({"name": format!("{item}s"), "type": "array", "items": item})),
    );
    vec![
        model(
            "regions",
            json!([
                {"name": "name", "type": "text", "required": true},
                {"name": "rank", "type": "int16"},
            ]),
            json!({}),
        ),
        model(
            "airports",
            json!([
                {"name": "iata", "type": "text", "required": true},
                {"name": "state", "type": "text"},
                {"name": "opened", "type": "date"},
                {"name": "region_id", "type": "uuid", "references": reference("regions")},
            ]),
            json!({"unique": [{"name": "one_iata", "fields": ["iata"]}]}),
        ),
        model(
            "flights",
            json!([
                {"name": "number", "type": "text", "required": true},
                {"name": "status", "type": "enum", "values": ["planned", "flying", "landed"], "default": "planned"},
                {"name": "delay", "type": "int32"},
                {"name": "distance", "type": "decimal", "precision": 10, "scale": 2},
                {"name": "departs_at", "type": "timestamp"},
                {"name": "crew", "type": "json"},
                {"name": "tags", "type": "array", "items": "text"},
                {"name": "origin_id", "type": "uuid", "references": reference("airports")},
                {"name": "destination_id", "type": "uuid", "references": reference("airports")},
                {"name": "previous_id", "type": "uuid", "references": reference("flights")},
            ]),
            json!({"indexes": [
                {"name": "by_status", "fields": ["status", "departs_at"]},
                {"name": "by_delay", "fields": ["delay"]},
                {"name": "by_distance", "fields": ["distance"]},
                {"name": "by_number", "fields": ["number"]},
            ]}),
        ),
        model("samples", Value::Array(sample_fields), json!({})),
    ]
}

fn model(name: &str, mut fields: Value, more: Value) -> ModuleModel {
    with_other_columns(&mut fields, &["number"]);
    let mut document = json!({
        "module": "crm", "model": name, "autoApi": true, "analytics": false, "maxPageSize": 1000, "fields": fields,
    });
    for (key, value) in more.as_object().unwrap() {
        document[key] = value.clone();
    }
    serde_json::from_value(document).unwrap()
}
