//! What is sent is what can be read.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    events::{Event, row},
    running::Running,
    stack::{Stack, eventually, with_stack},
};

/// Every type, once optional (`o_…`) and once required (`r_…`).
fn every_type() -> Value {
    let types = [
        json!({"type": "bool"}),
        json!({"type": "int16"}),
        json!({"type": "int32"}),
        json!({"type": "int64"}),
        json!({"type": "float64"}),
        json!({"type": "decimal", "precision": 9, "scale": 2}),
        json!({"type": "decimal", "precision": 18, "scale": 4}),
        json!({"type": "decimal", "precision": 38, "scale": 10}),
        json!({"type": "text"}),
        json!({"type": "uuid"}),
        json!({"type": "date"}),
        json!({"type": "timestamp"}),
        json!({"type": "time"}),
        json!({"type": "json"}),
        json!({"type": "bytes"}),
        json!({"type": "enum", "values": ["open", "won"]}),
        json!({"type": "inet"}),
        json!({"type": "array", "items": "text"}),
        json!({"type": "array", "items": "int64"}),
        json!({"type": "array", "items": "uuid"}),
        json!({"type": "array", "items": "timestamp"}),
        json!({"type": "array", "items": "bool"}),
        json!({"type": "array", "items": "float64"}),
        json!({"type": "array", "items": "date"}),
        json!({"type": "vector", "dimension": 3}),
    ];
    let mut fields = Vec::new();
    for (prefix, required) in [("o", false), ("r", true)] {
        for (i, kind) in types.iter().enumerate() {
            let mut field = kind.clone();
            field["name"] = json!(format!("{prefix}_{i}"));
            field["required"] = json!(required);
            fields.push(field);
        }
    }
    json!({"module": "crm", "model": "things", "fields": fields})
}

/// As Debezium writes them, and as ClickHouse answers them.
fn samples() -> Vec<(Value, Value)> {
    let uuid = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e77";
    let same = |v: Value| (v.clone(), v);
    vec![
        same(json!(true)),
        same(json!(-32768)),
        same(json!(2147483647)),
        (
            json!(-9223372036854775808_i64),
            json!("-9223372036854775808"),
        ),
        same(json!(0.1)),
        (json!("1234567.89"), json!("1234567.89")),
        (json!("-12345678901234.0001"), json!("-12345678901234.0001")),
        (
            json!("1234567890123456789012345678.0123456789"),
            json!("1234567890123456789012345678.0123456789"),
        ),
        same(json!("naïve \"quotes\"\n\t\\ 🦀")),
        same(json!(uuid)),
        (json!(20_454), json!("2026-01-01")),
        (
            json!("2026-01-02T03:04:05.123456Z"),
            json!("2026-01-02 03:04:05.123456"),
        ),
        (json!(86_399_999_999_i64), json!("86399999999")),
        same(json!("{\"a\": [1, {\"b\": null}]}")),
        same(json!("AAEC/w==")),
        same(json!("won")),
        same(json!("2001:db8::/32")),
        same(json!(["a", "", "ä\"b"])),
        (
            json!([1, -9223372036854775808_i64]),
            json!(["1", "-9223372036854775808"]),
        ),
        same(json!([uuid])),
        (
            json!(["2026-01-02T03:04:05Z"]),
            json!(["2026-01-02 03:04:05.000000"]),
        ),
        same(json!([true, false])),
        same(json!([1.5, -2.25])),
        (json!([0, -1]), json!(["1970-01-01", "1969-12-31"])),
        same(json!([0.1, -2.25, 1e38])),
    ]
}

async fn the_row(stack: &Stack, n: u64) -> Option<Value> {
    let query = format!(
        "select * from {}.crm__things__g1 final where record_id = UUIDStringToNum('{}') \
         settings output_format_json_quote_64bit_integers = 1",
        stack.name,
        crate::support::events::id(n)
    );
    stack.rows(&query).await.pop()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_as_it_was_sent() {
    with_stack(|stack| async move {
        stack.publish(every_type()).await;
        let running = Running::start(stack.config()).joined().await;
        let (mut sent, mut nulls) = (json!({}), json!({}));
        for (i, (value, _)) in samples().into_iter().enumerate() {
            sent[format!("o_{i}")] = value.clone();
            sent[format!("r_{i}")] = value.clone();
            nulls[format!("o_{i}")] = Value::Null;
            nulls[format!("r_{i}")] = value;
        }
        stack
            .send(0, Event::change("c", "things", 100, row(1, sent)))
            .await;
        stack
            .send(1, Event::change("c", "things", 110, row(2, nulls)))
            .await;
        let stack = &*stack;
        eventually("both rows are visible", Duration::from_secs(10), || async {
            stack.count("crm", "things").await == 2
        })
        .await;

        let (full, nulls) = (
            the_row(stack, 1).await.unwrap(),
            the_row(stack, 2).await.unwrap(),
        );
        for (i, (_, expected)) in samples().into_iter().enumerate() {
            assert_eq!(full[format!("o_{i}")], expected, "o_{i}");
            assert_eq!(full[format!("r_{i}")], expected, "r_{i}");
            assert_eq!(nulls[format!("r_{i}")], expected, "r_{i}");
            let absent = if expected.is_array() {
                json!([])
            } else {
                Value::Null
            };
            assert_eq!(nulls[format!("o_{i}")], absent, "o_{i}");
        }
        assert_eq!(full["tenant_id"], json!(crate::support::events::TENANT));
        assert_eq!(full["version"], json!("1"));
        assert_eq!(full["created_by"], json!("ada"));
        assert_eq!(full["deleted_at"], Value::Null);
        running.drain().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_value_is_read_back() {
    with_stack(|stack| async move {
        let fields = json!([
            {"name": "title", "type": "text"}, {"name": "body", "type": "text", "required": true},
            {"name": "labels", "type": "array", "items": "text"},
        ]);
        stack
            .publish(json!({"module": "crm", "model": "notes", "fields": fields}))
            .await;
        sqlx::query("update platform.data_plane set unavailable_placeholder = '__unavailable_5f'")
            .execute(&stack.pool)
            .await
            .unwrap();
        let running = Running::start(stack.config()).joined().await;
        let (body, labels) = ("b".repeat(9_000), json!(["l".repeat(9_000)]));
        let created = row(1, json!({"title": "new", "body": body, "labels": labels}));
        let updated = row(
            1,
            json!({"title": "old", "body": "__unavailable_5f", "labels": ["__unavailable_5f"]}),
        );
        stack
            .send(0, Event::change("c", "notes", 100, created))
            .await;
        stack
            .send(0, Event::change("u", "notes", 110, updated.clone()))
            .await;
        // What ClickHouse does not hold either cannot be written.
        let unknown = json!({"title": "x", "body": "__unavailable_5f", "labels": []});
        stack
            .send(0, Event::change("u", "notes", 120, row(2, unknown)))
            .await;
        stack
            .send(
                0,
                Event::change(
                    "c",
                    "notes",
                    130,
                    row(3, json!({"title": "last", "body": ""})),
                ),
            )
            .await;
        let stack = &*stack;
        eventually(
            "the rows behind are visible",
            Duration::from_secs(10),
            || async { stack.count("crm", "notes").await == 2 },
        )
        .await;
        let query = format!(
            "select title, body, labels from {}.crm__notes__g1 final where title = 'old'",
            stack.name
        );
        assert_eq!(
            stack.rows(&query).await,
            [json!({"title": "old", "body": body, "labels": labels})]
        );
        assert_eq!(
            running
                .metrics
                .dead_total(sink::metrics::ErrorClass::Placeholder),
            1
        );
        running.drain().await;
    })
    .await;
}
