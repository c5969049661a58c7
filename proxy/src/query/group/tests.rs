use super::*;
use sql::filter::Test;

fn model() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "deals", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [{"name": "title", "type": "text"}, {"name": "seats", "type": "int32"}, {"name": "extra", "type": "json"}],
    }))
    .unwrap()
}

fn show(filter: &Filter) -> String {
    let list = |members: &[Filter]| members.iter().map(show).collect::<Vec<_>>().join(" ");
    match filter {
        Filter::Not(inner) => format!("!{}", show(inner)),
        Filter::And(members) => format!("and({})", list(members)),
        Filter::Or(members) => format!("or({})", list(members)),
        Filter::Condition(condition) => {
            let test = match &condition.test {
                Test::Compare(comparison, value) => format!("{}{value}", comparison.as_sql()),
                Test::Pattern(_, pattern) => format!("~{pattern}"),
                Test::In(values) => format!("@{}", values.join("|")),
                Test::IsNull => "?".into(),
                Test::IsBool(value) => value.to_string(),
                _ => "*".into(),
            };
            let mut name = condition.operand.column.name.as_str().to_owned();
            for step in condition.operand.path.iter().flat_map(|p| &p.steps) {
                name += &format!(":{step}");
            }
            format!("{name}{test}")
        }
    }
}

#[test]
fn groups_nest_and_quote() {
    let model = model();
    for (key, text, expected) in [
        ("or", "(seats.eq.1,seats.gt.5)", Ok("or(seats=1 seats>5)")),
        ("and", "(seats.not.eq.1)", Ok("and(!seats=1)")),
        (
            "not.or",
            "(seats.eq.1,title.is.null)",
            Ok("!or(seats=1 title?)"),
        ),
        (
            "or",
            "(seats.eq.1,not.and(seats.gt.2,or(seats.lt.9)))",
            Ok("or(seats=1 !and(seats>2 or(seats<9)))"),
        ),
        (
            "or",
            "(title.eq.\"a,b)\",seats.eq.2)",
            Ok("or(title=a,b) seats=2)"),
        ),
        ("or", "(title.eq.a.b.c)", Ok("or(title=a.b.c)")),
        (
            "or",
            "(title.in.(\"x,y\",z),seats.in.(1,2))",
            Ok("or(title@x,y|z seats@1|2)"),
        ),
        ("or", "(title.like.*a*)", Ok("or(title~%a%)")),
        (
            "or",
            "( seats.eq.1, seats.eq.2 )",
            Ok("or(seats=1 seats=2)"),
        ),
        (
            "or",
            "(extra->a->>\"b,c\".eq.x,extra->>d.is.null)",
            Ok("or(extra:a:b,c=x extra:d?)"),
        ),
        (
            "or",
            "(extra.cs.{\"a\":{\"b\":1}},seats.eq.1)",
            Ok("or(extra* seats=1)"),
        ),
        (
            "or",
            "(seats.eq(any).{1,2},title.plfts(english).a b)",
            Ok("or(seats* title*)"),
        ),
        ("or", "(\"seats\".eq.1)", Ok("or(seats=1)")),
        ("or", "(title.eq.\"a\"b)", Ok("or(title=\"a\"b)")),
        ("or", "(title.eq. a )", Ok("or(title= a )")),
        (
            "or",
            "(seats.not.eq.1,not.or(seats.eq.2))",
            Ok("or(!seats=1 !or(seats=2))"),
        ),
        (
            "or",
            "(not.not.or(seats.eq.2))",
            Err(FieldCode::InvalidOperator),
        ),
        ("or", "(title.eq.a,b)", Err(FieldCode::UnknownField)),
        ("or", "(seats.in.(1)2)", Err(FieldCode::InvalidValue)),
        ("or", "(seats.eq.1)x", Err(FieldCode::InvalidValue)),
        ("or", "(seats->a.eq.1)", Err(FieldCode::InvalidOperator)),
        ("or", "(extra->.eq.1)", Err(FieldCode::InvalidValue)),
        ("or", "()", Err(FieldCode::InvalidValue)),
        ("or", "(seats.eq.1))", Err(FieldCode::InvalidValue)),
        ("or", "(seats.eq.1", Err(FieldCode::InvalidValue)),
        ("or", "seats.eq.1", Err(FieldCode::InvalidValue)),
        ("or", "(seats.eq.1,)", Err(FieldCode::InvalidValue)),
        ("or", "(not.seats.eq.1)", Err(FieldCode::InvalidOperator)),
        ("or", "(seats)", Err(FieldCode::InvalidOperator)),
        ("or", "(seats.eq)", Err(FieldCode::InvalidOperator)),
        ("or", "(nope.eq.1)", Err(FieldCode::UnknownField)),
        ("or", "(seats.eq.x)", Err(FieldCode::InvalidValue)),
    ] {
        let actual = parse_group(&model, key, text);
        assert_eq!(
            actual.as_ref().map(show).map_err(|e| e.code),
            expected.map(str::to_owned),
            "{key}={text}"
        );
    }
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| {
        format!(
            "{}(seats.eq.1{}",
            "(or".repeat(depth - 1),
            ")".repeat(depth)
        )
    };
    assert!(parse_group(&model(), "or", &nested(GROUP_DEPTH_MAX)).is_ok());
    let error = parse_group(&model(), "or", &nested(GROUP_DEPTH_MAX + 1)).unwrap_err();
    assert_eq!(error.code, FieldCode::LimitExceeded);
    assert!(parse_group(&model(), "or", &nested(100_000)).is_err());
}

proptest::proptest! {
    #[test]
    fn no_group_panics(text in "[(),.\"\\\\a-z0-9{}é -]{0,60}") {
        let _ = parse_group(&model(), "or", &text);
        let _ = parse_group(&model(), "not.and", &format!("(seats.{text})"));
    }
}
