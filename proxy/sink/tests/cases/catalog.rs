//! Records that are newer than what the sink knows of the catalogue.

use std::time::Duration;

use serde_json::json;
use sink::metrics::ErrorClass;

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
async fn a_field_that_is_not_known_yet_is_waited_for() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let title = json!({"name": "title", "type": "text"});
        stack.publish(json!({"module": "crm", "model": "deals", "fields": [title]})).await;
        let running = Running::start(stack.config()).joined().await;
        let event = |lsn, n, fields| Event::change("c", "deals", lsn, row(n, fields));
        stack.send(0, event(100, 1, json!({"title": "a"}))).await;
        stack.send(0, event(110, 2, json!({"title": "b", "stars": 5}))).await;
        stack.send(0, event(120, 3, json!({"title": "c", "stars": 4}))).await;
        // Another partition is not held up by it.
        stack.send(1, event(130, 4, json!({"title": "d"}))).await;
        eventually("what is known", Duration::from_secs(10), || async { stack.count("crm", "deals").await == 2 }).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(running.metrics.health().stalled_partitions, 1);

        stack.execute("alter table `septem_data`.crm__deals__g1 add column stars Nullable(Int32) after title").await;
        let stars = json!({"name": "stars", "type": "int32"});
        stack.publish(json!({"module": "crm", "model": "deals", "fields": [title, stars]})).await;
        let query = format!("select title, stars from {}.crm__deals__g1 final order by title", stack.name);
        let expected = [("a", None), ("b", Some(5)), ("c", Some(4)), ("d", None)]
            .map(|(title, stars)| json!({"title": title, "stars": stars}));
        eventually("all with their stars", Duration::from_secs(10), || async { stack.rows(&query).await == expected }).await;
        assert_eq!(running.metrics.dead_total(ErrorClass::UnknownField), 0);
        running.drain().await;
    })
    .await;
}
