use super::*;

fn model() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "title", "type": "text", "maxLength": 5, "required": true},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2, "default": "0"},
            {"name": "seats", "type": "int16"},
            {"name": "big", "type": "int64"},
            {"name": "score", "type": "float64"},
            {"name": "stage", "type": "enum", "values": ["open", "won"], "default": "open"},
            {"name": "hot", "type": "bool"},
            {"name": "seen", "type": "timestamp", "default": "now"},
            {"name": "extra", "type": "json"},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "blob", "type": "bytes"},
            {"name": "key", "type": "uuid", "default": "generate"},
            {"name": "embedding", "type": "vector", "dimension": 3},
        ],
    }))
    .unwrap()
}

/// The value of the field that the body names, or what is wrong with it.
fn one(name: &str, value: &str) -> Result<Option<String>, FieldCode> {
    let model = model();
    let body = format!("{{\"{name}\": {value}}}");
    match parse_body(&model, body.as_bytes(), Purpose::Patch) {
        Ok(input) => Ok(input.values.into_iter().flatten().next().unwrap()),
        Err(problem) => Err(problem.errors.first().expect("the field is named").code),
    }
}

#[test]
fn values_are_read_by_type() {
    use FieldCode::{
        Duplicate, InvalidValue, LimitExceeded, NotInEnum, OutOfRange, Required, TooLong,
    };
    for (name, value, expected) in [
        ("title", r#""äöü€x""#, Ok(Some("äöü€x"))),
        ("title", r#""sixsix""#, Err(TooLong)),
        ("title", "null", Err(Required)),
        ("title", "5", Err(InvalidValue)),
        ("title", r#""a\u0000""#, Err(InvalidValue)),
        ("title", r#""\ud800""#, Err(InvalidValue)),
        ("title", r#""\ud83d\ude00""#, Ok(Some("😀"))),
        ("amount", "1234567890.12", Ok(Some("1234567890.12"))),
        ("amount", "\"1.5\"", Ok(Some("1.5"))),
        ("amount", "1.005", Err(OutOfRange)),
        ("amount", "1e400", Err(OutOfRange)),
        ("amount", "null", Ok(None)),
        ("seats", "32768", Err(OutOfRange)),
        ("seats", "1.0", Err(InvalidValue)),
        ("seats", "\"1\"", Err(InvalidValue)),
        (
            "big",
            "9223372036854775807",
            Ok(Some("9223372036854775807")),
        ),
        (
            "big",
            "\"-9223372036854775808\"",
            Ok(Some("-9223372036854775808")),
        ),
        ("score", "1e400", Err(OutOfRange)),
        ("stage", "\"lost\"", Err(NotInEnum)),
        ("hot", "true", Ok(Some("true"))),
        ("hot", "\"true\"", Err(InvalidValue)),
        ("hot", "1", Err(InvalidValue)),
        (
            "seen",
            "\"2026-01-01T00:00:00+01:00\"",
            Ok(Some("2025-12-31T23:00:00.000000Z")),
        ),
        ("seen", "\"now\"", Err(InvalidValue)),
        (
            "extra",
            r#"{"a": [1, 2.50, {"b": null}]}"#,
            Ok(Some(r#"{"a": [1, 2.50, {"b": null}]}"#)),
        ),
        ("extra", r#"{"a": 1, "a": 2}"#, Err(Duplicate)),
        ("extra", r#"{"a": {"b": 1, "b": 2}}"#, Err(Duplicate)),
        ("extra", r#"["\u0000"]"#, Err(InvalidValue)),
        ("extra", r#"{"\u0000": 1}"#, Err(InvalidValue)),
        ("extra", r#"["\udc00"]"#, Err(InvalidValue)),
        (
            "extra",
            &format!("{}{}", "[".repeat(31), "]".repeat(31)),
            Ok(Some(&*format!("{}{}", "[".repeat(31), "]".repeat(31)))),
        ),
        (
            "extra",
            &format!("{}{}", "[".repeat(32), "]".repeat(32)),
            Err(LimitExceeded),
        ),
        (
            "extra",
            &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
            Err(LimitExceeded),
        ),
        ("tags", r#"["a", "b,\"c"]"#, Ok(Some(r#"{"a","b,\"c"}"#))),
        ("tags", "[]", Ok(Some("{}"))),
        ("tags", "[null]", Err(InvalidValue)),
        ("tags", "[1]", Err(InvalidValue)),
        ("tags", "\"a\"", Err(InvalidValue)),
        (
            "embedding",
            "[1, -0.5, 0.123456789]",
            Ok(Some(r#"{"1","-0.5","0.12345679"}"#)),
        ),
        ("embedding", "null", Ok(None)),
        ("embedding", "[]", Err(InvalidValue)),
        ("embedding", "[1, 2]", Err(InvalidValue)),
        ("embedding", "[1, 2, 3, 4]", Err(InvalidValue)),
        ("embedding", "[1, 2, null]", Err(InvalidValue)),
        ("embedding", "[1, 2, \"3\"]", Err(InvalidValue)),
        ("embedding", "[1, 2, [3]]", Err(InvalidValue)),
        ("embedding", "[1, 2, 1e39]", Err(OutOfRange)),
        ("embedding", "\"{1,2,3}\"", Err(InvalidValue)),
        ("embedding", "1", Err(InvalidValue)),
        ("blob", "\"AP8Q\"", Ok(Some("AP8Q"))),
        ("blob", "\"AP8\"", Err(InvalidValue)),
        ("key", "\"x\"", Err(InvalidValue)),
    ] {
        assert_eq!(
            one(name, value),
            expected.map(|v| v.map(str::to_owned)),
            "{name}: {}",
            &value[..value.len().min(60)]
        );
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let told = |body: &str, purpose| {
        let problem = parse_body(&model(), body.as_bytes(), purpose).unwrap_err();
        problem
            .errors
            .iter()
            .map(|e| (e.field.clone(), e.code))
            .collect::<Vec<_>>()
    };
    let named = |list: &[(&str, FieldCode)]| {
        list.iter()
            .map(|(f, c)| ((*f).to_owned(), *c))
            .collect::<Vec<_>>()
    };
    use FieldCode::{Duplicate, InvalidValue, OutOfRange, ReadOnly, UnknownField};
    assert_eq!(
        told(
            r#"{"nope": 1, "seats": 99999, "tenant_id": "x", "title": "a", "title": "b", "version": 1}"#,
            Purpose::Create
        ),
        named(&[
            ("nope", UnknownField),
            ("seats", OutOfRange),
            ("tenant_id", ReadOnly),
            ("title", Duplicate),
            ("version", ReadOnly)
        ])
    );
    assert_eq!(
        told(
            r#"{"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "created_by": "x", "version": "x"}"#,
            Purpose::Patch
        ),
        named(&[
            ("id", ReadOnly),
            ("created_by", ReadOnly),
            ("version", InvalidValue)
        ])
    );
    for bad in [
        "",
        "null",
        "[]",
        "1",
        "{",
        "{}{}",
        "{\"title\": tru}",
        "\u{feff}{}",
        "{\"title\": NaN}",
    ] {
        assert!(
            parse_body(&model(), bad.as_bytes(), Purpose::Create).is_err(),
            "{bad}"
        );
    }
    assert!(parse_body(&model(), b"{\"title\": \"\xff\"}", Purpose::Create).is_err());
}

#[test]
fn defaults_fill_what_was_not_sent() {
    let model = model();
    let filled = |body: &str| {
        with_defaults(
            &model,
            parse_body(&model, body.as_bytes(), Purpose::Create).unwrap(),
            Missing::Default,
        )
    };
    let values = filled(r#"{"title": "a", "stage": null}"#);
    assert_eq!(values[0].as_deref(), Some("a"));
    assert_eq!(values[1].as_deref(), Some("0"));
    assert_eq!(values[5], None);
    assert!(values[7].as_deref().unwrap().ends_with('Z') && values[11].is_some());
    let told = parse_body(&model, br#"{"amount": "x"}"#, Purpose::Create);
    let told: Vec<_> = told
        .unwrap_err()
        .errors
        .into_iter()
        .map(|e| (e.field, e.code))
        .collect();
    let expected = [
        ("amount", FieldCode::InvalidValue),
        ("title", FieldCode::Required),
    ];
    assert_eq!(told, expected.map(|(field, code)| (field.to_owned(), code)));
}

#[test]
fn what_is_wrong_with_a_vector_is_told_by_its_element() {
    let reading = |value: &str, format| {
        let model = model();
        let reading = Reading {
            model: &model,
            purpose: Purpose::Create,
            columns: None,
            format,
        };
        let body = match format {
            Format::Csv => format!("title,embedding\nx,\"{}\"\n", value.replace('"', "\"\"")),
            _ => format!("{{\"title\":\"x\",\"embedding\":{value}}}"),
        };
        match reading.parse(body.as_bytes()) {
            Ok(_) => "nothing".to_owned(),
            Err(problem) => problem.errors[0].message.to_string(),
        }
    };
    for (value, message) in [
        ("[1,2]", "has 2 elements, not 3"),
        ("[1,null,3]", "element 1 is null"),
        ("[1,2,true]", "element 2 is not a number"),
        ("[1,2,-1e39]", "element 2 is out of range"),
        ("{}", "is not an array"),
    ] {
        assert_eq!(reading(value, Format::Json), message, "{value}");
    }
    for (value, message) in [
        ("{1,2,3}", "nothing"),
        ("[1,2,3]", "nothing"),
        ("{1,2}", "has 2 elements, not 3"),
        ("{1,2,NULL}", "element 2 is null"),
        ("{1,2,NaN}", "element 2 is not a number"),
    ] {
        assert_eq!(reading(value, Format::Csv), message, "{value}");
    }
}

proptest::proptest! {
    #[test]
    fn no_body_panics(bytes: Vec<u8>, value in "[\\[\\]{}\",:0-9eE.+\\\\u-]{0,30}") {
        let model = model();
        let _ = parse_body(&model, &bytes, Purpose::Create);
        for field in ["title", "extra", "tags", "amount", "embedding"] {
            let _ = parse_body(&model, format!("{{\"{field}\": {value}}}").as_bytes(), Purpose::Patch);
        }
    }
}
