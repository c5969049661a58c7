use super::*;

fn check(field_type: &FieldType, usage: ValueUse, cases: &[(&str, Option<&str>)]) {
    for (text, expected) in cases {
        assert_eq!(
            parse_value(field_type, text, usage).ok().as_deref(),
            *expected,
            "{text}"
        );
    }
}

#[test]
fn numbers_have_json_syntax_and_keep_every_digit() {
    check(
        &FieldType::Int64,
        ValueUse::Store,
        &[
            ("9223372036854775807", Some("9223372036854775807")),
            ("9223372036854775808", None),
            ("-0", Some("0")),
            ("1.0", None),
            ("1e3", None),
            ("+1", None),
            ("01", None),
            ("1_000", None),
            ("0x10", None),
            ("", None),
            (" 1", None),
        ],
    );
    check(
        &FieldType::Float64,
        ValueUse::Store,
        &[
            ("1e400", None),
            ("NaN", None),
            ("1.5", Some("1.5")),
            ("-2E-1", Some("-0.2")),
        ],
    );
    let decimal = FieldType::Decimal {
        precision: 12,
        scale: 2,
    };
    check(
        &decimal,
        ValueUse::Store,
        &[
            ("1234567890.12", Some("1234567890.12")),
            ("12345678901", None),
            ("1.5", Some("1.5")),
            ("1.50000", Some("1.5")),
            ("1.505", None),
            ("15e-1", Some("1.5")),
            ("1e3", Some("1000")),
            ("5e-3", None),
            ("-0.00", Some("0")),
            ("1e9999", None),
            (".5", None),
            ("1.", None),
        ],
    );
    check(
        &decimal,
        ValueUse::Compare,
        &[("1.505", Some("1.505")), ("1e9999", None)],
    );
}

#[test]
fn instants_are_utc_to_the_microsecond() {
    check(
        &FieldType::Timestamp,
        ValueUse::Store,
        &[
            (
                "2026-01-02T03:04:05+02:00",
                Some("2026-01-02T01:04:05.000000Z"),
            ),
            (
                "2026-01-02T03:04:05.123456Z",
                Some("2026-01-02T03:04:05.123456Z"),
            ),
            ("2026-01-02T03:04:05", Some("2026-01-02T03:04:05.000000Z")),
            ("2026-01-02T03:04:05.1234567Z", None),
            ("2026-01-02", None),
            ("tomorrow", None),
            ("infinity", None),
            ("2026-02-30T00:00:00Z", None),
            ("2026-01-02T23:59:60Z", None),
            ("2026-01-02 03:04:05.5", Some("2026-01-02T03:04:05.500000Z")),
            ("2026-1-002T03:04:05Z", None),
            ("2026-01-02T3:04:05.0", None),
            ("2026-01-02T03:04:05.", None),
            ("2026-01-02  3:04:05", None),
            ("+026-01-02T03:04:05", None),
        ],
    );
    check(
        &FieldType::Date,
        ValueUse::Store,
        &[
            ("2026-02-28", Some("2026-02-28")),
            ("2026-2-28", None),
            ("2026-2- 28", None),
            ("  2026-1-1", None),
            ("+2026-1-01", None),
            ("today", None),
        ],
    );
    check(
        &FieldType::Time,
        ValueUse::Store,
        &[
            ("03:04:05", Some("03:04:05.000000")),
            ("24:00:00", None),
            ("03:04:05.", None),
            ("3:04:05.1", None),
            (" 3:04:05", None),
            ("03:04:05Z", None),
        ],
    );
}

#[test]
fn a_decimal_may_be_asked_with_any_number_of_digits() {
    let decimal = FieldType::Decimal {
        precision: 12,
        scale: 2,
    };
    let (ones, zeros) = ("1".repeat(70_000), "0".repeat(70_000));
    for usage in [ValueUse::Store, ValueUse::Compare] {
        for text in [ones.clone(), format!("{ones}e9999"), format!("{ones}.5")] {
            assert_eq!(
                parse_value(&decimal, &text, usage),
                Err(ValueError::OutOfRange)
            );
        }
        let text = format!("7.{zeros}");
        assert_eq!(parse_value(&decimal, &text, usage).as_deref(), Ok("7"));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[-+0-9eE.:TZ é]{0,30}") {
        for field_type in [
            FieldType::Decimal { precision: 38, scale: 6 },
            FieldType::Date,
            FieldType::Timestamp,
            FieldType::Time,
            FieldType::Float64,
        ] {
            let _ = parse_value(&field_type, &text, ValueUse::Store);
        }
    }
}

#[test]
fn texts_have_bounds_and_no_nul() {
    let text = FieldType::Text {
        max_length: Some(3),
    };
    check(
        &text,
        ValueUse::Store,
        &[("äöü", Some("äöü")), ("abcd", None), ("a\0", None)],
    );
    check(&text, ValueUse::Compare, &[("abcd", Some("abcd"))]);
    let stage = FieldType::Enum {
        values: vec!["open".into(), "won".into()],
    };
    check(
        &stage,
        ValueUse::Store,
        &[("open", Some("open")), ("Open", None)],
    );
    check(&stage, ValueUse::Compare, &[("lost", Some("lost"))]);
    check(
        &FieldType::Inet,
        ValueUse::Store,
        &[
            ("10.0.0.1/32", Some("10.0.0.1")),
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.0.0.0/08", None),
            ("x", None),
        ],
    );
}

#[test]
fn an_element_of_a_vector_is_rounded_once_to_a_single() {
    for (text, expected) in [
        ("0.1", Ok("0.1")),
        ("-0", Ok("-0")),
        ("1e2", Ok("100")),
        ("0.123456789", Ok("0.12345679")),
        // Half a step above 1, and a little more than a double can tell: by way of a double it would become 1.
        ("1.00000005960464477539062500000000001", Ok("1.0000001")),
        (
            "3.4028235e38",
            Ok("340282350000000000000000000000000000000"),
        ),
        ("1e-60", Ok("0")),
        ("3.4028236e38", Err(ValueError::OutOfRange)),
        ("1e39", Err(ValueError::OutOfRange)),
        ("-1e39", Err(ValueError::OutOfRange)),
        ("NaN", Err(ValueError::Malformed("a number"))),
        ("Infinity", Err(ValueError::Malformed("a number"))),
        ("\"1\"", Err(ValueError::Malformed("a number"))),
        ("0x1", Err(ValueError::Malformed("a number"))),
        ("", Err(ValueError::Malformed("a number"))),
    ] {
        let actual = crate::parse_vector_element(text);
        assert_eq!(actual.as_deref().map_err(|e| *e), expected, "{text}");
    }
}
