//! Records that are newer than what the sink knows of the catalogue.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    events::{Event, row},
    running::Running,
    stack::{eventually, with_stack},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_published_later_is_picked_up() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let title = json!({"name": "title", "type": "text"});
        stack
            .publish(json!({"module": "crm", "model": "deals", "fields": [title]}))
            .await;
        let running = Running::start(stack.config()).joined().await;
        // Nobody captures this one: skipped, and what is behind it goes on.
        stack
            .send(0, Event::change("c", "nobodys", 90, row(9, json!({}))))
            .await;
        stack
            .send(
                0,
                Event::change("c", "deals", 100, row(1, json!({"title": "a"}))),
            )
            .await;
        eventually("the captured row", Duration::from_secs(10), || async {
            stack.count("crm", "deals").await == 1
        })
        .await;

        let names = json!([{"name": "name", "type": "text"}]);
        stack
            .publish(json!({"module": "crm", "model": "companies", "fields": names}))
            .await;
        stack
            .send(
                0,
                Event::change("c", "companies", 110, row(2, json!({"name": "b"}))),
            )
            .await;
        eventually("the new table", Duration::from_secs(10), || async {
            stack.count("crm", "companies").await == 1
        })
        .await;
        running.drain().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_the_catalogue_does_not_have_is_passed_over_and_a_new_one_is_not() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let title = json!({"name": "title", "type": "text"});
        let document = |fields| json!({"module": "crm", "model": "deals", "fields": fields});
        stack.publish(document(json!([title]))).await;
        let running = Running::start(stack.config()).joined().await;
        let event = |lsn, n, fields| Event::change("c", "deals", lsn, row(n, fields));
        // Somebody's own column, or one that has been dropped since.
        stack
            .send(0, event(100, 1, json!({"title": "a", "mine": 5})))
            .await;
        stack
            .send(0, event(110, 2, json!({"title": "b", "mine": 6})))
            .await;
        eventually("the rows without it", Duration::from_secs(10), || async {
            stack.count("crm", "deals").await == 2
        })
        .await;

        // Published in the transaction that makes the column: no event with it can be older.
        let table = "`septem_data`.crm__deals__g1";
        let add = format!("alter table {table} add column stars Nullable(Int32) after title");
        stack.execute(&add).await;
        let stars = json!({"name": "stars", "type": "int32"});
        stack.publish(document(json!([title, stars]))).await;
        stack
            .send(
                0,
                event(120, 3, json!({"title": "c", "mine": 7, "stars": 4})),
            )
            .await;
        stack.send(1, event(130, 4, json!({"title": "d"}))).await;
        let query = format!(
            "select title, stars from {}.crm__deals__g1 final order by title",
            stack.name
        );
        let expected = [("a", None), ("b", None), ("c", Some(4)), ("d", None)]
            .map(|(title, stars)| json!({"title": title, "stars": stars}));
        eventually("the stars", Duration::from_secs(10), || async {
            stack.rows(&query).await == expected
        })
        .await;
        running.drain().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_changes_its_column_loses_no_value() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let document = |fields, filling| {
            json!({"module": "crm", "model": "deals", "fields": fields, "filling": filling})
        };
        let old = json!({"name": "amount", "type": "int16"});
        let new = json!({"name": "amount", "column": "amount__2", "type": "int64"});
        stack.publish(document(json!([old]), json!([]))).await;
        let running = Running::start(stack.config()).joined().await;
        let event = |lsn, n, fields| Event::change("u", "deals", lsn, row(n, fields));
        stack.send(0, event(100, 1, json!({"amount": 1}))).await;
        stack.send(0, event(110, 2, json!({"amount": 2}))).await;
        eventually("the first rows", Duration::from_secs(10), || async {
            stack.count("crm", "deals").await == 2
        })
        .await;

        // Expanded: both columns in each event, the second filled before anybody reads it.
        let table = "`septem_data`.crm__deals__g1";
        stack.execute(&format!("alter table {table} add column amount__2 Nullable(Int64)")).await;
        stack.publish(document(json!([old]), json!([new]))).await;
        stack.send(0, event(120, 1, json!({"amount": 1, "amount__2": 1}))).await;
        stack.send(0, event(130, 2, json!({"amount": 2, "amount__2": 2}))).await;
        let query = format!(
            "select ifNull(toString(amount__2), 'null') as v from {}.crm__deals__g1 final order by record_id",
            stack.name
        );
        let shows = |expected: &'static [&'static str]| {
            let query = &query;
            async move {
                let shown = stack.rows(query).await;
                shown.iter().map(|row| row["v"].as_str().unwrap()).eq(expected.iter().copied())
            }
        };
        eventually("the filled column", Duration::from_secs(10), || shows(&["1", "2"])).await;

        // Contracted: the first column is gone from the table, and late events still name it.
        stack.publish(document(json!([new]), json!([]))).await;
        stack.send(0, event(140, 2, json!({"amount": 9, "amount__2": 70_000}))).await;
        stack.send(0, event(150, 3, json!({"amount__2": 3}))).await;
        eventually("the values of the second", Duration::from_secs(10), || {
            shows(&["1", "70000", "3"])
        })
        .await;
        running.drain().await;
    })
    .await;
}
