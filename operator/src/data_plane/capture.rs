//! The replication slot and how far its changes have come, as PostgreSQL sees it.

use model::Generation;
use serde::Deserialize;
use sqlx::PgPool;

use crate::{connect::slot_name, error::Error};

/// One look.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ObservedCapture {
    /// The slot; none before the connector has made it, or after somebody dropped it.
    pub slot: Option<ObservedSlot>,
    /// Bytes of WAL written since the cluster was made.
    pub wal_bytes: i64,
    /// Most bytes that a slot may hold back; none without a limit.
    pub keep_bytes_max: Option<i64>,
    /// lastSyncAt as Unix time.
    pub last_sync_seconds: Option<f64>,
}

/// A replication slot.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ObservedSlot {
    /// Whether somebody reads it.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// Why it was invalidated.
    pub invalidation_reason: Option<String>,
    /// Bytes of WAL that it holds back.
    pub retained_bytes: Option<i64>,
}

impl ObservedSlot {
    /// Whether changes are gone from it for ever.
    pub fn is_lost(&self) -> bool {
        self.wal_status.as_deref() == Some("lost") || self.invalidation_reason.is_some()
    }
}

/// `$1` slot, `$2` generation.
const QUERY: &str = r"
select json_build_object(
  'slot', (
    select json_build_object('active', active, 'wal_status', wal_status, 'invalidation_reason', invalidation_reason,
      'retained_bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint)
    from pg_replication_slots where slot_name = $1),
  'wal_bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint,
  'keep_bytes_max', (
    select setting::bigint * 1024 * 1024 from pg_settings where name = 'max_slot_wal_keep_size' and setting::bigint >= 0),
  'last_sync_seconds', (
    select extract(epoch from last_sync_at)::float8 from platform.last_sync where generation = $2)
)::text";

/// Looks.
pub async fn observe_capture(
    looks: &PgPool,
    database: &str,
    generation: Generation,
) -> Result<ObservedCapture, Error> {
    let text: String = sqlx::query_scalar(QUERY)
        .bind(slot_name(database, generation))
        .bind(generation.0)
        .fetch_one(looks)
        .await
        .map_err(Error::postgres("a look at its replication slot"))?;
    serde_json::from_str(&text).map_err(Error::Observed)
}
