//! `lastSyncAt`: read before the query, so that the answer holds at least what it promises.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use model::{ModelName, TenantId};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{PgPool, postgres::PgPoolOptions};

use super::error::Error;

/// How old an answer may be. An older watermark is honest too, it only promises less.
const AGE_MAX: Duration = Duration::from_millis(200);
/// Answers kept; all are dropped when there are more.
const ENTRIES_MAX: usize = 4_096;
/// Connections: one statement of a millisecond, at most every 200 ms a table and tenant.
const CONNECTIONS_MAX: u32 = 4;
/// Longest wait for a connection.
const WAIT_MAX: Duration = Duration::from_secs(2);

type Read = (Instant, DateTime<Utc>);

/// Reads `platform.last_sync_at` as septem_app.
pub(super) struct Watermarks {
    pool: PgPool,
    read: Mutex<HashMap<(TenantId, ModelName), Read>>,
}

impl Watermarks {
    /// Connects when first asked.
    pub fn connect(database_url: &SecretString) -> Result<Self, sqlx::Error> {
        let options = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(WAIT_MAX);
        Ok(Self {
            pool: options.connect_lazy(database_url.expose_secret())?,
            read: Mutex::default(),
        })
    }

    /// Everything that was acknowledged until then is in ClickHouse. At most 200 ms old.
    pub async fn last_sync_at(
        &self,
        tenant: &TenantId,
        model: &ModelName,
    ) -> Result<DateTime<Utc>, Error> {
        let key = (*tenant, model.clone());
        let known = self
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .copied();
        if let Some((at, watermark)) = known
            && at.elapsed() < AGE_MAX
        {
            return Ok(watermark);
        }
        let asked_at = Instant::now();
        let query = sqlx::query_scalar("select platform.last_sync_at($1, $2, $3)")
            .bind(tenant.as_uuid())
            .bind(model.module.as_str())
            .bind(model.model.as_str());
        let watermark: Option<DateTime<Utc>> =
            tokio::time::timeout(WAIT_MAX, query.fetch_one(&self.pool))
                .await
                .map_err(|_| Error::Watermark(sqlx::Error::PoolTimedOut))?
                .map_err(Error::Watermark)?;
        let watermark = watermark.ok_or(Error::NotSynced)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= ENTRIES_MAX {
            read.clear();
        }
        read.insert(key, (asked_at, watermark));
        Ok(watermark)
    }
}
