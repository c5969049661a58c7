//! Partitions that wait behind one record. Others run on; records of the partition that come meanwhile queue up
//! behind it, so that its order holds.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{Job, Pipeline};
use crate::{
    backoff::Backoff,
    chain::chain,
    metrics::ErrorClass,
    record::Record,
    route::{Dead, RoutedRow, Step, route},
    table::Row,
    tracker::Ticket,
};

/// The catalogue is looked at again this often while a record waits for it.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// As long may ClickHouse take to answer with an untouched value.
const FILL_TIMEOUT: Duration = Duration::from_secs(30);

/// One record that cannot be decided about yet, and those behind it.
pub(super) struct Stall {
    record: Record,
    ticket: Ticket,
    read_at: Instant,
    waits: Waits,
    behind: VecDeque<(Record, Ticket, Instant)>,
    behind_bytes: usize,
}

enum Waits {
    /// For a catalogue that was looked at after the record was read.
    Catalog { ask_at: Instant },
    /// For every earlier record of the partition to be written, and then for untouched values from ClickHouse.
    Fill { row: RoutedRow },
    /// For the job that fetches them.
    Filling { row: RoutedRow },
}

impl Stall {
    pub(super) fn for_catalog(record: Record, ticket: Ticket, read_at: Instant) -> Self {
        Self::new(record, ticket, read_at, Waits::Catalog { ask_at: read_at })
    }

    pub(super) fn for_fill(
        record: Record,
        ticket: Ticket,
        read_at: Instant,
        row: RoutedRow,
    ) -> Self {
        Self::new(record, ticket, read_at, Waits::Fill { row })
    }

    fn new(record: Record, ticket: Ticket, read_at: Instant, waits: Waits) -> Self {
        Self {
            record,
            ticket,
            read_at,
            waits,
            behind: VecDeque::new(),
            behind_bytes: 0,
        }
    }

    /// A record of the same partition waits behind.
    pub(super) fn queue(&mut self, record: Record, ticket: Ticket, read_at: Instant) {
        self.behind_bytes += record.held_bytes();
        self.behind.push_back((record, ticket, read_at));
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.record.held_bytes() + self.behind_bytes
    }
}

impl Pipeline {
    /// Lets a partition wait. What waited behind another record of it goes on waiting behind this one.
    pub(super) fn stall(&mut self, stall: Stall) {
        self.stalls.insert(stall.record.partition, stall);
    }

    /// Looks again at every partition that waits.
    pub(super) fn retry_stalls(&mut self, now: Instant) {
        let partitions: Vec<i32> = self.stalls.keys().copied().collect();
        for partition in partitions {
            // One that is decided goes on with those behind it, and one of these may wait in turn.
            while let Some(stall) = self.stalls.remove(&partition) {
                let behind = match self.retry(stall, now) {
                    Retry::Waits(stall) => {
                        self.stalls.insert(partition, *stall);
                        break;
                    }
                    Retry::Decided(behind) => behind,
                };
                self.follow(partition, behind);
                if !self.stalls.contains_key(&partition) {
                    break;
                }
            }
        }
    }

    fn retry(&mut self, stall: Stall, now: Instant) -> Retry {
        let Stall {
            record,
            ticket,
            read_at,
            waits,
            behind,
            behind_bytes,
        } = stall;
        let waiting = |record, waits, behind| {
            Retry::Waits(Box::new(Stall {
                record,
                ticket,
                read_at,
                waits,
                behind,
                behind_bytes,
            }))
        };
        match waits {
            Waits::Catalog { ask_at } => {
                let step = route(&self.known, &record, read_at, Some(&self.placeholder));
                if matches!(step, Step::Ask) {
                    let ask_at = self.ask_at(ask_at, now);
                    return waiting(record, Waits::Catalog { ask_at }, behind);
                }
                self.decide(record, ticket, read_at);
                Retry::Decided(behind)
            }
            Waits::Fill { row }
                if self.tracker.position(record.partition) == Some(record.offset) =>
            {
                self.start_fill(&row, ticket);
                waiting(record, Waits::Filling { row }, behind)
            }
            waits => waiting(record, waits, behind),
        }
    }

    fn ask_at(&self, ask_at: Instant, now: Instant) -> Instant {
        if now < ask_at {
            return ask_at;
        }
        self.parts.catalog.ask();
        now + ASK_INTERVAL
    }

    /// Decides about the records that waited, until one of them has to wait again.
    fn follow(&mut self, partition: i32, mut behind: VecDeque<(Record, Ticket, Instant)>) {
        while !self.stalls.contains_key(&partition) {
            let Some((record, ticket, read_at)) = behind.pop_front() else {
                return;
            };
            self.decide(record, ticket, read_at);
        }
        if let Some(stall) = self.stalls.get_mut(&partition) {
            behind
                .into_iter()
                .for_each(|(record, ticket, read_at)| stall.queue(record, ticket, read_at));
        }
    }

    fn start_fill(&mut self, row: &RoutedRow, ticket: Ticket) {
        let (writer, table) = (self.parts.writer.clone(), row.table.clone());
        let encoded = row.encoded.clone();
        self.jobs.spawn(async move {
            let start = Instant::now();
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
            loop {
                match writer.fill(&table, &encoded).await {
                    Ok(row) => return Job::Filled { ticket, row },
                    Err(error) if start.elapsed() >= FILL_TIMEOUT => {
                        tracing::error!(error = %chain(&error), table = table.qualified(), "untouched value not read back");
                        return Job::Filled { ticket, row: None };
                    }
                    Err(_) => backoff.wait().await,
                }
            }
        });
    }

    /// The untouched values are there, or are nowhere.
    pub(super) fn finish_fill(&mut self, ticket: &Ticket, filled: Option<Row>) {
        let partition = ticket.partition();
        if self
            .stalls
            .get(&partition)
            .is_none_or(|stall| stall.ticket != *ticket)
        {
            // The partition was revoked meanwhile.
            return;
        }
        let Some(Stall {
            record,
            ticket,
            waits: Waits::Filling { mut row },
            behind,
            ..
        }) = self.stalls.remove(&partition)
        else {
            return;
        };
        match filled {
            Some(filled) => {
                row.encoded.row = filled;
                self.add_row(row, record, ticket);
            }
            None => {
                let dead = Dead::of_row(
                    ErrorClass::Placeholder,
                    &row.table,
                    &row.encoded.row,
                    row.committed_at,
                );
                self.bury(record, ticket, dead);
            }
        }
        self.follow(partition, behind);
    }
}

enum Retry {
    Waits(Box<Stall>),
    Decided(VecDeque<(Record, Ticket, Instant)>),
}
