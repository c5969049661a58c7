use model::ModuleModel;

use super::*;
use crate::{
    clickhouse::aggregate::Aggregate,
    filter::{Comparison, Condition, Pattern, Test},
};

/// A model with a field of each type, named as the type; some have columns of another name.
fn every_type() -> ModuleModel {
    serde_json::from_value(serde_json::json!({
        "module": "crm", "model": "things", "autoApi": true, "analytics": true, "maxPageSize": 1000,
        "fields": [
            {"name": "bool", "type": "bool"},
            {"name": "int16", "type": "int16", "required": true},
            {"name": "int32", "type": "int32"},
            {"name": "int64", "type": "int64"},
            {"name": "float64", "type": "float64"},
            {"name": "decimal", "column": "decimal__2", "type": "decimal", "precision": 38, "scale": 2},
            {"name": "text", "type": "text"},
            {"name": "uuid", "column": "uuid__2", "type": "uuid"},
            {"name": "date", "type": "date"},
            {"name": "timestamp", "column": "timestamp__2", "type": "timestamp"},
            {"name": "time", "type": "time"},
            {"name": "json", "type": "json"},
            {"name": "bytes", "type": "bytes"},
            {"name": "enum", "type": "enum", "values": ["open", "won"]},
            {"name": "inet", "type": "inet"},
            {"name": "array", "type": "array", "items": "text"},
            {"name": "vector", "type": "vector", "dimension": 3},
        ],
    }))
    .unwrap()
}

fn column(name: &str) -> Column {
    every_type().column(name).unwrap().clone()
}

fn query(dimensions: Vec<Dimension>, filter: Filter) -> Query {
    let model = every_type();
    Query {
        tenant: "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01".parse().unwrap(),
        model: model.name().clone(),
        generation: Generation(1),
        dimensions,
        metrics: vec![Metric {
            aggregate: Aggregate::Count,
            column: None,
        }],
        filter,
        deleted: Deleted::Exclude,
        order: Vec::new(),
        limit: 1_000,
    }
}

fn no_filter() -> Filter {
    Filter::And(Vec::new())
}

fn test_of(name: &str, test: Test) -> Filter {
    Filter::Condition(Condition {
        operand: column(name).into(),
        test,
    })
}

/// What follows the tenant in the condition, and the values.
fn condition_of(filter: Filter) -> String {
    let TenantStatement { statement, .. } = render(&query(Vec::new(), filter));
    let condition = statement
        .text
        .split("IS NULL AND ")
        .nth(1)
        .unwrap()
        .split("\nLIMIT")
        .next()
        .unwrap();
    let values: Vec<_> = statement.binds.into_iter().flatten().collect();
    format!("{condition}    {values:?}")
}

#[test]
fn every_aggregate_of_every_type_that_it_takes() {
    let mut lines = Vec::new();
    for aggregate in Aggregate::ALL {
        for column in every_type()
            .columns()
            .iter()
            .filter(|c| aggregate.takes(&c.field_type))
        {
            lines.push(aggregate::render(&Metric {
                aggregate,
                column: Some(column.clone()),
            }));
        }
    }
    lines.push(aggregate::render(&Metric {
        aggregate: Aggregate::Count,
        column: None,
    }));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_operator_keeps_its_values_out_of_the_text() {
    let samples = [
        ("id", "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01"),
        ("bool", "true"),
        ("int16", "1"),
        ("int64", "-9223372036854775808"),
        ("float64", "1.5"),
        ("decimal", "1.505"),
        ("text", "it's \\ {p1:String}\n"),
        ("uuid", "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01"),
        ("date", "2026-01-02"),
        ("timestamp", "2026-01-02T03:04:05.000006Z"),
        ("time", "03:04:05.000006"),
        ("bytes", "AAEC"),
        ("enum", "won"),
        ("inet", "10.0.0.0/8"),
        ("created_at", "2026-01-02T03:04:05.000000Z"),
        ("version", "7"),
    ];
    let mut lines = Vec::new();
    for (name, value) in samples {
        for comparison in [Comparison::Eq, Comparison::Gt] {
            lines.push(condition_of(test_of(
                name,
                Test::Compare(comparison, value.into()),
            )));
        }
        lines.push(condition_of(test_of(
            name,
            Test::In(vec![value.into(), value.into()]),
        )));
    }
    lines.push(condition_of(test_of(
        "text",
        Test::Pattern(Pattern::Like, "a\\b%".into()),
    )));
    lines.push(condition_of(test_of(
        "text",
        Test::Pattern(Pattern::ILike, "a%".into()),
    )));
    lines.push(condition_of(test_of("text", Test::In(Vec::new()))));
    for test in [Test::IsNull, Test::IsBool(true), Test::IsBool(false)] {
        lines.push(condition_of(test_of("bool", test)));
    }
    let null = test_of("json", Test::IsNull);
    lines.push(condition_of(Filter::Not(Box::new(null.clone()))));
    lines.push(condition_of(Filter::Or(vec![
        Filter::And(vec![null.clone(), null.clone()]),
        null,
    ])));
    lines.push(condition_of(Filter::Or(Vec::new())));
    lines.push(condition_of(test_of("vector", Test::IsNull)));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn buckets_of_time() {
    let mut lines = Vec::new();
    for interval in Interval::ALL {
        let bucket = Dimension::Bucket {
            column: column("timestamp"),
            interval,
            time_zone: "Europe/Berlin".into(),
        };
        lines.push(render_dimension(&bucket, &mut Params::default()));
        lines.push(render_dimension(
            &Dimension::Days(column("date"), interval),
            &mut Params::default(),
        ));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_whole_query() {
    let bucket = Dimension::Bucket {
        column: column("created_at"),
        interval: Interval::Month,
        time_zone: "Europe/Berlin".into(),
    };
    let won = test_of("enum", Test::Compare(Comparison::Eq, "won".into()));
    let mut query = query(
        vec![bucket, Dimension::Value(column("uuid"))],
        Filter::Or(vec![won, no_filter()]),
    );
    query.metrics.push(Metric {
        aggregate: Aggregate::Sum,
        column: Some(column("decimal")),
    });
    query.order = vec![
        Order {
            key: Key::Metric(1),
            descending: true,
            nulls_first: true,
        },
        Order {
            key: Key::Dimension(1),
            descending: false,
            nulls_first: false,
        },
    ];
    query.deleted = Deleted::Only;
    let TenantStatement { tenant, statement } = render(&query);
    assert_eq!(tenant, query.tenant);
    insta::assert_snapshot!(format!("{}\n{:?}", statement.text, statement.binds));
}

#[test]
fn no_query_leaves_its_tenant_or_reads_old_versions() {
    for deleted in [Deleted::Exclude, Deleted::Include, Deleted::Only] {
        let text = render(&Query {
            deleted,
            ..query(Vec::new(), no_filter())
        })
        .statement
        .text;
        assert!(
            text.contains(" FINAL\nWHERE `tenant_id` = {tenant:UUID}"),
            "{text}"
        );
        assert!(!text.contains("PREWHERE"), "{text}");
    }
}

#[test]
fn what_the_stores_would_not_agree_on_is_not_answered() {
    use crate::filter::{Containment, JsonPath, Operand, Quantifier, Relation};
    let refusal = |test: Filter| {
        let filter = Filter::Not(Box::new(Filter::Or(vec![no_filter(), test])));
        filter::unanswerable(&filter).unwrap_or_default()
    };
    let compared = |name: &str, comparison| test_of(name, Test::Compare(comparison, "1".into()));
    let (eq, gt) = (Comparison::Eq, Comparison::Gt);
    assert!(refusal(test_of("array", Test::IsNull)).contains("array"));
    assert!(refusal(compared("bool", gt)).contains("gt does not take type bool"));
    assert!(refusal(compared("json", eq)).contains("eq does not take type json"));
    for test in [
        Test::Pattern(Pattern::Match, "a".into()),
        Test::Quantified(Relation::Compare(eq), Quantifier::Any, vec![]),
        Test::IsDistinct("a".into()),
        Test::Contain(Containment::Contains, "a".into()),
    ] {
        assert!(refusal(test_of("text", test)).contains("text in analytics"));
    }
    let inside = Filter::Condition(Condition {
        operand: Operand {
            column: column("json"),
            path: Some(JsonPath {
                steps: vec!["a".into()],
                as_text: true,
            }),
        },
        test: Test::IsNull,
    });
    assert!(refusal(inside).contains("inside of JSON"));
    for answered in [
        test_of("json", Test::IsNull),
        compared("bool", eq),
        compared("uuid", gt),
        test_of("text", Test::Pattern(Pattern::ILike, "a".into())),
    ] {
        assert_eq!(refusal(answered), "");
    }
}
