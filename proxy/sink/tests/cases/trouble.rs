//! What goes wrong around the sink, and inside of records.

use std::time::Duration;

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
};
use serde_json::{Value, json};
use sink::metrics::ErrorClass;

use crate::support::{
    events::{Event, OTHER_TENANT, TENANT, id, row},
    gate::Gate,
    running::Running,
    stack::{Stack, eventually, kafka, with_stack},
};

fn deals() -> Value {
    json!({"module": "crm", "model": "deals", "fields": [
        {"name": "title", "type": "text", "required": true}, {"name": "score", "type": "int16"},
    ]})
}

fn deal(lsn: u64, n: u64) -> Event {
    Event::change(
        "c",
        "deals",
        lsn,
        row(n, json!({"title": n.to_string(), "score": 1})),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_clickhouse_loses_nothing() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let mut config = stack.config();
        let target = format!(
            "{}:{}",
            stack.clickhouse.host_str().unwrap(),
            stack.clickhouse.port().unwrap()
        );
        let gate = Gate::new(target).await;
        config.clickhouse.url = format!("http://{}", gate.address).parse().unwrap();
        config.clickhouse.insert_timeout = Duration::from_secs(2);
        // So little that reading has to pause while ClickHouse is away.
        config.batch.buffer_bytes_max = 1 << 20;
        let running = Running::start(config).joined().await;
        let send = |lsns: std::ops::Range<u64>| {
            stack.send_all(
                lsns.map(|lsn| (i32::try_from(lsn % 3).unwrap(), deal(lsn, lsn)))
                    .collect::<Vec<_>>(),
            )
        };
        send(0..5_000).await;
        eventually("the memory is full", Duration::from_secs(10), || async {
            running.metrics.health().buffered_bytes >= 1 << 20
        })
        .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let held = running.metrics.health().buffered_bytes;
        // One turn of the loop may come on top of the bound.
        assert!(held < 3 << 20, "{held} bytes held");
        gate.open();
        eventually("the first rows", Duration::from_secs(20), || async {
            stack.count("crm", "deals").await == 5_000
        })
        .await;
        gate.shut();
        send(5_000..6_000).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.open();
        eventually("every row", Duration::from_secs(20), || async {
            stack.count("crm", "deals").await == 6_000
        })
        .await;
        assert_eq!(running.metrics.dead_total(ErrorClass::Refused), 0);
        running.drain().await;
    })
    .await;
}

/// The records of the dead-letter topic: offset of origin, class and whether the payload is the one sent.
fn dead_letters(stack: &Stack, count: usize) -> Vec<(String, String)> {
    let consumer: BaseConsumer = kafka(&stack.bootstrap)
        .set("group.id", "looking")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&format!("{}.dlq", stack.topic), 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let message = consumer
            .poll(Duration::from_secs(10))
            .expect("a dead letter")
            .unwrap();
        let header = |name: &str| {
            let header = message
                .headers()
                .unwrap()
                .iter()
                .find(|h| h.key == name)
                .unwrap();
            String::from_utf8(header.value.unwrap().to_vec()).unwrap()
        };
        assert_eq!(header("topic"), stack.topic);
        assert!(message.payload().is_some());
        found.push((
            format!("{}:{}", header("partition"), header("offset")),
            header("error-class"),
        ));
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_is_a_dead_letter_and_the_rest_runs_on() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        stack.publish(json!({"module": "crm", "model": "other", "fields": [{"name": "a", "type": "bool"}]})).await;
        let running = Running::start(stack.config()).joined().await;
        stack.send(0, deal(100, 1)).await;
        // A value that its column cannot hold, of another tenant.
        let mut poison = row(2, json!({"title": "x", "score": 70_000}));
        poison["tenant_id"] = json!(OTHER_TENANT);
        let poison = Event::change("c", "deals", 110, poison);
        stack.send(0, poison.clone()).await;
        stack.send(0, deal(120, 3)).await;
        stack.send_bytes(1, "{}", b"\x00 not json").await;
        stack.send(1, deal(130, 4)).await;
        eventually("the rest", Duration::from_secs(10), || async { stack.count("crm", "deals").await == 3 }).await;
        let found = tokio::task::block_in_place(|| dead_letters(stack, 2));
        assert_eq!(found, [("0:1".into(), "value".to_owned()), ("1:0".into(), "envelope".to_owned())]);

        let holds: Vec<(String, Option<uuid::Uuid>, String, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(
            "select model, tenant_id, topic_position, held_at from platform.watermark_holds order by topic_position, model",
        )
        .fetch_all(&stack.pool)
        .await
        .unwrap();
        let of = |model: &str, tenant: Option<&str>, position: &str, micros: i64| {
            let position = format!("{}:{position}", stack.topic);
            let at = chrono::DateTime::from_timestamp_micros(micros).unwrap();
            (model.to_owned(), tenant.map(|t| t.parse().unwrap()), position, at)
        };
        let expected = [
            // Just below the commit that is missing.
            of("deals", Some(OTHER_TENANT), "0:1", poison.committed_at - 1),
            // Unreadable, so everything is held, where the watermark was: nowhere yet.
            of("deals", None, "1:0", 0),
            of("other", None, "1:0", 0),
        ];
        assert_eq!(holds, expected);
        // The hold shows in what the proxy reads.
        sqlx::raw_sql("delete from platform.watermark_holds where tenant_id is null;
             insert into platform.last_sync values (1, now()) on conflict (generation) do update set last_sync_at = now()")
            .execute(&stack.pool)
            .await
            .unwrap();
        let held = "select platform.last_sync_at($1::uuid, 'crm', 'deals') < '2026-06-01'";
        for (tenant, is_held) in [(OTHER_TENANT, true), (TENANT, false)] {
            let answer: bool = sqlx::query_scalar(held).bind(tenant).fetch_one(&stack.pool).await.unwrap();
            assert_eq!(answer, is_held, "{tenant}");
        }
        running.drain().await;
    })
    .await;
}

/// ClickHouse itself refuses single rows: they are found among the others by halving.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_clickhouse_refuses_are_found_among_the_others() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        stack.execute("alter table `septem_data`.crm__deals__g1 add constraint short check length(title) < 10").await;
        let running = Running::start(stack.config()).joined().await;
        let events = (0..400).map(|lsn| {
            let title = if lsn % 150 == 77 { "far too long".to_owned() } else { lsn.to_string() };
            (0, Event::change("c", "deals", lsn, row(lsn, json!({"title": title}))))
        });
        stack.send_all(events.collect::<Vec<_>>()).await;
        eventually("the others", Duration::from_secs(20), || async { stack.count("crm", "deals").await == 397 }).await;
        let found = tokio::task::block_in_place(|| dead_letters(stack, 3));
        let expected = ["0:227", "0:377", "0:77"].map(|at| (at.to_owned(), "refused".to_owned()));
        assert_eq!(found, expected);
        running.drain().await;
    })
    .await;
}

/// A table that ClickHouse does not have is given up on after a while; the others never waited.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_fails_alone_does_not_hold_up_the_others() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        stack.publish(json!({"module": "crm", "model": "gone", "fields": [{"name": "a", "type": "bool"}]})).await;
        stack.execute("drop table `septem_data`.crm__gone__g1 sync").await;
        let running = Running::start(stack.config()).joined().await;
        stack.send(0, Event::change("c", "gone", 100, row(1, json!({"a": true})))).await;
        stack.send(0, deal(110, 1)).await;
        eventually("the other table", Duration::from_secs(2), || async { stack.count("crm", "deals").await == 1 }).await;
        eventually("it is given up", Duration::from_secs(15), || async {
            running.metrics.dead_total(ErrorClass::Refused) == 1
        })
        .await;
        running.drain().await;
    })
    .await;
}

/// Retention took records that were never read: the partition stands still and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_reported_and_never_skipped() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let running = Running::start(stack.config()).joined().await;
        stack.send(0, deal(100, 1)).await;
        eventually("the first row", Duration::from_secs(10), || async { stack.count("crm", "deals").await == 1 }).await;
        running.drain().await;

        for n in 2..6 {
            stack.send(0, deal(100 + n, n)).await;
        }
        let admin: AdminClient<DefaultClientContext> = kafka(&stack.bootstrap).create().unwrap();
        let mut until = TopicPartitionList::new();
        until.add_partition_offset(&stack.topic, 0, Offset::Offset(3)).unwrap();
        admin.delete_records(&until, &AdminOptions::new()).await.unwrap();

        let running = Running::start(stack.config()).joined().await;
        stack.send(1, deal(200, 7)).await;
        eventually("the other partitions", Duration::from_secs(10), || async { stack.count("crm", "deals").await == 2 }).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(stack.count("crm", "deals").await, 2);
        assert_eq!(running.metrics.health().out_of_range_partitions, 1);
        assert!(!stack.rows(&format!("select 1 as one from {}.crm__deals__g1 where record_id = UUIDStringToNum('{}')", stack.name, id(7))).await.is_empty());
        running.drain().await;
    })
    .await;
}
