//! The schema of a body that the OpenAPI document gives, held against the parser that reads the body.
//!
//! What the parser takes, the schema takes. What the schema takes and the parser refuses is one of [`beyond_schema`].

use model::{FieldType, ModuleModel};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Format, Purpose, Reading, parse_body};
use crate::openapi::{Body, body_schema};

const TYPES: [&str; 26] = [
    r#"{"type":"bool"}"#,
    r#"{"type":"int16"}"#,
    r#"{"type":"int32"}"#,
    r#"{"type":"int64"}"#,
    r#"{"type":"float64"}"#,
    r#"{"type":"decimal","precision":12,"scale":2}"#,
    r#"{"type":"decimal","precision":38,"scale":6}"#,
    r#"{"type":"decimal","precision":3,"scale":3}"#,
    r#"{"type":"decimal","precision":4,"scale":0}"#,
    r#"{"type":"text"}"#,
    r#"{"type":"text","maxLength":3}"#,
    r#"{"type":"uuid"}"#,
    r#"{"type":"date"}"#,
    r#"{"type":"timestamp"}"#,
    r#"{"type":"time"}"#,
    r#"{"type":"json"}"#,
    r#"{"type":"bytes"}"#,
    r#"{"type":"enum","values":["open","won"]}"#,
    r#"{"type":"inet"}"#,
    r#"{"type":"array","items":"text"}"#,
    r#"{"type":"array","items":"int64"}"#,
    r#"{"type":"array","items":"bool"}"#,
    r#"{"type":"array","items":"date"}"#,
    r#"{"type":"array","items":"timestamp"}"#,
    r#"{"type":"array","items":"float64"}"#,
    r#"{"type":"vector","dimension":2}"#,
];

fn model_of(field_type: &str, required: bool) -> ModuleModel {
    let mut field: Value = serde_json::from_str(field_type).unwrap();
    field["name"] = json!("f");
    field["required"] = json!(required);
    let model = json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": false, "maxPageSize": 10, "fields": [field],
    });
    serde_json::from_value(model).unwrap()
}

/// What JSON Schema cannot say of one value, by type.
fn beyond_schema(field_type: &FieldType, value: &Value, raw: &str) -> bool {
    let text = value.as_str();
    let has_exponent = |t: &str| t.contains(['e', 'E']);
    match field_type {
        // 1.0 and 1e0 are integers to JSON Schema.
        FieldType::Int16 | FieldType::Int32 => value.is_number() && raw.contains(['.', 'e', 'E']),
        // A string's digits have no greatest value, and a number past the bounds is a double, which is not exact there.
        FieldType::Int64 => text.map_or(value.is_f64(), |t| t.len() >= 19),
        // Whether a double has at most two digits behind the point, or is just below the bound, has no exact answer;
        // a pattern cannot count with an exponent.
        FieldType::Decimal { .. } => text.map_or(value.is_number(), has_exponent),
        // The expansion of an exponent is bounded to four digits.
        FieldType::Float64 => value.is_number() && has_exponent(raw),
        // The pattern does not know how long a month is, nor that an offset can lead out of the years.
        FieldType::Timestamp => text.is_some(),
        // The address in front of a network's length is checked loosely.
        FieldType::Inet => text.is_some_and(|t| t.contains(':') && t.contains('/')),
        // Nesting, U+0000, numbers past a double.
        FieldType::Json => true,
        FieldType::Array { items } => {
            let item_type = items.as_field_type();
            let items = value.as_array().into_iter().flatten();
            items
                .clone()
                .any(|item| beyond_schema(&item_type, item, raw))
        }
        FieldType::Vector { .. } => {
            let mut elements = value.as_array().into_iter().flatten();
            elements.any(|element| beyond_schema(&FieldType::Float64, element, raw))
        }
        _ => false,
    }
}

/// Digits that are more likely than others to be at a bound.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,4})",
        "-?[1-9][0-9]{0,39}",
        "-?(0|[1-9][0-9]{0,11})\\.[0-9]{1,8}",
        "-?(0|[1-9]{1,3})(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,3}",
        prop::sample::select(vec![
            "32767",
            "32768",
            "-32768",
            "-32769",
            "2147483647",
            "2147483648",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "0",
            "-0",
            "1.0",
            "9999999999.99",
            "9999999999.999",
            "10000000000",
            "1e308",
            "0.999",
            "9999",
            "10000",
            "9999.0",
        ])
        .prop_map(str::to_owned),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let regex =
        |pattern: &str| proptest::string::string_regex(pattern).expect("a pattern of this test");
    let years = "(0000|0001|19[0-9]{2}|20[0-9]{2}|9999)";
    prop_oneof![
        number(),
        "[0-9]{4}-(0[0-9]|1[0-3])-[0-3][0-9]",
        regex(&format!("{years}-(0[1-9]|1[0-2])-[0-3][0-9]")),
        regex(&format!(
            "{years}-(0[1-9]|1[0-2])-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{{1,7}}0{{0,5}})?(Z|z|[+-][0-2][0-9]:[0-6][0-9])?"
        )),
        "[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7}0{0,5})?",
        "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{11,12}",
        "[A-Za-z0-9+/]{0,6}={0,3}",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{1,3})?",
        "[0-9a-f]{0,4}:[0-9a-f]{0,4}:{1,2}[0-9a-f]{0,4}(/[0-9]{1,3})?",
        prop::sample::select(vec![
            "open", "won", "Open", "", "tomorrow", "NaN", "\u{0}", "a\u{0}", "äöü", "abcd", " 1"
        ])
        .prop_map(str::to_owned),
        ".{0,5}",
    ]
}

/// One JSON value as text: the text is what the parser reads.
fn raw() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        1 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        4 => number(),
        8 => text().prop_map(|t| json!(t).to_string()),
    ];
    scalar.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| format!("[{}]", list.join(","))),
            inner.prop_map(|value| format!("{{\"key\":{value}}}")),
        ]
    })
}

fn members() -> impl Strategy<Value = String> {
    let id = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{11,12}";
    prop_oneof![
        12 => Just(String::new()),
        1 => id.prop_map(|id| format!(",\"id\":\"{id}\"")),
        1 => number().prop_map(|n| format!(",\"version\":{n}")),
        1 => Just(",\"version\":null".to_owned()),
        1 => Just(",\"deleted_at\":null".to_owned()),
        1 => Just(",\"nothing\":1".to_owned()),
    ]
}

struct Case {
    model: ModuleModel,
    purpose: Purpose,
    schema: jsonschema::Validator,
}

fn validator(schema: &Value) -> jsonschema::Validator {
    let options = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true);
    options.build(schema).unwrap()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for field_type in TYPES {
        for (required, purpose, body) in [
            (false, Purpose::Create, Body::Create),
            (true, Purpose::Create, Body::Create),
            (true, Purpose::Patch, Body::Change),
            (false, Purpose::PatchById, Body::ChangeById),
            (false, Purpose::PatchByFilter, Body::ChangeOfFilter),
        ] {
            let model = model_of(field_type, required);
            let schema = validator(&body_schema(&model, body));
            cases.push(Case {
                model,
                purpose,
                schema,
            });
        }
    }
    cases
}

impl Case {
    /// What the parser says of a body, by itself and as one of many.
    fn parses(&self, body: &str) -> bool {
        let reading = |text: &str| {
            let reading = Reading {
                model: &self.model,
                purpose: self.purpose,
                columns: None,
                format: Format::Json,
            };
            reading.parse(text.as_bytes()).is_ok()
        };
        let alone = reading(body);
        assert_eq!(alone, reading(&format!("[{body}]")), "{body}");
        alone
    }
}

fn check(case: &Case, body: &str, raw: Option<&str>) -> Result<(), TestCaseError> {
    // A body that no JSON library of a client would take has no verdict of a schema.
    let Ok(value) = serde_json::from_str::<Value>(body) else {
        return Ok(());
    };
    let field_type = &case.model.fields()[0].field_type;
    let by_schema = case.schema.is_valid(&value);
    let by_parser = case.parses(body);
    // Asked by who writes, not by who reads the body.
    let is_empty = case.purpose == Purpose::PatchByFilter && value == json!({});
    let excused = is_empty
        || by_schema
            && (raw.is_some_and(|raw| beyond_schema(field_type, &value["f"], raw))
                || beyond_schema(&FieldType::Int64, &value["version"], body));
    prop_assert!(
        by_schema == by_parser || excused,
        "{:?} {:?}: schema {by_schema}, parser {by_parser}: {body}",
        field_type,
        case.purpose
    );
    Ok(())
}

#[test]
fn schema_and_parser_take_the_same_bodies() {
    let cases = cases();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&(raw(), members()), |(raw, more)| {
        for case in &cases {
            check(case, &format!("{{\"f\":{raw}{more}}}"), Some(&raw))?;
            check(case, &format!("{{{}}}", more.trim_start_matches(',')), None)?;
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn what_no_schema_can_say_is_refused_by_the_parser() {
    for (field_type, body) in [
        (r#"{"type":"bool"}"#, r#"{"f":true,"f":true}"#),
        (r#"{"type":"json"}"#, r#"{"f":{"a":1,"a":1}}"#),
        (r#"{"type":"json"}"#, "{\"f\":[\"\\u0000\"]}"),
        (r#"{"type":"int64"}"#, r#"{"f":"9223372036854775808"}"#),
        (r#"{"type":"int32"}"#, r#"{"f":1.0}"#),
        (
            r#"{"type":"decimal","precision":12,"scale":2}"#,
            r#"{"f":1.505}"#,
        ),
        (
            r#"{"type":"decimal","precision":12,"scale":2}"#,
            r#"{"f":"1e30"}"#,
        ),
        (r#"{"type":"timestamp"}"#, r#"{"f":"2026-02-30T00:00:00Z"}"#),
    ] {
        let model = model_of(field_type, false);
        let schema = validator(&body_schema(&model, Body::Create));
        assert!(
            schema.is_valid(&serde_json::from_str(body).unwrap()),
            "{body}"
        );
        assert!(
            parse_body(&model, body.as_bytes(), Purpose::Create).is_err(),
            "{body}"
        );
    }
}

/// The example of a creation is one in every media type.
#[test]
fn examples_of_creations_are_read() {
    for field_type in TYPES {
        let model = model_of(field_type, true);
        let body = crate::openapi::create_body(&model);
        for (media_type, format) in [
            ("application/json", Format::Json),
            ("text/csv", Format::Csv),
            ("application/x-ndjson", Format::Ndjson),
        ] {
            let text = match &body["content"][media_type]["example"] {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            let reading = Reading {
                model: &model,
                purpose: Purpose::Create,
                columns: None,
                format,
            };
            let read = reading.parse(text.as_bytes());
            assert!(read.is_ok(), "{field_type} {media_type}: {text}: {read:?}");
        }
    }
}
