use super::*;

fn model() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "title", "type": "text", "maxLength": 5},
            {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
            {"name": "seats", "type": "int16"},
            {"name": "score", "type": "float64"},
            {"name": "stage", "type": "enum", "values": ["open", "won"]},
            {"name": "hot", "type": "bool"},
            {"name": "company_id", "type": "uuid"},
            {"name": "closes", "type": "date"},
            {"name": "seen", "type": "timestamp"},
            {"name": "opens", "type": "time"},
            {"name": "extra", "type": "json"},
            {"name": "tags", "type": "array", "items": "text"},
            {"name": "blob", "type": "bytes"},
            {"name": "ip", "type": "inet"},
        ],
    }))
    .unwrap()
}

/// A compact spelling of what was understood.
fn show(filter: &Filter) -> String {
    match filter {
        Filter::Not(inner) => format!("not {}", show(inner)),
        Filter::Condition(Condition { operand, test }) => {
            let name = operand.column.name.as_str();
            match test {
                Test::Compare(comparison, value) => {
                    format!("{name} {} [{value}]", comparison.as_sql())
                }
                Test::Pattern(pattern, text) => {
                    format!(
                        "{name} like{} [{text}]",
                        u8::from(*pattern == Pattern::ILike)
                    )
                }
                Test::In(values) => format!("{name} in [{}]", values.join("|")),
                Test::IsNull => format!("{name} is null"),
                Test::IsBool(value) => format!("{name} is {value}"),
                _ => unreachable!("no operator makes it"),
            }
        }
        Filter::And(_) | Filter::Or(_) => unreachable!("one condition makes no group"),
    }
}

fn check(cases: &[(&str, &str, Result<&str, FieldCode>)]) {
    let model = model();
    for (field, text, expected) in cases {
        let actual = parse_condition(&model, field, text);
        let actual = actual.as_ref().map(show).map_err(|e| e.code);
        assert_eq!(actual, expected.map(str::to_owned), "{field}={text}");
    }
}

#[test]
fn operators_read_values_of_the_columns_type() {
    check(&[
        ("amount", "gte.1000", Ok("amount >= [1000]")),
        ("amount", "eq.1.005", Ok("amount = [1.005]")),
        ("amount", "eq.1e3", Ok("amount = [1000]")),
        ("amount", "eq.NaN", Err(FieldCode::InvalidValue)),
        ("seats", "lt.40000", Err(FieldCode::OutOfRange)),
        ("seats", "not.eq.1", Ok("not seats = [1]")),
        ("title", "eq.a,b.\"c\"", Ok("title = [a,b.\"c\"]")),
        ("title", "eq.", Ok("title = []")),
        (
            "title",
            "eq.longer than five",
            Ok("title = [longer than five]"),
        ),
        ("title", "like.*a%_\\*", Ok("title like0 [%a%_\\%]")),
        ("title", "ilike.a*", Ok("title like1 [a%]")),
        ("title", "like.a\\", Err(FieldCode::InvalidValue)),
        ("title", "eq.a\0", Err(FieldCode::InvalidValue)),
        ("stage", "eq.gone", Ok("stage = [gone]")),
        ("stage", "in.(open,won)", Ok("stage in [open|won]")),
        ("stage", "in.()", Ok("stage in []")),
        ("seats", "in.(1, 2)", Ok("seats in [1|2]")),
        ("title", "in.(a, b)", Ok("title in [a| b]")),
        ("title", "in.(a)x", Err(FieldCode::InvalidValue)),
        ("title", "in.a", Err(FieldCode::InvalidValue)),
        (
            "seen",
            "gt.2026-01-01T00:00:00+02:00",
            Ok("seen > [2025-12-31T22:00:00.000000Z]"),
        ),
        ("seen", "gt.yesterday", Err(FieldCode::InvalidValue)),
        ("closes", "lte.2026-02-30", Err(FieldCode::InvalidValue)),
        (
            "id",
            "eq.0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01",
            Ok("id = [0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01]"),
        ),
        ("deleted_at", "is.null", Ok("deleted_at is null")),
        ("extra", "is.NULL", Ok("extra is null")),
        ("extra", "is.not_null", Ok("not extra is null")),
        ("hot", "is.true", Ok("hot is true")),
        ("hot", "not.is.false", Ok("not hot is false")),
        ("hot", "is.unknown", Ok("hot is null")),
        ("hot", "is.maybe", Err(FieldCode::InvalidValue)),
    ]);
}

#[test]
fn an_operator_that_does_not_fit_is_refused() {
    use FieldCode::{InvalidOperator, UnknownField};
    check(&[
        ("hot", "gt.true", Err(InvalidOperator)),
        ("stage", "lt.open", Err(InvalidOperator)),
        ("extra", "eq.{}", Err(InvalidOperator)),
        ("tags", "in.(a)", Err(InvalidOperator)),
        ("amount", "like.1*", Err(InvalidOperator)),
        ("company_id", "ilike.a*", Err(InvalidOperator)),
        ("ip", "gt.10.0.0.1", Err(InvalidOperator)),
        ("title", "is.true", Err(InvalidOperator)),
        ("title", "a", Err(InvalidOperator)),
        ("title", "eq", Err(InvalidOperator)),
        ("title", "match.a", Err(InvalidOperator)),
        ("title", "not.not.eq.a", Err(InvalidOperator)),
        ("title", "eq(any).{a}", Err(InvalidOperator)),
        ("tenant_id", "eq.x", Err(UnknownField)),
        ("delete_id", "is.null", Err(UnknownField)),
        ("title\"; drop", "eq.x", Err(UnknownField)),
    ]);
    let error = parse_condition(&model(), "hot", "gt.true").unwrap_err();
    assert_eq!(error.field, "hot");
    assert!(
        error.message.contains("gt")
            && error.message.contains("bool")
            && error.message.contains("int16")
    );
}

#[test]
fn a_list_has_a_limit() {
    let list = |n: usize| format!("in.({})", vec!["1"; n].join(","));
    assert!(parse_condition(&model(), "seats", &list(IN_VALUES_MAX)).is_ok());
    let error = parse_condition(&model(), "seats", &list(IN_VALUES_MAX + 1)).unwrap_err();
    assert_eq!(error.code, FieldCode::LimitExceeded);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(field in "(title|amount|seats|hot|stage|tags|id|.{0,8})", text in ".{0,40}") {
        let _ = parse_condition(&model(), &field, &text);
    }

    #[test]
    fn no_text_with_an_operator_panics(
        field in "(title|amount|seats|score|hot|stage|company_id|closes|seen|opens|extra|tags|blob|ip|id)",
        operator in "(not\\.)?(eq|neq|gt|gte|lt|lte|like|ilike|in|is)",
        value in "[\\(\\)\",\\\\{}0-9eE.+:TZé*-]{0,40}",
    ) {
        let _ = parse_condition(&model(), &field, &format!("{operator}.{value}"));
    }
}
