//! What the sink tells the operator: the oldest revision of the catalogue that a batch was decided by.

use std::time::Duration;

use serde_json::json;
use sink::metrics::{ErrorClass, Retried};

use crate::support::{
    events::{Event, OTHER_TENANT, TENANT, row},
    gate::Gate,
    running::Running,
    stack::{Stack, eventually, with_stack},
};

/// What the one sink has acknowledged; none without it.
async fn told(stack: &Stack) -> Option<i64> {
    let query = "select revision from platform.proxy_instances where kind = 'sink'";
    sqlx::query_scalar(query)
        .fetch_optional(&stack.pool)
        .await
        .unwrap()
}

async fn published(stack: &Stack) -> i64 {
    sqlx::query_scalar("select revision from platform.catalog_revision")
        .fetch_one(&stack.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_is_acknowledged_when_every_batch_by_an_older_one_is_written() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let document = |n: u32| {
            json!({"module": "crm", "model": "deals", "fields": [{"name": "title", "type": "text", "maxLength": n}]})
        };
        stack.publish(document(10)).await;
        let first = published(stack).await;
        let mut config = stack.config();
        let target = format!(
            "{}:{}",
            stack.clickhouse.host_str().unwrap(),
            stack.clickhouse.port().unwrap()
        );
        let gate = Gate::new(target).await;
        gate.open();
        config.clickhouse.url = format!("http://{}", gate.address).parse().unwrap();
        config.clickhouse.insert_timeout = Duration::from_secs(2);
        let running = Running::start(config).joined().await;
        eventually("the first", Duration::from_secs(10), || async {
            told(stack).await == Some(first)
        })
        .await;

        // A batch that cannot be written, and a revision after it.
        gate.shut();
        let event = |lsn, n, title| Event::change("c", "deals", lsn, row(n, json!({"title": title})));
        stack.send(0, event(100, 1, "a")).await;
        eventually("it cannot be written", Duration::from_secs(10), || async {
            running.metrics.retries_total(Retried::Insert) > 0
        })
        .await;
        stack.publish(document(20)).await;
        let second = published(stack).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(told(stack).await, Some(first));
        gate.open();
        eventually("the second", Duration::from_secs(15), || async {
            told(stack).await == Some(second)
        })
        .await;
        assert_eq!(stack.count("crm", "deals").await, 1);

        // Who ends in order is not waited for.
        running.drain().await;
        assert_eq!(told(stack).await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_event_of_an_erased_tenant_brings_nothing_back() {
    with_stack(|stack| async move {
        let stack = &*stack;
        let deals = json!({"module": "crm", "model": "deals", "fields": [{"name": "title", "type": "text"}]});
        let erase = format!(
            "insert into platform.erased_tenants (tenant_id, resource, resource_uid) values ('{TENANT}', 'a', 'u')"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(erase))
            .execute(&stack.pool)
            .await
            .unwrap();
        stack.publish(deals).await;
        let running = Running::start(stack.config()).joined().await;
        let of = |tenant: &str, title: &str| json!({"tenant_id": tenant, "title": title});
        // Written, changed, deleted for good, and one that cannot be read: of the erased, and then of another.
        let mut broken = row(1, of(TENANT, "canary"));
        broken["created_at"] = json!("no moment");
        stack.send(0, Event::change("c", "deals", 100, row(1, of(TENANT, "canary")))).await;
        stack.send(0, Event::change("u", "deals", 110, broken)).await;
        stack.send(0, Event::delete("deals", 120, 1)).await;
        stack.send(0, Event::change("c", "deals", 130, row(2, of(OTHER_TENANT, "other")))).await;
        eventually("the other's row", Duration::from_secs(10), || async {
            stack.count("crm", "deals").await == 1
        })
        .await;
        let query = format!("select distinct toString(tenant_id) as t from {}.crm__deals__g1", stack.name);
        assert_eq!(stack.rows(&query).await, [json!({"t": OTHER_TENANT})], "no tombstone either");
        assert_eq!(running.metrics.dead_total(ErrorClass::Value), 0);
        running.drain().await;
    })
    .await;
}
