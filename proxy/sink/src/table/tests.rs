//! Rows against their bytes.

use super::*;

const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";
const ID: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02";

fn table() -> Table {
    let model: ModuleModel = serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 10,
        "fields": [
            {"name": "title", "type": "text", "required": true},
            {"name": "score", "type": "int16"},
            {"name": "tags", "type": "array", "items": "text"},
        ],
    }))
    .unwrap();
    Table::new("septem_data", Arc::new(model), Generation(1))
}

fn row(fields: &str) -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{"tenant_id":"{TENANT}","id":"{ID}"{fields}}}"#)).unwrap()
}

const SYSTEM: &str = r#","created_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:00:00Z","created_by":"a",
    "updated_by":"b","version":3,"deleted_at":null,"delete_id":null"#;

#[test]
fn the_insert_names_its_columns() {
    assert_eq!(
        table().insert(),
        "INSERT INTO `septem_data`.`crm__deals__g1` (`tenant_id`, `record_id`, `title`, `score`, `tags`, `created_at`, \
         `updated_at`, `created_by`, `updated_by`, `version`, `deleted_at`, `_version`, `_deleted`, `_synced_at`) \
         FORMAT RowBinary"
    );
}

#[test]
fn a_row_is_its_key_its_columns_and_its_version() {
    let after = row(&format!(
        r#","tags":["x"],"score":null,"title":"t"{SYSTEM}"#
    ));
    let encoded = table().encode(&after, Version(5), None).unwrap();
    let mut expected = Vec::new();
    put_uuid(&mut expected, TENANT.parse().unwrap());
    expected.extend_from_slice(ID.parse::<Uuid>().unwrap().as_bytes());
    expected.extend_from_slice(b"\x01t\x01\x01\x01x");
    expected.extend_from_slice(&[0; 16]);
    expected.extend_from_slice(b"\x01a\x01b\x03\0\0\0\0\0\0\0\x01");
    expected.extend_from_slice(&5_u128.to_le_bytes());
    expected.push(0);
    assert_eq!(encoded.row.bytes, expected);
    assert_eq!(encoded.adjusted, Adjusted::default());
    assert!(encoded.holes.is_empty());
}

#[test]
fn a_column_that_is_missing_is_null_and_one_that_is_unknown_is_an_error() {
    let encoded = table()
        .encode(
            &row(&format!(r#","title":"t","tags":[]{SYSTEM}"#)),
            Version(0),
            None,
        )
        .unwrap();
    assert_eq!(encoded.adjusted, Adjusted::default());
    let error = table()
        .encode(&row(r#","title":"t","colour":1"#), Version(0), None)
        .unwrap_err();
    assert!(matches!(error, RowError::UnknownColumn(name) if name == "colour"));
    let error = table()
        .encode(&row(r#","title":"t","score":70000"#), Version(0), None)
        .unwrap_err();
    assert!(
        matches!(error, RowError::Value { column, source: ValueError::OutOfRange } if column == "score")
    );
}

#[test]
fn a_column_that_is_left_out_is_no_error_any_more() {
    let (table, after) = (table(), row(r#","title":"t","colour":1,"size":2"#));
    for name in ["colour", "size"] {
        let error = table.encode(&after, Version(0), None).unwrap_err();
        assert!(matches!(error, RowError::UnknownColumn(unknown) if unknown == name));
        table.leave_out(name.to_owned());
    }
    let plain = row(r#","title":"t""#);
    let bytes = |row: &RawValue| table.encode(row, Version(0), None).unwrap().row.bytes;
    assert_eq!(bytes(&after), bytes(&plain));
}

#[test]
fn values_go_by_the_names_of_columns_also_of_those_that_are_being_filled() {
    let model: ModuleModel = serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 10,
        "fields": [{"name": "score", "column": "score__2", "type": "int16", "default": "7"}],
        "filling": [{"name": "score", "column": "score__3", "type": "int32"}],
    }))
    .unwrap();
    let table = Table::new("septem_data", Arc::new(model), Generation(1));
    assert!(
        table
            .insert()
            .contains("(`tenant_id`, `record_id`, `score__2`, `created_at`")
    );
    assert!(
        table
            .insert()
            .contains("`deleted_at`, `score__3`, `_version`")
    );
    let bytes = |fields: &str| {
        let encoded = table.encode(&row(&format!("{fields}{SYSTEM}")), Version(0), None);
        encoded.unwrap().row.bytes
    };
    // Behind the key: the served column, whatever stands in the field's first one.
    table.leave_out("score".into());
    assert_eq!(
        bytes(r#","score":1,"score__2":5,"score__3":9"#)[32..35],
        [0, 5, 0]
    );
    assert_eq!(bytes(r#","score":1,"score__2":null"#)[32], 1);
    // Older than the column: its default. In front of the version: the column that is being filled.
    let older = bytes(r#","score":1"#);
    assert_eq!(older[32..35], [0, 7, 0]);
    assert_eq!(older[older.len() - 18], 1);
    let filled = bytes(r#","score__3":9"#);
    assert_eq!(
        filled[filled.len() - 22..filled.len() - 17],
        [0, 9, 0, 0, 0]
    );
}

#[test]
fn a_tombstone_takes_the_key_only() {
    // What stands in the other columns of `before` depends on the replica identity: zeros, nulls or the old row.
    let zeros = row(r#","title":"","score":0,"created_at":null"#);
    let full = row(r#","title":"old","score":9,"colour":1"#);
    let tombstone = table().encode_tombstone(&zeros, Version(9)).unwrap();
    assert_eq!(
        tombstone,
        table().encode_tombstone(&full, Version(9)).unwrap()
    );
    assert_eq!(tombstone.bytes.last(), Some(&1));
    assert_eq!(tombstone.key.id.to_string(), ID);
}

#[test]
fn a_row_without_a_key_is_refused() {
    for json in [
        "{}",
        r#"{"tenant_id":"x","id":"y"}"#,
        r#"{"tenant_id":"00000000-0000-0000-0000-000000000000","id":1}"#,
    ] {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        assert!(
            matches!(table().encode(&raw, Version(0), None), Err(RowError::Key)),
            "{json}"
        );
    }
    let raw = RawValue::from_string("[]".to_owned()).unwrap();
    assert!(matches!(
        table().encode(&raw, Version(0), None),
        Err(RowError::Object(_))
    ));
}

#[test]
fn an_untouched_value_leaves_a_hole() {
    let placeholder = Placeholder::new("__gone");
    let after = row(&format!(
        r#","title":"__gone","score":1,"tags":["__gone"]{SYSTEM}"#
    ));
    let encoded = table()
        .encode(&after, Version(0), Some(&placeholder))
        .unwrap();
    // Key, then the hole of `title`, three bytes of `score`, the hole of `tags`.
    assert_eq!(
        encoded.holes,
        [Hole { at: 32, column: 0 }, Hole { at: 35, column: 2 }]
    );
}
