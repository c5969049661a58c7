//! One table of cases: JSON as Debezium writes it against the bytes of the column.

use model::ScalarType;
use proptest::prelude::*;

use super::*;

fn column(field_type: FieldType, required: bool) -> Column {
    Column {
        name: "a".parse().unwrap(),
        column: "a".parse().unwrap(),
        field_type,
        required,
        system: false,
    }
}

fn bytes_of(
    field_type: FieldType,
    required: bool,
    json: &str,
) -> Result<(Vec<u8>, Adjusted), ValueError> {
    let raw = RawValue::from_string(json.to_owned()).unwrap();
    let (mut out, mut adjusted) = (Vec::new(), Adjusted::default());
    encode(
        &mut out,
        &column(field_type, required),
        Some(&raw),
        &mut adjusted,
    )?;
    Ok((out, adjusted))
}

fn check(field_type: FieldType, json: &str, expected: &[u8]) {
    let (required, _) = bytes_of(field_type.clone(), true, json).unwrap();
    assert_eq!(required, expected, "{} {json}", field_type.name());
    let (optional, _) = bytes_of(field_type.clone(), false, json).unwrap();
    let mark: &[u8] = if field_type.is_list() { &[] } else { &[0] };
    assert_eq!(
        optional,
        [mark, expected].concat(),
        "nullable {} {json}",
        field_type.name()
    );
}

const TEXT: FieldType = FieldType::Text { max_length: None };

#[test]
fn every_type_has_its_bytes() {
    check(FieldType::Bool, "true", &[1]);
    check(FieldType::Int16, "-2", &(-2_i16).to_le_bytes());
    check(FieldType::Int32, "70000", &70_000_i32.to_le_bytes());
    check(
        FieldType::Int64,
        "-9223372036854775808",
        &i64::MIN.to_le_bytes(),
    );
    check(FieldType::Float64, "0.1", &0.1_f64.to_le_bytes());
    // Differs in the last bit when parsed the fast way.
    check(
        FieldType::Float64,
        "7.038531e-26",
        &7.038531e-26_f64.to_le_bytes(),
    );
    check(
        FieldType::Decimal {
            precision: 9,
            scale: 2,
        },
        "\"12.30\"",
        &1230_i32.to_le_bytes(),
    );
    check(
        FieldType::Decimal {
            precision: 10,
            scale: 2,
        },
        "\"-12.3\"",
        &(-1230_i64).to_le_bytes(),
    );
    check(
        FieldType::Decimal {
            precision: 12,
            scale: 2,
        },
        "\"1.5E+3\"",
        &150_000_i64.to_le_bytes(),
    );
    let wide = "\"12345678901234567890.1234567891\"";
    let unscaled = 123_456_789_012_345_678_901_234_567_891_i128;
    check(
        FieldType::Decimal {
            precision: 38,
            scale: 10,
        },
        wide,
        &unscaled.to_le_bytes(),
    );
    check(TEXT, "\"a\\u00e4\\n\"", b"\x04a\xc3\xa4\n");
    check(
        FieldType::Json,
        "\"{\\\"k\\\": [1, 2]}\"",
        b"\x0d{\"k\": [1, 2]}",
    );
    check(FieldType::Bytes, "\"AQI=\"", b"\x04AQI=");
    check(FieldType::Inet, "\"10.0.0.0/8\"", b"\x0a10.0.0.0/8");
    check(
        FieldType::Enum {
            values: vec!["open".into()],
        },
        "\"open\"",
        b"\x04open",
    );
    let uuid = [
        0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88,
    ];
    check(
        FieldType::Uuid,
        "\"00112233-4455-6677-8899-aabbccddeeff\"",
        &uuid,
    );
    check(FieldType::Date, "-1", &(-1_i32).to_le_bytes());
    check(
        FieldType::Timestamp,
        "\"1970-01-01T00:00:00.000001Z\"",
        &1_i64.to_le_bytes(),
    );
    check(
        FieldType::Timestamp,
        "\"1970-01-01T00:00:01Z\"",
        &1_000_000_i64.to_le_bytes(),
    );
    check(
        FieldType::Time,
        "86399999999",
        &86_399_999_999_i64.to_le_bytes(),
    );
    check(
        FieldType::Array {
            items: ScalarType::Text,
        },
        "[\"a\",\"\"]",
        b"\x02\x01a\x00",
    );
    check(
        FieldType::Array {
            items: ScalarType::Int16,
        },
        "[1,-1]",
        &[2, 1, 0, 0xff, 0xff],
    );
    check(
        FieldType::Array {
            items: ScalarType::Date,
        },
        "[1]",
        &[1, 1, 0, 0, 0],
    );
    let singles = [0.1_f32, -3.4028235e38, 1e-45].map(f32::to_le_bytes);
    check(
        FieldType::Vector { dimension: 3 },
        "[0.1,-3.4028235E38,1.4E-45]",
        &[&[3][..], singles.as_flattened()].concat(),
    );
}

#[test]
fn null_is_null_or_the_default_of_its_type() {
    assert_eq!(
        bytes_of(TEXT, false, "null").unwrap(),
        (vec![1], Adjusted::default())
    );
    let filled = Adjusted {
        null_filled: 1,
        ..Adjusted::default()
    };
    assert_eq!(bytes_of(TEXT, true, "null").unwrap(), (vec![0], filled));
    assert_eq!(
        bytes_of(FieldType::Uuid, true, "null").unwrap(),
        (vec![0; 16], filled)
    );
    let decimal = FieldType::Decimal {
        precision: 38,
        scale: 2,
    };
    assert_eq!(
        bytes_of(decimal, true, "null").unwrap(),
        (vec![0; 16], filled)
    );
    // A null array is an empty one; there is no other place for it.
    let tags = FieldType::Array {
        items: ScalarType::Text,
    };
    assert_eq!(
        bytes_of(tags.clone(), false, "null").unwrap(),
        (vec![0], Adjusted::default())
    );
    assert_eq!(
        bytes_of(tags, false, "[\"a\",null]").unwrap(),
        (b"\x02\x01a\x00".to_vec(), filled)
    );
    let vector = FieldType::Vector { dimension: 2 };
    assert_eq!(
        bytes_of(vector.clone(), false, "null").unwrap(),
        (vec![0], Adjusted::default())
    );
    assert_eq!(
        bytes_of(vector.clone(), true, "null").unwrap(),
        (vec![0], filled)
    );
    assert_eq!(
        bytes_of(vector, false, "[null,\"NaN\"]").unwrap(),
        (
            vec![2, 0, 0, 0, 0, 0, 0, 0, 0],
            Adjusted {
                not_finite: 1,
                ..filled
            }
        )
    );
}

#[test]
fn what_the_column_cannot_hold_is_moved_and_counted() {
    let clamped = Adjusted {
        clamped: 1,
        ..Adjusted::default()
    };
    let not_finite = Adjusted {
        not_finite: 1,
        ..Adjusted::default()
    };
    assert_eq!(
        bytes_of(FieldType::Date, true, "2932896").unwrap(),
        (120_529_i32.to_le_bytes().to_vec(), clamped)
    );
    for (json, micros) in [
        ("\"9999-12-31T00:00:00Z\"", 10_413_791_999_999_999_i64),
        ("\"+20000-01-01T00:00:00Z\"", 10_413_791_999_999_999),
        ("\"0001-01-01T00:00:00Z\"", -2_208_988_800_000_000),
        ("\"-0043-03-15T00:00:00Z\"", -2_208_988_800_000_000),
    ] {
        assert_eq!(
            bytes_of(FieldType::Timestamp, true, json).unwrap(),
            (micros.to_le_bytes().to_vec(), clamped)
        );
    }
    assert_eq!(
        bytes_of(FieldType::Timestamp, false, "\"infinity\"").unwrap(),
        (vec![1], not_finite)
    );
    let first = (-2_208_988_800_000_000_i64).to_le_bytes().to_vec();
    assert_eq!(
        bytes_of(FieldType::Timestamp, true, "\"-infinity\"").unwrap(),
        (first, clamped)
    );
    let decimal = FieldType::Decimal {
        precision: 12,
        scale: 2,
    };
    assert_eq!(
        bytes_of(decimal, false, "\"NAN\"").unwrap(),
        (vec![1], not_finite)
    );
    assert_eq!(
        bytes_of(FieldType::Float64, false, "\"NaN\"").unwrap(),
        (vec![1], not_finite)
    );
}

#[test]
fn what_is_no_value_of_the_type_is_refused() {
    let decimal = FieldType::Decimal {
        precision: 12,
        scale: 2,
    };
    for (field_type, json, error) in [
        (FieldType::Int16, "32768", ValueError::OutOfRange),
        (FieldType::Int64, "1.5", ValueError::Malformed),
        (FieldType::Int64, "\"1\"", ValueError::Malformed),
        (FieldType::Bool, "1", ValueError::Malformed),
        (decimal.clone(), "\"1.505\"", ValueError::OutOfRange),
        (decimal.clone(), "\"12345678901\"", ValueError::OutOfRange),
        (decimal.clone(), "\"1e99999\"", ValueError::OutOfRange),
        (decimal, "1.5", ValueError::Malformed),
        (TEXT, "{}", ValueError::Malformed),
        (FieldType::Uuid, "\"x\"", ValueError::Malformed),
        (FieldType::Timestamp, "\"yesterday\"", ValueError::Malformed),
        (
            FieldType::Array {
                items: ScalarType::Int16,
            },
            "[40000]",
            ValueError::OutOfRange,
        ),
        (
            FieldType::Array {
                items: ScalarType::Text,
            },
            "\"a\"",
            ValueError::Malformed,
        ),
        (
            FieldType::Vector { dimension: 1 },
            "[true]",
            ValueError::Malformed,
        ),
    ] {
        assert_eq!(
            bytes_of(field_type.clone(), false, json).unwrap_err(),
            error,
            "{} {json}",
            field_type.name()
        );
    }
}

proptest! {
    #[test]
    fn a_decimal_keeps_every_digit(unscaled in -999_999_999_999_i64..=999_999_999_999, scale in 0_u8..=6) {
        let sign = if unscaled < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = usize::from(scale) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
        let point = if scale == 0 { "" } else { "." };
        let json = format!("\"{sign}{whole}{point}{fraction}\"");
        let (bytes, _) = bytes_of(FieldType::Decimal { precision: 18, scale }, true, &json).unwrap();
        prop_assert_eq!(bytes, unscaled.to_le_bytes().to_vec());
    }

    #[test]
    fn input_never_panics(json in "\\PC{0,40}") {
        let Ok(raw) = RawValue::from_string(json) else { return Ok(()) };
        for field_type in [FieldType::Int64, FieldType::Float64, FieldType::Timestamp, FieldType::Date,
            FieldType::Decimal { precision: 38, scale: 38 }, FieldType::Array { items: ScalarType::Uuid },
            FieldType::Vector { dimension: 2 }, TEXT] {
            let mut out = Vec::new();
            let _ = encode(&mut out, &column(field_type, false), Some(&raw), &mut Adjusted::default());
        }
    }
}
