//! The loop that owns every event from Kafka to the hooks. One task, so nothing in it is shared or locked; calls run as
//! jobs and come back.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use model::{ModelName, Revision};
use sqlx::PgPool;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    delivery::{Courier, Delivery, Ended},
    event::{Meaning, meaning_of},
    lane::{Lane, Waiting},
};
use crate::{
    admin::Pulse,
    backoff::Backoff,
    catalog::{CatalogFeed, Known},
    chain::chain,
    metrics::{HookOutcome, Metrics, Retried},
    placeholder::Placeholder,
    record::Record,
    source::{Rebalanced, Source},
    tracker::{Ticket, Tracker},
};

/// Offsets are committed, and full lanes looked at, at most this often.
const TICK: Duration = Duration::from_millis(250);
/// Records taken before the loop looks at anything else.
const RECORDS_PER_TURN: usize = 512;
/// Memory for calls of all hooks; reading pauses when it is full.
const BYTES_MAX: usize = 64 << 20;

/// What the dispatcher is made of.
pub(super) struct Parts {
    pub source: Source,
    pub catalog: CatalogFeed,
    pub known: Arc<Known>,
    pub placeholder: Placeholder,
    pub pool: PgPool,
    pub courier: Courier,
    pub metrics: Metrics,
    pub pulse: Pulse,
    pub give_up: Duration,
}

/// Whom to call about a model: what happens to a record is told to one URL in its order, whatever it is.
type HookId = (ModelName, String);

struct Job {
    hook: HookId,
    waiting: Waiting,
    ended: Ended,
}

/// The loop's state.
pub(super) struct Dispatcher {
    parts: Parts,
    tracker: Tracker,
    lanes: HashMap<HookId, Lane>,
    jobs: JoinSet<Job>,
    standing: BTreeSet<i32>,
    paused: BTreeSet<i32>,
    full: bool,
    next_tick: Instant,
}

impl Dispatcher {
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            tracker: Tracker::default(),
            lanes: HashMap::new(),
            jobs: JoinSet::new(),
            standing: BTreeSet::new(),
            paused: BTreeSet::new(),
            full: false,
            next_tick: Instant::now(),
        }
    }

    /// Runs until `stop`; then ends what is under way, commits, and gives the source back to be left.
    pub async fn run(mut self, stop: CancellationToken, drain: Duration) -> Result<Source, Error> {
        loop {
            let now = Instant::now();
            self.parts.pulse.beat();
            self.take_rebalances()?;
            self.start_calls(now);
            self.regulate(now)?;
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.parts.source.commit(&self.tracker.positions());
                self.lanes.retain(|_, lane| !lane.is_idle());
            }
            let Parts {
                source, catalog, ..
            } = &mut self.parts;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(job) = self.jobs.join_next() => self.finish(job)?,
                () = catalog.changed() => self.adopt_catalog(),
                () = sleep_until(self.next_tick) => {}
                record = source.next() => {
                    let batch = self.take_ready(record?)?;
                    if stop.run_until_cancelled(self.meet_catalog()).await.is_none() {
                        break;
                    }
                    batch.into_iter().for_each(|(record, ticket)| self.decide(&record, ticket));
                }
            }
        }
        self.finish_all(drain).await
    }

    fn take_ready(&mut self, first: Record) -> Result<Vec<(Record, Ticket)>, Error> {
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(record) = next {
            // A rebalance is served while polling, just before the first records that it brought.
            self.take_rebalances()?;
            if let Some(ticket) = self.tracker.take(record.partition, record.offset) {
                batch.push((record, ticket));
            }
            next = match batch.len() < RECORDS_PER_TURN {
                true => self.parts.source.next_ready()?,
                false => None,
            };
        }
        Ok(batch)
    }

    /// Waits for a catalogue that is at least as new as everything that was read: a hook that was applied before a
    /// write is told of it.
    async fn meet_catalog(&mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let query = "select platform.catalog_revision_now()";
        let revision = loop {
            match sqlx::query_scalar::<_, i64>(query)
                .fetch_one(&self.parts.pool)
                .await
            {
                Ok(revision) => break Revision(revision),
                Err(error) => {
                    self.parts.metrics.retry(Retried::Catalog);
                    tracing::warn!(error = %chain(&error), "the catalogue's revision cannot be read");
                }
            }
            self.parts.pulse.beat();
            backoff.wait().await;
        };
        self.adopt_catalog();
        while self.parts.known.catalog.revision < revision {
            self.parts.pulse.beat();
            self.parts.catalog.ask();
            self.parts.catalog.changed().await;
            self.adopt_catalog();
        }
    }

    fn adopt_catalog(&mut self) {
        if let Some(known) = self.parts.catalog.known() {
            self.parts.known = known;
        }
    }

    fn decide(&mut self, record: &Record, ticket: Ticket) {
        let payload = record.payload.as_deref().unwrap_or_default();
        let meaning = match payload {
            [] => Meaning::Nothing,
            payload => meaning_of(&self.parts.known, payload, &self.parts.placeholder),
        };
        let told = match meaning {
            Meaning::Told(told) => Arc::new(told),
            Meaning::Nothing => return self.tracker.done(&ticket),
            Meaning::Unreadable => {
                let Record {
                    partition, offset, ..
                } = record;
                tracing::error!(
                    partition,
                    offset,
                    "a change cannot be read, so nobody is told of it"
                );
                self.parts.metrics.hook(HookOutcome::Unreadable);
                return self.tracker.done(&ticket);
            }
        };
        let (ticket, now) = (Arc::new(ticket), Instant::now());
        for hook in told.hooks() {
            let name = told.model.name().clone();
            let lane = self.lanes.entry((name, hook.url.clone()));
            let waiting = Waiting {
                delivery: Delivery {
                    hook: hook.clone(),
                    told: Arc::clone(&told),
                },
                ticket: Arc::clone(&ticket),
            };
            lane.or_default().add(waiting, now);
        }
    }

    fn start_calls(&mut self, now: Instant) {
        for (hook, lane) in &mut self.lanes {
            while let Some(started) = lane.start(now, self.parts.give_up) {
                if !self.tracker.is_current(&started.waiting.ticket) {
                    // Another dispatcher has the partition and tells it; twice is allowed, out of order is not.
                    lane.ended(&started.waiting, Ended::Taken, now);
                    continue;
                }
                let (courier, hook) = (self.parts.courier.clone(), hook.clone());
                self.jobs.spawn(async move {
                    let ended = courier
                        .deliver(&started.waiting.delivery, started.effort)
                        .await;
                    Job {
                        hook,
                        waiting: started.waiting,
                        ended,
                    }
                });
            }
        }
    }

    fn finish(&mut self, job: Result<Job, JoinError>) -> Result<(), Error> {
        let Job {
            hook,
            waiting,
            ended,
        } = job.map_err(Error::Delivery)?;
        if let Some(lane) = self.lanes.get_mut(&hook) {
            lane.ended(&waiting, ended, Instant::now());
        }
        // The last call of a record lets its offset go.
        if let Some(ticket) = Arc::into_inner(waiting.ticket) {
            self.tracker.done(&ticket);
        }
        Ok(())
    }

    fn take_rebalances(&mut self) -> Result<(), Error> {
        while let Some(rebalanced) = self.parts.source.rebalanced_already() {
            match rebalanced {
                Rebalanced::Assigned {
                    partition,
                    start,
                    end,
                    out_of_range,
                } => {
                    tracing::info!(partition, start, end, out_of_range, "partition assigned");
                    self.paused.remove(&partition);
                    self.parts.source.forget_committed(partition);
                    if out_of_range {
                        self.standing.insert(partition);
                    } else {
                        self.tracker.assign(partition, start);
                    }
                }
                Rebalanced::Revoked { partition } => {
                    tracing::info!(partition, "partition revoked");
                    self.tracker.revoke(partition);
                    self.standing.remove(&partition);
                    self.paused.remove(&partition);
                }
                Rebalanced::Failed(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Pauses reading while there is no room for what it would bring.
    fn regulate(&mut self, now: Instant) -> Result<(), Error> {
        let held: usize = self.lanes.values().map(Lane::bytes).sum();
        let bound = if self.full { BYTES_MAX / 2 } else { BYTES_MAX };
        let give_up = self.parts.give_up;
        self.full = held >= bound || self.lanes.values().any(|lane| lane.holds_up(now, give_up));
        let wanted: BTreeSet<i32> = self.tracker.assigned().filter(|_| self.full).collect();
        if wanted != self.paused {
            let pause: Vec<_> = wanted.difference(&self.paused).copied().collect();
            let resume: Vec<_> = self.paused.difference(&wanted).copied().collect();
            if !pause.is_empty() {
                self.parts.source.pause(&pause)?;
            }
            if !resume.is_empty() {
                self.parts.source.resume(&resume)?;
            }
            self.paused = wanted;
        }
        let assigned = self.tracker.assigned().count() + self.standing.len();
        let standing = self.standing.len();
        self.parts.metrics.pipeline(assigned, 0, standing, held);
        Ok(())
    }

    /// Starts nothing more; what is not taken by the deadline is told again by whoever has the partition next.
    async fn finish_all(mut self, drain: Duration) -> Result<Source, Error> {
        let deadline = Instant::now() + drain;
        let all: Vec<_> = self.tracker.assigned().collect();
        self.parts.source.pause(&all)?;
        loop {
            self.take_rebalances()?;
            tokio::select! {
                job = self.jobs.join_next() => match job {
                    Some(job) => self.finish(job)?,
                    None => break,
                },
                () = sleep_until(deadline) => {
                    tracing::info!(calls = self.jobs.len(), "calls are cut off, and will be made again");
                    break;
                }
            }
        }
        self.jobs.abort_all();
        let positions = self.tracker.positions();
        self.parts.source.commit_now(positions).await;
        Ok(self.parts.source)
    }
}
