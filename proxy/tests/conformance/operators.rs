//! Every operator on every type: the rows that PostgreSQL gives for it, or a refusal that names what takes it.

use std::collections::BTreeSet;

use http::StatusCode;

use super::{
    kinds::{KINDS, Kind},
    lab::{Lab, pair},
};

/// The operators of the language.
pub const OPERATORS: [&str; 25] = [
    "eq",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "like",
    "ilike",
    "match",
    "imatch",
    "in",
    "is",
    "isdistinct",
    "fts",
    "plfts",
    "phfts",
    "wfts",
    "cs",
    "cd",
    "ov",
    "sl",
    "sr",
    "nxr",
    "nxl",
    "adj",
];

/// What PostgreSQL could do and the language leaves out, as `docs/query-language.md` says with the reason.
const LEFT_OUT: [(&str, &str); 16] = [
    ("like", "bytes"),
    ("ilike", "bytes"),
    ("in", "array"),
    ("sl", "inet"),
    ("sr", "inet"),
    ("eq", "vector"),
    ("neq", "vector"),
    ("gt", "vector"),
    ("gte", "vector"),
    ("lt", "vector"),
    ("lte", "vector"),
    ("in", "vector"),
    ("isdistinct", "vector"),
    ("cs", "vector"),
    ("cd", "vector"),
    ("ov", "vector"),
];

/// One request's value and the condition that means the same.
struct Case {
    value: String,
    condition: String,
}

#[tokio::test]
async fn every_operator_works_on_every_type_or_is_refused_by_name() {
    let lab = Lab::new().await;
    let mut served = BTreeSet::new();
    for kind in &KINDS {
        for operator in OPERATORS {
            if check(&lab, kind, operator).await {
                served.insert((operator, kind.name));
            }
        }
    }
    lab.finish().await;
}

/// Whether the operator is served.
async fn check(lab: &Lab, kind: &Kind, operator: &str) -> bool {
    let cases = cases(kind, operator);
    let probe = &cases[0];
    let target = format!(
        "samples?select=id&limit=1000&{}",
        pair(kind.field, &format!("{operator}.{}", probe.value))
    );
    let seen = lab.get(&target).await;
    if seen.status == StatusCode::BAD_REQUEST
        && seen.errors() == [format!("{} INVALID_OPERATOR", kind.field)]
    {
        let sql = format!(
            "select id::text from oracle.samples t where {}",
            probe.condition
        );
        let exists = lab.try_rows(&sql).await.is_ok();
        let left_out = LEFT_OUT.contains(&(operator, kind.name));
        if exists && !left_out {
            lab.fail(format!(
                "PostgreSQL has {operator} on {}\n  {}\n  {}",
                kind.name, seen.text, probe.condition
            ))
            .await;
        }
        let message = seen.json()["errors"][0]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if !message.contains(operator) || !message.contains(kind.name) && !message.contains("range")
        {
            lab.fail(format!(
                "names neither operator nor type: {operator} on {}\n  {message}",
                kind.name
            ))
            .await;
        }
        return false;
    }
    for (i, case) in cases.iter().enumerate() {
        let Case { value, condition } = case;
        let plain = pair(kind.field, &format!("{operator}.{value}"));
        lab.expect_ids("samples", &plain, condition, "id").await;
        if i < 3 {
            let negated = pair(kind.field, &format!("not.{operator}.{value}"));
            lab.expect_ids("samples", &negated, &format!("not ({condition})"), "id")
                .await;
        }
    }
    true
}

fn cases(kind: &Kind, operator: &str) -> Vec<Case> {
    let field = format!("t.{}", kind.field);
    let case = |value: &str, condition: String| Case {
        value: value.to_owned(),
        condition,
    };
    let infix = |sql: &str| -> Vec<Case> {
        kind.asked()
            .map(|value| case(value, format!("{field} {sql} {}", kind.literal(value))))
            .collect()
    };
    let patterns = |sql: &str, wild: &str| -> Vec<Case> {
        [
            "a*", "*o*", "_", "*", "%a%", "", "Ünd*", "ünd*", "A\\%", "*\"*", "100\\%", "a\\_b",
            "*\\\\*", "漢*", "(x)",
        ]
        .iter()
        .map(|p| case(p, format!("{field} {sql} '{}'", p.replace('*', wild))))
        .collect()
    };
    let regexes = |sql: &str| -> Vec<Case> {
        [
            "^a",
            "o.*e",
            "^$",
            ".",
            "[[:upper:]]",
            "\\d+",
            "(x|y)",
            "ä",
            "\\.",
            "^.$",
            "a,b",
        ]
        .iter()
        .map(|p| case(p, format!("{field} {sql} '{p}'")))
        .collect()
    };
    let search = |function: &str, texts: &[&str]| -> Vec<Case> {
        let document = format!("to_tsvector('simple', {field})");
        texts
            .iter()
            .map(|text| {
                case(
                    text,
                    format!("{document} @@ {function}('simple', '{text}')"),
                )
            })
            .collect()
    };
    match operator {
        "eq" => infix("="),
        "neq" => infix("<>"),
        "gt" => infix(">"),
        "gte" => infix(">="),
        "lt" => infix("<"),
        "lte" => infix("<="),
        "isdistinct" => infix("is distinct from"),
        "like" => patterns("like", "%"),
        "ilike" => patterns("ilike", "%"),
        "match" => regexes("~"),
        "imatch" => regexes("~*"),
        "in" => lists(kind, &field),
        "is" => {
            let mut cases = vec![
                case("null", format!("{field} is null")),
                case("not_null", format!("{field} is not null")),
            ];
            if kind.name == "bool" {
                cases.extend(
                    ["true", "false", "unknown", "TRUE"]
                        .map(|w| case(w, format!("{field} is {w}"))),
                );
            }
            cases
        }
        "fts" => search(
            "to_tsquery",
            &[
                "fox",
                "fox & quick",
                "quick | nothing",
                "!fox",
                "brown <-> foxes",
                "bro:*",
                "!(quick | jumping)",
                "foxes:*",
            ],
        ),
        "plfts" => search("plainto_tsquery", &["fox", "jumping foxes", "the", ""]),
        "phfts" => search("phraseto_tsquery", &["brown foxes", "foxes brown", "x"]),
        "wfts" => search(
            "websearch_to_tsquery",
            &["\"brown foxes\" -cat", "fox or cat", "-fox"],
        ),
        "cs" => infix("@>"),
        "cd" => infix("<@"),
        "ov" => infix("&&"),
        "sl" => infix("<<"),
        "sr" => infix(">>"),
        "nxr" => infix("&<"),
        "nxl" => infix("&>"),
        "adj" => infix("-|-"),
        other => unreachable!("{other} is in the list"),
    }
}

/// A value as a member of `in.(…)`, with every quote and backslash escaped.
pub fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn lists(kind: &Kind, field: &str) -> Vec<Case> {
    let values: Vec<_> = kind.asked().collect();
    let list = |values: &[&str]| -> Case {
        let wire: Vec<_> = values.iter().map(|v| quoted(v)).collect();
        let sql: Vec<_> = values
            .iter()
            .map(|v| format!("{field} = {}", kind.literal(v)))
            .collect();
        let condition = if sql.is_empty() {
            "false".into()
        } else {
            sql.join(" or ")
        };
        Case {
            value: format!("({})", wire.join(",")),
            condition,
        }
    };
    vec![
        list(&values[..1]),
        list(&values),
        list(&[]),
        list(&values[values.len() / 2..]),
    ]
}

#[tokio::test]
async fn any_and_all_compare_with_each_value_of_a_list() {
    let lab = Lab::new().await;
    let comparisons = [
        ("eq", "="),
        ("gt", ">"),
        ("gte", ">="),
        ("lt", "<"),
        ("lte", "<="),
    ];
    for kind in KINDS.iter().filter(|k| k.has_order()) {
        let values: Vec<_> = kind.asked().collect();
        for (operator, sql) in comparisons {
            for (word, joint, empty) in [("any", " or ", "false"), ("all", " and ", "true")] {
                for values in [
                    &values[..],
                    &values[..1],
                    &values[..0],
                    &values[values.len() / 2..],
                ] {
                    let wire: Vec<_> = values.iter().map(|v| quoted(v)).collect();
                    let text = format!("{operator}({word}).{{{}}}", wire.join(","));
                    let each: Vec<_> = values
                        .iter()
                        .map(|v| format!("t.{} {sql} {}", kind.field, kind.literal(v)))
                        .collect();
                    let condition = if each.is_empty() {
                        empty.into()
                    } else {
                        each.join(joint)
                    };
                    lab.expect_ids("samples", &pair(kind.field, &text), &condition, "id")
                        .await;
                    let negated = pair(kind.field, &format!("not.{text}"));
                    lab.expect_ids("samples", &negated, &format!("not ({condition})"), "id")
                        .await;
                }
            }
        }
    }
    for (operator, sql) in [
        ("like", "like"),
        ("ilike", "ilike"),
        ("match", "~"),
        ("imatch", "~*"),
    ] {
        let patterns: [&str; 3] = if sql.contains("like") {
            ["a*", "*o*", "A"]
        } else {
            ["^a", "o", "A"]
        };
        for (word, joint) in [("any", " or "), ("all", " and ")] {
            let wire: Vec<_> = patterns.iter().map(|v| quoted(v)).collect();
            let each: Vec<_> = patterns
                .iter()
                .map(|p| {
                    format!(
                        "t.a_text {sql} '{}'",
                        if sql.contains("like") {
                            p.replace('*', "%")
                        } else {
                            (*p).to_owned()
                        }
                    )
                })
                .collect();
            let text = format!("{operator}({word}).{{{}}}", wire.join(","));
            lab.expect_ids("samples", &pair("a_text", &text), &each.join(joint), "id")
                .await;
        }
    }
    // The others have no such form, as in PostgREST.
    for operator in ["neq", "in", "is", "isdistinct", "fts", "cs", "cd", "ov"] {
        for field in ["a_text", "texts"] {
            lab.refused(
                &format!("samples?{field}={operator}(any).{{a}}"),
                &[&format!("{field} INVALID_OPERATOR")],
            )
            .await;
        }
    }
    lab.finish().await;
}
