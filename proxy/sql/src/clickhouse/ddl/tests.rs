use model::{Generation, ModuleModel};

use super::*;

fn deals() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "title", "type": "text", "required": true, "maxLength": 200},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
            {"name": "stage", "type": "enum", "values": ["open", "won"], "default": "open"},
            {"name": "company_id", "type": "uuid"},
            {"name": "closed_at", "type": "timestamp", "default": "2026-01-02T03:04:05+02:00"},
            {"name": "starts", "column": "starts__2", "type": "time", "default": "01:00:00.5"},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "embedding", "type": "vector", "dimension": 3},
            {"name": "extra", "type": "json"},
        ],
    }))
    .unwrap()
}

#[test]
fn a_model_becomes_this_table() {
    insta::assert_snapshot!(create_table(&deals(), Generation(1)));
}

#[test]
fn a_later_field_reads_its_default_in_older_rows() {
    let model = deals();
    let statements: Vec<_> = model
        .fields()
        .iter()
        .map(|f| add_column(model.name(), Generation(2), f))
        .collect();
    insta::assert_snapshot!(statements.join(";\n"));
}

#[test]
fn several_tenants_share_what_names_no_single_one() {
    let tenants = ["1", "2"].map(|n| {
        format!("0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e0{n}")
            .parse()
            .unwrap()
    });
    let groups = open_tenants(&tenants);
    let counts: Vec<_> = groups.iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 2, 1, 1]);
    let named = |statement: &String| {
        tenants
            .iter()
            .all(|t: &model::TenantId| statement.contains(&format!("`t_{t}`")))
    };
    for shared in [&groups[0], &groups[2], &groups[3], &close_tenants(&tenants)] {
        assert!(shared.iter().all(named), "{shared:?}");
    }
    assert!(!groups[1].iter().any(named));
    assert!(open_tenants(&[]).is_empty() && close_tenants(&[]).is_empty());
}

#[test]
fn the_policy_stands_before_the_grant() {
    let tenant = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01".parse().unwrap();
    let mut statements = create_base();
    statements.extend(create_gateway("it's \\ secret"));
    statements.extend(create_sink("s"));
    statements.extend(open_tenant(&tenant));
    statements.extend(close_tenant(&tenant));
    statements.push(count_tenant("crm__deals__g1", &tenant));
    statements.push(erase_tenant("odd`name", &tenant));
    statements.extend(drop_tenant(&tenant));
    insta::assert_snapshot!(statements.join(";\n"));
}
