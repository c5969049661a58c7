//! The loop that owns every record from Kafka to ClickHouse. One task, so nothing in it is shared or locked; what
//! waits for others (inserts, dead letters, read-backs) runs as a job and comes back as a [`Job`].

mod drain;
mod partitions;
mod stall;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use model::ModelName;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use stall::Stall;

use crate::{
    admin::Pulse,
    batch::{BatchRow, TableQueue},
    catalog::{CatalogFeed, Known},
    config::{BatchConfig, Config},
    dead::DeadLetters,
    metrics::{Metrics, Outcome},
    placeholder::Placeholder,
    record::Record,
    route::{Dead, RoutedRow, Step, route},
    source::{self, Source},
    table::Row,
    tracker::{Ticket, Tracker},
    watermark::{Note, WatermarkHandle},
    write::{Delivered, Delivery, Writer},
};

/// Offsets are committed and published at most this often.
const TICK: Duration = Duration::from_millis(250);
/// Records taken before the loop looks at anything else.
const RECORDS_PER_TURN: usize = 512;

/// Only starting anew helps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// A job panicked: a broken invariant of ours.
    #[error("a job was cut off")]
    Job(#[source] JoinError),
}

/// What a job came back with.
enum Job {
    Delivered(Delivered),
    Buried { ticket: Ticket, held_bytes: usize },
    Filled { ticket: Ticket, row: Option<Row> },
}

/// What the pipeline is made of.
pub struct Parts {
    /// Where records come from.
    pub source: Source,
    /// What they mean.
    pub catalog: CatalogFeed,
    /// Reads values back.
    pub writer: Writer,
    /// Writes batches.
    pub delivery: Delivery,
    /// Takes what cannot be written.
    pub dead: DeadLetters,
    /// Learns what is durable.
    pub watermark: WatermarkHandle,
    /// Counts.
    pub metrics: Metrics,
    /// Shows that the loop turns.
    pub pulse: Pulse,
}

#[derive(Default)]
struct Queue {
    rows: TableQueue,
    refused_since: Option<Instant>,
}

/// The loop's state.
pub struct Pipeline {
    parts: Parts,
    batch: BatchConfig,
    drain: Duration,
    placeholder: Placeholder,
    known: Arc<Known>,
    tracker: Tracker,
    queues: HashMap<ModelName, Queue>,
    /// Partitions that wait, each behind one record.
    stalls: BTreeMap<i32, Stall>,
    /// Partitions whose records Kafka does not have any more.
    standing: BTreeSet<i32>,
    paused: BTreeSet<i32>,
    /// Reading is paused until memory is free again.
    full: bool,
    /// Memory of rows that are being written or buried.
    job_bytes: usize,
    jobs: JoinSet<Job>,
    next_tick: Instant,
}

impl Pipeline {
    /// A pipeline that starts with this catalogue.
    pub fn new(config: &Config, known: Arc<Known>, placeholder: Placeholder, parts: Parts) -> Self {
        Self {
            parts,
            batch: config.batch,
            drain: config.drain,
            placeholder,
            known,
            tracker: Tracker::default(),
            queues: HashMap::new(),
            stalls: BTreeMap::new(),
            standing: BTreeSet::new(),
            paused: BTreeSet::new(),
            full: false,
            job_bytes: 0,
            jobs: JoinSet::new(),
            next_tick: Instant::now(),
        }
    }

    /// Runs until `stop`; then writes what it holds, commits, and gives the source back to be left.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Source, Error> {
        loop {
            let now = Instant::now();
            self.parts.pulse.beat();
            // First what was taken away: nothing below may commit for a partition that is another's.
            self.take_rebalances()?;
            self.start_due(now);
            self.retry_stalls(now);
            self.regulate()?;
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.publish();
            }
            let wake = self.next_wake();
            let Parts {
                source, catalog, ..
            } = &mut self.parts;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(job) = self.jobs.join_next() => self.finish(job.map_err(Error::Job)?),
                () = catalog.changed() => self.adopt_catalog(),
                () = sleep_until(wake) => {}
                record = source.next() => {
                    self.take(record?)?;
                    self.take_ready()?;
                }
            }
        }
        self.finish_all().await
    }

    fn take_ready(&mut self) -> Result<(), Error> {
        for _ in 0..RECORDS_PER_TURN {
            match self.parts.source.next_ready()? {
                Some(record) => self.take(record)?,
                None => break,
            }
        }
        Ok(())
    }

    fn note(&self, note: Note) {
        // The watermark ends after the pipeline; if it is gone, so is the need to tell it.
        let _ = self.parts.watermark.notes.send(note);
    }

    fn take(&mut self, record: Record) -> Result<(), Error> {
        // A rebalance is served while polling, just before the first records that it brought: without this look
        // they would be taken for those of a partition that is not ours.
        self.take_rebalances()?;
        let expected = self.tracker.next(record.partition);
        let Some(ticket) = self.tracker.take(record.partition, record.offset) else {
            return Ok(());
        };
        if let Some(expected) = expected.filter(|expected| record.offset > *expected) {
            // Nothing of ours makes gaps: the topic is neither compacted nor written in transactions.
            let Record {
                partition, offset, ..
            } = record;
            tracing::error!(
                partition,
                expected,
                offset,
                "offsets are missing in the topic"
            );
        }
        let read_at = Instant::now();
        match self.stalls.get_mut(&record.partition) {
            Some(stall) => stall.queue(record, ticket, read_at),
            None => self.decide(record, ticket, read_at),
        }
        Ok(())
    }

    fn decide(&mut self, record: Record, ticket: Ticket, read_at: Instant) {
        let step = route(&self.known, &record, read_at, Some(&self.placeholder));
        match step {
            Step::Write(row) if row.encoded.holes.is_empty() => self.add_row(row, record, ticket),
            Step::Write(row) => self.stall(Stall::for_fill(record, ticket, read_at, row)),
            Step::Heartbeat(heartbeat) => {
                self.parts.metrics.event(Outcome::Heartbeat);
                self.note(Note::Heartbeat(self.known.catalog.generation, heartbeat));
                self.tracker.done(&ticket);
            }
            Step::Skip(outcome) => {
                self.parts.metrics.event(outcome);
                self.tracker.done(&ticket);
            }
            Step::Ask => self.stall(Stall::for_catalog(record, ticket, read_at)),
            Step::Dead(dead) => self.bury(record, ticket, dead),
        }
    }

    fn add_row(&mut self, row: RoutedRow, record: Record, ticket: Ticket) {
        let RoutedRow {
            catalog,
            table,
            encoded,
            committed_at,
        } = row;
        self.parts.metrics.event(Outcome::Row);
        self.parts.metrics.adjusted(encoded.adjusted);
        let row = BatchRow {
            row: encoded.row,
            record,
            committed_at,
            catalog,
        };
        let queue = self.queues.entry(table.name().clone()).or_default();
        queue
            .rows
            .add(&table, row, ticket, Instant::now(), &self.batch);
    }

    fn bury(&mut self, record: Record, ticket: Ticket, dead: Dead) {
        let held_bytes = record.held_bytes();
        self.job_bytes += held_bytes;
        let (letters, generation) = (self.parts.dead.clone(), self.known.catalog.generation);
        let everything: Vec<_> = self
            .known
            .tables()
            .map(|table| table.name().clone())
            .collect();
        self.jobs.spawn(async move {
            letters.bury(&record, &dead, generation, &everything).await;
            Job::Buried { ticket, held_bytes }
        });
    }

    fn start_due(&mut self, now: Instant) {
        for queue in self.queues.values_mut() {
            if queue.rows.due(&self.batch).is_some_and(|due| due <= now) {
                start_write(
                    queue,
                    now,
                    &self.parts.delivery,
                    &mut self.jobs,
                    &mut self.job_bytes,
                );
            }
        }
    }

    fn finish(&mut self, job: Job) {
        match job {
            Job::Delivered(Delivered {
                name,
                tickets,
                held_bytes,
                refused_since,
            }) => {
                self.job_bytes -= held_bytes;
                tickets.iter().for_each(|ticket| self.tracker.done(ticket));
                if let Some(queue) = self.queues.get_mut(&name) {
                    queue.rows.finished();
                    queue.refused_since = refused_since;
                }
            }
            Job::Buried { ticket, held_bytes } => {
                self.job_bytes -= held_bytes;
                self.tracker.done(&ticket);
            }
            Job::Filled { ticket, row } => self.finish_fill(&ticket, row),
        }
    }

    fn adopt_catalog(&mut self) {
        if let Some(known) = self.parts.catalog.known() {
            self.known = known;
        }
        // Queues of tables that are gone, and have nothing left to write, need not be looked at any more.
        let known = &self.known;
        self.queues.retain(|name, queue| {
            !queue.rows.is_idle()
                || known
                    .table(name.module.as_str(), name.model.as_str())
                    .is_some()
        });
    }

    fn next_wake(&self) -> Instant {
        let due = self
            .queues
            .values()
            .filter_map(|queue| queue.rows.due(&self.batch))
            .min();
        due.map_or(self.next_tick, |due| due.min(self.next_tick))
    }
}

fn start_write(
    queue: &mut Queue,
    now: Instant,
    delivery: &Delivery,
    jobs: &mut JoinSet<Job>,
    job_bytes: &mut usize,
) {
    let Some(batch) = queue.rows.start(now) else {
        return;
    };
    *job_bytes += batch.held_bytes;
    let (delivery, refused_since) = (delivery.clone(), queue.refused_since);
    jobs.spawn(async move { Job::Delivered(delivery.deliver(batch, refused_since).await) });
}
