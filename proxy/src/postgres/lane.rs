//! A lane: a queue, and tasks that keep a number of connections to serve it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tracing::{info, warn};

use super::{
    config::{DatabaseConfig, LaneConfig},
    error::ConnectError,
    queue::Queue,
    session::{self, Bounds, Chunk, Failure},
    startup::{self, Purpose},
};
use crate::telemetry::chain_of;

/// First and longest pause between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A queue with connections behind it. Dropped, its connections are closed.
pub(super) struct LaneHandle {
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    name: &'static str,
    queue: Queue<Chunk>,
    /// Connections that serve.
    alive: AtomicUsize,
    /// Whether the last attempt to connect failed.
    failing: AtomicBool,
    database: Arc<DatabaseConfig>,
    config: LaneConfig,
    purpose: Purpose,
}

impl LaneHandle {
    /// Opens one connection, so that a wrong address or password is an error now; the others follow by themselves.
    pub async fn start(
        name: &'static str,
        database: Arc<DatabaseConfig>,
        config: LaneConfig,
        purpose: Purpose,
    ) -> Result<Self, ConnectError> {
        let first = startup::open(&database, &config, purpose).await?;
        Ok(Self::spawn(name, database, config, purpose, Some(first)))
    }

    /// Has its connections opened by tasks of this runtime.
    pub fn spawn(
        name: &'static str,
        database: Arc<DatabaseConfig>,
        config: LaneConfig,
        purpose: Purpose,
        first: Option<startup::Opened>,
    ) -> Self {
        let connections = config.connections.max(1);
        let state = Arc::new(State {
            name,
            queue: Queue::new(config.queue),
            alive: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            database,
            config,
            purpose,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(Arc::clone(&state), first));
        for _ in 1..connections {
            tasks.spawn(keep(Arc::clone(&state), None));
        }
        Self {
            state,
            _tasks: tasks,
        }
    }

    /// Queues a chunk. It fails at once when the queue is full, or nothing serves it and nothing is about to.
    pub fn push(&self, chunk: Chunk) {
        let state = &self.state;
        let refused =
            if state.alive.load(Ordering::Relaxed) == 0 && state.failing.load(Ordering::Relaxed) {
                Err(chunk)
            } else {
                state.queue.push(chunk)
            };
        if let Err(chunk) = refused {
            let _ = chunk.reply.send(Err(Failure::NotSent));
        }
    }

    /// When a chunk that is queued now is no longer to be sent.
    pub fn expiry(&self) -> Instant {
        Instant::now() + self.state.config.queue_wait
    }

    /// Connections that serve at the moment.
    pub fn alive(&self) -> usize {
        self.state.alive.load(Ordering::Relaxed)
    }
}

/// Keeps one connection: opens it, serves, opens it again with growing pauses.
async fn keep(state: Arc<State>, mut first: Option<startup::Opened>) {
    let mut pause = BACKOFF.0;
    loop {
        let opened = match first.take() {
            Some(opened) => Ok(opened),
            None => startup::open(&state.database, &state.config, state.purpose).await,
        };
        match opened {
            Ok(opened) => {
                state.failing.store(false, Ordering::Relaxed);
                state.alive.fetch_add(1, Ordering::Relaxed);
                let bounds = Bounds::new(&state.database, &state.config);
                let began = Instant::now();
                let ended = session::serve(opened, &state.queue, bounds).await;
                state.alive.fetch_sub(1, Ordering::Relaxed);
                info!(
                    lane = state.name,
                    reason = chain_of(&ended),
                    "database connection ended"
                );
                // A server that accepts and closes at once is not to be asked in a tight loop.
                if began.elapsed() > BACKOFF.1 {
                    pause = BACKOFF.0;
                }
            }
            Err(error) => {
                state.failing.store(true, Ordering::Relaxed);
                warn!(
                    lane = state.name,
                    error = chain_of(&error),
                    "database connection failed"
                );
                fail_waiting(&state);
            }
        }
        // Half of the pause is left to chance, so that a returning server is not met by everybody at once.
        let jitter = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 512.0;
        tokio::time::sleep(pause.mul_f64(0.5 + jitter)).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

/// With no connection left, those who wait are told so now rather than at their deadline.
fn fail_waiting(state: &State) {
    if state.alive.load(Ordering::Relaxed) > 0 {
        return;
    }
    while let Some(chunk) = state.queue.pop() {
        let _ = chunk.reply.send(Err(Failure::NotSent));
    }
}
