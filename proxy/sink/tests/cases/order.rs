//! Whatever the order of arrival, the newest version of a row is the one that shows.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    events::{Event, row},
    running::{Process, Running},
    stack::{Stack, eventually, with_stack},
};

fn deals() -> Value {
    json!({"module": "crm", "model": "deals", "fields": [
        {"name": "title", "type": "text", "required": true},
        {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
    ]})
}

async fn titles(stack: &Stack) -> Vec<String> {
    let query = format!(
        "select title from {}.crm__deals__g1 final order by record_id",
        stack.name
    );
    stack
        .rows(&query)
        .await
        .iter()
        .map(|r| r["title"].as_str().unwrap().to_owned())
        .collect()
}

async fn shows(stack: &Stack, expected: &[&str]) {
    eventually(
        &format!("{expected:?}"),
        Duration::from_secs(10),
        || async { titles(stack).await == expected },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_deletes_and_key_changes_end_in_the_newest_state() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let running = Running::start(stack.config()).joined().await;
        let title = |title: &str| json!({"title": title});
        stack
            .send(0, Event::change("c", "deals", 100, row(1, title("one"))))
            .await;
        stack
            .send(0, Event::change("c", "deals", 110, row(2, title("two"))))
            .await;
        shows(stack, &["one", "two"]).await;
        stack
            .send(
                0,
                Event::change("u", "deals", 120, row(1, title("one, again"))),
            )
            .await;
        stack.send(0, Event::delete("deals", 130, 2)).await;
        shows(stack, &["one, again"]).await;

        // One transaction: created, changed, deleted, created again.
        let in_transaction = |op, lsn, n, name: &str| {
            let event = Event::change(op, "deals", lsn, row(n, title(name)));
            Event {
                sequence: (Some(200), lsn),
                ..event
            }
        };
        stack.send(0, in_transaction("c", 201, 3, "a")).await;
        stack.send(0, in_transaction("u", 202, 3, "b")).await;
        stack
            .send(
                0,
                Event {
                    sequence: (Some(200), 203),
                    ..Event::delete("deals", 203, 3)
                },
            )
            .await;
        stack.send(0, in_transaction("c", 204, 3, "c")).await;
        shows(stack, &["one, again", "c"]).await;

        // A key change: a delete and a create of one sequence, in two partitions.
        stack
            .send(
                1,
                Event {
                    sequence: (Some(300), 300),
                    ..Event::delete("deals", 300, 3)
                },
            )
            .await;
        stack.send(2, in_transaction("c", 300, 4, "moved")).await;
        shows(stack, &["one, again", "moved"]).await;

        // What was sent before is sent again, as after a restart of the connector: nothing changes.
        stack
            .send(0, Event::change("c", "deals", 100, row(1, title("one"))))
            .await;
        stack.send(0, in_transaction("u", 202, 3, "b")).await;
        stack
            .send(0, Event::change("c", "deals", 400, row(5, title("last"))))
            .await;
        shows(stack, &["one, again", "moved", "last"]).await;
        running.drain().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_open_across_an_incremental_snapshot_wins() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let running = Running::start(stack.config()).joined().await;
        let title = |title: &str| json!({"title": title});
        let initial = Event::change("r", "deals", 90, row(1, title("initial")));
        let initial = Event {
            snapshot: json!("first"),
            sequence: (None, 90),
            ..initial
        };
        let read = Event::change("r", "deals", 26_416_032, row(1, title("stale")));
        let read = Event {
            snapshot: json!("incremental"),
            ..read
        };
        let update = Event::change("u", "deals", 26_415_048, row(1, title("newest")));
        let update = Event {
            sequence: (Some(26_417_256), 26_415_048),
            ..update
        };
        stack.send(0, update).await;
        shows(stack, &["newest"]).await;
        stack.send(0, read).await;
        stack.send(0, initial).await;
        stack
            .send(
                0,
                Event::change("c", "deals", 26_500_000, row(2, title("last"))),
            )
            .await;
        shows(stack, &["newest", "last"]).await;
        running.drain().await;
    })
    .await;
}

/// Records that wait in Kafka arrive in the very moment in which the partitions do.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_kafka_is_read_from_its_first_record() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let events = (0..6_000).map(|lsn| {
            let event = Event::change(
                "c",
                "deals",
                lsn,
                row(lsn, json!({"title": lsn.to_string()})),
            );
            (i32::try_from(lsn % 3).unwrap(), event)
        });
        stack.send_all(events.collect::<Vec<_>>()).await;
        let running = Running::start(stack.config());
        eventually("every row", Duration::from_secs(20), || async {
            stack.count("crm", "deals").await == 6_000
        })
        .await;
        running.drain().await;
    })
    .await;
}

/// Killed again and again while it writes: the same rows as if it had never been.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sink_loses_nothing() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let mut config = stack.config();
        // A name that survives the restart: the partitions come back at once, not after the session.
        config.kafka.instance = Some("one".into());
        let events = |lsns: std::ops::Range<u64>| {
            lsns.map(|lsn| {
                // Four versions of each row, in one partition.
                let n = lsn % 10_000;
                let partition = i32::try_from(n % 3).unwrap();
                let fields = json!({"title": lsn.to_string(), "amount": format!("{n}.25")});
                (partition, Event::change(if lsn < 10_000 { "c" } else { "u" }, "deals", lsn, row(n, fields)))
            })
        };
        for round in 0..4 {
            let mut process = Process::start(&config);
            stack.send_all(events(round * 10_000..(round + 1) * 10_000)).await;
            let query = format!("select count() as n from {}.crm__deals__g1 where _version > 0", stack.name);
            let before = stack.rows(&query).await[0]["n"].clone();
            eventually("something is written", Duration::from_secs(20), || async {
                stack.rows(&query).await[0]["n"] != before
            })
            .await;
            process.kill();
        }
        let running = Running::start(config).joined().await;
        let query = format!(
            "select toUInt32(count()) as n, toUInt32(countIf(toUInt64(title) = 30000 + amount - 0.25)) as newest \
             from {}.crm__deals__g1 final",
            stack.name
        );
        eventually("every row in its newest version", Duration::from_secs(30), || async {
            stack.rows(&query).await == [json!({"n": 10_000, "newest": 10_000})]
        })
        .await;
        running.drain().await;
    })
    .await;
}

/// Two sinks share the partitions, one comes and goes: nothing is lost and nobody commits for the other.
#[tokio::test(flavor = "multi_thread")]
async fn two_sinks_share_the_work() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let first = Running::start(stack.config()).joined().await;
        let send = |lsns: std::ops::Range<u64>| {
            let events = lsns.map(|lsn| {
                let event = Event::change(
                    "c",
                    "deals",
                    lsn,
                    row(lsn, json!({"title": lsn.to_string()})),
                );
                (i32::try_from(lsn % 3).unwrap(), event)
            });
            stack.send_all(events.collect::<Vec<_>>())
        };
        send(0..3_000).await;
        let second = Running::start(stack.config());
        send(3_000..6_000).await;
        eventually("both have partitions", Duration::from_secs(20), || async {
            let of = |r: &Running| r.metrics.health().assigned_partitions;
            of(&first) > 0 && of(&second) > 0 && of(&first) + of(&second) == 3
        })
        .await;
        send(6_000..9_000).await;
        first.drain().await;
        send(9_000..12_000).await;
        eventually("every row", Duration::from_secs(30), || async {
            stack.count("crm", "deals").await == 12_000
        })
        .await;
        assert!(second.metrics.rows_total() > 0);
        second.drain().await;

        // What was committed is all that was sent: a third one finds nothing to read.
        let third = Running::start(stack.config()).joined().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(third.metrics.rows_total(), 0);
        third.drain().await;
    })
    .await;
}
