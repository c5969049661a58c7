//! Rows into ClickHouse, and single values back out of it.

mod deliver;
mod error;

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use clickhouse::{Client, Compression};
use secrecy::ExposeSecret as _;
use sql::clickhouse::quote;
use tokio::time::timeout;

pub use deliver::{Delivered, Delivery};
pub use error::{Refusal, WriteError};

use crate::{
    batch::BatchRow,
    config::ClickHouseConfig,
    table::{Encoded, Hole, Row, Table},
};

/// Bytes of one chunk of an insert's body.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of `_synced_at`, which ends each row.
const SYNCED_AT_BYTES: usize = 8;

/// Writes to one ClickHouse database. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    insert_timeout: Duration,
}

impl Writer {
    /// Connects at the first insert, not here.
    pub fn new(config: &ClickHouseConfig) -> Self {
        let ClickHouseConfig {
            url,
            user,
            password,
            database: _,
            insert_timeout,
            refused_timeout: _,
        } = config;
        let client = Client::default()
            .with_url(url.as_str().trim_end_matches('/'))
            .with_user(user)
            .with_password(password.expose_secret())
            .with_compression(Compression::Lz4)
            // An acknowledgement must mean that the rows are there: no server-side batching, no early answer.
            .with_setting("async_insert", "0")
            .with_setting("wait_end_of_query", "1");
        Self {
            client,
            insert_timeout: *insert_timeout,
        }
    }

    /// Writes rows in one insert. When this returns, they are visible; when it fails, some may be.
    pub async fn insert(&self, table: &Table, rows: &[BatchRow]) -> Result<(), WriteError> {
        let synced_at = Utc::now().timestamp_millis().to_le_bytes();
        let per_step = Some(self.insert_timeout);
        let mut insert = self
            .client
            .insert_formatted_with(table.insert())
            .with_timeouts(per_step, per_step);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        for BatchRow { row, .. } in rows {
            let length = row.bytes.len() + SYNCED_AT_BYTES;
            if chunk.len() + length > CHUNK_BYTES && !chunk.is_empty() {
                insert.send(Bytes::from(chunk)).await?;
                chunk = Vec::with_capacity(CHUNK_BYTES);
            }
            chunk.extend_from_slice(&row.bytes);
            chunk.extend_from_slice(&synced_at);
        }
        insert.send(Bytes::from(chunk)).await?;
        Ok(insert.end().await?)
    }

    /// Fills a row's holes with what ClickHouse holds under its key. `None` if it holds nothing there.
    ///
    /// Every earlier change of the key must have been written: the newest version is then the one before this row.
    /// The values come back in the format in which they go out, so that they are copied as bytes.
    pub async fn fill(&self, table: &Table, encoded: &Encoded) -> Result<Option<Row>, WriteError> {
        let Encoded { row, holes, .. } = encoded;
        let mut filled = Vec::with_capacity(row.bytes.len() + 1_024);
        let mut copied = 0;
        for Hole { at, column } in holes {
            let column = quote(&table.columns()[*column].column);
            let text = format!(
                "SELECT {column} FROM {} FINAL WHERE tenant_id = {{tenant:UUID}} \
                 AND record_id = UUIDStringToNum({{id:String}})",
                table.qualified()
            );
            let query = self
                .client
                .query(&text)
                .param("tenant", row.key.tenant.to_string());
            let mut answer = query
                .param("id", row.key.id.to_string())
                .fetch_bytes("RowBinary")?;
            let value = timeout(self.insert_timeout, answer.collect())
                .await
                .map_err(|_| WriteError::timeout())??;
            if value.is_empty() {
                return Ok(None);
            }
            filled.extend_from_slice(&row.bytes[copied..*at]);
            filled.extend_from_slice(&value);
            copied = *at;
        }
        filled.extend_from_slice(&row.bytes[copied..]);
        Ok(Some(Row {
            bytes: filled,
            ..row.clone()
        }))
    }
}
