//! `lastSyncAt` is honest: never ahead of what can be read, never back, and moving while nothing happens.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{
    events::{Event, row},
    gate::Gate,
    running::Running,
    stack::{Stack, eventually, with_stack},
};

fn deals() -> Value {
    json!({"module": "crm", "model": "deals", "fields": [{"name": "title", "type": "text"}]})
}

/// The connector's side: a slot, and heartbeats at positions that the test chooses.
struct Connector<'a> {
    stack: &'a Stack,
    slot: String,
}

impl<'a> Connector<'a> {
    async fn new(stack: &'a Stack) -> Self {
        let slot = format!("cdc_{}_g1", stack.name);
        sqlx::query("select pg_create_logical_replication_slot($1, 'pgoutput')")
            .bind(&slot)
            .execute(&stack.pool)
            .await
            .unwrap();
        Self { stack, slot }
    }

    /// A position of the WAL that is written now.
    async fn position(&self) -> u64 {
        // Two changes, so that positions taken one after the other differ.
        sqlx::raw_sql("update platform.cdc_heartbeat set ts = now()")
            .execute(&self.stack.pool)
            .await
            .unwrap();
        let lsn: i64 =
            sqlx::query_scalar("select (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint")
                .fetch_one(&self.stack.pool)
                .await
                .unwrap();
        u64::try_from(lsn).unwrap()
    }

    /// Moves the slot past everything that is written.
    async fn flush(&self) {
        let sql = "select pg_replication_slot_advance($1, pg_current_wal_flush_lsn())";
        sqlx::query(sql)
            .bind(&self.slot)
            .execute(&self.stack.pool)
            .await
            .unwrap();
    }

    async fn beat(&self, seconds: i64) {
        let lsn = self.position().await;
        self.stack
            .send(2, Event::heartbeat(lsn, seconds * 1_000_000))
            .await;
    }
}

async fn last_sync(stack: &Stack) -> Option<i64> {
    let at: Option<DateTime<Utc>> =
        sqlx::query_scalar("select last_sync_at from platform.last_sync where generation = 1")
            .fetch_optional(&stack.pool)
            .await
            .unwrap();
    at.map(|at| at.timestamp())
}

async fn reaches(stack: &Stack, seconds: i64) {
    let what = format!("lastSyncAt {seconds}");
    eventually(&what, Duration::from_secs(10), || async {
        last_sync(stack).await == Some(seconds)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_counts_when_the_slot_has_passed_the_next_one() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let connector = Connector::new(stack).await;
        let running = Running::start(stack.config()).joined().await;
        connector.beat(1_000).await;
        connector.flush().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            last_sync(stack).await,
            None,
            "a heartbeat without a next one proves nothing"
        );
        connector.beat(1_001).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            last_sync(stack).await,
            None,
            "the slot has not passed the next one"
        );
        connector.flush().await;
        reaches(stack, 1_000).await;
        // Nothing but heartbeats: an idle database is fresh.
        for seconds in 1_002..1_006 {
            connector.beat(seconds).await;
            connector.flush().await;
            reaches(stack, seconds - 1).await;
        }
        let pairs: i64 = sqlx::query_scalar("select count(*) from platform.watermarks")
            .fetch_one(&stack.pool)
            .await
            .unwrap();
        assert_eq!(pairs, 0, "reached pairs are gone");
        running.drain().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_clickhouse_on_every_partition() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let connector = Connector::new(stack).await;
        let mut config = stack.config();
        let target = format!(
            "{}:{}",
            stack.clickhouse.host_str().unwrap(),
            stack.clickhouse.port().unwrap()
        );
        let gate = Gate::new(target).await;
        gate.open();
        config.clickhouse.url = format!("http://{}", gate.address).parse().unwrap();
        let running = Running::start(config).joined().await;
        connector.beat(2_000).await;
        connector.beat(2_001).await;
        connector.flush().await;
        reaches(stack, 2_000).await;

        gate.shut();
        stack
            .send(
                0,
                Event::change("c", "deals", 500, row(1, json!({"title": "a"}))),
            )
            .await;
        connector.beat(2_002).await;
        connector.beat(2_003).await;
        connector.flush().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(
            last_sync(stack).await,
            Some(2_000),
            "ahead of a row that cannot be read"
        );
        gate.open();
        reaches(stack, 2_002).await;
        assert_eq!(stack.count("crm", "deals").await, 1);
        running.drain().await;
    })
    .await;
}

/// Partitions of two sinks: neither may pass what the other has not written, and it goes on when one leaves.
#[tokio::test(flavor = "multi_thread")]
async fn two_sinks_agree_and_it_never_goes_back() {
    with_stack(|stack| async move {
        let stack = &*stack;
        stack.publish(deals()).await;
        let connector = Connector::new(stack).await;
        let first = Running::start(stack.config()).joined().await;
        let second = Running::start(stack.config());
        let mut seen = None;
        let mut first = Some(first);
        for seconds in 3_000..3_030 {
            connector.beat(seconds).await;
            for partition in 0..3 {
                let n = u64::try_from(seconds).unwrap() * 3 + u64::try_from(partition).unwrap();
                stack
                    .send(
                        partition,
                        Event::change("c", "deals", n, row(n, json!({"title": "x"}))),
                    )
                    .await;
            }
            connector.flush().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = last_sync(stack).await;
            assert!(now >= seen, "{now:?} after {seen:?}");
            // Every row that was sent before the heartbeat that counts can be read.
            if let Some(at) = now {
                let least = u64::try_from(at - 3_000).unwrap() * 3;
                assert!(
                    stack.count("crm", "deals").await >= least,
                    "lastSyncAt {at} is ahead"
                );
            }
            seen = now;
            if seconds == 3_015 {
                first.take().unwrap().drain().await;
            }
        }
        reaches(stack, 3_028).await;
        second.drain().await;
    })
    .await;
}
