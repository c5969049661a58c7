//! `lastSyncAt`: the time T such that every transaction acknowledged to its client at or before T is visible.
//!
//! A heartbeat is a change of one row each second, with its position L and its commit time T. Seeing it in Kafka
//! proves nothing about earlier changes in other partitions. What proves it is the slot: Debezium moves
//! `confirmed_flush_lsn` only over changes that Kafka has acknowledged. It must have passed not L but the position
//! of the *next* heartbeat's change: a transaction can commit, and be acknowledged to its client, after heartbeat
//! k's change and before heartbeat k's own commit, so its commit lies between L and there.
//!
//! Then the end offsets of all partitions are noted beside T, in the database, since partitions may be shared by
//! several sinks. Once ClickHouse has acknowledged up to them on every partition, `last_sync` is T.

mod proof;
mod store;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use model::Generation;
use sqlx::PgPool;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

pub use proof::Heartbeats;
pub use store::{Pair, Progress};

use crate::{
    catalog::CatalogFeed,
    chain::chain,
    metrics::{Metrics, Retried},
    route::Heartbeat,
    source::{self, EndOffsets},
    tracker::Positions,
};

/// The database is looked at and written to at most this often.
const TICK: Duration = Duration::from_millis(250);
/// The end offsets are asked for at least this often, for the lag.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// Longest wait for the database at the end.
const LAST_TIMEOUT: Duration = Duration::from_millis(1_500);

/// What the pipeline tells the watermark.
#[derive(Debug)]
pub enum Note {
    /// A heartbeat was read.
    Heartbeat(Generation, Heartbeat),
    /// A partition was assigned, and Kafka has `end` records of it. A stored offset beyond that is of a topic that
    /// no longer exists.
    Assigned {
        /// The partition.
        partition: i32,
        /// Where reading starts; 0 where it cannot.
        start: i64,
        /// One past the last record in Kafka.
        end: i64,
    },
}

/// The watermark could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The slot's position could not be read.
    #[error("reading the slot's position")]
    Slot(#[source] sqlx::Error),
    /// The watermark could not be written.
    #[error("writing the watermark")]
    Store(#[source] sqlx::Error),
    /// The end offsets could not be asked for.
    #[error(transparent)]
    EndOffsets(#[from] source::Error),
}

/// Where the pipeline tells the watermark what it did.
#[derive(Clone)]
pub struct WatermarkHandle {
    /// Heartbeats and assignments.
    pub notes: mpsc::UnboundedSender<Note>,
    /// Up to where each partition is durable.
    pub positions: Arc<watch::Sender<Positions>>,
}

/// Moves the watermark, in a task of its own: no wait for the database holds up a row.
pub struct Watermark {
    pool: PgPool,
    catalog: CatalogFeed,
    metrics: Metrics,
    notes: mpsc::UnboundedReceiver<Note>,
    positions: watch::Receiver<Positions>,
    heartbeats: Heartbeats,
    generation: Option<Generation>,
    progress: Progress,
    stored: Positions,
    ends_asked: Option<Instant>,
}

impl Watermark {
    /// A watermark that has not been told anything yet.
    pub fn new(pool: PgPool, catalog: CatalogFeed, metrics: Metrics) -> (Self, WatermarkHandle) {
        let (notes_sender, notes) = mpsc::unbounded_channel();
        let (positions_sender, positions) = watch::channel(Positions::new());
        let handle = WatermarkHandle {
            notes: notes_sender,
            positions: Arc::new(positions_sender),
        };
        let watermark = Self {
            pool,
            catalog,
            metrics,
            notes,
            positions,
            heartbeats: Heartbeats::default(),
            generation: None,
            progress: Progress::default(),
            stored: Positions::new(),
            ends_asked: None,
        };
        (watermark, handle)
    }

    /// Runs until `stop`, and writes once more then.
    pub async fn run(mut self, ends: EndOffsets, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match stop.run_until_cancelled(self.tick(&ends)).await {
                None => break,
                Some(Ok(())) => failing = false,
                Some(Err(error)) => {
                    self.metrics.retry(Retried::Watermark);
                    if !failing {
                        tracing::warn!(error = %chain(&error), "the watermark stands still");
                    }
                    failing = true;
                }
            }
        }
        // What was written last, for the next sink's watermark; heartbeats not proven by now are read again.
        drop(ends);
        let last = async {
            match self.catalog.known() {
                Some(known) => self.store(known.catalog.generation).await,
                None => Ok(()),
            }
        };
        match timeout(LAST_TIMEOUT, last).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %chain(&error), "last positions not written"),
            Err(_) => tracing::warn!("writing the last positions was cut off"),
        }
    }

    async fn tick(&mut self, ends: &EndOffsets) -> Result<(), Error> {
        let Some(known) = self.catalog.known() else {
            return Ok(());
        };
        let generation = known.catalog.generation;
        if self.generation != Some(generation) {
            // Positions count for the new generation as well: they are of the one topic that all share.
            self.generation = Some(generation);
            self.heartbeats = Heartbeats::default();
            self.stored.clear();
        }
        self.take_notes(generation);
        if self.heartbeats.needs_proof() {
            let slot = format!("cdc_{}_g{generation}", known.catalog.database);
            let flushed = store::confirmed_flush(&self.pool, &slot)
                .await
                .map_err(Error::Slot)?;
            // The order matters: first the proof that everything is in Kafka, then where Kafka's end is.
            if let Some(at) = flushed.and_then(|lsn| self.heartbeats.proven(lsn)) {
                self.note_pair(at, self.ask_ends(ends).await?);
            }
        }
        if self
            .ends_asked
            .is_none_or(|at| at.elapsed() >= LAG_INTERVAL)
        {
            self.ask_ends(ends).await.map(|ends| self.note_lag(&ends))?;
        }
        self.store(generation).await
    }

    fn take_notes(&mut self, current: Generation) {
        while let Ok(note) = self.notes.try_recv() {
            match note {
                Note::Heartbeat(generation, heartbeat) if generation == current => {
                    self.heartbeats.add(heartbeat)
                }
                Note::Heartbeat(..) => {}
                Note::Assigned {
                    partition,
                    start,
                    end,
                } => self.progress.assigned(partition, start, end),
            }
        }
    }

    async fn ask_ends(&self, ends: &EndOffsets) -> Result<Positions, source::Error> {
        ends.now().await
    }

    fn note_pair(&mut self, at: DateTime<Utc>, ends: Positions) {
        self.heartbeats.forget_until(at);
        self.note_lag(&ends);
        self.progress.pair(Pair { at, ends });
    }

    fn note_lag(&mut self, ends: &Positions) {
        self.ends_asked = Some(Instant::now());
        let positions = self.positions.borrow();
        let lag = positions
            .iter()
            .filter_map(|(partition, position)| Some(ends.get(partition)? - position));
        self.metrics.lag(lag.sum());
    }

    async fn store(&mut self, generation: Generation) -> Result<(), Error> {
        let positions = self.positions.borrow().clone();
        if positions == self.stored && self.progress.is_empty() {
            return Ok(());
        }
        let stored = store::store(&self.pool, generation, &positions, &self.progress).await;
        let last_sync = stored.map_err(Error::Store)?;
        self.stored = positions;
        self.progress = Progress::default();
        if let Some(at) = last_sync {
            self.metrics.last_sync(at);
        }
        Ok(())
    }
}
