use model::{Field, FieldType, ModuleModel};

use super::*;

pub(crate) fn deals() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "title", "type": "text", "required": true, "maxLength": 200},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
            {"name": "stage", "type": "enum", "values": ["open", "won", "it's \\ lost"], "default": "open"},
            {"name": "company_id", "type": "uuid", "references": {"module": "crm", "model": "companies"}},
            {"name": "closed_on", "type": "date", "default": "2026-01-02"},
            {"name": "seen_at", "type": "timestamp", "default": "now"},
            {"name": "token", "type": "uuid", "default": "generate"},
            {"name": "blob", "type": "bytes", "default": "AAEC"},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "embedding", "type": "vector", "dimension": 1536},
            {"name": "extra", "type": "json", "default": "{\"a\": 1}"},
        ],
        "indexes": [{"name": "by_stage", "fields": ["stage", "created_at"]}],
        "unique": [{"name": "one_title", "fields": ["title"]}],
    }))
    .unwrap()
}

#[test]
fn a_model_becomes_these_statements() {
    insta::assert_snapshot!(create_model(&deals()).join(";\n"));
}

#[test]
fn what_follows_from_a_column_is_called_after_the_column() {
    let mut document = serde_json::to_value(deals()).unwrap();
    for (at, column) in [(0, "title__2"), (2, "stage__3"), (3, "company_id__2")] {
        document["fields"][at]["column"] = column.into();
    }
    let model: ModuleModel = serde_json::from_value(document).unwrap();
    insta::assert_snapshot!(create_model(&model)[2..9].join(";\n"));
}

#[test]
fn additions_scan_nothing_under_their_lock() {
    let model = deals();
    let name = model.name();
    let mut statements: Vec<String> = ["stage", "company_id"]
        .iter()
        .map(|f| add_column(name, model.field(f).unwrap()))
        .collect();
    statements.extend(replace_check(name, model.field("stage").unwrap()));
    statements.push(validate_constraint(
        name,
        &check_name(name, model.field("stage").unwrap()),
    ));
    statements.push(add_to_publication(name));
    insta::assert_snapshot!(statements.join(";\n"));
}

#[test]
fn a_long_name_is_hashed_and_never_cut_by_the_server() {
    let (a, b) = ("a".repeat(48), "b".repeat(48));
    let one = object_name(&[&a, &b]);
    let other = object_name(&[&a, &b, "fkey"]);
    assert_eq!((one.len(), other.len()), (63, 63));
    assert_ne!(one, other);
    assert_eq!(object_name(&["deals", "by_stage"]), "deals__by_stage");
}

#[test]
fn the_old_row_is_logged_where_a_value_can_be_out_of_line() {
    let with = |field_type: FieldType| {
        let field = Field {
            name: "f".parse().unwrap(),
            column: None,
            field_type,
            required: false,
            default: None,
            references: None,
            sensitive: false,
            description: None,
        };
        let draft = serde_json::json!({
            "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 10, "fields": [field],
        });
        replica_identity_full(&serde_json::from_value(draft).unwrap())
    };
    assert!(!with(FieldType::Int64));
    assert!(!with(FieldType::Text {
        max_length: Some(200)
    }));
    assert!(with(FieldType::Text {
        max_length: Some(500)
    }));
    assert!(with(FieldType::Text { max_length: None }));
    assert!(with(FieldType::Json));
    assert!(!with(FieldType::Vector { dimension: 128 }));
    assert!(with(FieldType::Vector { dimension: 384 }));
}
