//! The watermark in PostgreSQL, shared by every sink of a database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use model::Generation;
use sqlx::{PgPool, types::Json};

use crate::tracker::Positions;

/// `confirmed_flush_lsn` as a number, as Debezium writes positions. No row without the slot, null before its first flush.
const CONFIRMED_FLUSH: &str = "select (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint from pg_replication_slots where slot_name = $1";

/// A stored offset past Kafka's end is of a topic that was made anew: believing it would move the watermark over
/// records that nobody has read.
const FORGET_OLD_TOPIC: &str = "update platform.sink_offsets set next_offset = $3 where generation = $1 and partition = $2 and next_offset > $4";

/// What one sink has written stays written whoever owns the partition, so the highest report is true.
const REACHED: &str = "
insert into platform.sink_offsets as o (generation, partition, next_offset)
select $1, partition, next_offset from unnest($2::int[], $3::bigint[]) p (partition, next_offset) order by partition
on conflict (generation, partition)
do update set next_offset = excluded.next_offset where excluded.next_offset > o.next_offset";

/// Two sinks may note the same heartbeat; each pair is true by itself.
const NOTE_PAIR: &str = "
insert into platform.watermarks (generation, heartbeat_at, end_offsets) values ($1, $2, $3) on conflict do nothing";

/// The newest pair that is reached on every partition. An empty partition has the end offset 0 and no row.
const ADVANCE: &str = "
insert into platform.last_sync as s (generation, last_sync_at)
select $1, max(w.heartbeat_at) from platform.watermarks w
where w.generation = $1 and not exists (
  select from jsonb_each_text(w.end_offsets) e
  left join platform.sink_offsets o on o.generation = $1 and o.partition = e.key::int
  where coalesce(o.next_offset, 0) < e.value::bigint)
having max(w.heartbeat_at) is not null
on conflict (generation) do update set last_sync_at = greatest(s.last_sync_at, excluded.last_sync_at)";

/// Reached pairs have served. While ClickHouse is away pairs pile up: past [`PAIRS_MAX`] every second one goes,
/// the newest stays, so that the table is bounded and the watermark still moves in steps while it catches up.
const PRUNE: &str = "
with waiting as (
  select heartbeat_at, row_number() over (order by heartbeat_at desc) as newest, count(*) over () as pairs
  from platform.watermarks where generation = $1)
delete from platform.watermarks w using waiting p
where w.generation = $1 and w.heartbeat_at = p.heartbeat_at
  and (p.pairs > $2 and p.newest % 2 = 0
    or w.heartbeat_at <= (select last_sync_at from platform.last_sync where generation = $1))";

const READ: &str = "select last_sync_at from platform.last_sync where generation = $1";

/// Pairs that wait in the database: ten minutes at one a second, twice as long at half the rate, and so on.
const PAIRS_MAX: i64 = 600;

/// A heartbeat that is proven, and Kafka's end offsets after the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Commit time of the heartbeat.
    pub at: DateTime<Utc>,
    /// By partition.
    pub ends: Positions,
}

/// What is to be written besides the positions.
#[derive(Debug, Default)]
pub struct Progress {
    assigned: BTreeMap<i32, (i64, i64)>,
    pair: Option<Pair>,
}

impl Progress {
    /// A partition was assigned; see [`super::Note::Assigned`].
    pub fn assigned(&mut self, partition: i32, start: i64, end: i64) {
        self.assigned.insert(partition, (start, end));
    }

    /// A pair is proven; a newer one says all that an older one said.
    pub fn pair(&mut self, pair: Pair) {
        if self.pair.as_ref().is_none_or(|old| old.at < pair.at) {
            self.pair = Some(pair);
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.assigned.is_empty() && self.pair.is_none()
    }
}

/// Up to where the slot's reader has everything in Kafka. `None` without the slot.
pub async fn confirmed_flush(pool: &PgPool, slot: &str) -> Result<Option<u64>, sqlx::Error> {
    let lsn: Option<Option<i64>> = sqlx::query_scalar(CONFIRMED_FLUSH)
        .bind(slot)
        .fetch_optional(pool)
        .await?;
    Ok(lsn.flatten().and_then(|lsn| u64::try_from(lsn).ok()))
}

/// Writes positions and progress and advances the watermark, in one transaction. Answers where it stands.
pub async fn store(
    pool: &PgPool,
    generation: Generation,
    positions: &Positions,
    progress: &Progress,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let Progress { assigned, pair } = progress;
    let mut transaction = pool.begin().await?;
    for (partition, (start, end)) in assigned {
        let query = sqlx::query(FORGET_OLD_TOPIC)
            .bind(generation.0)
            .bind(partition)
            .bind(start)
            .bind(end);
        if query.execute(&mut *transaction).await?.rows_affected() > 0 {
            tracing::error!(
                partition,
                start,
                end,
                "the topic ends before what was written from it"
            );
        }
    }
    let (partitions, offsets): (Vec<i32>, Vec<i64>) = positions.iter().unzip();
    sqlx::query(REACHED)
        .bind(generation.0)
        .bind(partitions)
        .bind(offsets)
        .execute(&mut *transaction)
        .await?;
    if let Some(Pair { at, ends }) = pair {
        sqlx::query(NOTE_PAIR)
            .bind(generation.0)
            .bind(at)
            .bind(Json(ends))
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(ADVANCE)
        .bind(generation.0)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(PRUNE)
        .bind(generation.0)
        .bind(PAIRS_MAX)
        .execute(&mut *transaction)
        .await?;
    let last_sync = sqlx::query_scalar(READ)
        .bind(generation.0)
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(last_sync)
}
