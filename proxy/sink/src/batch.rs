//! Rows of one table that are written together.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use model::Catalog;
use tokio::time::Instant;

use crate::{
    config::BatchConfig,
    record::Record,
    table::{Key, Row, Table},
    tracker::Ticket,
};

/// A row, and the record that it came from should ClickHouse refuse it.
#[derive(Debug)]
pub struct BatchRow {
    /// The row.
    pub row: Row,
    /// Its record.
    pub record: Record,
    /// When the change was committed, if the record tells.
    pub committed_at: Option<DateTime<Utc>>,
    /// What it was decided by: in use until the batch is written.
    pub catalog: Arc<Catalog>,
}

/// Rows of one table, at most one a key: the highest version.
#[derive(Debug)]
pub struct Batch {
    /// Where they are to be written.
    pub table: Arc<Table>,
    /// The rows.
    pub rows: Vec<BatchRow>,
    /// Of every record in it, those of superseded versions as well.
    pub tickets: Vec<Ticket>,
    /// What holding the rows costs.
    pub held_bytes: usize,
    index: HashMap<Key, usize>,
    encoded_bytes: usize,
    opened: Instant,
}

impl Batch {
    fn new(table: Arc<Table>, opened: Instant) -> Self {
        Self {
            table,
            rows: Vec::new(),
            tickets: Vec::new(),
            held_bytes: 0,
            index: HashMap::new(),
            encoded_bytes: 0,
            opened,
        }
    }

    fn add(&mut self, row: BatchRow, ticket: Ticket) {
        self.tickets.push(ticket);
        match self.index.get(&row.row.key) {
            // Equal versions are one change delivered twice.
            Some(at) if self.rows[*at].row.version > row.row.version => {}
            Some(at) => {
                let old = mem::replace(&mut self.rows[*at], row);
                self.encoded_bytes -= old.row.bytes.len();
                self.held_bytes -= old.held_bytes();
                self.weigh(*at);
            }
            None => {
                self.index.insert(row.row.key, self.rows.len());
                self.rows.push(row);
                self.weigh(self.rows.len() - 1);
            }
        }
    }

    fn weigh(&mut self, at: usize) {
        self.encoded_bytes += self.rows[at].row.bytes.len();
        self.held_bytes += self.rows[at].held_bytes();
    }

    fn is_full(&self, config: &BatchConfig) -> bool {
        // Tickets count as well: a single hot key must not collect them without end.
        self.tickets.len() >= config.rows_max || self.encoded_bytes >= config.bytes_max
    }
}

impl BatchRow {
    /// What holding it costs.
    pub fn held_bytes(&self) -> usize {
        self.row.bytes.len() + self.record.held_bytes()
    }
}

/// What waits to be written to one table, and whether something is being written.
#[derive(Debug, Default)]
pub struct TableQueue {
    open: Option<Batch>,
    sealed: VecDeque<Batch>,
    in_flight: bool,
    last_start: Option<Instant>,
}

impl TableQueue {
    /// Takes a row. A batch holds rows of one shape: a table that changed begins a new one.
    pub fn add(
        &mut self,
        table: &Arc<Table>,
        row: BatchRow,
        ticket: Ticket,
        now: Instant,
        config: &BatchConfig,
    ) {
        let fits = |open: &mut Batch| Arc::ptr_eq(&open.table, table);
        if self.open.as_mut().is_some_and(|open| !fits(open)) {
            self.sealed.extend(self.open.take());
        }
        let open = self
            .open
            .get_or_insert_with(|| Batch::new(Arc::clone(table), now));
        open.add(row, ticket);
        if open.is_full(config) {
            self.sealed.extend(self.open.take());
        }
    }

    /// When the next batch is to be written; never while one is being written.
    ///
    /// A change of a quiet table waits for `linger` only. In a busy table writes start `interval` apart, which
    /// bounds the parts that ClickHouse has to merge; no row waits longer than that for its write to start.
    pub fn due(&self, config: &BatchConfig) -> Option<Instant> {
        if self.in_flight {
            return None;
        }
        if let Some(sealed) = self.sealed.front() {
            return Some(sealed.opened);
        }
        let quiet = self.open.as_ref()?.opened + config.linger;
        Some(
            self.last_start
                .map_or(quiet, |start| quiet.max(start + config.interval)),
        )
    }

    /// The batch to write now. [`TableQueue::finished`] must follow before there is another.
    pub fn start(&mut self, now: Instant) -> Option<Batch> {
        if self.in_flight {
            return None;
        }
        let batch = self.sealed.pop_front().or_else(|| self.open.take())?;
        self.in_flight = true;
        self.last_start = Some(now);
        Some(batch)
    }

    /// The write has ended.
    pub fn finished(&mut self) {
        self.in_flight = false;
    }

    /// Whether nothing waits and nothing is being written.
    pub fn is_idle(&self) -> bool {
        !self.in_flight && self.is_empty()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.open.is_none() && self.sealed.is_empty()
    }

    /// What holding the waiting rows costs.
    pub fn held_bytes(&self) -> usize {
        self.sealed
            .iter()
            .chain(&self.open)
            .map(|batch| batch.held_bytes)
            .sum()
    }
}

#[cfg(test)]
mod tests;
