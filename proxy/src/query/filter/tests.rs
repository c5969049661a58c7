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
            let mut name = operand.column.name.as_str().to_owned();
            if let Some(path) = &operand.path {
                let arrow = if path.as_text { "->>" } else { "->" };
                name += &format!("{arrow}{}", path.steps.join("|"));
            }
            match test {
                Test::Compare(comparison, value) => {
                    format!("{name} {} [{value}]", comparison.as_sql())
                }
                Test::Pattern(pattern, text) => format!("{name} {pattern:?} [{text}]"),
                Test::Quantified(relation, quantifier, values) => {
                    format!("{name} {relation:?} {quantifier:?} [{}]", values.join("|"))
                }
                Test::In(values) => format!("{name} in [{}]", values.join("|")),
                Test::IsNull => format!("{name} is null"),
                Test::IsBool(value) => format!("{name} is {value}"),
                Test::IsDistinct(value) => format!("{name} distinct [{value}]"),
                Test::Contain(containment, value) => format!("{name} {containment:?} [{value}]"),
                Test::Search {
                    syntax,
                    language,
                    query,
                } => format!("{name} {syntax:?} {language} [{query}]"),
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
        ("title", "like.*a%_\\*", Ok("title Like [%a%_\\%]")),
        ("title", "ilike.a*", Ok("title ILike [a%]")),
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
fn what_postgresql_compares_is_compared() {
    check(&[
        ("hot", "gt.false", Ok("hot > [false]")),
        ("stage", "lt.open", Ok("stage < [open]")),
        ("ip", "gt.10.0.0.1", Ok("ip > [10.0.0.1]")),
        ("ip", "ov.10.0.0.0/8", Ok("ip Overlaps [10.0.0.0/8]")),
        ("blob", "lte.AAEC", Ok("blob <= [AAEC]")),
        ("extra", "eq.{\"a\": 1.50}", Ok("extra = [{\"a\": 1.50}]")),
        (
            "extra",
            "in.(1,\"{\\\"a\\\":1}\")",
            Ok("extra in [1|{\"a\":1}]"),
        ),
        (
            "extra",
            "cs.{\"a\":[1]}",
            Ok("extra Contains [{\"a\":[1]}]"),
        ),
        ("extra", "not.cd.[1,2]", Ok("not extra ContainedBy [[1,2]]")),
        ("tags", "eq.{a,b}", Ok("tags = [{\"a\",\"b\"}]")),
        ("tags", "cs.{\"a,b\"}", Ok("tags Contains [{\"a,b\"}]")),
        ("tags", "cd.{}", Ok("tags ContainedBy [{}]")),
        ("tags", "ov.{a, b}", Ok("tags Overlaps [{\"a\",\"b\"}]")),
        ("tags", "is.null", Ok("tags is null")),
        ("amount", "isdistinct.1.50", Ok("amount distinct [1.5]")),
        ("amount", "not.isdistinct.1", Ok("not amount distinct [1]")),
        ("title", "match.^a*(b|c)$", Ok("title Match [^a*(b|c)$]")),
        ("stage", "imatch.O", Ok("stage IMatch [O]")),
        ("extra->a", "eq.5", Ok("extra->a = [5]")),
        ("extra->a", "eq.\"x\"", Ok("extra->a = [\"x\"]")),
        ("extra->>a", "eq.5", Ok("extra->>a = [5]")),
        ("extra->a->>-1", "like.x*", Ok("extra->>a|-1 Like [x%]")),
        ("extra->a", "is.null", Ok("extra->a is null")),
        ("extra->a", "cs.[1]", Ok("extra->a Contains [[1]]")),
    ]);
}

#[test]
fn a_relation_may_hold_for_any_or_for_all() {
    check(&[
        ("seats", "eq(any).{1,2}", Ok("seats Compare(Eq) Any [1|2]")),
        ("seats", "gte(all).{}", Ok("seats Compare(Gte) All []")),
        (
            "title",
            "not.like(any).{a*,\"b,*\"}",
            Ok("not title Pattern(Like) Any [a%|b,%]"),
        ),
        (
            "title",
            "imatch(all).{^a,b$}",
            Ok("title Pattern(IMatch) All [^a|b$]"),
        ),
        (
            "extra->a",
            "eq(any).{1,\"\\\"x\\\"\"}",
            Ok("extra->a Compare(Eq) Any [1|\"x\"]"),
        ),
        ("blob", "eq(any).{AAEC}", Ok("blob Compare(Eq) Any [AAEC]")),
        ("seats", "eq(any).{1,x}", Err(FieldCode::InvalidValue)),
        ("seats", "eq(any).(1,2)", Err(FieldCode::InvalidValue)),
        ("seats", "eq(any).1", Err(FieldCode::InvalidValue)),
        (
            "title",
            "like(any).{\"a\\\\\"}",
            Err(FieldCode::InvalidValue),
        ),
        ("seats", "eq(some).{1}", Err(FieldCode::InvalidOperator)),
        ("seats", "eq().{1}", Err(FieldCode::InvalidOperator)),
        ("seats", "eq(any.{1}", Err(FieldCode::InvalidOperator)),
        ("seats", "eq(any){1}", Err(FieldCode::InvalidOperator)),
        ("seats", "neq(any).{1}", Err(FieldCode::InvalidOperator)),
        ("seats", "in(any).(1)", Err(FieldCode::InvalidOperator)),
        ("tags", "eq(any).{a}", Err(FieldCode::InvalidOperator)),
    ]);
}

#[test]
fn searches_have_a_language() {
    check(&[
        (
            "title",
            "fts.cat&rat",
            Ok("title Operators simple ['cat' & 'rat']"),
        ),
        (
            "title",
            "fts(german).katze:*",
            Ok("title Operators german ['katze':*]"),
        ),
        (
            "title",
            "plfts(english).the cats",
            Ok("title Plain english [the cats]"),
        ),
        ("stage", "phfts.a b", Ok("stage Phrase simple [a b]")),
        (
            "extra",
            "wfts(french).\"a b\" -c",
            Ok("extra Web french [\"a b\" -c]"),
        ),
        ("extra->>a", "plfts.", Ok("extra->>a Plain simple []")),
        ("title", "fts.a b", Err(FieldCode::InvalidValue)),
        ("title", "plfts.a\0", Err(FieldCode::InvalidValue)),
        ("title", "fts(klingon).a", Err(FieldCode::InvalidOperator)),
        ("title", "fts(English).a", Err(FieldCode::InvalidOperator)),
        (
            "title",
            "fts(english');--).a",
            Err(FieldCode::InvalidOperator),
        ),
        ("title", "fts().a", Err(FieldCode::InvalidOperator)),
        ("seats", "fts.a", Err(FieldCode::InvalidOperator)),
        ("tags", "plfts.a", Err(FieldCode::InvalidOperator)),
    ]);
}

#[test]
fn an_operator_that_does_not_fit_is_refused() {
    use FieldCode::{InvalidOperator, InvalidValue, UnknownField};
    check(&[
        ("tags", "in.(a)", Err(InvalidOperator)),
        ("tags", "like.a", Err(InvalidOperator)),
        ("amount", "like.1*", Err(InvalidOperator)),
        ("company_id", "ilike.a*", Err(InvalidOperator)),
        ("seats", "match.1", Err(InvalidOperator)),
        ("title", "cs.{a}", Err(InvalidOperator)),
        ("extra", "ov.{}", Err(InvalidOperator)),
        ("extra", "like.a", Err(InvalidOperator)),
        ("extra->a", "like.a", Err(InvalidOperator)),
        ("extra->>a", "cs.{}", Err(InvalidOperator)),
        ("extra->a", "is.true", Err(InvalidOperator)),
        ("extra->a", "eq.x", Err(InvalidValue)),
        ("extra", "cs.{a}", Err(InvalidValue)),
        ("tags", "cs.a", Err(InvalidValue)),
        ("tags", "eq.{a", Err(InvalidValue)),
        ("amount", "isdistinct.null", Err(InvalidValue)),
        ("title", "match.a\0", Err(InvalidValue)),
        ("title", "is.true", Err(InvalidOperator)),
        ("title", "a", Err(InvalidOperator)),
        ("title", "eq", Err(InvalidOperator)),
        ("title", "", Err(InvalidOperator)),
        ("title", "EQ.a", Err(InvalidOperator)),
        ("title", "not.not.eq.a", Err(InvalidOperator)),
        ("title", "not.a", Err(InvalidOperator)),
        ("tenant_id", "eq.x", Err(UnknownField)),
        ("delete_id", "is.null", Err(UnknownField)),
        ("title\"; drop", "eq.x", Err(UnknownField)),
        ("title->a", "eq.x", Err(InvalidOperator)),
    ]);
    for operator in ["sl", "sr", "nxr", "nxl", "adj"] {
        let error = parse_condition(&model(), "seats", &format!("{operator}.[1,2)")).unwrap_err();
        assert_eq!(error.code, InvalidOperator);
        let message = format!("operator {operator} takes ranges, which no field is");
        assert_eq!(error.message, message);
    }
    let error = parse_condition(&model(), "hot", "like.true").unwrap_err();
    assert_eq!(error.field, "hot");
    assert_eq!(
        error.message,
        "operator like does not take type bool; it takes text, enum"
    );
}

/// Every operator of the table is taken with some value, and no other is.
#[test]
fn the_table_of_operators_is_what_is_parsed() {
    let model = model();
    let values = [
        "1",
        "true",
        "a",
        "(1)",
        "()",
        "null",
        "2026-01-02",
        "2026-01-02T03:04:05Z",
        "03:04:05",
        "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01",
        "10.0.0.1",
        "YQ==",
        "{}",
    ];
    for column in model.columns() {
        for operator in Operator::ALL {
            let taken = |text: String| {
                values.iter().any(|value| {
                    let condition = format!("{text}.{value}");
                    parse_condition(&model, column.name.as_str(), &condition).is_ok()
                })
            };
            let (name, kind) = (operator.name(), &column.field_type);
            assert_eq!(
                taken(name.into()),
                operator.takes(kind),
                "{name} {}",
                kind.name()
            );
            let quantified = operator.takes(kind) && takes_quantifier(operator, kind);
            assert_eq!(
                taken(format!("{name}(any)")),
                quantified,
                "{name}(any) {}",
                kind.name()
            );
            let searched = operator.takes(kind) && operator.is_search();
            assert_eq!(
                taken(format!("{name}(english)")),
                searched,
                "{name}(english) {}",
                kind.name()
            );
        }
    }
}

#[test]
fn limits_hold_at_the_bound_and_not_past_it() {
    let repeat = |text: &str, n: usize| text.repeat(n);
    let list = |n: usize| vec!["1"; n].join(",");
    let most = |field: &str, at: &dyn Fn(usize) -> String, bound: usize| {
        assert!(
            parse_condition(&model(), field, &at(bound)).is_ok(),
            "{field} {bound}"
        );
        let error = parse_condition(&model(), field, &at(bound + 1)).unwrap_err();
        assert_eq!(error.code, FieldCode::LimitExceeded, "{field} {bound}");
        assert_eq!(error.field, field);
    };
    most("seats", &|n| format!("in.({})", list(n)), IN_VALUES_MAX);
    most("tags", &|n| format!("ov.{{{}}}", list(n)), IN_VALUES_MAX);
    most(
        "seats",
        &|n| format!("eq(any).{{{}}}", list(n)),
        QUANTIFIED_VALUES_MAX,
    );
    most(
        "title",
        &|n| format!("imatch(all).{{{}}}", list(n)),
        QUANTIFIED_VALUES_MAX,
    );
    most(
        "title",
        &|n| format!("match.{}", repeat("é", n)),
        PATTERN_CHARS_MAX,
    );
    most(
        "title",
        &|n| format!("imatch(any).{{{}}}", repeat("é", n)),
        PATTERN_CHARS_MAX,
    );
    most(
        "title",
        &|n| format!("wfts.{}", repeat("é", n)),
        SEARCH_CHARS_MAX,
    );
    most(
        "extra->a",
        &|n| format!("eq.{}{}", repeat("[", n), repeat("]", n)),
        31,
    );
}

proptest::proptest! {
    #[test]
    fn no_text_panics(field in "(title|amount|seats|hot|stage|tags|id|.{0,8})", text in ".{0,40}") {
        let _ = parse_condition(&model(), &field, &text);
    }

    #[test]
    fn no_text_with_an_operator_panics(
        field in "(title|amount|seats|score|hot|stage|company_id|closes|seen|opens|extra|extra->a|extra->>0|tags|blob|ip|id)",
        operator in "(not\\.)?(eq|neq|gt|gte|lt|lte|like|ilike|match|imatch|in|is|isdistinct|fts|plfts|wfts|cs|cd|ov|sl)(\\((any|all|english|x)\\))?",
        value in "[\\(\\)\",\\\\{}\\[\\]0-9eE.+:TZé*-]{0,40}",
    ) {
        let _ = parse_condition(&model(), &field, &format!("{operator}.{value}"));
    }

    /// The text of a statement is that of the request's shape: other values, keys and languages leave it as it is, and
    /// none of them is found in it.
    #[test]
    fn values_never_reach_the_text(
        at in 0usize..SHAPES.len(),
        one in "canary[a-z]{1,12}",
        other in "canary[a-z' \"]{1,12}",
    ) {
        let (field, condition) = SHAPES[at];
        let text_of = |value: &str, quoted: &str| {
            let fill = |text: &str| text.replace("{json}", &serde_json::to_string(value).unwrap()).replace("{}", quoted);
            let filter = parse_condition(&model(), &fill(field), &fill(condition)).unwrap();
            let model = model();
            let scope = sql::postgres::select::Scope {
                tenant: "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01".parse().unwrap(),
                model: model.name(),
                filter: &filter,
                deleted: sql::postgres::select::Deleted::Exclude,
                related: &[],
            };
            scope.count(None).text
        };
        let quoted = format!("\"{}\"", other.replace('"', "\\\""));
        let text = text_of(&one, &one);
        let same = text_of(&other, if field.contains("{}") || condition.contains("{{}") { &quoted } else { &one });
        proptest::prop_assert!(!text.contains("canary"), "{}", text);
        proptest::prop_assert_eq!(text, same);
    }
}

const SHAPES: [(&str, &str); 14] = [
    ("title", "eq.{json}"),
    ("title", "not.gt.{json}"),
    ("title", "like.*{json}*"),
    ("title", "match.{json}"),
    ("title", "in.({},b)"),
    ("title", "isdistinct.{json}"),
    ("title", "eq(any).{{},b}"),
    ("title", "plfts(english).{json}"),
    ("title", "fts.{}"),
    ("tags", "cs.{{}}"),
    ("extra->{}", "eq.{json}"),
    ("extra->{}->>{}", "ilike.{json}"),
    ("extra", "cs.{json}"),
    ("stage", "gte(all).{a,{}}"),
];
