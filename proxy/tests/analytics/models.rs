//! The models of the tests: one of deals, one with every type.

use model::{Catalog, TenantId};
use serde_json::{Value, json};

use crate::support::world::with_other_columns;

/// The catalogue of a module that both tenants have. Most fields have columns of another name.
pub fn catalog(module: &str, tenants: &[TenantId]) -> Catalog {
    let model = |model: &str, mut fields: Value| {
        with_other_columns(&mut fields, &["title", "text", "int16", "decimal"]);
        json!({"served": true, "document": {
            "module": module, "model": model, "autoApi": true, "analytics": true, "maxPageSize": 1000, "fields": fields,
        }})
    };
    let tenants: Vec<_> = tenants
        .iter()
        .map(|id| json!({"id": id.to_string(), "slug": format!("t{}", &id.to_string()[30..]), "state": "Active", "modules": [module]}))
        .collect();
    let document = json!({
        "revision": 1, "generation": 1, "database": "septem", "tenants": tenants,
        "models": [
            model("deals", json!([
                {"name": "title", "type": "text"},
                {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
                {"name": "stage", "type": "enum", "values": ["open", "won", "lost"]},
                {"name": "seats", "type": "int32"},
                {"name": "big", "type": "int64"},
                {"name": "weight", "type": "float64"},
            ])),
            model("things", json!([
                {"name": "bool", "type": "bool"},
                {"name": "int16", "type": "int16", "required": true},
                {"name": "int32", "type": "int32"},
                {"name": "int64", "type": "int64"},
                {"name": "float64", "type": "float64"},
                {"name": "decimal", "type": "decimal", "precision": 38, "scale": 6},
                {"name": "text", "type": "text"},
                {"name": "uuid", "type": "uuid"},
                {"name": "date", "type": "date"},
                {"name": "timestamp", "type": "timestamp"},
                {"name": "time", "type": "time"},
                {"name": "json", "type": "json"},
                {"name": "bytes", "type": "bytes"},
                {"name": "enum", "type": "enum", "values": ["open", "won"]},
                {"name": "inet", "type": "inet"},
                {"name": "array", "type": "array", "items": "text"},
                {"name": "vector", "type": "vector", "dimension": 2},
            ])),
        ],
    });
    Catalog::parse(&document.to_string()).unwrap()
}
