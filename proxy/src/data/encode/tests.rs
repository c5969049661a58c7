use model::{Column, ScalarType};

use super::*;

fn encode(field_type: FieldType, value: &str, strings: bool) -> Option<String> {
    let column = Column {
        name: "x".parse().unwrap(),
        column: "x".parse().unwrap(),
        field_type,
        required: false,
        system: false,
    };
    let encoder = Encoder::new(&Tree::default(), strings);
    let mut out = Vec::new();
    encoder
        .value(form_of_output(&column.into()), value.as_bytes(), &mut out)
        .ok()?;
    Some(String::from_utf8(out).unwrap())
}

#[test]
fn every_type_has_one_spelling() {
    let decimal = FieldType::Decimal {
        precision: 38,
        scale: 2,
    };
    let array = |items| FieldType::Array { items };
    for (field_type, value, expected) in [
        (FieldType::Bool, "t", Some("true")),
        (FieldType::Bool, "false", Some("false")),
        (FieldType::Bool, "1", None),
        (
            FieldType::Int64,
            "9223372036854775807",
            Some("9223372036854775807"),
        ),
        (
            decimal.clone(),
            "12345678901234567890.10",
            Some("12345678901234567890.10"),
        ),
        (decimal.clone(), "NaN", Some("null")),
        (FieldType::Float64, "1e+20", Some("1e+20")),
        (FieldType::Float64, "-Infinity", Some("null")),
        (
            FieldType::Text { max_length: None },
            "a\"\\\n\u{1}é",
            Some(r#""a\"\\\n\u0001é""#),
        ),
        (
            FieldType::Uuid,
            "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01",
            Some("\"0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01\""),
        ),
        (FieldType::Date, "2026-01-02", Some("\"2026-01-02\"")),
        (
            FieldType::Timestamp,
            "2026-01-02 03:04:05+00",
            Some("\"2026-01-02T03:04:05.000000Z\""),
        ),
        (
            FieldType::Timestamp,
            "2026-01-02 03:04:05.12+00",
            Some("\"2026-01-02T03:04:05.120000Z\""),
        ),
        (FieldType::Timestamp, "2026-01-02 03:04:05+02", None),
        (FieldType::Timestamp, "infinity", None),
        (FieldType::Time, "03:04:05.5", Some("\"03:04:05.500000\"")),
        (FieldType::Json, r#"{"a": 1.10}"#, Some(r#"{"a": 1.10}"#)),
        (FieldType::Bytes, "\\x00ff10", Some("\"AP8Q\"")),
        (FieldType::Bytes, "\\x", Some("\"\"")),
        (FieldType::Bytes, "\\x0", None),
        (FieldType::Inet, "10.0.0.0/8", Some("\"10.0.0.0/8\"")),
        (
            array(ScalarType::Text),
            r#"{a,"b,\"c"}"#,
            Some(r#"["a","b,\"c"]"#),
        ),
        (array(ScalarType::Int64), "{1,2}", Some("[1,2]")),
        (
            array(ScalarType::Timestamp),
            r#"{"2026-01-02 03:04:05+00"}"#,
            Some(r#"["2026-01-02T03:04:05.000000Z"]"#),
        ),
        (array(ScalarType::Bool), "{t,f}", Some("[true,false]")),
        (array(ScalarType::Uuid), "{}", Some("[]")),
        (
            FieldType::Vector { dimension: 3 },
            "{0.1,-3.4028235e+38,1e-45}",
            Some("[0.1,-3.4028235e+38,1e-45]"),
        ),
    ] {
        assert_eq!(
            encode(field_type.clone(), value, false).as_deref(),
            expected,
            "{field_type:?} {value}"
        );
    }
    assert_eq!(encode(decimal, "1.10", true).as_deref(), Some("\"1.10\""));
    assert_eq!(
        encode(FieldType::Int64, "5", true).as_deref(),
        Some("\"5\"")
    );
    assert_eq!(encode(FieldType::Int32, "5", true).as_deref(), Some("5"));
    assert_eq!(
        encode(array(ScalarType::Int64), "{5}", true).as_deref(),
        Some("[\"5\"]")
    );
}
