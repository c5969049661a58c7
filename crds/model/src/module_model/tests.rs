use super::*;

fn deals() -> serde_json::Value {
    serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "title", "type": "text", "required": true, "maxLength": 200},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
            {"name": "stage", "type": "enum", "values": ["open", "won"], "default": "open"},
            {"name": "company_id", "type": "uuid", "references": {"module": "crm", "model": "companies"}},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "embedding", "type": "vector", "dimension": 3},
        ],
        "indexes": [{"name": "by_stage", "fields": ["stage", "created_at"]}],
    })
}

fn paths_of(document: serde_json::Value) -> Vec<String> {
    let draft: Draft = serde_json::from_value(document).unwrap();
    match ModuleModel::try_from(draft) {
        Ok(_) => Vec::new(),
        Err(InvalidModel(found)) => found.into_iter().map(|v| v.path).collect(),
    }
}

#[test]
fn a_model_survives_its_catalogue_document() {
    let model: ModuleModel = serde_json::from_value(deals()).unwrap();
    let again: ModuleModel = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
    assert_eq!(model, again);
    let names: Vec<_> = model
        .record_columns()
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "id",
            "title",
            "amount",
            "stage",
            "company_id",
            "tags",
            "embedding",
            "created_at",
            "updated_at",
            "created_by",
            "updated_by",
            "version"
        ]
    );
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let with = |path: &str, value: serde_json::Value| {
        let mut document = deals();
        *document.pointer_mut(path).unwrap() = value;
        paths_of(document)
    };
    assert_eq!(with("/module", "pg_x".into()), ["spec.module"]);
    assert_eq!(with("/model", "batch".into()), ["spec.model"]);
    assert_eq!(
        with("/fields/0/name", "version".into()),
        ["spec.fields[0].name"]
    );
    assert_eq!(
        with("/fields/0/name", "company".into()),
        ["spec.fields[3].name"]
    );
    assert_eq!(with("/fields/1/scale", 13.into()), ["spec.fields[1].scale"]);
    assert_eq!(
        with("/fields/1/default", "0.001".into()),
        ["spec.fields[1].default"]
    );
    assert_eq!(
        with("/fields/2/default", "gone".into()),
        ["spec.fields[2].default"]
    );
    for dimension in [0, 16_001] {
        assert_eq!(
            with("/fields/5/dimension", dimension.into()),
            ["spec.fields[5].dimension"]
        );
    }
    assert!(with("/fields/5/dimension", 16_000.into()).is_empty());
    let defaulted = serde_json::json!({"name": "embedding", "type": "vector", "dimension": 1, "default": "[1]"});
    assert_eq!(with("/fields/5", defaulted), ["spec.fields[5].default"]);
    let unique = serde_json::json!([{"name": "once", "fields": ["embedding"]}]);
    let mut document = deals();
    document["unique"] = unique;
    assert_eq!(paths_of(document), ["spec.unique[0].fields[0]"]);
    for list in ["tags", "embedding"] {
        assert_eq!(
            with("/indexes/0/fields/0", list.into()),
            ["spec.indexes[0].fields[0]"]
        );
    }
    assert_eq!(
        with("/indexes/0/fields/0", "nope".into()),
        ["spec.indexes[0].fields[0]"]
    );
    assert_eq!(with("/maxPageSize", 0.into()), ["spec.limits.maxPageSize"]);
}
