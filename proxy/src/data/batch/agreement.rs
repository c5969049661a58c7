//! The schema of an operation that the OpenAPI document gives, held against the parser that reads it.
//!
//! What the parser takes, the schema takes. What the schema takes and the parser refuses is one of [`beyond_schema`].

use model::ModuleModel;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::operation::{self, Kind, Operation};
use crate::{
    data::body::{Purpose, parse_body},
    openapi::{Body, body_schema},
};

const ID: &str = "0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";

fn model() -> ModuleModel {
    let model = json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": false, "maxPageSize": 10,
        "fields": [
            {"name": "n", "type": "int32", "required": true}, {"name": "t", "type": "text"},
            {"name": "j", "type": "json"},
        ],
        "unique": [{"name": "one_t", "fields": ["t"]}],
    });
    serde_json::from_value(model).unwrap()
}

/// What JSON Schema cannot say of an operation: what one member asks of another.
fn beyond_schema(operation: &Value) -> bool {
    let has = |name: &str| {
        let beside = operation.get(name).is_some();
        let within = operation["data"].get(name).is_some();
        (beside, within)
    };
    match operation["op"].as_str() {
        // A name is given in one place.
        Some("create") => has("id") == (true, true),
        Some("update") => has("version") == (true, true),
        // The key that decides is a unique, and its values are there.
        Some("upsert") => true,
        _ => false,
    }
}

/// What the parser says of an operation without references: its form, and then its values as those of a single write.
fn parses(model: &ModuleModel, operation: &str) -> bool {
    let body = format!("{{\"operations\":[{operation}]}}");
    let parsed = operation::parse(body.as_bytes());
    parsed.is_ok_and(|operations| operations.iter().all(|operation| holds(model, operation)))
}

fn holds(model: &ModuleModel, operation: &Operation<'_>) -> bool {
    if operation.model != "deals" {
        return false;
    }
    let mut members: Vec<String> = operation
        .data
        .iter()
        .map(|(name, raw)| format!("{}:{}", json!(name), raw.get()))
        .collect();
    let id = operation.id.map(|raw| raw.get());
    let (beside, purpose) = match operation.kind {
        Kind::Create | Kind::Upsert => (id.map(|raw| ("id", raw)), Purpose::Create),
        _ => {
            let version = operation.version.map(|raw| ("version", raw.get()));
            let is_id = id.is_some_and(|raw| {
                let text: Result<String, _> = serde_json::from_str(raw);
                text.is_ok_and(|text| crate::data::parse::parse_id(&text).is_ok())
            });
            if !is_id {
                return false;
            }
            (version, Purpose::Patch)
        }
    };
    members.extend(beside.map(|(name, raw)| format!("\"{name}\":{raw}")));
    let body = format!("{{{}}}", members.join(","));
    parse_body(model, body.as_bytes(), purpose).is_ok()
}

/// A member that is right more often than not.
fn member(
    name: &'static str,
    right: &'static str,
    wrong: &'static [&'static str],
) -> BoxedStrategy<String> {
    prop_oneof![
        3 => Just(String::new()),
        4 => Just(format!("\"{name}\":{right}")),
        1 => prop::sample::select(wrong).prop_map(move |raw| format!("\"{name}\":{raw}")),
    ]
    .boxed()
}

fn operation() -> impl Strategy<Value = String> {
    let op = prop_oneof![
        8 => prop::sample::select(vec!["create", "update", "upsert", "delete", "restore"]).prop_map(|op| format!("\"op\":\"{op}\"")),
        1 => Just("\"op\":\"replace\"".to_owned()),
        1 => Just(String::new()),
    ];
    let model = prop_oneof![
        8 => Just("\"model\":\"deals\"".to_owned()),
        1 => Just("\"model\":\"others\"".to_owned()),
        1 => Just(String::new()),
    ];
    const UUID: &str = "\"0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b\"";
    let data = (
        member("n", "7", &["null", "\"7\"", "2147483648"]),
        member("t", "\"x\"", &["7", "\"\\u0000\""]),
        member("j", "{\"a\":[1]}", &["[]"]),
        member("id", UUID, &["null", "1"]),
        member("version", "3", &["null", "1.5"]),
        member("more", "1", &["2"]),
    );
    let data = data.prop_map(|(n, t, j, id, version, more)| {
        // What is rarely wanted is rarely there.
        let rare = if n.len() % 3 == 0 {
            vec![id, version, more]
        } else {
            Vec::new()
        };
        let members: Vec<String> = [n, t, j]
            .into_iter()
            .chain(rare)
            .filter(|m| !m.is_empty())
            .collect();
        format!("\"data\":{{{}}}", members.join(","))
    });
    let data =
        prop_oneof![6 => data, 1 => Just("\"data\":[]".to_owned()), 3 => Just(String::new())];
    (
        op,
        model,
        data,
        member("id", UUID, &["null", "1", "\"x\""]),
        member("version", "3", &["null", "\"x\""]),
        member("ref", "\"home\"", &["\"a.b\"", "\"\"", "1"]),
        member("on_conflict", "[\"id\"]", &["\"id\"", "[1]"]),
        member("if", "1", &["2"]),
    )
        .prop_map(|(op, model, data, id, version, reference, key, more)| {
            let more = if id.is_empty() { more } else { String::new() };
            let all = [op, model, data, id, version, reference, key, more];
            let members: Vec<String> = all.into_iter().filter(|m| !m.is_empty()).collect();
            format!("{{{}}}", members.join(","))
        })
}

#[test]
fn schema_and_parser_take_the_same_operations() {
    let model = model();
    let schema = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&body_schema(&model, Body::Operation))
        .unwrap();
    let taken = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&operation(), |text| {
        let value: Value = serde_json::from_str(&text).unwrap();
        let (by_schema, by_parser) = (schema.is_valid(&value), parses(&model, &text));
        taken.set(taken.get() + u32::from(by_parser));
        let excused = by_schema && beyond_schema(&value);
        prop_assert!(
            by_schema == by_parser || excused,
            "schema {by_schema}, parser {by_parser}: {text}"
        );
        Ok(())
    });
    outcome.unwrap();
    // About a hundred, give or take ten.
    assert!(taken.get() > 40, "{} of them were right", taken.get());
}

#[test]
fn a_value_may_be_a_reference_but_for_those_of_json() {
    let model = model();
    let schema = jsonschema::validator_for(&body_schema(&model, Body::Operation)).unwrap();
    let check = |operation: Value, expected: bool| {
        assert_eq!(schema.is_valid(&operation), expected, "{operation}");
    };
    let reference = json!({"$ref": "home.id"});
    let create = |data: Value| json!({"op": "create", "model": "deals", "data": data});
    check(create(json!({"n": reference})), true);
    check(create(json!({"n": 1, "t": {"$ref": "home"}})), false);
    check(
        create(json!({"n": 1, "t": {"$ref": "home.id", "more": 1}})),
        false,
    );
    check(create(json!({"n": 1, "j": reference})), true);
    let update = json!({"op": "update", "model": "deals", "id": reference, "version": reference, "data": {}});
    check(update, true);
    let delete = json!({"op": "delete", "model": "deals", "id": ID, "data": {}});
    check(delete, false);
}
