//! One batch to its end: every row in ClickHouse, or in the dead-letter topic.

use std::{mem, sync::Arc, time::Duration};

use model::ModelName;
use tokio::time::Instant;

use super::{Refusal, WriteError, Writer};
use crate::{
    backoff::Backoff,
    batch::{Batch, BatchRow},
    chain::chain,
    dead::DeadLetters,
    metrics::{ErrorClass, Metrics, Retried},
    route::Dead,
    table::Table,
    tracker::Ticket,
};

/// As many rows of one batch are looked for one by one; with more of them it is the table that is wrong.
const POISON_ROWS_MAX: usize = 16;

/// Delivers batches. Cheap to clone.
#[derive(Clone)]
pub struct Delivery {
    writer: Writer,
    dead: DeadLetters,
    metrics: Metrics,
    refused_timeout: Duration,
}

/// A batch that has come to its end: all of its offsets are done.
#[derive(Debug)]
pub struct Delivered {
    /// The model that was written.
    pub name: ModelName,
    /// Of every record that was in it.
    pub tickets: Vec<Ticket>,
    /// What it held.
    pub held_bytes: usize,
    /// Since when ClickHouse has refused this table; the next batch need not wait as long again.
    pub refused_since: Option<Instant>,
}

impl Delivery {
    /// Delivers through this writer; a table that is refused for `refused_timeout` is given up on.
    pub fn new(
        writer: Writer,
        dead: DeadLetters,
        metrics: Metrics,
        refused_timeout: Duration,
    ) -> Self {
        Self {
            writer,
            dead,
            metrics,
            refused_timeout,
        }
    }

    /// Returns when every row is in ClickHouse or buried. Waits for ever for what only time heals.
    pub async fn deliver(self, batch: Batch, refused_since: Option<Instant>) -> Delivered {
        let Batch {
            table,
            mut rows,
            tickets,
            held_bytes,
            ..
        } = batch;
        let mut refused_since = refused_since;
        match self.insert(&table, &rows).await {
            Ok(()) => refused_since = None,
            Err(error) if error.refusal == Refusal::Rows => {
                match self.sift(&table, &mut rows).await {
                    Ok(()) => refused_since = None,
                    Err(error) => {
                        refused_since = self.insist(&table, &rows, refused_since, error).await
                    }
                }
            }
            Err(error) => refused_since = self.insist(&table, &rows, refused_since, error).await,
        }
        Delivered {
            name: table.name().clone(),
            tickets,
            held_bytes,
            refused_since,
        }
    }

    /// Inserts, trying for ever while the failure is transient.
    async fn insert(&self, table: &Table, rows: &[BatchRow]) -> Result<(), WriteError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let start = Instant::now();
            match self.writer.insert(table, rows).await {
                Ok(()) => {
                    self.metrics
                        .written(rows.len(), start.elapsed().as_secs_f64());
                    return Ok(());
                }
                Err(error) if error.refusal == Refusal::Transient => {
                    self.metrics.retry(Retried::Insert);
                    tracing::warn!(error = %chain(&error), table = table.qualified(), rows = rows.len(), "insert failed, trying again");
                    backoff.wait().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Finds the rows that ClickHouse refuses by halving and buries them; the others are written.
    ///
    /// Gives up with the last error when there are too many of them, leaving in `rows` what is not written yet.
    async fn sift(&self, table: &Arc<Table>, rows: &mut Vec<BatchRow>) -> Result<(), WriteError> {
        let mut parts = vec![mem::take(rows)];
        let mut poison = Vec::new();
        while let Some(mut part) = parts.pop() {
            let Err(error) = self.insert(table, &part).await else {
                continue;
            };
            if error.refusal != Refusal::Rows
                || (part.len() == 1 && poison.len() == POISON_ROWS_MAX)
            {
                rows.extend(poison);
                rows.extend(part);
                rows.extend(parts.into_iter().flatten());
                return Err(error);
            }
            if part.len() == 1 {
                let row = &part[0];
                let (partition, offset) = (row.record.partition, row.record.offset);
                tracing::error!(error = %chain(&error), table = table.qualified(), partition, offset, "row refused");
                poison.append(&mut part);
            } else {
                let rest = part.split_off(part.len() / 2);
                parts.push(rest);
                parts.push(part);
            }
        }
        for row in &poison {
            self.bury(table, row).await;
        }
        Ok(())
    }

    /// The table is refused as a whole: tries on until it has been so for long enough, then buries the rows.
    /// Answers since when it is refused.
    async fn insist(
        &self,
        table: &Arc<Table>,
        rows: &[BatchRow],
        refused_since: Option<Instant>,
        error: WriteError,
    ) -> Option<Instant> {
        let since = refused_since.unwrap_or_else(Instant::now);
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut error = error;
        while since.elapsed() < self.refused_timeout {
            self.metrics.retry(Retried::Insert);
            tracing::warn!(error = %chain(&error), table = table.qualified(), rows = rows.len(), "table refused, trying again");
            backoff.wait().await;
            match self.insert(table, rows).await {
                Ok(()) => return None,
                Err(again) => error = again,
            }
        }
        tracing::error!(error = %chain(&error), table = table.qualified(), rows = rows.len(), "table refused, giving it up");
        for row in rows {
            self.bury(table, row).await;
        }
        Some(since)
    }

    async fn bury(&self, table: &Table, row: &BatchRow) {
        let dead = Dead::of_row(ErrorClass::Refused, table, &row.row, row.committed_at);
        self.dead
            .bury(&row.record, &dead, table.generation(), &[])
            .await;
    }
}
