//! Whatever the body holds, the statement is made of our words.

use proptest::prelude::*;
use sql::clickhouse::query::render;

use super::{TENANT, catalog, plan_of};

/// JSON that is nearly a request, and JSON that is nothing like one.
fn body() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z_]{1,8}",
        ".{0,12}",
        Just("deals".to_owned()),
        Just("created_at".to_owned()),
        Just("amount".to_owned()),
        Just("count".to_owned()),
        Just("sum".to_owned()),
        Just("day".to_owned()),
        Just("title".to_owned()),
        "eq\\..{0,12}",
        "in\\.\\(.{0,12}\\)",
        "i?like\\..{0,12}",
        "(title|amount|count)\\.(asc|desc)",
    ];
    let leaf = prop_oneof![
        text.clone().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    let value = leaf.prop_recursive(3, 16, 4, move |inner| {
        let pairs = proptest::collection::vec((text.clone(), inner.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(serde_json::Value::from),
            pairs.prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    });
    let member = prop_oneof![
        Just("aggregate"),
        Just("field"),
        Just("metrics"),
        Just("groupBy"),
        Just("groupByInterval"),
        Just("timeZone"),
        Just("filters"),
        Just("deleted"),
        Just("order"),
        Just("limit"),
        Just("x"),
    ];
    proptest::collection::vec((member, value), 0..5).prop_map(|members| {
        let mut object = serde_json::Map::new();
        object.insert("model".into(), "deals".into());
        object.insert("aggregate".into(), "count".into());
        object.extend(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        serde_json::Value::Object(object).to_string()
    })
}

/// A condition on a text whose value is a marker that no statement of ours holds.
fn marked() -> impl Strategy<Value = (String, String)> {
    (
        "ZQ.{0,20}QZ",
        prop_oneof![
            Just("eq"),
            Just("neq"),
            Just("gt"),
            Just("like"),
            Just("ilike")
        ],
    )
        .prop_filter(
            "a pattern does not end with a lone backslash",
            |(value, _)| !value.contains(['\\', '\0']),
        )
        .prop_map(|(value, operator)| {
            let condition = format!("{operator}.{value}");
            let body = serde_json::json!({
                "model": "deals", "aggregate": "count", "groupBy": "stage",
                "filters": {"title": [condition]},
            });
            (value, body.to_string())
        })
}

/// Whether every quoted name is the catalogue's and every literal is one of the compiler's own.
fn is_made_of_our_words(text: &str) -> bool {
    let model = catalog();
    let model = model
        .model(
            model.tenant(&TENANT.parse().unwrap()).unwrap(),
            &std::collections::HashSet::new(),
            "crm",
            "deals",
        )
        .unwrap()
        .clone();
    let is_name = |name: &str| {
        model.column(name).is_some()
            || ["septem_data", "crm__deals__g1", "tenant_id", "record_id"].contains(&name)
    };
    let quoted = |mark: char| text.split(mark).skip(1).step_by(2);
    quoted('`').all(is_name)
        && quoted('\'').all(|literal| ["%F", "%Y-%m", "%Y", "UTC"].contains(&literal))
        && !text.contains(['"', ';', '\\'])
        && !text.contains("--")
}

proptest! {
    #[test]
    fn no_body_panics_and_none_leaves_its_tenant(body in body()) {
        if let Ok(plan) = plan_of(&body) {
            let text = render(&plan.query).statement.text;
            let fence = " FINAL\nWHERE `tenant_id` = {tenant:UUID}";
            prop_assert!(text.contains(fence) && is_made_of_our_words(&text), "{}", text);
        }
    }

    #[test]
    fn no_value_is_in_the_text((value, body) in marked()) {
        let plan = plan_of(&body).unwrap();
        let statement = render(&plan.query).statement;
        prop_assert!(!statement.text.contains("ZQ"), "{}", statement.text);
        let like = value.replace('*', "%");
        prop_assert!(statement.binds.iter().flatten().any(|b| *b == value || *b == like));
    }
}
